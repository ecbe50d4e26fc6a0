//! The place of a drive in its node: the drive that serves there, or the reason why none does; and its way back.
//!
//! Every second a drive that does not serve is looked for at its path. If what is there is the drive that belongs in
//! this place, by its `format.json`, it is opened and verified as at a start, and serves from then on.

use super::{
    Activity, Answer, Drive, DriveError, DriveStatus, IndexPolicy, KeyRead, ListFrom, LocalDrive, OfflineDrive, Page,
    RegisterKey, ShardReader, ShardWriter, Staging, Unnamed, UnnamedPage,
    format::{self, Identity, ReadySlot},
};
use crate::runtime::{BoxFuture, Executor, Lane, Rt, run, spawn};
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

/// Interval between attempts to reopen an offline drive.
const LOOK: Duration = Duration::from_secs(1);
/// Longest back-off between attempts to reopen a drive that cannot be opened, or fails again soon.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A drive that has served for this long has not failed again soon.
const SOUND: Duration = Duration::from_secs(600);

/// A place, and the drive in it.
pub struct DriveSlot {
    rt: Rt,
    path: PathBuf,
    identity: Identity,
    policy: IndexPolicy,
    current: RwLock<Current>,
    retry: Mutex<Retry>,
}

#[derive(Clone)]
enum Current {
    Serving(Arc<LocalDrive>),
    Offline(Arc<OfflineDrive>),
    /// Nothing is opened any more.
    Closed(Arc<dyn Drive>),
}

/// Schedule of the attempts to reopen the drive.
struct Retry {
    /// Looks for it, beside whatever hangs in the drive itself.
    executor: Option<Arc<dyn Executor>>,
    pause: Duration,
    /// No try before this time.
    not_before: Duration,
    /// Time at which it was last opened.
    opened: Duration,
}

impl DriveSlot {
    /// Opens the drive that was found for a place, if there is one, and looks for it from then on while it does not
    /// serve, for as long as the slot lives. Why it does not serve is logged.
    pub async fn open(rt: &Rt, found: format::Slot, identity: Identity, policy: IndexPolicy) -> Arc<DriveSlot> {
        let path = found.path().to_owned();
        let current = match found {
            format::Slot::Offline { reason, .. } => Err(reason),
            format::Slot::Ready(ready) => LocalDrive::open(rt, ready, policy.clone()).await.map_err(reason_of),
        };
        let current = match current {
            Ok(drive) => Current::Serving(drive),
            Err(reason) => {
                tracing::error!(drive = %path.display(), reason, "drive offline");
                Current::Offline(Arc::new(OfflineDrive::new(path.clone(), reason)))
            }
        };
        let slot = Arc::new(DriveSlot {
            rt: rt.clone(),
            path,
            identity,
            policy,
            current: RwLock::new(current),
            retry: Mutex::new(Retry {
                executor: None,
                pause: LOOK,
                not_before: Duration::ZERO,
                opened: rt.mono(),
            }),
        });
        let (clock, weak) = (rt.clone(), Arc::downgrade(&slot));
        let look = async move {
            loop {
                clock.sleep(LOOK).await;
                let Some(slot) = weak.upgrade() else { return };
                slot.look().await;
            }
        };
        spawn(rt, "look for a drive", look);
        slot
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn drive(&self) -> Arc<dyn Drive> {
        match self.current() {
            Current::Serving(drive) => drive,
            Current::Offline(drive) => drive,
            Current::Closed(drive) => drive,
        }
    }

    fn retry(&self) -> MutexGuard<'_, Retry> {
        self.retry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what `expected` is of the place; whether it was that still.
    fn replace(&self, expected: &Current, by: Current) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let same = match (&*current, expected) {
            (Current::Serving(a), Current::Serving(b)) => Arc::ptr_eq(a, b),
            (Current::Offline(a), Current::Offline(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if same {
            *current = by;
        }
        same
    }

    /// Opens the drive anew if it does not serve and is there.
    async fn look(&self) {
        let current = self.current();
        let now = self.rt.mono();
        let stale_mount = match &current {
            Current::Closed(_) => return,
            Current::Offline(drive) => drive.stale_mount(),
            // It serves, or a call in it has yet to return.
            Current::Serving(drive) => match drive.released() {
                None => return,
                Some(released) => {
                    self.pause_after_failure(now);
                    let reason = reason_of(released.reason);
                    let offline = OfflineDrive::new(self.path.clone(), reason).behind(released.stale_mount);
                    self.replace(&current, Current::Offline(Arc::new(offline)));
                    return;
                }
            },
        };
        if now < self.retry().not_before {
            return;
        }
        let ready = match self.find(stale_mount).await {
            Some(Ok(ready)) => ready,
            Some(Err(reason)) => return self.stays_offline(&current, reason),
            None => return,
        };
        match LocalDrive::open(&self.rt, ready, self.policy.clone()).await {
            Ok(drive) => {
                self.retry().opened = self.rt.mono();
                if self.replace(&current, Current::Serving(drive.clone())) {
                    tracing::info!(drive = %self.path.display(), "drive online: it was opened anew");
                } else {
                    drive.close().await;
                }
            }
            Err(error) => {
                let mut retry = self.retry();
                retry.pause = (retry.pause * 2).min(PAUSE_MAX);
                retry.not_before = now + retry.pause;
                drop(retry);
                self.stays_offline(&current, reason_of(error));
            }
        }
    }

    /// The drive of this place, if it is at its path; else why not. `None` when the process is ending.
    async fn find(&self, stale_mount: Option<u64>) -> Option<Result<ReadySlot, String>> {
        let executor = {
            let mut retry = self.retry();
            let new = || self.rt.executor(&self.path.to_string_lossy());
            retry.executor.get_or_insert_with(new).clone()
        };
        let (files, path, identity) = (self.rt.files(), self.path.clone(), self.identity.clone());
        let job = move || {
            let ready = format::find_again(&files, &path, &identity)?;
            // `drive.reopened-from-media`
            match (stale_mount, ready.files.mount(&path)) {
                (None, _) => Ok(ready),
                (Some(stale), Ok(mount)) if mount != stale => Ok(ready),
                (Some(_), _) => Err(STALE.to_owned()),
            }
        };
        run(&executor, Lane::Data, job).await.ok()
    }

    /// Takes down why the drive does not serve yet, and logs it if that is new.
    fn stays_offline(&self, current: &Current, latest: String) {
        let Current::Offline(known) = current else { return };
        if known.latest() == latest {
            return;
        }
        tracing::warn!(drive = %self.path.display(), reason = latest, "the drive cannot be used again yet");
        self.replace(current, Current::Offline(Arc::new(known.still(latest))));
    }

    fn pause_after_failure(&self, now: Duration) {
        let mut retry = self.retry();
        let soon = now.saturating_sub(retry.opened) < SOUND;
        retry.pause = if soon { (retry.pause * 2).min(PAUSE_MAX) } else { LOOK };
        retry.not_before = now + retry.pause;
    }
}

/// Reason why a drive that is back at its path is not opened.
const STALE: &str = "a write or a sync has failed, so what is cached of it may not be on the media: it is opened again \
                     when its file system has been unmounted and mounted anew";

fn reason_of(error: DriveError) -> String {
    match error {
        DriveError::Offline(reason) => reason,
        other => other.to_string(),
    }
}

impl fmt::Debug for DriveSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriveSlot({})", self.path.display())
    }
}

impl Drive for DriveSlot {
    fn register(&self, key: &RegisterKey, request: Request<Record>) -> Answer<Reply<Record>> {
        self.drive().register(key, request)
    }

    fn read_key(&self, key: &RegisterKey) -> Answer<KeyRead> {
        self.drive().read_key(key)
    }

    fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Answer<Reply<Record>> {
        self.drive().stage_small(staging, framed, key, then)
    }

    fn stage_file(&self, staging: Staging) -> Answer<Box<dyn ShardWriter>> {
        self.drive().stage_file(staging)
    }

    fn open_shard(&self, folder: Folder, part: u16) -> Answer<Box<dyn ShardReader>> {
        self.drive().open_shard(folder, part)
    }

    fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Answer<()> {
        self.drive().abandon(owner, folder)
    }

    fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Answer<()> {
        self.drive().end_upload(owner, upload, ended)
    }

    fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Answer<UnnamedPage> {
        self.drive().unnamed(after, limit)
    }

    fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Answer<Page> {
        self.drive().list(prefix, from, limit)
    }

    fn is_full(&self) -> bool {
        self.drive().is_full()
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn activity(&self) -> Option<Activity> {
        self.drive().activity()
    }

    fn status(&self) -> BoxFuture<DriveStatus> {
        self.drive().status()
    }

    fn close(&self) -> BoxFuture<()> {
        let drive = self.drive();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current::Closed(drive.clone());
        drive.close()
    }
}
