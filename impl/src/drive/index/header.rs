//! The index's first block, which redb overwrites in place at every commit, kept in four sealed copies.
//!
//! redb guards its two commit slots with checksums, but not the byte that says which of them counts, nor
//! the size of the file: of those a flipped bit would silently bring an older commit back. So each state of
//! the header has a generation, and is written twice, over the older of two pairs. Each copy is one sector
//! of 512 bytes, which a drive writes wholly or not at all: after a crash every copy is valid, of the last
//! generation that was synced or of the one after it. Hence (`drive.index-header`):
//! - a copy that is not valid has rotted, and its twin speaks for the pair;
//! - a pair of which both copies have rotted fails the index, for it may have been the newest.

use crate::runtime::File;
use std::io;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Bytes of a copy: one sector.
const COPY_BYTES: usize = 512;
/// File offsets of the copies: each in a block of its own, those of one pair apart from each other.
const COPY_OFFSETS: [[u64; 2]; 2] = [[0, 2 * 4096], [4096, 3 * 4096]];
/// Bytes of the file that the copies take.
pub(super) const AREA_BYTES: u64 = 4 * 4096;
const MAGIC: [u8; 8] = *b"idxhead1";
/// checksum 16, magic 8, generation 8, length 8.
const PREFIX_BYTES: usize = 40;
/// Bytes of the first block in a copy; redb uses 320 of them.
pub(super) const HEADER_BYTES: usize = COPY_BYTES - PREFIX_BYTES;

/// The first block and the index's length, as last written.
#[derive(Debug)]
pub(super) struct Header {
    generation: u64,
    /// The pair that holds the last synced generation.
    synced: usize,
    dirty: bool,
    len: u64,
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// Creates the header of a new index: its first write fills both pairs.
    pub(super) fn new() -> Header {
        Header {
            generation: 0,
            synced: 0,
            dirty: true,
            len: 0,
            bytes: [0; HEADER_BYTES],
        }
    }

    /// Reads the newest generation whose index `fits` into the file. The file grows before the header says so,
    /// and one sync makes both durable: a header that the file is too short for was never synced.
    ///
    /// # Errors
    /// `InvalidData` when a pair has no valid copy or no generation fits; what the file says.
    pub(super) fn load(file: &dyn File, fits: impl Fn(u64) -> bool) -> io::Result<Header> {
        let pairs = [load_pair(file, 0)?, load_pair(file, 1)?];
        let newest = (0..pairs.len())
            .filter(|pair| fits(pairs[*pair].len))
            .max_by_key(|pair| pairs[*pair].generation);
        let Some(synced) = newest else {
            let error = format!("the index's file is too short for its {} bytes", pairs[0].len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        };
        let [first, second] = pairs;
        let found = if synced == 0 { first } else { second };
        Ok(Header {
            generation: found.generation,
            synced,
            dirty: false,
            len: found.len,
            bytes: found.bytes,
        })
    }

    /// The index's length in bytes, as redb sees it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Changes the length.
    pub(super) fn set_len(&mut self, len: u64) {
        self.dirty |= self.len != len;
        self.len = len;
    }

    /// Copies bytes of the first block out; what no copy holds is zero.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) {
        out.fill(0);
        if let Some(held) = self.bytes.get(offset..) {
            let n = held.len().min(out.len());
            out[..n].copy_from_slice(&held[..n]);
        }
    }

    /// Changes bytes of the first block.
    ///
    /// # Errors
    /// `Unsupported` for anything but zeroes beyond what a copy holds.
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> io::Result<()> {
        let held = self.bytes.get_mut(offset..).unwrap_or_default();
        let n = held.len().min(data.len());
        if data[n..].iter().any(|byte| *byte != 0) {
            let error = "the index's header has grown beyond its copies";
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        }
        held[..n].copy_from_slice(&data[..n]);
        self.dirty = true;
        Ok(())
    }

    /// Writes what has changed since the last sync. Returns whether anything had.
    ///
    /// Writes between two syncs all go to the pair that does not hold the synced generation.
    pub(super) fn flush(&mut self, file: &dyn File) -> io::Result<bool> {
        if !self.dirty {
            return Ok(false);
        }
        let generation = self.generation + 1;
        let other = [1 - self.synced];
        let pairs = if generation == 1 { &[0, 1][..] } else { &other };
        for pair in pairs {
            for offset in COPY_OFFSETS[*pair] {
                file.write_at(offset, &self.encode(generation, offset))?;
            }
        }
        self.generation = generation;
        self.dirty = false;
        Ok(true)
    }

    /// The last flush is durable now.
    pub(super) fn synced(&mut self) {
        self.synced = 1 - self.synced;
    }

    fn encode(&self, generation: u64, offset: u64) -> [u8; COPY_BYTES] {
        let mut copy = [0; COPY_BYTES];
        copy[16..24].copy_from_slice(&MAGIC);
        copy[24..32].copy_from_slice(&generation.to_le_bytes());
        copy[32..PREFIX_BYTES].copy_from_slice(&self.len.to_le_bytes());
        copy[PREFIX_BYTES..].copy_from_slice(&self.bytes);
        let sum = xxh3_128_with_seed(&copy[16..], offset);
        copy[..16].copy_from_slice(&sum.to_le_bytes());
        copy
    }
}

struct Found {
    generation: u64,
    len: u64,
    bytes: [u8; HEADER_BYTES],
}

fn load_pair(file: &dyn File, pair: usize) -> io::Result<Found> {
    let [first, second] = COPY_OFFSETS[pair];
    let (first, second) = (load_copy(file, first)?, load_copy(file, second)?);
    // A crash in the middle of a flush leaves one copy of each generation: both were right.
    let newest = match (first, second) {
        (Some(a), Some(b)) if b.generation > a.generation => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    };
    newest.ok_or_else(|| {
        let error = format!("both copies of the index's header in pair {pair} are damaged");
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

fn load_copy(file: &dyn File, offset: u64) -> io::Result<Option<Found>> {
    let mut copy = [0; COPY_BYTES];
    let n = file.read_at(offset, &mut copy)?;
    let (sum, sealed) = copy.split_at(16);
    if n < COPY_BYTES || xxh3_128_with_seed(sealed, offset).to_le_bytes() != sum || sealed[..8] != MAGIC {
        return Ok(None);
    }
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&copy[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let mut bytes = [0; HEADER_BYTES];
    bytes.copy_from_slice(&copy[PREFIX_BYTES..]);
    Ok(Some(Found {
        generation: word(24),
        len: word(32),
        bytes,
    }))
}
