//! Policy of a drive's index.

use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Policy of a drive's index: how much its log holds, and when it is compacted.
#[derive(Clone, Debug)]
pub struct IndexPolicy {
    /// Changed rows of the log from which on the next commit is a checkpoint; fewer on a small file system.
    pub log_rows: usize,
    /// Bytes that a compaction must give back at least.
    pub wasted_bytes_min: u64,
    /// Interval of the checks whether a compaction is due.
    pub interval: Duration,
    /// Held during a compaction, which takes up the memory of a second cache: the drives of a node take turns.
    pub turn: Arc<Semaphore>,
}

impl Default for IndexPolicy {
    fn default() -> IndexPolicy {
        IndexPolicy {
            log_rows: 512,
            wasted_bytes_min: 1 << 20,
            interval: Duration::from_secs(5),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}
