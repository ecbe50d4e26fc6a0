//! The checksums of the index's blocks: where they lie, and a bounded cache of them.
//!
//! Blocks come in groups of 256. A group begins with one block of checksums, 16 bytes for each, and its
//! data blocks follow, so that a write of a page stays one aligned write. Changed checksums are written at
//! the next sync: nothing depends on a block before the commit that made it is synced.

use crate::runtime::File;
use std::{
    collections::{HashMap, VecDeque},
    io,
};

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Blocks of a group.
pub(super) const GROUP_BLOCKS: u64 = 256;
const SUM_BYTES: usize = 16;
/// Groups in memory: 2 MiB, for the checksums of 512 MiB.
const CACHED_GROUPS: usize = 512;

/// Returns the file offset of a block.
pub(super) fn block_offset(block: u64) -> u64 {
    group_offset(block / GROUP_BLOCKS) + (1 + block % GROUP_BLOCKS) * BLOCK_BYTES as u64
}

/// Returns the file offset of a group's checksums.
fn group_offset(group: u64) -> u64 {
    super::header::AREA_BYTES + group * (GROUP_BLOCKS + 1) * BLOCK_BYTES as u64
}

/// The checksums, written through at [`Sums::flush`].
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Never iterated: its order differs between runs.
    groups: HashMap<u64, Group>,
    /// The cached groups in the order in which the clock's hand visits them.
    clock: VecDeque<u64>,
}

#[derive(Debug)]
struct Group {
    sums: Box<[u8; BLOCK_BYTES]>,
    dirty: bool,
    used: bool,
}

impl Sums {
    /// The checksum of a block; 0 if it was never written.
    pub(super) fn get(&mut self, file: &dyn File, block: u64) -> io::Result<u128> {
        let group = self.group(file, block / GROUP_BLOCKS)?;
        let mut sum = [0; SUM_BYTES];
        sum.copy_from_slice(&group.sums[slot(block)]);
        Ok(u128::from_le_bytes(sum))
    }

    /// Sets the checksum of a block.
    pub(super) fn set(&mut self, file: &dyn File, block: u64, sum: u128) -> io::Result<()> {
        let group = self.group(file, block / GROUP_BLOCKS)?;
        group.sums[slot(block)].copy_from_slice(&sum.to_le_bytes());
        group.dirty = true;
        Ok(())
    }

    /// Forgets the checksums from block `blocks` on: the index ends before it.
    pub(super) fn truncate(&mut self, file: &dyn File, blocks: u64) -> io::Result<()> {
        let partial = blocks / GROUP_BLOCKS;
        self.clock.retain(|group| *group <= partial);
        self.groups.retain(|group, _| *group <= partial);
        let group = self.group(file, partial)?;
        group.sums[slot(blocks).start..].fill(0);
        group.dirty = true;
        Ok(())
    }

    /// Writes every changed checksum, in order of the groups.
    pub(super) fn flush(&mut self, file: &dyn File) -> io::Result<()> {
        let mut dirty: Vec<u64> = self.clock.iter().copied().collect();
        dirty.retain(|group| self.groups.get(group).is_some_and(|found| found.dirty));
        dirty.sort_unstable();
        for number in dirty {
            if let Some(group) = self.groups.get_mut(&number) {
                file.write_at(group_offset(number), &group.sums[..])?;
                group.dirty = false;
            }
        }
        Ok(())
    }

    fn group(&mut self, file: &dyn File, number: u64) -> io::Result<&mut Group> {
        if !self.groups.contains_key(&number) {
            while self.clock.len() >= CACHED_GROUPS {
                self.evict(file)?;
            }
            let mut sums = Box::new([0; BLOCK_BYTES]);
            // Short only beyond the end of the file, where no block was ever written.
            file.read_at(group_offset(number), &mut sums[..])?;
            self.clock.push_back(number);
            let (dirty, used) = (false, true);
            self.groups.insert(number, Group { sums, dirty, used });
        }
        let group = self.groups.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        group.used = true;
        Ok(group)
    }

    /// Advances the clock's hand by one step.
    fn evict(&mut self, file: &dyn File) -> io::Result<()> {
        let Some(number) = self.clock.pop_front() else {
            return Ok(());
        };
        match self.groups.get_mut(&number) {
            Some(group) if group.used => {
                group.used = false;
                self.clock.push_back(number);
            }
            Some(group) => {
                if group.dirty {
                    file.write_at(group_offset(number), &group.sums[..])?;
                }
                self.groups.remove(&number);
            }
            None => {}
        }
        Ok(())
    }
}

/// Returns the range of a block's checksum within its group's.
fn slot(block: u64) -> std::ops::Range<usize> {
    let start = (block % GROUP_BLOCKS) as usize * SUM_BYTES;
    start..start + SUM_BYTES
}
