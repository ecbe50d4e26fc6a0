//! Inode of a simulated drive: its content in the page cache and on the media.

use super::content::{Content, SECTOR_BYTES, Sector};
use madsim::rand::Rng;
use std::{collections::BTreeMap, ops::Range};

/// Number of overwritten, unsynced contents that are kept for each sector: a power loss may leave any of them.
const OLDER_MAX: usize = 4;

/// File content in the page cache and on the media.
#[derive(Default)]
pub(super) struct Inode {
    cache: Content,
    media: Content,
    /// Sectors written since the last sync, each with its older unsynced contents; the newest is in the cache.
    dirty: BTreeMap<u64, Vec<Sector>>,
    /// Lengths of the file since the last sync, in order: file systems journal them.
    lengths: Vec<Length>,
}

/// Unsynced length of a file.
#[derive(Clone, Copy)]
struct Length {
    bytes: u64,
    /// True if a write extended the file, which may happen in part; `set_len` is atomic.
    written: bool,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.cache.len()
    }

    pub(super) fn allocated(&self) -> u64 {
        self.cache.allocated()
    }

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

    /// Makes content and length durable.
    pub(super) fn sync(&mut self) {
        self.settle_lengths(self.lengths.len());
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            self.media.share_page_of(sector, &self.cache);
        }
    }

    /// Fails a sync: each unsynced sector reaches the media or not. As on Linux, the pages count as clean afterwards,
    /// so the next sync succeeds and does nothing for them.
    pub(super) fn sync_in_vain(&mut self, rng: &mut impl Rng) {
        self.settle_lengths(self.lengths.len());
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            if rng.gen_bool(0.5) {
                self.media.set_sector(sector, &self.cache.sector(sector));
            }
        }
    }

    /// Loses power. Of the unsynced lengths a prefix survives, and of each unsynced sector any content that it had.
    pub(super) fn power_loss(&mut self, rng: &mut impl Rng) {
        let survivors = prefix(rng, self.lengths.len());
        let next = self.lengths.get(survivors).copied();
        self.settle_lengths(survivors);
        if let Some(next) = next.filter(|next| next.written && next.bytes > self.media.len()) {
            // A write in progress may have extended the file up to the end of any of its sectors.
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

    /// Returns the bytes on the media.
    pub(super) fn media_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.media.len() as usize];
        self.media.read(0, &mut bytes);
        bytes
    }

    /// Inverts a bit of the media. A sector that is dirty in the page cache hides it.
    pub(super) fn rot(&mut self, offset: u64, bit: u32) {
        self.media.flip(offset, bit);
        if !self.dirty.contains_key(&(offset / SECTOR_BYTES)) {
            self.cache.flip(offset, bit);
        }
    }

    /// Marks the sectors of a range as unsynced, and keeps their contents from before the write.
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

    /// Makes the first `count` unsynced lengths durable.
    fn settle_lengths(&mut self, count: usize) {
        for len in self.lengths.drain(..count) {
            self.media.set_len(len.bytes);
        }
    }
}

/// Draws the length of a surviving prefix: nothing, everything or any, so that the extremes occur too.
pub(super) fn prefix(rng: &mut impl Rng, len: usize) -> usize {
    match rng.gen_range(0..4) {
        0 => 0,
        1 => len,
        _ => rng.gen_range(0..=len),
    }
}

/// Draws the probability with which each sector survives: 0, 1 or any.
fn chance(rng: &mut impl Rng) -> f64 {
    match rng.gen_range(0..4) {
        0 => 0.0,
        1 => 1.0,
        _ => rng.gen_range(0.0..1.0),
    }
}
