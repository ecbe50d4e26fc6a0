//! Rot in the log of an index, where an undamaged server notices it.
//!
//! A damaged entry at the end of a log looks like one that a crash has torn: its drive legitimately goes back to the
//! commit before (`specs/format.md`). An entry that a valid one follows has rotted, and the index must fail.

use crate::SimDrive;
use std::ops::Range;

/// Path of the log below the mount.
const LOG: &str = ".minio.sys/index.log";
/// Unit in which entries begin; the first block is the log's header.
const BLOCK_BYTES: usize = 4096;
/// Bytes of an entry before its rows, and the positions of its generation and of the length of its rows among them.
const HEADER_BYTES: usize = 32;
const GENERATION_AT: usize = 16;
const ROWS_BYTES_AT: usize = 24;
/// Number of entries at the end that are spared. A crash may have torn the last one, and then the one before it is the
/// last that is valid; rot of any earlier one is followed by a valid entry.
const SPARED: usize = 2;
/// Number of entries that are struck at most: the last ones, since later entries hide what earlier ones say of a key.
const STRUCK_MAX: usize = 10;

/// Inverts a bit in each of the last entries of a log that others follow. Returns whether there was one.
pub fn rot_log(drive: &SimDrive) -> bool {
    let mut entries = entries(&drive.media_of(LOG));
    entries.truncate(entries.len().saturating_sub(SPARED));
    let struck = entries.split_off(entries.len().saturating_sub(STRUCK_MAX));
    for entry in &struck {
        drive.rot_within(LOG, entry.clone(), 1);
    }
    !struck.is_empty()
}

/// Returns where the entries are that have the first entry's generation.
fn entries(log: &[u8]) -> Vec<Range<u64>> {
    let number = |at: usize| Some(u64::from_le_bytes(log.get(at..at + 8)?.try_into().ok()?));
    let first = number(BLOCK_BYTES + GENERATION_AT);
    let (mut entries, mut at) = (Vec::new(), BLOCK_BYTES);
    while let (generation @ Some(1..), Some(rows_bytes)) = (number(at + GENERATION_AT), number(at + ROWS_BYTES_AT)) {
        let bytes = HEADER_BYTES + rows_bytes as usize;
        if generation != first || at + bytes > log.len() {
            break;
        }
        entries.push(at as u64..(at + bytes) as u64);
        at += bytes.next_multiple_of(BLOCK_BYTES);
    }
    entries
}
