//! A drive of this node: its index, its files, and the commit task between them.

mod commit;
mod keys;
mod recording;
mod root;
mod shards;
mod slow;
mod state;
mod sweep;

use super::{
    Activity, Drive, DriveError, DriveStatus, ListFrom, Page, RegisterKey, SMALL_SHARD_BYTES, ShardReader, ShardWriter,
    Staging, Unnamed,
    activity::Meter,
    format::{DATA_FOLDER, ReadySlot, format_path, index_path},
    index::Index,
};
use crate::runtime::{Executor, Files, Lane, OpenMode, Rt, run, spawn};
use async_trait::async_trait;
use bytes::Bytes;
use commit::{Core, Message};
use model::{
    protocol::{Acceptor, Ballot, DriveState, Folder, KeyState, Reply, Request},
    record::Record,
};
use recording::Recording;
use root::Root;
use state::{Health, Reserve, Shared, lock};
use std::{
    fmt, io,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Opening takes this long only when redb verifies every page.
const SLOW: Duration = Duration::from_secs(1);

/// A drive of this node. Dropping it closes it too, in the background.
pub struct LocalDrive {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Message>,
}

impl LocalDrive {
    /// Opens the drive of a slot and begins to serve it. Its lock is held until it is closed or has failed.
    ///
    /// # Errors
    /// [`DriveError::Offline`], not logged: its index is missing, damaged or newer than this program.
    pub async fn open(rt: &Rt, slot: ReadySlot) -> Result<Arc<LocalDrive>, DriveError> {
        let path = slot.path.display().to_string();
        let executor = rt.executor(&path);
        let (rt, on) = (rt.clone(), executor.clone());
        let began = rt.mono();
        let clock = rt.clone();
        let opened = run(&executor, Lane::Commit, move || open_blocking(&rt, on, slot)).await;
        let took = clock.mono().saturating_sub(began);
        if took >= SLOW {
            let secs = took.as_secs_f64();
            tracing::info!(drive = path, secs, "the index was not closed and had to be verified");
        }
        let (shared, drive) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) => return Err(DriveError::Offline(reason)),
            Err(gone) => return Err(DriveError::Offline(gone.to_string())),
        };
        let (queue, messages) = mpsc::unbounded_channel();
        let core = Core::new(shared.clone(), drive);
        spawn(
            &shared.rt,
            "commit to a drive",
            commit::serve(shared.clone(), core, messages),
        );
        spawn(&shared.rt, "sweep a drive", sweep::sweep(shared.clone()));
        Ok(Arc::new(LocalDrive { shared, queue }))
    }
}

fn open_blocking(rt: &Rt, executor: Arc<dyn Executor>, slot: ReadySlot) -> Result<(Arc<Shared>, DriveState), String> {
    let (root, path) = (Root::new(rt, slot.files), slot.path);
    let files: Arc<dyn Files> = Arc::new(root.clone());
    let mount = files.mount(&path).ok();
    let format = format_path(&path);
    let id = files.id(&format);
    let id = id.map_err(|error| format!("cannot find {}: {error}", format.display()))?;
    let reserve = Arc::new(Reserve::new(files.clone(), path.clone()));
    let file = index_path(&path);
    let index_failed = |error: &dyn fmt::Display| format!("cannot open its index {}: {error}", file.display());
    // `drive.index-never-remade`: without its index a drive has forgotten what it voted for.
    let opened = files
        .open(&file, OpenMode::Write)
        .map_err(|error| index_failed(&error))?;
    let room = reserve.clone();
    let mutation = rt.mutation();
    let opened = Index::open(opened, Box::new(move || room.release()), mutation);
    let index = opened.map_err(|error| index_failed(&error))?;
    let (epoch, hi) = index.drive_state().map_err(|error| index_failed(&error))?;
    // Folders that a process made which then crashed may not be durable yet.
    let data = path.join(DATA_FOLDER);
    let synced: io::Result<()> = files.create_dir_all(&data).and_then(|()| files.sync_dir(&data));
    synced.map_err(|error| format!("cannot sync {}: {error}", data.display()))?;
    let drive = DriveState::boot(epoch, hi);
    let shared = Shared {
        rt: rt.clone(),
        health: Arc::new(Health::new(path.clone(), id)),
        host: rt.files(),
        files,
        root,
        mount,
        released: watch::Sender::new(false),
        executor,
        path,
        recording: Recording::new(rt, slot.set, slot.index),
        index,
        reserve,
        meter: Meter::new(),
        drive: Mutex::new(drive),
        staging: Mutex::default(),
        lock: Mutex::new(Some(slot.lock)),
        mutation,
    };
    shared.recording.opened(drive);
    Ok((Arc::new(shared), drive))
}

/// Hands a message to the commit task, at once, and waits for its answer.
async fn ask<T>(
    shared: &Shared,
    queue: &mpsc::UnboundedSender<Message>,
    message: impl FnOnce(oneshot::Sender<Result<T, DriveError>>) -> Message,
) -> Result<T, DriveError> {
    let (answer, answered) = oneshot::channel();
    queue.send(message(answer)).ok();
    answered.await.unwrap_or_else(|_| Err(shared.health.error_or("closed")))
}

/// A drive that has failed, and holds nothing any more.
pub(super) struct Released {
    /// Why it has failed.
    pub(super) reason: DriveError,
    /// The mount through which it must not be opened again (`drive.reopened-from-media`).
    pub(super) stale_mount: Option<u64>,
}

impl LocalDrive {
    /// Whether the drive has failed and all is released; not while a commit has yet to return.
    pub(super) fn released(&self) -> Option<Released> {
        let shared = &self.shared;
        let released = *shared.released.borrow();
        released.then(|| Released {
            reason: shared.health.error_or("closed"),
            stale_mount: shared.root.write_failed().then(|| shared.mount.unwrap_or_default()),
        })
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, DriveError>>) -> Message,
    ) -> Result<T, DriveError> {
        ask(&self.shared, &self.queue, message).await
    }

    /// A plain read never waits for commits: it sees what the last one left.
    async fn read(&self, key: &RegisterKey) -> Result<Reply<Record>, DriveError> {
        let key = key.clone();
        let job = move |shared: &Shared| {
            shared.health.check()?;
            let read = || {
                let view = shared.index.view()?;
                Ok((view.register(&key)?, view.held(&key)?))
            };
            let (register, held) = read().map_err(|error| shared.index_failed(&error))?;
            // The floor after the register: whatever was forgotten before is below it.
            let mut drive = *lock(&shared.drive);
            let mut key = KeyState {
                promised: Ballot::ZERO,
                register,
                folders: held.into_keys().collect(),
                known: true,
            };
            let mut acceptor = Acceptor {
                drive: &mut drive,
                key: &mut key,
                index: shared.recording.index(),
            };
            Ok(acceptor.step(Request::Read).0)
        };
        self.shared.run(job).await
    }
}

impl fmt::Debug for LocalDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalDrive({})", self.shared.path.display())
    }
}

#[async_trait]
impl Drive for LocalDrive {
    async fn register(&self, key: &RegisterKey, request: Request<Record>) -> Result<Reply<Record>, DriveError> {
        if matches!(request, Request::Read) {
            return self.read(key).await;
        }
        let key = key.clone();
        self.ask(|answer| Message::Register { key, request, answer }).await
    }

    async fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Result<Reply<Record>, DriveError> {
        self.shared.check_room()?;
        if framed.len() > SMALL_SHARD_BYTES {
            return Err(DriveError::Offline(format!(
                "a shard of {} bytes is not small",
                framed.len()
            )));
        }
        let key = key.clone();
        let message = |answer| Message::StageSmall {
            staging,
            framed,
            key,
            then,
            answer,
        };
        self.ask(message).await
    }

    async fn stage_file(&self, staging: Staging) -> Result<Box<dyn ShardWriter>, DriveError> {
        shards::stage(self, staging).await
    }

    async fn open_shard(&self, folder: Folder, part: u16) -> Result<Box<dyn ShardReader>, DriveError> {
        self.shared.health.check()?;
        shards::open(self, folder, part).await
    }

    async fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Result<(), DriveError> {
        let owner = owner.clone();
        self.ask(|answer| Message::Abandon { owner, folder, answer }).await
    }

    async fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Result<(), DriveError> {
        let owner = owner.clone();
        let message = |answer| Message::EndUpload {
            owner,
            upload,
            ended,
            answer,
        };
        self.ask(message).await
    }

    async fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Result<Vec<Unnamed>, DriveError> {
        let job = move |shared: &Shared| {
            shared.health.check()?;
            let unnamed = || shared.index.view()?.unnamed(after.as_ref(), limit);
            unnamed().map_err(|error| shared.index_failed(&error))
        };
        self.shared.run(job).await
    }

    async fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Result<Page, DriveError> {
        let prefix = prefix.to_vec();
        let job = move |shared: &Shared| {
            shared.health.check()?;
            let list = || shared.index.view()?.list(&prefix, &from, limit);
            let (rows, complete) = list().map_err(|error| shared.index_failed(&error))?;
            let DriveState { floor, epoch, .. } = *lock(&shared.drive);
            Ok(Page {
                rows,
                complete,
                floor,
                epoch,
            })
        };
        self.shared.run(job).await
    }

    fn is_full(&self) -> bool {
        self.shared.reserve.full.load(Ordering::Acquire)
    }

    fn path(&self) -> String {
        self.shared.path.display().to_string()
    }

    fn activity(&self) -> Option<Activity> {
        let shared = &self.shared;
        Some(shared.meter.read(shared.rt.mono(), shared.root.longest_call()))
    }

    async fn status(&self) -> DriveStatus {
        let job = |shared: &Shared| {
            shared.health.check()?;
            let space = shared.files.space(&shared.path);
            space.map_err(|error| {
                let unknown = || DriveError::Offline(format!("cannot tell its space: {error}"));
                // As a rule the drive is gone; then this is the reason, and it is known from now on.
                shared.check_still_there().err().unwrap_or_else(unknown)
            })
        };
        let space = match self.shared.run(job).await {
            Ok(space) => space,
            Err(DriveError::Offline(reason)) => return DriveStatus::offline(self.path(), reason),
            Err(error) => return DriveStatus::offline(self.path(), error.to_string()),
        };
        DriveStatus {
            path: self.path(),
            offline: None,
            total_bytes: space.total_bytes,
            free_bytes: space.free_bytes,
            total_inodes: space.total_inodes,
            free_inodes: space.free_inodes,
            full: self.is_full(),
            device: Some(self.shared.health.format.device),
        }
    }

    async fn close(&self) {
        // Already closed, or failed: there is nothing left to end.
        self.ask(|answer| Message::Close { answer }).await.ok();
        let mut released = self.shared.released.subscribe();
        released.wait_for(|released| *released).await.ok();
    }
}

#[cfg(test)]
mod tests;
