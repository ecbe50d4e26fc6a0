//! A drive's index: registers, held folders, small shards, in redb over verified blocks.

mod batch;
mod blocks;
mod compaction;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod header;
mod live;
mod log;
mod rows;
mod sums;
mod unnamed;

pub(crate) use blocks::{MakeRoom, is_full};
pub(crate) use compaction::Compaction;
pub(crate) use log::{LogConfig, LogLimits, create_log};
pub(crate) use rows::{Held, Shard};
pub use rows::{RowError, decode_register};

use super::{ListFrom, RegisterKey, page::Rows};
use crate::runtime::{File, Mutation};
use batch::{Batch, Rows as BatchRows};
use blocks::{Backend, Blocks};
use bytes::Bytes;
use compaction::Tracker;
use live::{LIVE, Live};
use log::Log;
use model::{
    protocol::{Folder, Register},
    record::Record,
};
use redb::{
    AccessGuard, Builder, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition,
    WriteTransaction,
};
use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

/// The version of the tables below and of the log. Any other is refused: version 1, without a log, was never released.
const VERSION: u64 = 2;
/// Name of the log's generation in the table `meta`: 0 until the index is first opened.
const LOG: &str = "log";
/// redb's cache, of pages read and pages to be written. Its default is 1 GiB for each drive.
const CACHE_BYTES: usize = 10 << 20;
/// A page of a listing ends after this many bytes of rows.
const LIST_BYTES_MAX: usize = 4 << 20;

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
    /// View that readers share until the next commit.
    view: Mutex<Option<Arc<View>>>,
    /// `None` for a copy that a compaction has not finished, and once closed. Held during a commit.
    log: Mutex<Option<Log>>,
    /// Bytes of all rows.
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
        let log = Log::new(open_log().map_err(IndexError::NoLog)?, mutation, generation);
        let entries = log.read()?;
        *lock(&index.log) = Some(log);
        if generation == 0 || !entries.is_empty() {
            index.replay(&entries)?;
        }
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

    /// Applies the entries of the log, and makes a checkpoint.
    fn replay(&self, entries: &[Vec<u8>]) -> Result<(), IndexError> {
        contained(|| {
            let mut log = lock(&self.log);
            let transaction = self.begin_write(true)?;
            let mut live = lock(&self.live);
            for entry in entries {
                BatchRows::decode(entry)?.write(&transaction, &mut live)?;
            }
            live.store(&transaction, false)?;
            checkpoint(log.as_mut().ok_or(IndexError::Closed)?, transaction)
        })
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
        let (epoch, hi) = (self.meta("epoch")?, self.meta("hi")?);
        Ok((epoch.ok_or(RowError::Malformed)?, hi.ok_or(RowError::Malformed)?))
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, IndexError> {
        contained(|| {
            let (transaction, _) = self.begin_read()?;
            let meta = transaction.open_table(META)?;
            let value = meta.get(name)?;
            Ok(value.map(|value| value.value()))
        })
    }

    /// Makes changes durable, all of them or none.
    pub(crate) fn commit(&self, changes: &Changes, durable: Durable) -> Result<(), IndexError> {
        let mut batch = Batch::of(changes, log::ENTRY_HEADER_BYTES)?;
        contained(|| {
            let mut log = lock(&self.log);
            let log = log.as_mut().ok_or(IndexError::Closed)?;
            let is_checkpoint = durable != Durable::Logged || !log.has_room_for(&batch);
            let mut transaction = self.begin_write(is_checkpoint)?;
            let mut live = lock(&self.live);
            batch.rows()?.write(&transaction, &mut live)?;
            live.store(&transaction, durable == Durable::Rest)?;
            // A count of all rows must not wait for the sync.
            drop(live);
            if is_checkpoint {
                return checkpoint(log, transaction);
            }
            // Before readers can see it.
            match log.append(&mut batch) {
                Ok(()) => set_durability(&mut transaction, Durability::None)?,
                // The drive's reserve is for redb: what it needs for the log's rows must not pile up any more.
                Err(error) if is_full(&error) => {
                    transaction.set_quick_repair(true);
                    return checkpoint(log, transaction);
                }
                Err(error) => return Err(error.into()),
            }
            Ok(transaction.commit()?)
        })?;
        // Readers that begin from here on see the commit.
        *lock(&self.view) = None;
        // Only now: a compaction that took the keys earlier would copy the rows as they were.
        if let Some(tracker) = &mut *lock(&self.tracker) {
            tracker.note(&batch.rows()?);
        }
        Ok(())
    }

    /// Returns a view of the last commit.
    pub(crate) fn view(&self) -> Result<Arc<View>, IndexError> {
        let mut view = lock(&self.view);
        if let Some(view) = &*view {
            return Ok(view.clone());
        }
        let fresh = contained(|| {
            let (transaction, of) = self.begin_read()?;
            Ok(Arc::new(View {
                registers: transaction.open_table(REGISTERS)?,
                held: transaction.open_table(HELD)?,
                shards: transaction.open_table(SHARDS)?,
                _of: of,
            }))
        })?;
        *view = Some(fresh.clone());
        Ok(fresh)
    }

    /// Writes nothing any more: the log has all that was acknowledged. Without this redb commits once more when it is
    /// closed.
    pub(crate) fn abandon(&self) {
        if let Some(open) = &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            open.blocks.abandon();
        }
    }

    /// Closes the index: it opens again at once. Views that are still held answer with errors.
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

/// Commits a transaction as a checkpoint, behind which the log begins anew.
fn checkpoint(log: &mut Log, transaction: WriteTransaction) -> Result<(), IndexError> {
    let generation = log.next_generation();
    transaction.open_table(META)?.insert(LOG, generation)?;
    transaction.commit()?;
    log.restart(generation);
    Ok(())
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

/// Snapshot of one commit.
pub(crate) struct View {
    registers: ReadOnlyTable<&'static [u8], &'static [u8]>,
    held: ReadOnlyTable<&'static [u8], &'static [u8]>,
    shards: ReadOnlyTable<ShardKey, &'static [u8]>,
    /// Keeps the file open that it is of.
    _of: Arc<()>,
}

/// Registers of a range, and whether it ends with the last of them.
pub(crate) type Listed = (Rows, bool);

impl View {
    /// A key's register; absent if it has no row.
    pub(crate) fn register(&self, key: &RegisterKey) -> Result<Register<Record>, IndexError> {
        contained(|| match self.registers.get(key.as_bytes())? {
            Some(row) => Ok(rows::decode_register(row.value())?),
            None => Ok(Register::absent()),
        })
    }

    /// The folders that are held for a register: all of an object key's, those of its own number for a part.
    pub(crate) fn held(&self, key: &RegisterKey) -> Result<BTreeMap<Folder, Held>, IndexError> {
        let prefix = match (key.part_of(), key.is_object()) {
            (Some(part), _) => rows::held_part_prefix(&part.owner, part.upload, part.number),
            (None, true) => rows::held_prefix(key),
            (None, false) => return Ok(BTreeMap::new()),
        };
        contained(|| {
            let mut held = BTreeMap::new();
            for entry in self.held.range(&prefix[..]..)? {
                let (key, row) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                let (folder, found) = rows::decode_held(key.value(), row.value())?;
                held.insert(folder, found);
            }
            Ok(held)
        })
    }

    /// A shard that is held, if it is.
    pub(crate) fn shard(&self, folder: Folder, part: u16) -> Result<Option<Shard>, IndexError> {
        contained(|| match self.shards.get(&rows::shard_key(folder, part))? {
            Some(row) => Ok(Some(rows::decode_shard(row.value())?)),
            None => Ok(None),
        })
    }

    /// Registers below `prefix`, in order of their keys. At least one if there is any and `limit` allows,
    /// fewer than `limit` when they are long.
    pub(crate) fn list(&self, prefix: &[u8], from: &ListFrom, limit: usize) -> Result<Listed, IndexError> {
        let start = match from {
            ListFrom::Start => Bound::Included(prefix),
            ListFrom::At(key) => Bound::Included(&key[..]),
            ListFrom::After(key) => Bound::Excluded(&key[..]),
        };
        // A start before the prefix would walk over keys of others.
        let start = match start {
            Bound::Included(key) | Bound::Excluded(key) if key < prefix => Bound::Included(prefix),
            other => other,
        };
        contained(|| {
            let mut listed = Rows::default();
            for entry in self.registers.range::<&[u8]>((start, Bound::Unbounded))? {
                let (key, row) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                if listed.len() >= limit || listed.byte_len() >= LIST_BYTES_MAX {
                    return Ok((listed, false));
                }
                listed.push(key.value(), row.value());
            }
            Ok((listed, true))
        })
    }
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
