//! Memtable: the rows of the commits since an index's last checkpoint.
//!
//! A commit appends its rows to the log and puts them here; the checkpoint writes the last version of each into redb's
//! tables, in one transaction and in the order of their keys, and the next memtable begins empty. So a row costs redb
//! nothing when it is written, and nothing at all when it was replaced or removed before the checkpoint.
//!
//! Views share the memtable with the commits that follow them. So each row has its versions by the number of their
//! commit, and a view reads the last one that is not newer than itself.

use super::{
    IndexError,
    batch::{Row, Rows, write_rows},
    compaction::RowTable,
    live::Live,
    write_drive,
};
use crate::runtime::{Mutant, Mutation};
use bytes::Bytes;
use redb::WriteTransaction;
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    vec,
};

/// Rows that a cursor takes at once: commits wait while it does.
const CURSOR_ROWS: usize = 64;

/// Rows by table and key. Keys and values are slices of the batches that they came with.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    tables: [BTreeMap<Bytes, Versions>; 3],
    /// The drive's epoch and `hi`, if a commit has changed them.
    drive: Option<(u64, u64)>,
    /// Number of the last commit, 0 without any.
    last: u64,
}

/// Versions of a row.
#[derive(Debug)]
struct Versions {
    last: Version,
    /// The ones before it, the oldest first.
    older: Vec<Version>,
}

/// A row as a commit left it.
#[derive(Debug)]
struct Version {
    /// Number of the commit.
    commit: u64,
    /// `None` if the commit removed the row.
    value: Option<Bytes>,
}

impl Versions {
    /// The last version that `commit` or one before it has made.
    fn at(&self, commit: u64) -> Option<&Version> {
        let mut newest_first = std::iter::once(&self.last).chain(self.older.iter().rev());
        newest_first.find(|version| version.commit <= commit)
    }
}

impl Memtable {
    /// Adds the rows of a commit, slices of `batch`.
    ///
    /// # Panics
    /// If its number is not above that of the last one: views would see it that must not.
    pub(super) fn insert(&mut self, commit: u64, rows: &Rows<'_>, batch: &Bytes) {
        assert!(
            commit > self.last,
            "drive.view-is-a-commit: a commit is not after the last one"
        );
        self.last = commit;
        for row in &rows.rows {
            let value = row.value.map(|value| batch.slice_ref(value));
            let version = Version { commit, value };
            let table = &mut self.tables[row.table as usize];
            match table.get_mut(row.key) {
                Some(versions) => versions.older.push(std::mem::replace(&mut versions.last, version)),
                None => {
                    let (last, older) = (version, Vec::new());
                    table.insert(batch.slice_ref(row.key), Versions { last, older });
                }
            }
        }
        self.drive = rows.drive.or(self.drive);
    }

    /// A row as `commit` left it: `None` if no commit has changed it since the checkpoint, `Some(None)` if it was
    /// removed.
    pub(super) fn get(&self, table: RowTable, key: &[u8], commit: u64) -> Option<Option<Bytes>> {
        let version = self.tables[table as usize].get(key)?.at(commit)?;
        Some(version.value.clone())
    }

    /// The drive's epoch and `hi` as the last commit left them, if one has changed them.
    pub(super) fn drive(&self) -> Option<(u64, u64)> {
        self.drive
    }

    /// Writes the last version of each row into the tables.
    pub(super) fn write(
        &self,
        transaction: &WriteTransaction,
        live: &mut Live,
        mutation: Mutation,
    ) -> Result<(), IndexError> {
        let tables = RowTable::ALL.into_iter().zip(&self.tables);
        let rows = tables.flat_map(|(table, rows)| {
            rows.iter().map(move |(key, versions)| Row {
                table,
                key,
                value: versions.last.value.as_deref(),
            })
        });
        let mut rows: Vec<_> = rows.collect();
        if mutation.is(Mutant::CheckpointMissesRow) {
            rows.pop();
        }
        write_rows(transaction, &rows, live)?;
        match self.drive {
            Some(drive) => write_drive(transaction, drive),
            None => Ok(()),
        }
    }
}

/// Walks over the rows of one table that begin with a prefix, in order of their keys, as one commit left them.
pub(super) struct Cursor<'a> {
    memtable: &'a RwLock<Memtable>,
    table: RowTable,
    commit: u64,
    prefix: &'a [u8],
    /// Rows that were taken out and not returned yet.
    taken: vec::IntoIter<(Bytes, Option<Bytes>)>,
    /// Start of the rows to take next; `None` if there are no more.
    next: Option<Bound<Bytes>>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(
        memtable: &'a RwLock<Memtable>,
        table: RowTable,
        commit: u64,
        prefix: &'a [u8],
        start: Bound<&[u8]>,
    ) -> Cursor<'a> {
        let next = Some(start.map(Bytes::copy_from_slice));
        let taken = Vec::new().into_iter();
        Cursor {
            memtable,
            table,
            commit,
            prefix,
            taken,
            next,
        }
    }

    /// The next row without passing it, and its value; `None` in place of the value of one that was removed.
    pub(super) fn peek(&mut self) -> Option<&(Bytes, Option<Bytes>)> {
        while self.taken.as_slice().is_empty() {
            let start = self.next.take()?;
            self.take_from(&start);
        }
        self.taken.as_slice().first()
    }

    /// Passes the row that [`Cursor::peek`] returned.
    pub(super) fn pass(&mut self) {
        self.taken.next();
    }

    fn take_from(&mut self, start: &Bound<Bytes>) {
        let memtable = read(self.memtable);
        let range = (start.as_ref().map(|key| &key[..]), Bound::Unbounded);
        let rows = memtable.tables[self.table as usize].range::<[u8], _>(range);
        let mut last = None;
        let rows = rows
            .take_while(|(key, _)| key.starts_with(self.prefix))
            .take(CURSOR_ROWS);
        let mut passed = 0;
        let taken: Vec<_> = rows
            .inspect(|(key, _)| (passed, last) = (passed + 1, Some(*key)))
            .filter_map(|(key, versions)| Some((key.clone(), versions.at(self.commit)?.value.clone())))
            .collect();
        self.next = last.filter(|_| passed == CURSOR_ROWS).cloned().map(Bound::Excluded);
        self.taken = taken.into_iter();
    }
}

pub(super) fn read(memtable: &RwLock<Memtable>) -> RwLockReadGuard<'_, Memtable> {
    memtable.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write(memtable: &RwLock<Memtable>) -> RwLockWriteGuard<'_, Memtable> {
    // A panic fails the index, and its drive: what it leaves half changed is not used.
    memtable.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "drive.view-is-a-commit")]
    fn commits_come_in_the_order_of_their_numbers() {
        let mut memtable = Memtable::default();
        memtable.insert(2, &Rows::default(), &Bytes::new());
        memtable.insert(2, &Rows::default(), &Bytes::new());
    }
}
