//! Sparse, copy-on-write content of one file.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Unit of an atomic write to the media; larger writes tear between sectors.
pub(super) const SECTOR_BYTES: u64 = 512;
const PAGE_BYTES: u64 = 4096;

pub(super) type Sector = [u8; SECTOR_BYTES as usize];
type Page = [u8; PAGE_BYTES as usize];

/// Pages that clones share until one of them is written. A page that is absent reads as zeroes, as do the bytes
/// beyond the length.
#[derive(Clone, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the allocated space in bytes.
    pub(super) fn allocated(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES
    }

    /// Returns the bytes that a write of this range would allocate in addition.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let wanted = offset / PAGE_BYTES..(offset + len).div_ceil(PAGE_BYTES);
        (wanted.end - wanted.start - self.pages.range(wanted).count() as u64) * PAGE_BYTES
    }

    /// Reads into `buf` from `offset` up to the end of the file; returns the number of bytes read.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let len = (buf.len() as u64).min(self.len.saturating_sub(offset)) as usize;
        for (page, within, at) in pieces(offset, len) {
            match self.pages.get(&page) {
                Some(bytes) => buf[at].copy_from_slice(&bytes[within]),
                None => buf[at].fill(0),
            }
        }
        len
    }

    /// Writes `data` at `offset`, and extends the file if need be.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        for (page, within, at) in pieces(offset, data.len()) {
            let bytes = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
            Arc::make_mut(bytes)[within].copy_from_slice(&data[at]);
        }
        if !data.is_empty() {
            self.len = self.len.max(offset + data.len() as u64);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.zero(len..self.len);
        }
        self.len = len;
    }

    /// Zeroes a range and frees the whole pages in it.
    pub(super) fn zero(&mut self, range: Range<u64>) {
        let whole = range.start.div_ceil(PAGE_BYTES)..range.end / PAGE_BYTES;
        // The page that holds the end of the file is freed too if the range covers all of it up to there.
        let last = if range.end >= self.len {
            self.len.div_ceil(PAGE_BYTES)
        } else {
            whole.end
        };
        let gone: Vec<u64> = self
            .pages
            .range(whole.start..last.max(whole.start))
            .map(|(page, _)| *page)
            .collect();
        for page in gone {
            self.pages.remove(&page);
        }
        for (page, within, _) in pieces(range.start, range.end.saturating_sub(range.start) as usize) {
            if let Some(bytes) = self.pages.get_mut(&page) {
                Arc::make_mut(bytes)[within].fill(0);
            }
        }
    }

    pub(super) fn sector(&self, sector: u64) -> Sector {
        let mut bytes = [0; SECTOR_BYTES as usize];
        self.read(sector * SECTOR_BYTES, &mut bytes);
        bytes
    }

    /// Overwrites the part of a sector that lies before the end of the file.
    pub(super) fn set_sector(&mut self, sector: u64, bytes: &Sector) {
        let offset = sector * SECTOR_BYTES;
        let len = SECTOR_BYTES.min(self.len.saturating_sub(offset)) as usize;
        self.write(offset, &bytes[..len]);
    }

    /// Shares the page that holds `sector` with `other`, which has the same length.
    pub(super) fn share_page_of(&mut self, sector: u64, other: &Content) {
        let page = sector * SECTOR_BYTES / PAGE_BYTES;
        match other.pages.get(&page) {
            Some(bytes) => self.pages.insert(page, bytes.clone()),
            None => self.pages.remove(&page),
        };
    }

    /// Inverts one bit.
    pub(super) fn flip(&mut self, offset: u64, bit: u32) {
        let mut byte = [0];
        if self.read(offset, &mut byte) == 1 {
            self.write(offset, &[byte[0] ^ 1 << bit]);
        }
    }
}

/// Splits a range into pages: page number, range within the page, range within the caller's buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let position = offset + at as u64;
        let within = (position % PAGE_BYTES) as usize;
        let piece = (PAGE_BYTES as usize - within).min(len - at);
        at += piece;
        Some((position / PAGE_BYTES, within..within + piece, at - piece..at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use madsim::rand::{Rng, thread_rng};

    /// Compares with the same operations on a plain vector of bytes.
    #[test]
    fn content_behaves_like_a_vector() {
        let limit = std::time::Duration::from_secs(1);
        crate::run::simulate(1, limit, |_| async { compare_with_a_vector() }).expect("the run");
    }

    fn compare_with_a_vector() {
        let mut rng = thread_rng();
        let (mut content, mut plain) = (Content::default(), Vec::new());
        for _ in 0..2000 {
            let (offset, len) = (rng.gen_range(0..40_000usize), rng.gen_range(0..9000usize));
            match rng.gen_range(0..4) {
                0 => {
                    content.set_len(offset as u64);
                    plain.resize(offset, 0);
                }
                1 => {
                    let range = offset.min(plain.len())..(offset + len).min(plain.len());
                    content.zero(range.start as u64..range.end as u64);
                    plain[range].fill(0);
                }
                _ => {
                    let missing = content.missing(offset as u64, len as u64);
                    let before = content.allocated();
                    content.write(offset as u64, &vec![offset as u8 | 1; len]);
                    assert_eq!(content.allocated() - before, missing);
                    if len > 0 {
                        plain.resize(plain.len().max(offset + len), 0);
                        plain[offset..offset + len].fill(offset as u8 | 1);
                    }
                }
            }
            let mut read = vec![9; plain.len() + 10];
            assert_eq!(content.read(0, &mut read), plain.len());
            assert_eq!(read[..plain.len()], plain);
        }
    }
}
