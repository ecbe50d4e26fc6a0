//! Views: an index as one commit left it, the rows of the memtable over those of the last checkpoint.

use super::{
    HELD, IndexError, REGISTERS, SHARDS, ShardKey,
    compaction::RowTable,
    contained,
    memtable::{Cursor, Memtable, read},
    rows::{self, Held, RowError, Shard},
};
use crate::drive::{ListFrom, RegisterKey, page::Rows};
use model::{
    protocol::{Folder, Register},
    record::Record,
};
use redb::{Key, Range, ReadOnlyTable, ReadTransaction};
use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::{Arc, RwLock},
};

/// A page of a listing ends after this many bytes of rows.
const LIST_BYTES_MAX: usize = 4 << 20;

/// Snapshot of the index after one commit (`drive.view-is-a-commit`).
pub(crate) struct View {
    /// Number of the commit since the index was opened.
    pub(super) commit: u64,
    /// Rows of the commits behind the checkpoint; later ones than `commit` are passed over.
    pub(super) memtable: Arc<RwLock<Memtable>>,
    pub(super) checkpoint: Arc<Checkpoint>,
}

/// redb's tables as the last checkpoint left them.
pub(super) struct Checkpoint {
    registers: ReadOnlyTable<&'static [u8], &'static [u8]>,
    held: ReadOnlyTable<&'static [u8], &'static [u8]>,
    shards: ReadOnlyTable<ShardKey, &'static [u8]>,
    /// Keeps the file open that they are of.
    _of: Arc<()>,
}

impl Checkpoint {
    pub(super) fn new(transaction: &ReadTransaction, of: Arc<()>) -> Result<Checkpoint, IndexError> {
        Ok(Checkpoint {
            registers: transaction.open_table(REGISTERS)?,
            held: transaction.open_table(HELD)?,
            shards: transaction.open_table(SHARDS)?,
            _of: of,
        })
    }
}

/// Registers of a range, and whether it ends with the last of them.
pub(crate) type Listed = (Rows, bool);

impl View {
    /// A view of a checkpoint and of no commit behind it.
    pub(super) fn of_checkpoint(commit: u64, checkpoint: Arc<Checkpoint>) -> View {
        View {
            commit,
            memtable: Arc::default(),
            checkpoint,
        }
    }

    /// A key's register; absent if it has no row.
    pub(crate) fn register(&self, key: &RegisterKey) -> Result<Register<Record>, IndexError> {
        let found = self.row(RowTable::Registers, key.as_bytes(), rows::decode_register)?;
        Ok(found.unwrap_or_else(Register::absent))
    }

    /// The folders that are held for a register: all of an object key's, those of its own number for a part.
    pub(crate) fn held(&self, key: &RegisterKey) -> Result<BTreeMap<Folder, Held>, IndexError> {
        let prefix = match (key.part_of(), key.is_object()) {
            (Some(part), _) => rows::held_part_prefix(&part.owner, part.upload, part.number),
            (None, true) => rows::held_prefix(key),
            (None, false) => return Ok(BTreeMap::new()),
        };
        let mut held = BTreeMap::new();
        self.scan(RowTable::Held, &prefix, Bound::Included(&prefix), |key, row| {
            let (folder, found) = rows::decode_held(key, row)?;
            held.insert(folder, found);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(held)
    }

    /// A shard that is held, if it is.
    pub(crate) fn shard(&self, folder: Folder, part: u16) -> Result<Option<Shard>, IndexError> {
        self.row(RowTable::Shards, &rows::shard_key(folder, part), rows::decode_shard)
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
        let (mut listed, mut complete) = (Rows::default(), true);
        self.scan(RowTable::Registers, prefix, start, |key, row| {
            if listed.len() >= limit || listed.byte_len() >= LIST_BYTES_MAX {
                complete = false;
                return Ok(ControlFlow::Break(()));
            }
            listed.push(key, row);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((listed, complete))
    }

    /// A row's value, decoded; `None` without the row.
    pub(super) fn row<T>(
        &self,
        table: RowTable,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, RowError>,
    ) -> Result<Option<T>, IndexError> {
        let recent = read(&self.memtable).get(table, key, self.commit);
        if let Some(value) = recent {
            return Ok(value.map(|value| decode(&value)).transpose()?);
        }
        let stored = &self.checkpoint;
        contained(|| {
            let value = match table {
                RowTable::Registers => stored.registers.get(key)?,
                RowTable::Held => stored.held.get(key)?,
                RowTable::Shards => stored.shards.get(rows::as_shard_key(key)?)?,
            };
            Ok(value.map(|value| decode(value.value())).transpose()?)
        })
    }

    /// Visits the rows of a table from `start` on, in order of their keys, while these begin with `prefix` and `visit`
    /// says so.
    pub(super) fn scan(
        &self,
        table: RowTable,
        prefix: &[u8],
        start: Bound<&[u8]>,
        visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, IndexError>,
    ) -> Result<(), IndexError> {
        let recent = Cursor::new(&self.memtable, table, self.commit, prefix, start);
        let stored = &self.checkpoint;
        let range = (start, Bound::Unbounded);
        contained(|| match table {
            RowTable::Registers => merge(stored.registers.range::<&[u8]>(range)?, recent, prefix, visit),
            RowTable::Held => merge(stored.held.range::<&[u8]>(range)?, recent, prefix, visit),
            RowTable::Shards => {
                let start = match start {
                    Bound::Included(key) => Bound::Included(rows::as_shard_key(key)?),
                    Bound::Excluded(key) => Bound::Excluded(rows::as_shard_key(key)?),
                    Bound::Unbounded => Bound::Unbounded,
                };
                let range = (start, Bound::Unbounded);
                merge(
                    stored.shards.range::<&[u8; rows::SHARD_KEY_BYTES]>(range)?,
                    recent,
                    prefix,
                    visit,
                )
            }
        })
    }
}

/// Visits the rows of two sources in order of their keys; of rows that both have, the recent one.
fn merge<K>(
    stored: Range<'_, K, &'static [u8]>,
    mut recent: Cursor<'_>,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, IndexError>,
) -> Result<(), IndexError>
where
    K: Key + 'static,
    for<'a> K::SelfType<'a>: AsRef<[u8]>,
{
    for entry in stored {
        let (key, value) = entry?;
        let key = key.value();
        let key = key.as_ref();
        if !key.starts_with(prefix) {
            break;
        }
        if visit_until(&mut recent, Some(key), &mut visit)?.is_break() {
            return Ok(());
        }
        if recent.peek().is_some_and(|(recent, _)| recent == key) {
            continue;
        }
        if visit(key, value.value())?.is_break() {
            return Ok(());
        }
    }
    visit_until(&mut recent, None, &mut visit).map(drop)
}

/// Visits recent rows before the key `end`, all of them without it.
fn visit_until(
    recent: &mut Cursor<'_>,
    end: Option<&[u8]>,
    visit: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, IndexError>,
) -> Result<ControlFlow<()>, IndexError> {
    while let Some((key, value)) = recent.peek() {
        if end.is_some_and(|end| key >= end) {
            break;
        }
        if let Some(value) = value
            && visit(key, value)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        recent.pass();
    }
    Ok(ControlFlow::Continue(()))
}
