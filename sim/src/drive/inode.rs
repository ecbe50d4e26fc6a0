//! One file of a simulated drive: what the page cache holds, and what the media holds.

use super::content::{Content, SECTOR_BYTES, Sector};
use madsim::rand::Rng;
use std::{collections::BTreeMap, ops::Range};

/// How many overwritten and unsynced contents of one sector are remembered, so that a power loss may
/// bring any of them back.
const OLDER_MAX: usize = 4;

/// A file.
#[derive(Default)]
pub(super) struct Inode {
    cache: Content,
    media: Content,
    /// Sectors written since the last sync, each with the contents that it had meanwhile; the newest
    /// one is in the cache.
    dirty: BTreeMap<u64, Vec<Sector>>,
    /// The lengths that the file has had since the last sync, in order. File systems journal them.
    lengths: Vec<Length>,
}

/// A length that a file has had.
#[derive(Clone, Copy)]
struct Length {
    bytes: u64,
    /// Reached by writing, and so by and by; `set_len` is one step.
    written: bool,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.cache.len()
    }

    /// Space taken, in bytes.
    pub(super) fn allocated(&self) -> u64 {
        self.cache.allocated()
    }

    /// Space that a write of this range would take in addition.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        self.cache.missing(offset, len)
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        self.cache.read(offset, buf)
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.touch(offset..offset + data.len() as u64);
        let before = self.cache.len();
        self.cache.write(offset, data);
        if self.cache.len() > before {
            self.lengths.push(Length {
                bytes: self.cache.len(),
                written: true,
            });
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.cache.len() {
            self.touch(len..self.cache.len().min(len.next_multiple_of(SECTOR_BYTES)));
            self.dirty.split_off(&len.div_ceil(SECTOR_BYTES));
        }
        self.cache.set_len(len);
        self.lengths.push(Length {
            bytes: len,
            written: false,
        });
    }

    /// Zeroes a range within the file.
    pub(super) fn punch(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.cache.len());
        if offset < end {
            self.touch(offset..end);
            self.cache.zero(offset..end);
        }
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        self.settle_lengths(self.lengths.len());
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            self.media.share_page_of(sector, &self.cache);
        }
    }

    /// A sync that fails. As on Linux, the pages count as clean afterwards although they may never have
    /// reached the media: the next sync succeeds and does nothing for them.
    pub(super) fn sync_in_vain(&mut self, rng: &mut impl Rng) {
        self.settle_lengths(self.lengths.len());
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            if rng.gen_bool(0.5) {
                self.media.set_sector(sector, &self.cache.sector(sector));
            }
        }
    }

    /// The power goes. Of the unsynced lengths a prefix survives, and of each unsynced sector any content
    /// that it has had, sector by sector.
    pub(super) fn power_loss(&mut self, rng: &mut impl Rng) {
        let survivors = prefix(rng, self.lengths.len());
        let next = self.lengths.get(survivors).copied();
        self.settle_lengths(survivors);
        if let Some(next) = next.filter(|next| next.written && next.bytes > self.media.len()) {
            // A write under way may have come as far as the end of any of its sectors.
            let reached = rng.gen_range(self.media.len()..=next.bytes) / SECTOR_BYTES * SECTOR_BYTES;
            self.media.set_len(self.media.len().max(reached));
        }
        let chance = chance(rng);
        for (sector, mut contents) in std::mem::take(&mut self.dirty) {
            if sector * SECTOR_BYTES < self.media.len() && rng.gen_bool(chance) {
                contents.push(self.cache.sector(sector));
                let survivor = rng.gen_range(0..contents.len());
                self.media.set_sector(sector, &contents[survivor]);
            }
        }
        self.lengths.clear();
        self.cache = self.media.clone();
    }

    /// Length on the media, in bytes.
    pub(super) fn media_len(&self) -> u64 {
        self.media.len()
    }

    /// Inverts a bit of the media. A page cache that holds the sector unsynced does not notice.
    pub(super) fn rot(&mut self, offset: u64, bit: u32) {
        self.media.flip(offset, bit);
        if !self.dirty.contains_key(&(offset / SECTOR_BYTES)) {
            self.cache.flip(offset, bit);
        }
    }

    /// Remembers the sectors of a range as unsynced, with what they hold before they change.
    fn touch(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        for sector in range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES) {
            match self.dirty.get_mut(&sector) {
                None => drop(self.dirty.insert(sector, Vec::new())),
                Some(older) => {
                    if older.len() == OLDER_MAX {
                        older.remove(0);
                    }
                    older.push(self.cache.sector(sector));
                }
            }
        }
    }

    /// Brings the first `count` of the unsynced lengths to the media.
    fn settle_lengths(&mut self, count: usize) {
        for len in self.lengths.drain(..count) {
            self.media.set_len(len.bytes);
        }
    }
}

/// The length of a surviving prefix: none, all or any, so that the extremes are seen too.
pub(super) fn prefix(rng: &mut impl Rng, len: usize) -> usize {
    match rng.gen_range(0..4) {
        0 => 0,
        1 => len,
        _ => rng.gen_range(0..=len),
    }
}

/// The chance with which each sector survives: never, always or any.
fn chance(rng: &mut impl Rng) -> f64 {
    match rng.gen_range(0..4) {
        0 => 0.0,
        1 => 1.0,
        _ => rng.gen_range(0.0..1.0),
    }
}
