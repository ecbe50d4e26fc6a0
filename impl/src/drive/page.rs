//! A page of a listing: the registers of a range, as a drive's index stores them.
//!
//! Drives that agree store the same bytes. So rows stay bytes until somebody looks into them, and a reader that asked
//! several drives decodes what they agree on once.

use super::{RegisterKey, RowError, decode_register};
use bytes::Bytes;
use model::{
    list::{self, Span},
    protocol::{Ballot, Register, Snapshot},
    record::Record,
};
use serde::{Deserialize, Serialize};

/// Registers of a range, in order of their keys, undecoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Each key and its row, one after the other.
    bytes: Vec<u8>,
    /// Ends of each key and of its row in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl Rows {
    pub(crate) fn push(&mut self, key: &[u8], row: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.ends.push((key_end, self.bytes.len()));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns how many bytes its keys and rows have.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// A key, and its row.
    pub(crate) fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let (key_end, row_end) = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        Some((&self.bytes[start..key_end], &self.bytes[key_end..row_end]))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        let (key, _) = self.get(self.len().checked_sub(1)?)?;
        Some(key)
    }
}

/// Page of a drive's registers in a range, in order of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub(crate) rows: Rows,
    /// The range ends here; otherwise the page covers keys up to the last one returned.
    pub complete: bool,
    /// The drive's floor.
    pub(crate) floor: Ballot,
    /// The drive's epoch.
    pub(crate) epoch: u64,
}

impl Page {
    /// A page without a register, of a range without any.
    #[must_use]
    pub fn empty() -> Page {
        Page {
            rows: Rows::default(),
            complete: true,
            floor: Ballot::ZERO,
            epoch: 0,
        }
    }

    /// Returns how many registers there are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a register's key, and those of its row.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        self.rows.get(at)
    }

    /// Every key, and its register.
    pub fn iter(&self) -> impl Iterator<Item = (RegisterKey, Result<Register<Record>, RowError>)> {
        let rows = self.rows.iter();
        rows.map(|(key, row)| (RegisterKey::from_bytes(key.to_vec()), decode_register(row)))
    }

    /// A register of this page as its drive would report it. [`Snapshot::folders`] is left empty.
    #[must_use]
    pub fn snapshot(&self, register: Register<Record>) -> Snapshot<Record> {
        Snapshot {
            accepted: register.accepted,
            prev: register.prev,
            committed: register.committed,
            folders: Vec::new(),
            authoritative: true,
            floor: self.floor,
            epoch: self.epoch,
        }
    }
}

/// A page but for its rows' bytes: how it goes from one node to another, with those behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageHead {
    ends: Vec<(usize, usize)>,
    complete: bool,
    pub(crate) floor: Ballot,
    pub(crate) epoch: u64,
}

impl Page {
    pub(crate) fn into_parts(self) -> (PageHead, Bytes) {
        let head = PageHead {
            ends: self.rows.ends,
            complete: self.complete,
            floor: self.floor,
            epoch: self.epoch,
        };
        (head, self.rows.bytes.into())
    }

    /// Puts a page together again; `None` if the two do not fit.
    pub(crate) fn of_parts(head: PageHead, bytes: &Bytes) -> Option<Page> {
        let ends = head.ends.iter().flat_map(|(key_end, row_end)| [*key_end, *row_end]);
        let fits = ends.clone().is_sorted() && ends.last().unwrap_or(0) == bytes.len();
        fits.then(|| Page {
            rows: Rows {
                bytes: bytes.to_vec(),
                ends: head.ends,
            },
            complete: head.complete,
            floor: head.floor,
            epoch: head.epoch,
        })
    }
}

impl list::Page for Page {
    type Key = [u8];

    fn key(&self, at: usize) -> Option<&[u8]> {
        let (key, _) = self.get(at)?;
        Some(key)
    }

    fn span(&self) -> Span<&[u8]> {
        match self.rows.last_key() {
            _ if self.complete => Span::Rest,
            Some(last) => Span::Through(last),
            None => Span::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order() {
        let mut rows = Rows::default();
        assert_eq!((rows.len(), rows.last_key(), rows.get(0)), (0, None, None));
        let pairs: [(&[u8], &[u8]); 4] = [(b"a", b"one"), (b"b", b""), (b"", b"two"), (b"d", b"3")];
        pairs.iter().for_each(|(key, row)| rows.push(key, row));
        assert_eq!(rows.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(rows.get(4), None);
        assert_eq!(rows.last_key(), Some(&b"d"[..]));
        assert_eq!(rows.byte_len(), 10);
    }

    #[test]
    fn a_page_is_put_together_as_it_was_and_not_otherwise() {
        let mut page = Page::empty();
        page.rows.push(b"a", b"one");
        page.rows.push(b"b", b"");
        let (head, bytes) = page.clone().into_parts();
        assert_eq!(Page::of_parts(head.clone(), &bytes), Some(page));
        for ends in [vec![], vec![(1, 4), (3, 5)], vec![(1, 4), (5, 6)], vec![(2, 1), (5, 5)]] {
            let head = PageHead { ends, ..head.clone() };
            assert_eq!(Page::of_parts(head, &bytes), None);
        }
    }
}
