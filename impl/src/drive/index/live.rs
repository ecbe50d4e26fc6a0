//! Bytes of all rows of an index, kept up to date by its checkpoints.
//!
//! They tell how much of the file a compaction would give back. Stored when the drive rests or is closed, or with a
//! finished copy, and removed by the first checkpoint after that. An index that is opened without them is counted anew,
//! beside commits.

use super::{
    Index, IndexError, META, View,
    compaction::{RowKey, RowTable},
    lock,
};
use redb::WriteTransaction;

/// Name of the stored number.
pub(super) const LIVE: &str = "live";

/// Bytes of rows that are counted in one step.
const COUNT_BYTES: usize = 256 << 10;
/// Overhead of a row in redb: the offsets of the ends of its key and its value.
const ROW_BYTES: u64 = 8;

/// Bytes of all rows, or of those that are counted so far.
#[derive(Debug, Default)]
pub(super) struct Live {
    bytes: u64,
    counted: Counted,
    stored: bool,
}

#[derive(Debug, Default)]
enum Counted {
    #[default]
    Nothing,
    /// Rows up to this one.
    Through(RowKey),
    All,
}

impl Live {
    /// The number that was stored at rest.
    pub(super) fn stored(bytes: u64) -> Live {
        Live {
            bytes,
            counted: Counted::All,
            stored: true,
        }
    }

    /// Bytes of all rows, if they are counted.
    fn all(&self) -> Option<u64> {
        matches!(self.counted, Counted::All).then_some(self.bytes)
    }

    /// Takes a change of a row into account, by the lengths of its value.
    pub(super) fn changed(&mut self, table: RowTable, key: &[u8], old: Option<usize>, new: Option<usize>) {
        let is_counted = match &self.counted {
            Counted::Nothing => false,
            Counted::Through(last) => (table, key) <= (last.0, &last.1[..]),
            Counted::All => true,
        };
        if is_counted {
            let bytes = |value: Option<usize>| value.map_or(0, |len| row_bytes(key.len(), len));
            self.bytes = (self.bytes + bytes(new)).saturating_sub(bytes(old));
        }
    }

    /// Stores the number with a commit after which the drive rests; with the first one after it, removes it.
    pub(super) fn store(&mut self, transaction: &WriteTransaction, rest: bool) -> Result<(), IndexError> {
        match self.all().filter(|_| rest) {
            Some(bytes) => drop(transaction.open_table(META)?.insert(LIVE, bytes)?),
            None if self.stored => drop(transaction.open_table(META)?.remove(LIVE)?),
            None => return Ok(()),
        }
        self.stored = rest;
        Ok(())
    }
}

/// Bytes that a row takes in a page.
pub(super) fn row_bytes(key: usize, value: usize) -> u64 {
    (key + value) as u64 + ROW_BYTES
}

impl Index {
    /// Bytes of the rows that are counted: of all of them once [`Index::count_rows`] says so.
    pub(crate) fn live_bytes(&self) -> u64 {
        lock(&self.live).bytes
    }

    /// Counts further rows; whether all are counted. The number is an estimate: a row that a checkpoint
    /// changes at this very moment may be missed.
    pub(crate) fn count_rows(&self) -> Result<bool, IndexError> {
        let after = match &lock(&self.live).counted {
            Counted::Nothing => RowKey::default(),
            Counted::Through(last) => last.clone(),
            Counted::All => return Ok(true),
        };
        // The rows of the memtable are taken into account by the next checkpoint.
        let view = self.view()?;
        let checkpoint = View::of_checkpoint(view.commit, view.checkpoint.clone());
        let rows = checkpoint.rows_after(&after, COUNT_BYTES)?;
        let mut live = lock(&self.live);
        live.bytes += rows
            .iter()
            .map(|((_, key), value)| row_bytes(key.len(), value.len()))
            .sum::<u64>();
        live.counted = match rows.into_iter().next_back() {
            Some((last, _)) => Counted::Through(last),
            None => Counted::All,
        };
        Ok(matches!(live.counted, Counted::All))
    }
}
