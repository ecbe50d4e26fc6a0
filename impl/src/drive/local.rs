//! A drive of this node: its index, its files, and the commit task between them.

mod commit;
mod compaction;
mod keys;
mod pending;
mod policy;
mod queue;
mod recording;
mod root;
mod shards;
mod slow;
mod staged;
mod state;
mod sweep;

use super::{
    Activity, Answer, Drive, DriveError, DriveStatus, KeyRead, ListFrom, Page, RegisterKey, SMALL_SHARD_BYTES,
    ShardReader, ShardWriter, Staging, Unnamed, UnnamedPage,
    activity::Meter,
    fail,
    format::{DATA_FOLDER, ReadySlot, format_path, index_path, log_path},
    index::{Held, Index, IndexError, LogConfig, LogLimits, Shard, View},
};
use crate::runtime::{BoxFuture, Executor, Files, Lane, OpenMode, Rt, of_protocol, random_id, run, spawn};
use bytes::Bytes;
use commit::Core;
use model::{
    protocol::{Acceptor, Ballot, DriveState, Folder, KeyState, Register, Reply, Request},
    record::Record,
};
pub use policy::IndexPolicy;
use queue::{Message, Queue};
use recording::Recording;
use root::Root;
use state::{Health, Reserve, Shared, lock, reserve_bytes};
use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
};
use tokio::sync::{oneshot, watch};

/// Bytes of a log from which on the next commit is a checkpoint.
const LOG_BYTES: u64 = 1 << 20;
/// Bytes of new pages that a row of the log may need at the next checkpoint: the reserve has to have them.
const LOGGED_ROW_BYTES: u64 = 16 << 10;

/// A drive of this node. Dropping it closes it too, in the background.
pub struct LocalDrive {
    shared: Arc<Shared>,
    queue: Queue,
}

impl LocalDrive {
    /// Opens the drive of a slot and begins to serve it. Its lock is held until it is closed or has failed.
    ///
    /// # Errors
    /// [`DriveError::Offline`], not logged: its index is missing, damaged or newer than this program.
    pub async fn open(rt: &Rt, slot: ReadySlot, policy: IndexPolicy) -> Result<Arc<LocalDrive>, DriveError> {
        let path = slot.path.display().to_string();
        let executor = rt.executor(&path);
        let (rt, on) = (rt.clone(), executor.clone());
        let limits = policy.clone();
        let opened = run(&executor, Lane::Commit, move || open_blocking(&rt, on, slot, &limits)).await;
        let (shared, drive) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) => return Err(DriveError::Offline(reason)),
            Err(gone) => return Err(DriveError::Offline(gone.to_string())),
        };
        let (queue, messages) = Queue::new(shared.clone());
        let core = Core::new(shared.clone(), drive);
        spawn(
            &shared.rt,
            "commit to a drive",
            commit::serve(shared.clone(), core, messages),
        );
        spawn(&shared.rt, "sweep a drive", sweep::sweep(shared.clone()));
        spawn(&shared.rt, "compact an index", compaction::tend(shared.clone(), policy));
        Ok(Arc::new(LocalDrive { shared, queue }))
    }
}

fn open_blocking(
    rt: &Rt,
    executor: Arc<dyn Executor>,
    slot: ReadySlot,
    policy: &IndexPolicy,
) -> Result<(Arc<Shared>, DriveState), String> {
    let (root, path) = (Root::new(rt, slot.files), slot.path);
    let files: Arc<dyn Files> = Arc::new(root.clone());
    let mount = files.mount(&path).ok();
    let format = format_path(&path);
    let id = files.id(&format);
    let id = id.map_err(|error| format!("cannot find {}: {error}", format.display()))?;
    let reserve = Arc::new(Reserve::new(files.clone(), path.clone()));
    // A crash may have left one; the index is whole without it, and may need the room.
    files.remove_file(&compaction::unfinished(&path)).ok();
    let file = index_path(&path);
    let index_failed = |error: &dyn fmt::Display| format!("cannot open its index {}: {error}", file.display());
    // `drive.index-never-remade`: without its index a drive has forgotten what it voted for.
    let opened = files
        .open(&file, OpenMode::Write)
        .map_err(|error| index_failed(&error))?;
    let room = reserve.clone();
    let mutation = rt.mutation();
    let log = || log_config(rt, &*files, &path, slot.drive, policy);
    let opened = Index::open(opened, log, Arc::new(move || room.release()), mutation);
    let index = opened.map_err(|error| index_failed(&error))?;
    let log = files.id(&log_path(&path)).map_err(|error| index_failed(&error))?;
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
        log,
        compacted: Mutex::default(),
        reserve,
        meter: Meter::new(),
        drive: Mutex::new(drive),
        staging: Mutex::default(),
        removing: Mutex::default(),
        subfolders: [const { AtomicBool::new(false) }; 256],
        waiting_bytes: AtomicUsize::new(0),
        lock: Mutex::new(Some(slot.lock)),
        mutation,
    };
    shared.recording.opened(drive);
    Ok((Arc::new(shared), drive))
}

/// The log of a drive's index. The reserve has room for the pages of its rows, so a small file system has fewer.
fn log_config(rt: &Rt, files: &dyn Files, path: &Path, owner: u128, policy: &IndexPolicy) -> io::Result<LogConfig> {
    let reserve = reserve_bytes(&files.space(path)?);
    let (bytes_max, rows_max) = (reserve / 4, (reserve / LOGGED_ROW_BYTES) as usize);
    let rt = rt.clone();
    Ok(LogConfig {
        file: files.open(&log_path(path), OpenMode::Write)?,
        owner,
        limits: LogLimits {
            bytes: LOG_BYTES.min(bytes_max),
            rows: policy.log_rows.min(rows_max),
            bytes_max,
            rows_max,
        },
        random: Box::new(move || random_id(&rt) as u64),
    })
}

/// A drive that has failed, and holds nothing any more.
pub(super) struct Released {
    /// Reason of the failure.
    pub(super) reason: DriveError,
    /// The mount through which it must not be opened again (`drive.reopened-from-media`).
    pub(super) stale_mount: Option<u64>,
}

impl LocalDrive {
    /// Returns whether the drive has failed and all is released; not while a commit has yet to return.
    pub(super) fn released(&self) -> Option<Released> {
        let shared = &self.shared;
        let released = *shared.released.borrow();
        released.then(|| Released {
            reason: shared.health.error_or("closed"),
            stale_mount: shared.root.write_failed().then(|| shared.mount.unwrap_or_default()),
        })
    }

    /// Runs a blocking job beside the commits.
    fn run<T: Send + 'static>(&self, job: impl FnOnce(&Shared) -> Result<T, DriveError> + Send + 'static) -> Answer<T> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.run(job).await })
    }

    /// Reads a register, and what `more` reads of it. A plain read never waits for commits: it sees what the last one
    /// left.
    fn read<T: Send + 'static>(
        &self,
        key: &RegisterKey,
        more: impl FnOnce(&View, &Register<Record>, &BTreeMap<Folder, Held>) -> Result<T, IndexError> + Send + 'static,
    ) -> Answer<(Reply<Record>, T)> {
        let key = key.clone();
        self.run(move |shared| {
            shared.health.check()?;
            let read = || {
                let view = shared.index.view()?;
                let (register, held) = (view.register(&key)?, view.held(&key)?);
                let more = more(&view, &register, &held)?;
                Ok((register, held, more))
            };
            let (register, held, more) = read().map_err(|error| shared.index_failed(&error))?;
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
                mutation: of_protocol(shared.mutation),
            };
            Ok((acceptor.step(Request::Read).0, more))
        })
    }
}

/// The small shard of the latest version, if that has a single part.
fn latest_shard(
    view: &View,
    register: &Register<Record>,
    held: &BTreeMap<Folder, Held>,
) -> Result<Option<(Folder, Bytes)>, IndexError> {
    let object = register.accepted.value.object();
    let latest = object.and_then(|object| object.latest_data());
    let Some([part]) = latest.map(|(_, data)| &data.parts[..]) else {
        return Ok(None);
    };
    if held.get(&part.folder).is_none_or(|held| held.file) {
        return Ok(None);
    }
    Ok(match view.shard(part.folder, part.number)? {
        Some(Shard::Small(framed)) => Some((part.folder, framed)),
        _ => None,
    })
}

impl fmt::Debug for LocalDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalDrive({})", self.shared.path.display())
    }
}

impl Drive for LocalDrive {
    fn register(&self, key: &RegisterKey, request: Request<Record>) -> Answer<Reply<Record>> {
        if matches!(request, Request::Read) {
            let read = self.read(key, |_, _, _| Ok(()));
            return Box::pin(async move { Ok(read.await?.0) });
        }
        let key = key.clone();
        self.queue.ask(|answer| Message::Register { key, request, answer })
    }

    fn read_key(&self, key: &RegisterKey) -> Answer<KeyRead> {
        let read = self.read(key, latest_shard);
        Box::pin(async move {
            match read.await? {
                (Reply::Read(snapshot), shard) => Ok(KeyRead { snapshot, shard }),
                // It is outside of its set: nothing that it says counts.
                _ => Err(DriveError::Offline("the drive is no member of its set".to_owned())),
            }
        })
    }

    fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Answer<Reply<Record>> {
        let refused = if framed.len() > SMALL_SHARD_BYTES {
            let bytes = framed.len();
            Err(DriveError::Invalid(format!("a shard of {bytes} bytes is not small")))
        } else {
            self.shared.check_room()
        };
        if let Err(error) = refused {
            return fail(error);
        }
        let key = key.clone();
        self.queue.ask(|answer| Message::StageSmall {
            staging,
            framed,
            key,
            then,
            answer,
        })
    }

    fn stage_file(&self, staging: Staging) -> Answer<Box<dyn ShardWriter>> {
        let writer = shards::stage(self.shared.clone(), self.queue.clone(), staging);
        Box::pin(async { writer })
    }

    fn open_shard(&self, folder: Folder, part: u16) -> Answer<Box<dyn ShardReader>> {
        Box::pin(shards::open(self.shared.clone(), folder, part))
    }

    fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Answer<()> {
        let owner = owner.clone();
        self.queue.ask(|answer| Message::Abandon { owner, folder, answer })
    }

    fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Answer<()> {
        let owner = owner.clone();
        self.queue.ask(|answer| Message::EndUpload {
            owner,
            upload,
            ended,
            answer,
        })
    }

    fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Answer<UnnamedPage> {
        self.run(move |shared| {
            shared.health.check()?;
            let unnamed = || shared.index.view()?.unnamed(after.as_ref(), limit);
            unnamed().map_err(|error| shared.index_failed(&error))
        })
    }

    fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Answer<Page> {
        let prefix = prefix.to_vec();
        self.run(move |shared| {
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
        })
    }

    fn is_full(&self) -> bool {
        self.shared.reserve.is_full()
    }

    fn path(&self) -> String {
        self.shared.path.display().to_string()
    }

    fn activity(&self) -> Option<Activity> {
        let shared = &self.shared;
        Some(shared.meter.read(shared.rt.mono(), shared.root.longest_call()))
    }

    fn status(&self) -> BoxFuture<DriveStatus> {
        let space = self.run(|shared| {
            shared.health.check()?;
            let space = shared.files.space(&shared.path);
            space.map_err(|error| {
                let unknown = || DriveError::Offline(format!("cannot tell its space: {error}"));
                // As a rule the drive is gone; then this is the reason, and it is known from now on.
                shared.check_still_there().err().unwrap_or_else(unknown)
            })
        });
        let (path, device, shared) = (self.path(), self.shared.health.format.device, self.shared.clone());
        Box::pin(async move {
            match space.await {
                Ok(space) => DriveStatus::online(path, space, shared.reserve.is_full(), device),
                Err(error) => DriveStatus::without_space(path, error.into()),
            }
        })
    }

    fn close(&self) -> BoxFuture<()> {
        let (shared, queue) = (self.shared.clone(), self.queue.clone());
        Box::pin(async move {
            let (answer, closed) = oneshot::channel();
            queue.wait(Message::Close { answer }).await;
            // Already closed, or failed: there is nothing left to end.
            closed.await.ok();
            shared.released.subscribe().wait_for(|released| *released).await.ok();
        })
    }
}

#[cfg(test)]
mod tests;
