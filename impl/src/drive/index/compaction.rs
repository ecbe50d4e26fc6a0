//! Compaction: an index's rows copied into a new file, which then takes the place of the old one.
//!
//! redb gives pages that deleted rows leave to later ones, and seldom back to the file system. A copy has none of
//! them. It is made in steps beside commits: rows in the order of their keys, each step as the last commit left
//! them. The index notes which rows commits change from the beginning on, and each step copies the noted ones
//! again. Once only few are left, the thread that commits copies those as well: then the copy holds what the index
//! holds (`drive.compaction-keeps-all`).

use super::{
    Index, IndexError, LOG, META, MakeRoom, Open, View,
    batch::{Row, Rows, write_rows},
    contained, lock, set_durability, write_drive,
};
use crate::runtime::{File, Mutant, Mutation};
use redb::Durability;
use std::{
    collections::BTreeSet,
    mem,
    ops::{Bound, ControlFlow},
    sync::{Arc, PoisonError},
};

/// Bytes of rows that are copied in one step.
const STEP_BYTES: usize = 256 << 10;
/// Bytes of rows after which the copy is synced: little enough that commits to the same file system hardly wait for
/// it.
const SYNC_BYTES: usize = 4 << 20;
/// Changed rows that the last step may leave to the thread that commits.
const LEFT_MAX: usize = 500;

/// The tables that hold rows of registers, in the order in which they are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowTable {
    #[default]
    Registers,
    Held,
    Shards,
}

impl RowTable {
    /// All of them, in order.
    pub(super) const ALL: [RowTable; 3] = [RowTable::Registers, RowTable::Held, RowTable::Shards];
}

/// A row's table and key. No key is empty, so the default one is before all.
pub(super) type RowKey = (RowTable, Vec<u8>);

/// A row to write into a copy; `None` removes it.
type CopiedRow = (RowKey, Option<Vec<u8>>);

/// Keys of the rows that commits have changed since a compaction last copied them.
#[derive(Debug, Default)]
pub(super) struct Tracker(BTreeSet<RowKey>);

impl Tracker {
    pub(super) fn note(&mut self, changes: &Rows<'_>) {
        let keys = changes.rows.iter().map(|row| (row.table, row.key.to_vec()));
        self.0.extend(keys);
    }
}

impl View {
    /// Rows after this one, in order, of one table, with about `bytes_max` bytes. None only if it is the last one.
    pub(super) fn rows_after(&self, after: &RowKey, bytes_max: usize) -> Result<Vec<(RowKey, Vec<u8>)>, IndexError> {
        let mut start = match &after.1[..] {
            [] => Bound::Unbounded,
            key => Bound::Excluded(key),
        };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for table in RowTable::ALL.into_iter().filter(|table| *table >= after.0) {
            self.scan(table, &[], start, |key, value| {
                bytes += key.len() + value.len();
                rows.push(((table, key.to_vec()), value.to_vec()));
                Ok(match bytes >= bytes_max {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })?;
            if !rows.is_empty() {
                break;
            }
            start = Bound::Unbounded;
        }
        Ok(rows)
    }
}

/// A compaction under way. Dropped before [`Index::adopt`], it has changed nothing; the index must be told by
/// [`Index::stop_tracking`].
pub(crate) struct Compaction {
    target: Index,
    /// The last row that was copied in order; `None` once there are no more.
    copied: Option<RowKey>,
    /// Bytes copied since the last sync.
    unsynced: usize,
    /// Generation of the log behind the finished copy.
    generation: u64,
    mutation: Mutation,
}

impl Compaction {
    /// Begins one into `file`, which is new and empty.
    pub(crate) fn begin(
        source: &Index,
        file: Arc<dyn File>,
        make_room: MakeRoom,
        mutation: Mutation,
    ) -> Result<Compaction, IndexError> {
        Index::create(file.clone())?;
        let target = Index::open_without_log(file, make_room, mutation)?;
        *lock(&source.tracker) = Some(Tracker::default());
        Ok(Compaction {
            target,
            copied: Some(RowKey::default()),
            unsynced: 0,
            generation: 0,
            mutation,
        })
    }

    /// Copies the rows that commits have changed since the last step, and some that were not copied yet. Whether
    /// only few are left now.
    pub(crate) fn step(&mut self, source: &Index) -> Result<bool, IndexError> {
        let changed = self.take_changed(source);
        // After the keys were taken: what is noted from here on is copied by a later step.
        let view = source.view()?;
        let few = changed.len() <= LEFT_MAX;
        let mut rows = changed_rows(&view, changed)?;
        if let Some(copied) = &mut self.copied {
            let more = view.rows_after(copied, STEP_BYTES)?;
            match more.last() {
                Some((last, _)) => *copied = last.clone(),
                None => self.copied = None,
            }
            rows.extend(more.into_iter().map(|(key, value)| (key, Some(value))));
        }
        let bytes = rows
            .iter()
            .map(|((_, key), value)| key.len() + value.as_ref().map_or(0, Vec::len));
        self.unsynced += bytes.sum::<usize>();
        let sync = self.unsynced >= SYNC_BYTES || (self.copied.is_none() && self.unsynced > 0);
        self.write(&rows, None, if sync { Durability::Immediate } else { Durability::None })?;
        if sync {
            self.unsynced = 0;
        }
        Ok(self.copied.is_none() && few)
    }

    /// Copies what is left and makes the copy durable. No commit may run until it is adopted.
    pub(crate) fn finish(&mut self, source: &Index) -> Result<(), IndexError> {
        let rows = changed_rows(&*source.view()?, self.take_changed(source))?;
        let durability = match self.mutation.is(Mutant::CompactionNotSynced) {
            true => Durability::None,
            false => Durability::Immediate,
        };
        let mut log = lock(&source.log);
        self.generation = log.as_mut().ok_or(IndexError::Closed)?.next_generation();
        self.write(&rows, Some(source.drive_state()?), durability)
    }

    /// Keys of rows that have to be copied again. Those that the copy has yet to reach are passed over.
    fn take_changed(&self, source: &Index) -> Vec<RowKey> {
        if self.mutation.is(Mutant::CompactionMissesChanges) {
            return Vec::new();
        }
        let changed = lock(&source.tracker).as_mut().map(mem::take).unwrap_or_default();
        let reached = |key: &RowKey| self.copied.as_ref().is_none_or(|copied| key <= copied);
        changed.0.into_iter().filter(reached).collect()
    }

    /// Writes rows into the copy; at the end also the drive's epoch and `hi`, and the log's generation.
    fn write(&self, rows: &[CopiedRow], drive: Option<(u64, u64)>, durability: Durability) -> Result<(), IndexError> {
        contained(|| {
            let mut transaction = self.target.begin_write(drive.is_some())?;
            set_durability(&mut transaction, durability)?;
            let rows = rows.iter().map(|((table, key), value)| Row {
                table: *table,
                key,
                value: value.as_deref(),
            });
            let mut live = lock(&self.target.live);
            write_rows(&transaction, &rows.collect::<Vec<_>>(), &mut live)?;
            if let Some(drive) = drive {
                write_drive(&transaction, drive)?;
                transaction.open_table(META)?.insert(LOG, self.generation)?;
            }
            live.store(&transaction, drive.is_some())?;
            drop(live);
            Ok(transaction.commit()?)
        })
    }
}

fn changed_rows(view: &View, changed: Vec<RowKey>) -> Result<Vec<CopiedRow>, IndexError> {
    let rows = changed.into_iter().map(|key| {
        let value = view.row(key.0, &key.1, |value| Ok(value.to_vec()))?;
        Ok((key, value))
    });
    rows.collect()
}

impl Index {
    /// Serves a finished copy from now on. Views of the file before it stay readable.
    ///
    /// # Errors
    /// The copy cannot be read: nothing has changed.
    pub(crate) fn adopt(&self, compaction: Compaction) -> Result<(), IndexError> {
        let target = &compaction.target;
        // In the order in which commits take the locks.
        let mut log = lock(&self.log);
        let last = self.view()?.commit;
        let view = target.view_of_checkpoint(last)?;
        let replaced = lock(&self.view).replace(Arc::new(view));
        drop(replaced);
        let new = target.open.write().unwrap_or_else(PoisonError::into_inner).take();
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *open, new);
        if let Some(old) = &old {
            old.blocks.abandon();
        }
        *lock(&self.live) = mem::take(&mut *lock(&target.live));
        *lock(&self.tracker) = None;
        lock(&self.retired).extend(old);
        if let Some(log) = &mut *log {
            log.restart(compaction.generation);
        }
        Ok(())
    }

    /// Notes changed rows no longer: the compaction was given up.
    pub(crate) fn stop_tracking(&self) {
        *lock(&self.tracker) = None;
    }

    /// Closes the files that compactions have replaced, but for those that views are read of; whether there are none.
    pub(crate) fn close_retired(&self) -> bool {
        let mut retired = lock(&self.retired);
        let (read, unread): (Vec<Open>, Vec<Open>) = mem::take(&mut *retired)
            .into_iter()
            .partition(|open| Arc::strong_count(&open.views) > 1);
        let none = read.is_empty();
        *retired = read;
        drop(retired);
        // redb commits once more when it is dropped, and may panic at that.
        contained(|| {
            drop(unread);
            Ok(())
        })
        .ok();
        none
    }

    /// Bytes that the index takes up on its file system.
    pub(crate) fn allocated_bytes(&self) -> Result<u64, IndexError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        Ok(open.as_ref().ok_or(IndexError::Closed)?.file.allocated()?)
    }
}
