//! Log of the commits since an index's last checkpoint.
//!
//! A durable commit of redb writes every page that it has changed, and its header. So most commits are appended to the
//! log instead and synced there, while their rows stay in the memtable; a *checkpoint* writes those into redb, durably.
//! Opening an index applies the log to its last checkpoint (`drive.log-replayed`).
//!
//! # Format
//! The first block of 4 KiB is a header: whose log it is. Then entries, one behind the other, each from the beginning
//! of a block on, so that an append never writes to a block with an older entry. Numbers are little-endian.
//!
//! | bytes of the header | |
//! |---|---|
//! | 0..16 | XXH3-128 of the bytes 16..64 |
//! | 16..24 | `idxlog01` |
//! | 24..40 | UUID of the drive |
//! | 40..64 | 0 |
//!
//! | bytes of an entry | |
//! |---|---|
//! | 0..16 | XXH3-128 of the rest of the entry, with the sum of its generation and its offset as seed |
//! | 16..24 | generation |
//! | 24..32 | number of bytes of the rows |
//! | 32.. | rows, see [`super::batch`] |
//!
//! Each checkpoint stores a new, random generation in the index (`meta.log`), and the next entry is written over the
//! first one. Only entries of the stored generation count. It is random because clients choose some of the bytes in a
//! log: none of them can be made to look like an entry.
//!
//! # Torn and rotten entries
//! An entry is written when the one before it is synced. So a crash can tear the last one alone, and nobody was told of
//! it. If a valid entry follows one that does not match, that one has rotted, and the index fails. Rot of the last
//! entries looks like a torn one: the commit before them comes back, though they may have been acknowledged. To keep
//! that window small the drive makes a checkpoint when it has been idle for a second, and when it is closed.
//!
//! Entries are applied in their order to the checkpoint that they follow, or to any state between it and the last of
//! them: each row says what its table has from then on.

use super::{IndexError, batch::Batch, sums::BLOCK_BYTES};
use crate::runtime::{File, Mutant, Mutation};
use std::{io, sync::Arc};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Bytes before the rows of an entry.
pub(super) const ENTRY_HEADER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"idxlog01";
/// Used bytes of the header.
const HEADER_BYTES: usize = 64;
/// Bytes beyond which a file is no log of ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// File and limits of an index's log.
pub(crate) struct LogConfig {
    pub(crate) file: Arc<dyn File>,
    /// UUID of the drive.
    pub(crate) owner: u128,
    pub(crate) limits: LogLimits,
    /// Draws random numbers.
    pub(crate) random: Box<dyn FnMut() -> u64 + Send>,
}

/// Limits of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLimits {
    /// Bytes from which on the next commit is a checkpoint.
    pub(crate) bytes: u64,
    /// The same as a number of changed rows.
    pub(crate) rows: usize,
    /// Bytes and rows that no log ever has: a commit that would go beyond them is a checkpoint.
    pub(crate) bytes_max: u64,
    pub(crate) rows_max: usize,
}

/// Log of an open index.
pub(super) struct Log {
    config: LogConfig,
    mutation: Mutation,
    generation: u64,
    /// Offset of the next entry.
    end: u64,
    /// Rows of all entries.
    rows: usize,
}

/// Writes an empty log into a new file, durably; the file's name is the caller's to sync.
pub(crate) fn create_log(file: &dyn File, owner: u128) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    block[..HEADER_BYTES].copy_from_slice(&header(owner));
    file.write_at(0, &block)?;
    file.sync()
}

fn header(owner: u128) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[16..24].copy_from_slice(&MAGIC);
    header[24..40].copy_from_slice(&owner.to_le_bytes());
    let sum = xxh3_128_with_seed(&header[16..], 0);
    header[..16].copy_from_slice(&sum.to_le_bytes());
    header
}

impl Log {
    /// An empty log.
    pub(super) fn new(config: LogConfig, mutation: Mutation, generation: u64) -> Log {
        Log {
            config,
            mutation,
            generation,
            end: BLOCK_BYTES as u64,
            rows: 0,
        }
    }

    /// Returns the rows of each entry, in order.
    ///
    /// # Errors
    /// The file is not the log of this drive, or an entry is damaged.
    pub(super) fn read(&self) -> Result<Vec<Vec<u8>>, IndexError> {
        let file = &self.config.file;
        let len = file.len()?;
        if len > FILE_BYTES_MAX {
            return Err(IndexError::ForeignLog);
        }
        let bytes = file.read_vec(0, len as usize)?;
        if !bytes.starts_with(&header(self.config.owner)) {
            return Err(IndexError::ForeignLog);
        }
        if self.mutation.is(Mutant::LogNotReplayed) {
            return Ok(Vec::new());
        }
        let (mut entries, mut at) = (Vec::new(), BLOCK_BYTES);
        while let Some(rows) = self.entry(&bytes, at) {
            at += (ENTRY_HEADER_BYTES + rows.len()).next_multiple_of(BLOCK_BYTES);
            entries.push(rows.to_vec());
        }
        let mut later = (at..bytes.len()).step_by(BLOCK_BYTES).skip(1);
        match later.any(|later| self.entry(&bytes, later).is_some()) {
            true => Err(IndexError::LogEntry(at)),
            false => Ok(entries),
        }
    }

    /// The rows of the entry at an offset, if there is one.
    fn entry<'a>(&self, bytes: &'a [u8], at: usize) -> Option<&'a [u8]> {
        let (sum, rest) = bytes.get(at..)?.split_first_chunk()?;
        let (generation, behind) = rest.split_first_chunk()?;
        if u64::from_le_bytes(*generation) != self.generation {
            return None;
        }
        let (len, rest_of_entry) = behind.split_first_chunk()?;
        let rows = rest_of_entry.get(..usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        let sealed = &rest[..ENTRY_HEADER_BYTES - 16 + rows.len()];
        let matches = self.checksum(at as u64, sealed) == u128::from_le_bytes(*sum);
        (matches || self.mutation.is(Mutant::LogNotVerified)).then_some(rows)
    }

    /// The checksum of an entry's bytes from its generation on. Whoever does not know the generation cannot choose
    /// bytes that match in the place of others.
    fn checksum(&self, at: u64, sealed: &[u8]) -> u128 {
        xxh3_128_with_seed(sealed, self.generation.wrapping_add(at))
    }

    /// Returns whether a batch may be appended rather than made a checkpoint.
    pub(super) fn has_room_for(&self, batch: &Batch) -> bool {
        let limits = &self.config.limits;
        self.end < limits.bytes
            && self.rows < limits.rows
            && self.end + batch.bytes().len() as u64 <= limits.bytes_max
            && self.rows + batch.row_count() <= limits.rows_max
    }

    /// Appends a batch, durably.
    pub(super) fn append(&mut self, batch: &mut Batch) -> io::Result<()> {
        let (at, rows) = (self.end, batch.row_count());
        let bytes = batch.bytes_mut();
        let len = (bytes.len() - ENTRY_HEADER_BYTES) as u64;
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&len.to_le_bytes());
        let sum = self.checksum(at, &bytes[16..]);
        bytes[..16].copy_from_slice(&sum.to_le_bytes());
        self.config.file.write_at(at, bytes)?;
        self.config.file.sync()?;
        self.end = (at + bytes.len() as u64).next_multiple_of(BLOCK_BYTES as u64);
        self.rows += rows;
        Ok(())
    }

    /// The mutant that the index runs with.
    pub(super) fn mutation(&self) -> Mutation {
        self.mutation
    }

    /// Number of rows of all entries.
    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Draws the generation of the next checkpoint.
    pub(super) fn next_generation(&mut self) -> u64 {
        if self.mutation.is(Mutant::LogGenerationKept) {
            return self.generation;
        }
        (self.config.random)()
    }

    /// Goes on behind a checkpoint that is durable.
    pub(super) fn restart(&mut self, generation: u64) {
        (self.generation, self.end, self.rows) = (generation, BLOCK_BYTES as u64, 0);
    }
}
