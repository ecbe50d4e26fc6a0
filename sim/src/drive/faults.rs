//! Fault switches of a simulated drive.

use std::{io, time::Duration};

const EIO: i32 = 5;

/// Faults that are injected into a drive. Probabilities are between 0 and 1, drawn anew for each call.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Probability that a read, an open or a listing fails with EIO.
    pub read_error: f64,
    /// Probability that a write, or a change of names, fails with EIO and without effect.
    pub write_error: f64,
    /// Probability that a sync fails with EIO. The unsynced sectors then reach the media or not, at random, and count
    /// as clean from then on, as on Linux.
    pub sync_error: f64,
    /// Probability that a sync reports success and does nothing.
    pub lying_sync: f64,
    /// Probability that a read returns one inverted bit (the media is intact).
    pub read_flip: f64,
    /// Size of the drive in bytes; a write beyond fails with ENOSPC.
    pub capacity_bytes: u64,
    /// True if no job on the drive's executor begins.
    pub hung: bool,
    /// Longest delay of a job on the drive's executor before it runs.
    pub delay_max: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            read_error: 0.0,
            write_error: 0.0,
            sync_error: 0.0,
            lying_sync: 0.0,
            read_flip: 0.0,
            capacity_bytes: 64 << 30,
            hung: false,
            delay_max: Duration::from_millis(8),
        }
    }
}

/// I/O error (EIO) of a failed drive.
pub(super) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}
