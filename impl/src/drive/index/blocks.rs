//! The verified block layer under redb: every block that is read matches its checksum, or is an error
//! (`drive.index-verified`).
//!
//! redb itself checks its pages only when it repairs. Here each block of 4 KiB has a 128-bit checksum over
//! its number and its bytes, beside it in the file (see [`super::sums`]); the first block has copies instead
//! (see [`super::header`]).
//!
//! # Torn writes
//! A block and its checksum are written apart, and a power loss may keep either. That is harmless:
//! - redb never overwrites a page that the last synced header reaches. So a block torn by a crash is one
//!   that only the commit under way reaches.
//! - A block of checksums is rewritten in place, but the checksums of blocks that were not written are the
//!   same in the old and the new bytes. Whichever sectors a crash keeps, they hold.
//! - A header that was not synced may survive its crash while its pages did not. Unless that commit was
//!   made in two phases, redb then verifies by its own checksums every page that the header reaches, and
//!   goes back to the commit before when one fails. For the time of that verification the layer lets blocks
//!   pass that do not match ([`Blocks::verify_by_redb`]); afterwards each of them is either verified by
//!   redb, torn checksum or not, or reached by nothing, and gets a new checksum ([`Blocks::verify_here`]).
//! - redb writes down that it has repaired the file before it gives it back, and once that is durable it takes
//!   pages unverified at the next start. So what was let pass gets its checksum, durably, before any header that
//!   redb writes meanwhile: a crash may cut the repair short too. redb syncs nothing while it verifies.
//!
//! Every durable commit is made in two phases, but for the one by which redb closes a file after a panic: only then
//! does it verify.

use super::{
    header::Header,
    sums::{BLOCK_BYTES, Sums, block_offset},
};
use crate::runtime::{File, Mutant, Mutation};
use redb::StorageBackend;
use std::{
    collections::BTreeSet,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Called when the file system is full; whether it has made room.
pub(crate) type MakeRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// The index's file as redb sees it.
pub(super) struct Blocks {
    file: Arc<dyn File>,
    state: Mutex<State>,
    lenient: AtomicBool,
    /// Nothing is written any more.
    abandoned: AtomicBool,
    make_room: MakeRoom,
    mutation: Mutation,
}

#[derive(Debug)]
struct State {
    header: Header,
    sums: Sums,
    /// Blocks that did not match while redb verified, and have yet to get their checksums.
    suspects: BTreeSet<u64>,
    /// Number of blocks that have got them since redb began to verify.
    sealed: usize,
}

/// Handle of redb to the blocks.
#[derive(Debug, Clone)]
pub(super) struct Backend(pub(super) Arc<Blocks>);

impl Blocks {
    /// The blocks of a new, empty file.
    pub(super) fn create(file: Arc<dyn File>, make_room: MakeRoom) -> Blocks {
        Blocks::new(file, Header::new(), make_room, Mutation::NONE)
    }

    /// The blocks of a file that [`Blocks::create`] began.
    ///
    /// # Errors
    /// `InvalidData` when the header is damaged or the file is shorter than it says.
    pub(super) fn open(file: Arc<dyn File>, make_room: MakeRoom, mutation: Mutation) -> io::Result<Blocks> {
        // What a process that crashed has written is durable from here on, as redb's recovery expects.
        file.sync()?;
        let found = file.len()?;
        let header = Header::load(&*file, |len| file_len(len) <= found)?;
        let expected = file_len(header.len());
        // A crash before the header that counts them has left blocks at the end. They go, so that the
        // index grows over zeroes again.
        if found > expected {
            file.set_len(expected)?;
        }
        Ok(Blocks::new(file, header, make_room, mutation))
    }

    fn new(file: Arc<dyn File>, header: Header, make_room: MakeRoom, mutation: Mutation) -> Blocks {
        Blocks {
            file,
            state: Mutex::new(State {
                header,
                sums: Sums::default(),
                suspects: BTreeSet::new(),
                sealed: 0,
            }),
            lenient: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            make_room,
            mutation,
        }
    }

    /// Refuses every write from here on.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Notes that redb verifies every page from here on.
    pub(super) fn verify_by_redb(&self) {
        self.lenient.store(true, Ordering::Release);
    }

    /// redb has verified every page that it reaches: blocks that did not match are sealed as they are.
    /// Returns how many.
    pub(super) fn verify_here(&self) -> io::Result<usize> {
        self.lenient.store(false, Ordering::Release);
        self.seal_suspects()?;
        Ok(std::mem::take(&mut self.state().sealed))
    }

    /// Gives the blocks that were let pass their checksums, durably.
    fn seal_suspects(&self) -> io::Result<()> {
        let suspects = std::mem::take(&mut self.state().suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; BLOCK_BYTES];
        for block in &suspects {
            self.fill(*block, &mut bytes)?;
            self.seal(*block, &bytes)?;
        }
        self.state().sealed += suspects.len();
        self.with_room(|| self.state().sums.flush(&*self.file))?;
        self.with_room(|| self.file.sync())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not leave half a change here: each ends with its lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check_range(offset, out.len())?;
        for piece in pieces(offset, out.len()) {
            let out = &mut out[piece.at..piece.at + piece.len];
            if piece.block == 0 {
                self.state().header.read(piece.start, out);
            } else if piece.is_whole() {
                self.read_run(piece.block, out)?;
            } else {
                let mut block = [0; BLOCK_BYTES];
                self.read_run(piece.block, &mut block)?;
                out.copy_from_slice(&block[piece.start..piece.start + piece.len]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_range(offset, data.len())?;
        for piece in pieces(offset, data.len()) {
            let data = &data[piece.at..piece.at + piece.len];
            if piece.block == 0 {
                self.state().header.write(piece.start, data)?;
            } else if piece.is_whole() {
                self.write_run(piece.block, data)?;
            } else {
                let mut block = [0; BLOCK_BYTES];
                self.read_run(piece.block, &mut block)?;
                block[piece.start..piece.start + piece.len].copy_from_slice(data);
                self.write_run(piece.block, &block)?;
            }
        }
        Ok(())
    }

    /// Whole blocks of one group.
    fn read_run(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
        self.fill(first, out)?;
        for (block, bytes) in (first..).zip(out.chunks_exact(BLOCK_BYTES)) {
            let sum = self.state().sums.get(&*self.file, block)?;
            let never_written = sum == 0 && bytes.iter().all(|byte| *byte == 0);
            if never_written || checksum(block, bytes) == sum || self.mutation.is(Mutant::IndexNotVerified) {
                continue;
            }
            if !self.lenient.load(Ordering::Acquire) {
                let error = format!("block {block} of the index does not match its checksum");
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.state().suspects.insert(block);
        }
        Ok(())
    }

    /// Whole blocks of one group.
    fn write_run(&self, first: u64, data: &[u8]) -> io::Result<()> {
        self.with_room(|| self.file.write_at(block_offset(first), data))?;
        for (block, bytes) in (first..).zip(data.chunks_exact(BLOCK_BYTES)) {
            self.seal(block, bytes)?;
        }
        Ok(())
    }

    fn seal(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let sum = checksum(block, bytes);
        self.with_room(|| self.state().sums.set(&*self.file, block, sum))
    }

    /// Reads whole blocks of one group as they are; zeroes beyond the end of the file.
    fn fill(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
        let n = self.file.read_at(block_offset(first), out)?;
        out[n..].fill(0);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a length in parts of blocks",
            ));
        }
        let shrinks = {
            let mut state = self.state();
            let shrinks = len < state.header.len();
            if shrinks {
                state.sums.truncate(&*self.file, len / BLOCK_BYTES as u64)?;
            }
            state.header.set_len(len);
            shrinks
        };
        if shrinks {
            // The file may lose its end only after nothing durable counts it any more.
            self.sync()?;
        }
        self.with_room(|| self.file.set_len(file_len(len)))
    }

    fn sync(&self) -> io::Result<()> {
        self.seal_suspects()?;
        self.with_room(|| self.state().sums.flush(&*self.file))?;
        let header = self.with_room(|| self.state().header.flush(&*self.file))?;
        // Not under the lock: readers go on while the drive syncs.
        self.with_room(|| self.file.sync())?;
        if header {
            self.state().header.synced();
        }
        Ok(())
    }

    /// Tries again when the file system was full and room could be made (`drive.full-still-deletes`).
    fn with_room<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        if self.abandoned.load(Ordering::Acquire) {
            return Err(io::Error::other("the index was given up"));
        }
        match write() {
            Err(error) if is_full(&error) && (self.make_room)() => write(),
            result => result,
        }
    }

    fn check_range(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.state().header.len()) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "beyond the end of the index",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().header.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// Returns whether an error says that the file system, or the share of it that is allowed, is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The file's length for an index of `len` bytes, a multiple of the block's.
fn file_len(len: u64) -> u64 {
    match (len / BLOCK_BYTES as u64).checked_sub(1) {
        Some(last) => block_offset(last) + BLOCK_BYTES as u64,
        None => super::header::AREA_BYTES,
    }
}

/// 0 stands for a block that was never written.
fn checksum(block: u64, bytes: &[u8]) -> u128 {
    xxh3_128_with_seed(bytes, block).max(1)
}

/// Part of a range: within the first block, within one other block, or whole blocks of one group.
struct Piece {
    block: u64,
    /// Within the block.
    start: usize,
    /// Within the range.
    at: usize,
    len: usize,
}

impl Piece {
    fn is_whole(&self) -> bool {
        self.start == 0 && self.len.is_multiple_of(BLOCK_BYTES)
    }
}

fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = len.checked_sub(at).filter(|left| *left > 0)?;
        let position = offset + at as u64;
        let block = position / BLOCK_BYTES as u64;
        let start = (position % BLOCK_BYTES as u64) as usize;
        let in_group = super::sums::GROUP_BLOCKS - block % super::sums::GROUP_BLOCKS;
        let whole = (left / BLOCK_BYTES).min(in_group as usize) * BLOCK_BYTES;
        let len = if block == 0 || start > 0 || whole == 0 {
            left.min(BLOCK_BYTES - start)
        } else {
            whole
        };
        let piece = Piece { block, start, at, len };
        at += len;
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
