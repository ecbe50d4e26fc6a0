//! Ballot numbers of this process.

use crate::runtime::Rt;
use model::protocol::Ballot;
use std::sync::atomic::{AtomicU64, Ordering};

/// Issues this process's ballots: never the same one twice, each above what was seen.
#[derive(Debug)]
pub struct Ballots {
    node: u32,
    boot: u64,
    round: AtomicU64,
}

impl Ballots {
    /// Creates the issuer of a process that starts now: `boot` is 64 fresh random bits.
    #[must_use]
    pub fn new(rt: &Rt, node: u32) -> Ballots {
        let mut boot = [0u8; 8];
        rt.fill_random(&mut boot);
        Ballots {
            node,
            boot: u64::from_le_bytes(boot),
            round: AtomicU64::new(0),
        }
    }

    /// Issues a ballot of at least `epoch`, in a round above `round` and above all that this process has issued.
    pub(super) fn issue(&self, epoch: u64, round: u64) -> Ballot {
        self.round.fetch_max(round, Ordering::Relaxed);
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        Ballot {
            epoch,
            round,
            node: self.node,
            boot: self.boot,
        }
    }
}
