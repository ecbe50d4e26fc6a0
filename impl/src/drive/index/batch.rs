//! The rows of one commit as bytes: the body of its log entry, and what is written into the tables.
//!
//! Numbers are little-endian. A row is its table (1 byte), the length of its key (4), the length of its value and 1, or
//! 0 if the row is removed (4), its key and its value. The drive's epoch and `hi` are a byte and both numbers (8 each).

use super::{
    Changes, HELD, Hold, IndexError, REGISTERS, SHARDS,
    compaction::RowTable,
    len_of,
    live::Live,
    rows::{self, RowError},
};
use bytes::Bytes;
use redb::WriteTransaction;

const REGISTER: u8 = 1;
const HELD_FOLDER: u8 = 2;
const SHARD: u8 = 3;
const DRIVE: u8 = 4;

/// Rows of one commit.
pub(super) struct Batch {
    /// Space for the header of a log entry, and the rows.
    bytes: Vec<u8>,
    row_count: usize,
}

/// A row to write into its table; without a value, to remove.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) table: RowTable,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

impl Batch {
    /// Encodes changes behind `header_bytes` bytes.
    pub(super) fn of(changes: &Changes, header_bytes: usize) -> Result<Batch, IndexError> {
        let mut batch = Batch {
            bytes: vec![0; header_bytes],
            row_count: 0,
        };
        for (key, register) in &changes.registers {
            let row = register.as_ref().map(rows::encode_register).transpose()?;
            batch.push(REGISTER, key.as_bytes(), row.as_deref());
        }
        for row in &changes.rows {
            let held_row = rows::held_row(row.held);
            let held = !matches!(row.change, Hold::Removed);
            let key = rows::held_key(&row.owner, row.folder, row.held);
            batch.push(HELD_FOLDER, &key, held.then_some(&held_row[..]));
            let key = rows::shard_key(row.folder, row.held.part);
            match &row.change {
                Hold::Small(framed) => {
                    let len = framed.len() + 1;
                    batch.push_head(SHARD, &key, Some(len));
                    let at = batch.bytes.len();
                    batch.bytes.resize(at + len, 0);
                    rows::fill_small_shard(&mut batch.bytes[at..], framed);
                }
                Hold::File => batch.push(SHARD, &key, Some(rows::FILE_SHARD)),
                Hold::Removed => batch.push(SHARD, &key, None),
            }
        }
        if let Some((epoch, hi)) = changes.drive {
            batch.bytes.push(DRIVE);
            batch.bytes.extend_from_slice(&epoch.to_le_bytes());
            batch.bytes.extend_from_slice(&hi.to_le_bytes());
        }
        Ok(batch)
    }

    fn push(&mut self, table: u8, key: &[u8], value: Option<&[u8]>) {
        self.push_head(table, key, value.map(<[u8]>::len));
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// All of a row but its value.
    fn push_head(&mut self, table: u8, key: &[u8], value_len: Option<usize>) {
        // Rows are far below 4 GiB: a batch is.
        let value_len = value_len.map_or(0, |len| len as u32 + 1);
        self.bytes.push(table);
        self.bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&value_len.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.row_count += 1;
    }

    /// Number of rows.
    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// All bytes, the header included.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns all bytes, the header included, to be shared.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}

/// Decoded rows of a batch.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// The drive's epoch and `hi`.
    pub(super) drive: Option<(u64, u64)>,
}

impl<'a> Rows<'a> {
    /// Decodes the rows of a batch, without the header.
    pub(super) fn decode(mut bytes: &'a [u8]) -> Result<Rows<'a>, RowError> {
        let mut decoded = Rows::default();
        let bytes = &mut bytes;
        while let Some((kind, rest)) = bytes.split_first() {
            *bytes = rest;
            let table = match *kind {
                REGISTER => RowTable::Registers,
                HELD_FOLDER => RowTable::Held,
                SHARD => RowTable::Shards,
                DRIVE => {
                    decoded.drive = Some((u64::from_le_bytes(take(bytes)?), u64::from_le_bytes(take(bytes)?)));
                    continue;
                }
                kind => return Err(RowError::Version(kind)),
            };
            let key_len = u32::from_le_bytes(take(bytes)?) as usize;
            let value_len = u32::from_le_bytes(take(bytes)?) as usize;
            let key = take_slice(bytes, key_len)?;
            let value = value_len.checked_sub(1).map(|len| take_slice(bytes, len)).transpose()?;
            decoded.rows.push(Row { table, key, value });
        }
        Ok(decoded)
    }
}

/// Writes rows into their tables, those of each table in their order.
pub(super) fn write_rows(transaction: &WriteTransaction, rows: &[Row<'_>], live: &mut Live) -> Result<(), IndexError> {
    macro_rules! write_table {
        ($name:ident, $definition:expr, $key:expr) => {
            let mut of_table = rows.iter().filter(|row| row.table == RowTable::$name).peekable();
            if of_table.peek().is_some() {
                let mut table = transaction.open_table($definition)?;
                for row in of_table {
                    let key = $key(row.key)?;
                    let old = len_of(match row.value {
                        Some(value) => table.insert(key, value)?,
                        None => table.remove(key)?,
                    });
                    live.changed(row.table, row.key, old, row.value.map(<[u8]>::len));
                }
            }
        };
    }
    write_table!(Registers, REGISTERS, Ok::<_, RowError>);
    write_table!(Held, HELD, Ok::<_, RowError>);
    write_table!(Shards, SHARDS, rows::as_shard_key);
    Ok(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], RowError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(RowError::Malformed)?;
    *bytes = rest;
    Ok(*taken)
}

fn take_slice<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], RowError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(RowError::Malformed)?;
    *bytes = rest;
    Ok(taken)
}
