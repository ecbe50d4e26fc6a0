//! A drive's index: registers, held folders, small shards, in redb over verified blocks, behind a log and a memtable.

mod batch;
mod blocks;
mod compaction;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod header;
mod live;
mod log;
mod memtable;
mod rows;
mod sums;
mod unnamed;
mod view;

pub(crate) use blocks::{MakeRoom, is_full};
pub(crate) use compaction::Compaction;
pub(crate) use log::{LogConfig, LogLimits, create_log};
pub(crate) use rows::{Held, Shard};
pub use rows::{RowError, decode_register};
pub(crate) use view::View;

use super::RegisterKey;
use crate::runtime::{File, Mutation};
use batch::{Batch, Rows};
use blocks::{Backend, Blocks};
use bytes::Bytes;
use compaction::Tracker;
use live::{LIVE, Live};
use log::Log;
use memtable::{Memtable, read, write};
use model::{
    protocol::{Folder, Register},
    record::Record,
};
use redb::{
    AccessGuard, Builder, Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction,
};
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use view::Checkpoint;

/// The version of the tables below and of the log. Any other is refused: version 1, without a log, was never released.
const VERSION: u64 = 2;
/// Name of the log's generation in the table `meta`: 0 until the index is first opened.
const LOG: &str = "log";
/// redb's cache, of pages read and pages to be written. Its default is 1 GiB for each drive.
const CACHE_BYTES: usize = 10 << 20;

type ShardKey = &'static [u8; rows::SHARD_KEY_BYTES];
const REGISTERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("registers");
const HELD: TableDefinition<&[u8], &[u8]> = TableDefinition::new("held");
const SHARDS: TableDefinition<ShardKey, &[u8]> = TableDefinition::new("shards");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Error of an index. Its drive fails with it (`drive.index-verified`).
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// redb, or the file below it.
    #[error("{0}")]
    Redb(Box<redb::Error>),
    /// The file below it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A row.
    #[error(transparent)]
    Row(#[from] RowError),
    /// Format of another version.
    #[error("it is of version {0}, this program knows version {VERSION}")]
    Version(u64),
    /// The log cannot be opened.
    #[error("cannot open its log: {0}")]
    NoLog(io::Error),
    /// The file of the log is another drive's, or none of ours.
    #[error("its log is not the log of this drive: without it the drive has forgotten what it voted for")]
    ForeignLog,
    /// Rot in the log.
    #[error("the entry at byte {0} of its log is damaged")]
    LogEntry(usize),
    /// A panic inside redb, which damaged bytes can cause.
    #[error("panic: {0}")]
    Panic(String),
    /// The index was closed.
    #[error("it is closed")]
    Closed,
}

impl IndexError {
    /// Returns whether its file system, or the share of it that is allowed, is used up.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            IndexError::Io(error) => is_full(error),
            IndexError::Redb(error) => matches!(&**error, redb::Error::Io(error) if is_full(error)),
            _ => false,
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for IndexError {
            fn from(error: $error) -> Self {
                IndexError::Redb(Box::new(error.into()))
            }
        }
    )+};
}
from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

/// Changes for one transaction.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The drive's epoch and `hi`.
    pub(crate) drive: Option<(u64, u64)>,
    /// Registers by key; `None` removes one.
    pub(crate) registers: Vec<(RegisterKey, Option<Register<Record>>)>,
    /// Held folders and shards, in order.
    pub(crate) rows: Vec<RowChange>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.drive.is_none() && self.registers.is_empty() && self.rows.is_empty()
    }
}

/// Change of a held folder.
#[derive(Clone, Debug)]
pub(crate) struct RowChange {
    pub(crate) owner: RegisterKey,
    pub(crate) folder: Folder,
    pub(crate) held: Held,
    pub(crate) change: Hold,
}

/// New state of a held folder.
#[derive(Clone, Debug)]
pub(crate) enum Hold {
    /// Held from now on, with these bytes in the index.
    Small(Bytes),
    /// Held from now on, as a file.
    File,
    /// No longer held.
    Removed,
}

/// Manner in which a commit is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// In the log, or as a checkpoint if the log is full.
    Logged,
    /// As a checkpoint.
    Checkpoint,
    /// As a checkpoint after which the drive rests: the index knows the bytes of all its rows when it is opened.
    Rest,
}

/// The index of one drive.
pub(crate) struct Index {
    /// `None` once closed. Held only while a transaction begins.
    open: RwLock<Option<Open>>,
    /// View of the last commit. `None` for a copy that a compaction has not finished, and once closed.
    view: Mutex<Option<Arc<View>>>,
    /// `None` with the view. Held during a commit.
    log: Mutex<Option<Log>>,
    /// Bytes of the rows of the last checkpoint.
    live: Mutex<Live>,
    /// Keys changed by commits while a compaction is under way.
    tracker: Mutex<Option<Tracker>>,
    /// Replaced by compactions and possibly still read.
    retired: Mutex<Vec<Open>>,
}

/// An open database file.
struct Open {
    database: Database,
    file: Arc<dyn File>,
    blocks: Arc<Blocks>,
    /// Shared by the views of it.
    views: Arc<()>,
}

impl Index {
    /// Makes a new index in an empty file, durably; the file's name is the caller's to sync.
    pub(crate) fn create(file: Arc<dyn File>) -> Result<(), IndexError> {
        let index = Index::start(file.clone(), Blocks::create(file, Arc::new(|| false)))?;
        contained(|| {
            let transaction = index.begin_write(true)?;
            transaction.open_table(REGISTERS)?;
            transaction.open_table(HELD)?;
            transaction.open_table(SHARDS)?;
            let mut meta = transaction.open_table(META)?;
            for (name, value) in [("version", VERSION), ("epoch", 0), ("hi", 0), (LIVE, 0), (LOG, 0)] {
                meta.insert(name, value)?;
            }
            drop(meta);
            Ok(transaction.commit()?)
        })?;
        index.close()
    }

    /// Opens an index, and applies its log.
    ///
    /// # Errors
    /// Damage, or a format of another version.
    pub(crate) fn open(
        file: Arc<dyn File>,
        open_log: impl FnOnce() -> io::Result<LogConfig>,
        make_room: MakeRoom,
        mutation: Mutation,
    ) -> Result<Index, IndexError> {
        let index = Index::open_without_log(file, make_room, mutation)?;
        let generation = index.meta(LOG)?.ok_or(RowError::Malformed)?;
        let mut log = Log::new(open_log().map_err(IndexError::NoLog)?, mutation, generation);
        let mut memtable = Memtable::default();
        let mut commits = 0;
        for entry in log.read()? {
            let entry = Bytes::from(entry);
            commits += 1;
            memtable.insert(commits, &Rows::decode(&entry)?, &entry);
        }
        if generation == 0 || commits > 0 {
            contained(|| index.checkpoint(&mut log, &memtable, false))?;
        }
        *lock(&index.log) = Some(log);
        *lock(&index.view) = Some(Arc::new(index.view_of_checkpoint(commits)?));
        Ok(index)
    }

    /// Opens an index without its log.
    fn open_without_log(file: Arc<dyn File>, make_room: MakeRoom, mutation: Mutation) -> Result<Index, IndexError> {
        let index = Index::start(file.clone(), Blocks::open(file, make_room, mutation)?)?;
        match index.meta("version")? {
            Some(VERSION) => {}
            Some(other) => return Err(IndexError::Version(other)),
            None => return Err(RowError::Malformed.into()),
        }
        if let Some(bytes) = index.meta(LIVE)? {
            *lock(&index.live) = Live::stored(bytes);
        }
        Ok(index)
    }

    fn start(file: Arc<dyn File>, blocks: Blocks) -> Result<Index, IndexError> {
        let blocks = Arc::new(blocks);
        let (backend, verifying) = (Backend(blocks.clone()), blocks.clone());
        let database = contained(move || {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            // Called before redb verifies all pages, and only then.
            builder.set_repair_callback(move |_| verifying.verify_by_redb());
            Ok(builder.create_with_backend(backend)?)
        })?;
        let torn = blocks.verify_here()?;
        if torn > 0 {
            tracing::info!(blocks = torn, "sealed blocks of the index that a crash had torn");
        }
        let views = Arc::default();
        Ok(Index {
            open: RwLock::new(Some(Open {
                database,
                file,
                blocks,
                views,
            })),
            view: Mutex::default(),
            log: Mutex::default(),
            live: Mutex::default(),
            tracker: Mutex::default(),
            retired: Mutex::default(),
        })
    }

    /// The drive's stored epoch and `hi`.
    pub(crate) fn drive_state(&self) -> Result<(u64, u64), IndexError> {
        if let Some(state) = read(&self.view()?.memtable).drive() {
            return Ok(state);
        }
        let (epoch, hi) = (self.meta("epoch")?, self.meta("hi")?);
        Ok((epoch.ok_or(RowError::Malformed)?, hi.ok_or(RowError::Malformed)?))
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, IndexError> {
        contained(|| {
            let (transaction, _of) = self.begin_read()?;
            let meta = transaction.open_table(META)?;
            let value = meta.get(name)?;
            Ok(value.map(|value| value.value()))
        })
    }

    /// Makes changes durable, all of them or none. Only one commit at a time.
    pub(crate) fn commit(&self, changes: &Changes, durable: Durable) -> Result<(), IndexError> {
        let mut batch = Batch::of(changes, log::ENTRY_HEADER_BYTES)?;
        contained(|| {
            let mut log = lock(&self.log);
            let log = log.as_mut().ok_or(IndexError::Closed)?;
            let mut is_checkpoint = durable != Durable::Logged || !log.has_room_for(&batch);
            if !is_checkpoint {
                // Before readers can see it.
                match log.append(&mut batch) {
                    Ok(()) => {}
                    // The drive's reserve is for redb: what it needs for the log's rows must not pile up any more.
                    Err(error) if is_full(&error) => is_checkpoint = true,
                    Err(error) => return Err(error.into()),
                }
            }
            let (last, memtable, checkpoint) = {
                let view = self.view()?;
                (view.commit, view.memtable.clone(), view.checkpoint.clone())
            };
            let commit = last + 1;
            let batch = batch.into_bytes();
            let rows = Rows::decode(&batch[log::ENTRY_HEADER_BYTES..])?;
            write(&memtable).insert(commit, &rows, &batch);
            let view = if is_checkpoint {
                // The view before is read until then: pages that this frees are used from the next checkpoint on.
                self.checkpoint(log, &read(&memtable), durable == Durable::Rest)?;
                self.view_of_checkpoint(commit)?
            } else {
                View {
                    commit,
                    memtable,
                    checkpoint,
                }
            };
            // Readers that begin from here on see the commit. What nobody reads any more is freed behind the lock.
            let old = lock(&self.view).replace(Arc::new(view));
            drop(old);
            // Only now: a compaction that took the keys earlier would copy the rows as they were.
            if let Some(tracker) = &mut *lock(&self.tracker) {
                tracker.note(&rows);
            }
            Ok(())
        })
    }

    /// Writes the rows of the memtable into redb, durably, and begins the log anew.
    fn checkpoint(&self, log: &mut Log, memtable: &Memtable, rest: bool) -> Result<(), IndexError> {
        let transaction = self.begin_write(true)?;
        let mut live = lock(&self.live);
        memtable.write(&transaction, &mut live, log.mutation())?;
        live.store(&transaction, rest)?;
        // A count of all rows must not wait for the sync.
        drop(live);
        let generation = log.next_generation();
        transaction.open_table(META)?.insert(LOG, generation)?;
        transaction.commit()?;
        log.restart(generation);
        Ok(())
    }

    /// Returns a view of the last commit.
    pub(crate) fn view(&self) -> Result<Arc<View>, IndexError> {
        lock(&self.view).clone().ok_or(IndexError::Closed)
    }

    /// Returns a view of the last checkpoint, made by this commit.
    fn view_of_checkpoint(&self, commit: u64) -> Result<View, IndexError> {
        contained(|| {
            let (transaction, of) = self.begin_read()?;
            Ok(View::of_checkpoint(
                commit,
                Arc::new(Checkpoint::new(&transaction, of)?),
            ))
        })
    }

    /// Writes nothing any more: the log has all that was acknowledged. Without this redb commits once more when it is
    /// closed.
    pub(crate) fn abandon(&self) {
        if let Some(open) = &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            open.blocks.abandon();
        }
    }

    /// Closes the index: it opens again at once. Views that are still held may answer with errors.
    pub(crate) fn close(&self) -> Result<(), IndexError> {
        contained(|| {
            *lock(&self.view) = None;
            // Transactions that begin meanwhile are waited for, so that redb closes the file before this returns.
            drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
            lock(&self.retired).clear();
            *lock(&self.log) = None;
            Ok(())
        })
    }

    /// A transaction to write in. A checkpoint is committed in two phases and brings along what redb needs to open it
    /// at once: after a crash no page has to be verified.
    fn begin_write(&self, checkpoint: bool) -> Result<WriteTransaction, IndexError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = open.as_ref().ok_or(IndexError::Closed)?.database.begin_write()?;
        transaction.set_quick_repair(checkpoint);
        Ok(transaction)
    }

    /// A transaction to read in, and what keeps the file open that it is of.
    fn begin_read(&self) -> Result<(ReadTransaction, Arc<()>), IndexError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or(IndexError::Closed)?;
        Ok((open.database.begin_read()?, open.views.clone()))
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // redb commits once more when it is dropped, and may panic at that.
        self.close().ok();
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

fn set_durability(transaction: &mut WriteTransaction, durability: Durability) -> Result<(), IndexError> {
    let set = transaction.set_durability(durability);
    set.map_err(|error| IndexError::Redb(Box::new(error.into())))
}

/// Writes the drive's epoch and `hi`.
fn write_drive(transaction: &WriteTransaction, (epoch, hi): (u64, u64)) -> Result<(), IndexError> {
    let mut meta = transaction.open_table(META)?;
    meta.insert("epoch", epoch)?;
    meta.insert("hi", hi)?;
    Ok(())
}

fn len_of(row: Option<AccessGuard<'_, &[u8]>>) -> Option<usize> {
    row.map(|row| row.value().len())
}

/// Turns a panic into an error: redb's assumptions may not hold on damaged bytes.
fn contained<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(IndexError::Panic(text.unwrap_or("without a message").to_owned()))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic fails the index, and its drive: what it leaves half changed is not used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
