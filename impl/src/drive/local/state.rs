//! State shared by the parts of a local drive: its place, its index, its health and its reserve.

use super::{compaction::Ready, recording::Recording, root::Root};
use crate::{
    drive::{
        DriveError, IndexError,
        activity::Meter,
        format::{DATA_FOLDER, SYSTEM_FOLDER, format_path, log_path},
        index::{Index, is_full},
    },
    runtime::{Executor, FileId, Files, Guard, Lane, Mutation, OpenMode, Rt, Space, run},
};
use model::protocol::{DriveState, Folder};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

/// The reserve's size, unless the file system is small.
const RESERVE_BYTES: u64 = 16 << 20;
/// Free inodes below which a drive is full, or 1/64 of all if that is less.
const INODES_MIN: u64 = 1024;
/// Space that must have come free since a file system refused a shard before it is tried again.
const MORE_BYTES: u64 = 1 << 20;
const MORE_INODES: u64 = 8;

/// Shared by a drive's tasks, readers and writers.
pub(super) struct Shared {
    pub(super) rt: Rt,
    /// The host's files: what is at the drive's path now.
    pub(super) host: Arc<dyn Files>,
    /// Files below the drive's folder as it was opened (`drive.opened-root`): those of `root`.
    pub(super) files: Arc<dyn Files>,
    pub(super) root: Root,
    /// The mount that it was opened through, if that can be told.
    pub(super) mount: Option<u64>,
    /// Set once the drive has failed and holds no descriptors any more.
    pub(super) released: watch::Sender<bool>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) path: PathBuf,
    /// Trace recorder of this drive.
    pub(super) recording: Recording,
    pub(super) index: Index,
    /// Log of the index, as it was opened.
    pub(super) log: FileId,
    /// A compacted copy of the index that the commit task is to take over.
    pub(super) compacted: Mutex<Option<Ready>>,
    pub(super) health: Arc<Health>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) meter: Meter,
    /// State after the last batch. Readers take their floor from it after they have read.
    pub(super) drive: Mutex<DriveState>,
    /// Shards that are being staged as files, each with the number of its writers.
    pub(super) staging: Mutex<BTreeMap<(Folder, u16), usize>>,
    /// Files that are to be removed beside the commits, and are not yet: closing the drive removes them.
    pub(super) removing: Mutex<BTreeSet<(Folder, u16)>>,
    /// Subfolders of `data/` that exist and have durable names.
    pub(super) subfolders: [AtomicBool; 256],
    /// Bytes of small shards that wait in the queue.
    pub(super) waiting_bytes: AtomicUsize,
    /// Taken out when the drive is closed.
    pub(super) lock: Mutex<Option<Guard>>,
    pub(super) mutation: Mutation,
}

impl Shared {
    /// Gives up all that a failed drive holds. Only in the commit lane: no commit is under way.
    pub(super) fn release(&self) {
        self.index.abandon();
        self.index.close().ok();
        lock(&self.lock).take();
        self.root.close();
    }

    /// Runs a blocking job beside the commits.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Shared) -> Result<T, DriveError> + Send + 'static,
    ) -> Result<T, DriveError> {
        let shared = self.clone();
        match run(&self.executor, Lane::Data, move || job(&shared)).await {
            Ok(result) => result,
            Err(gone) => Err(self.health.error_or(&gone.to_string())),
        }
    }

    /// The index has failed, and with it the drive.
    pub(super) fn index_failed(&self, error: &IndexError) -> DriveError {
        match error {
            IndexError::Closed => self.health.error_or("closed"),
            _ => self.health.fail(format!("its index failed: {error}")),
        }
    }

    /// Staging has failed: for want of room, or with the drive.
    pub(super) fn staging_failed(&self, what: &Path, error: &io::Error) -> DriveError {
        if is_full(error) {
            self.reserve.refused();
            return DriveError::Full;
        }
        self.health.fail(format!("cannot stage {}: {error}", what.display()))
    }

    /// `drive.still-there`: a descriptor of a folder that was unmounted, renamed or removed goes on
    /// succeeding. What is at the drive's path must be what was opened.
    pub(super) fn check_still_there(&self) -> Result<(), DriveError> {
        self.check_is(&format_path(&self.path), self.health.format)
    }

    /// The same for the log of its index, which nothing would read at the next start.
    pub(super) fn check_log_still_there(&self) -> Result<(), DriveError> {
        self.check_is(&log_path(&self.path), self.log)
    }

    fn check_is(&self, path: &Path, opened: FileId) -> Result<(), DriveError> {
        match self.host.id(path) {
            Ok(id) if id == opened => Ok(()),
            Ok(_) => Err(self
                .health
                .fail(format!("{} is another file than at the start", path.display()))),
            Err(error) => Err(self.health.fail(format!("cannot find {}: {error}", path.display()))),
        }
    }

    /// Shows readers the state of the drive after a commit or a step.
    ///
    /// # Panics
    /// If readers have seen a higher floor or epoch: the drive must not go on.
    pub(super) fn publish(&self, drive: DriveState) {
        let mut published = lock(&self.drive);
        assert!(
            drive.floor >= published.floor,
            "drive.promise-holds: the floor has fallen"
        );
        assert!(
            drive.epoch >= published.epoch,
            "drive.epoch-fences: the epoch has fallen"
        );
        *published = drive;
    }

    /// Checks that there is room to stage.
    pub(super) fn check_room(&self) -> Result<(), DriveError> {
        self.health.check()?;
        if self.reserve.is_full() {
            return Err(DriveError::Full);
        }
        Ok(())
    }

    /// The path of a subfolder of `data/`.
    pub(super) fn subfolder_path(&self, subfolder: u8) -> PathBuf {
        self.path.join(DATA_FOLDER).join(subfolder_name(subfolder))
    }

    /// The path of a larger shard's file.
    pub(super) fn shard_path(&self, folder: Folder, part: u16) -> PathBuf {
        self.subfolder_path(subfolder_of(folder)).join(shard_name(folder, part))
    }
}

/// The subfolder of `data/` that the shards of a data folder are in: the first byte of its name.
pub(super) fn subfolder_of(folder: Folder) -> u8 {
    folder.to_be_bytes()[0]
}

pub(super) fn subfolder_name(subfolder: u8) -> String {
    format!("{subfolder:02x}")
}

/// The name of a larger shard's file.
pub(super) fn shard_name(folder: Folder, part: u16) -> String {
    format!("{folder:032x}.{part}")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are replaced whole, so a panic leaves none half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Health of a drive. Once it has failed it never serves again: it is opened anew, as another [`LocalDrive`].
///
/// [`LocalDrive`]: super::LocalDrive
pub(super) struct Health {
    path: PathBuf,
    /// The `format.json` that was opened.
    pub(super) format: FileId,
    offline: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn new(path: PathBuf, format: FileId) -> Health {
        let offline = Mutex::new(None);
        Health { path, format, offline }
    }

    pub(super) fn check(&self) -> Result<(), DriveError> {
        match &*lock(&self.offline) {
            None => Ok(()),
            Some(reason) => Err(DriveError::Offline(reason.clone())),
        }
    }

    /// The reason why the drive is offline, or this one.
    pub(super) fn error_or(&self, reason: &str) -> DriveError {
        self.check()
            .err()
            .unwrap_or_else(|| DriveError::Offline(reason.to_owned()))
    }

    /// Takes the drive offline. The first reason stands, and is logged.
    pub(super) fn fail(&self, reason: String) -> DriveError {
        let mut offline = lock(&self.offline);
        let first = offline.get_or_insert_with(|| {
            tracing::error!(drive = %self.path.display(), reason, "drive offline");
            reason
        });
        DriveError::Offline(first.clone())
    }

    /// Takes the drive offline because it was asked to close.
    pub(super) fn close(&self) {
        lock(&self.offline).get_or_insert_with(|| "closed".to_owned());
    }
}

/// The size of the reserve on a file system.
pub(super) fn reserve_bytes(space: &Space) -> u64 {
    RESERVE_BYTES.min(space.total_bytes / 64)
}

/// A file that takes up room for the day on which there is none (`drive.full-still-deletes`). When the
/// index meets a full file system it goes, and nothing more is staged, so that the index can still take
/// deletes and finalizes. When room comes back it is made again.
pub(super) struct Reserve {
    files: Arc<dyn Files>,
    drive: PathBuf,
    /// Nothing may be staged.
    pub(super) full: AtomicBool,
    /// The file exists.
    kept: AtomicBool,
    refused: Mutex<Refused>,
}

/// Shards that the file system has refused.
#[derive(Default)]
struct Refused {
    count: u64,
    /// Free space that it reported at the last one, until it reports more.
    space: Option<Space>,
}

impl Reserve {
    pub(super) fn new(files: Arc<dyn Files>, drive: PathBuf) -> Reserve {
        Reserve {
            files,
            drive,
            full: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            refused: Mutex::default(),
        }
    }

    /// Returns whether the room that commits may need later is there: not before [`Reserve::tend`] has seen to it.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire) && !self.is_full()
    }

    /// Returns whether nothing may be staged.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    fn path(&self) -> PathBuf {
        self.drive.join(SYSTEM_FOLDER).join("reserve")
    }

    fn unfinished(&self) -> PathBuf {
        self.path().with_extension("new")
    }

    /// The file system has no room for a shard, whatever it says that it has: a quota, or blocks that it keeps for
    /// itself. So the drive is full until it says that it has more.
    pub(super) fn refused(&self) {
        let space = self.files.space(&self.drive).ok();
        let mut refused = lock(&self.refused);
        refused.count += 1;
        refused.space = space;
        self.set_full(true);
    }

    /// Notes whether the drive is full, and logs a change.
    fn set_full(&self, full: bool) {
        let drive = self.drive.display();
        match (self.full.swap(full, Ordering::AcqRel), full) {
            (false, true) => tracing::warn!(%drive, "drive full: it takes no more objects, only deletes"),
            (true, false) => tracing::info!(%drive, "the drive has room again"),
            _ => {}
        }
    }

    /// Returns whether the file system has room for `bytes` more beside the reserve, with plenty to spare.
    pub(super) fn leaves_room(&self, space: &Space, bytes: u64) -> bool {
        !self.is_full() && space.free_bytes > bytes.saturating_add(4 * reserve_bytes(space))
    }

    /// Gives its room to the index. Whether there was any.
    pub(super) fn release(&self) -> bool {
        self.set_full(true);
        self.kept.store(false, Ordering::Release);
        let released = self.files.remove_file(&self.path()).is_ok();
        if released {
            tracing::warn!(drive = %self.drive.display(), "the reserve of a full drive is used for its index");
        }
        released
    }

    /// Looks how much room there is. Called about every second.
    pub(super) fn tend(&self) {
        let count = lock(&self.refused).count;
        let Ok(space) = self.files.space(&self.drive) else {
            return;
        };
        let wanted = reserve_bytes(&space);
        // One that was made on a smaller file system is replaced; half will do, for the size of some goes up and down.
        let bytes = self.bytes();
        let missing = if bytes < wanted.div_ceil(2) { wanted - bytes } else { 0 };
        let mut room = space.free_bytes;
        let mut is_kept = missing == 0;
        if missing > 0 {
            // Twice: made again at the edge, it would go and come with every delete.
            if room <= 2 * wanted {
                self.files.remove_file(&self.unfinished()).ok();
            } else if self.make(wanted).is_err() {
                self.files.remove_file(&self.unfinished()).ok();
                self.kept.store(false, Ordering::Release);
                return;
            } else {
                is_kept = true;
            }
            room = room.saturating_sub(missing);
        }
        self.kept.store(is_kept, Ordering::Release);
        let inodes_wanted = INODES_MIN.min(space.total_inodes / 64);
        // A full drive needs a little more than it takes not to be one: or it would be full and not, with each object
        // and each delete.
        let (room_min, inodes_min) = match self.full.load(Ordering::Acquire) {
            true => (wanted + wanted / 4, 2 * inodes_wanted),
            false => (wanted, inodes_wanted),
        };
        let lacks_inodes = space.total_inodes > 0 && space.free_inodes < inodes_min;
        let mut refused = lock(&self.refused);
        // A shard that was refused since says more than the space that was read before.
        if refused.count != count {
            return;
        }
        let is_refused_still = refused.space.is_some_and(|then| {
            space.free_bytes < then.free_bytes.saturating_add(MORE_BYTES)
                && space.free_inodes < then.free_inodes.saturating_add(MORE_INODES)
        });
        if !is_refused_still {
            refused.space = None;
        }
        self.set_full(is_refused_still || room < room_min || lacks_inodes);
    }

    /// Returns the size of the file in bytes.
    fn bytes(&self) -> u64 {
        let file = self.files.open(&self.path(), OpenMode::Read);
        file.and_then(|file| file.len()).unwrap_or(0)
    }

    /// Makes the file, and gives it its name once its room is taken for good: after a crash in between, a file of that
    /// name would keep no room.
    fn make(&self, bytes: u64) -> io::Result<()> {
        let file = self.files.open(&self.unfinished(), OpenMode::Create)?;
        // Not zeroes: a file system that compresses would keep no room for them.
        let mut noise = vec![0; 1 << 20];
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for word in noise.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        for offset in (0..bytes).step_by(noise.len()) {
            let len = (bytes - offset).min(noise.len() as u64) as usize;
            file.write_at(offset, &noise[..len])?;
        }
        file.sync()?;
        self.files.rename(&self.unfinished(), &self.path())
    }
}
