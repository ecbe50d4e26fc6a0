//! What can go wrong with a simulated drive.

use std::{io, time::Duration};

const EIO: i32 = 5;

/// The switches of a drive. Chances are between 0 and 1, for each call anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Chance that a read, an open or a listing fails with EIO.
    pub read_error: f64,
    /// Chance that a write, or a change of names, fails with EIO and without effect.
    pub write_error: f64,
    /// Chance that a sync fails with EIO. The unsynced sectors then reach the media or not, at random, and
    /// count as synced from then on, as on Linux.
    pub sync_error: f64,
    /// Chance that a sync reports success and does nothing.
    pub lying_sync: f64,
    /// Chance that a read returns one inverted bit (the media is intact).
    pub read_flip: f64,
    /// Size of the drive in bytes; a write beyond fails with ENOSPC.
    pub capacity_bytes: u64,
    /// While set, no job on the drive's executor begins.
    pub hung: bool,
    /// A job on the drive's executor waits up to this long before it runs.
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

/// The error of a drive that does not work.
pub(super) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}
