//! An erasure set as the driver sees it: its drives, its quorums, and who issues ballots.

use super::{error::StoreError, locks::KeyLocks};
use crate::{
    drive::Drive,
    erasure::Distribution,
    runtime::{Mutant, Recorder, Rt},
};
use model::protocol::{Ballot, Quorums};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long the driver waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A moment for stragglers, once a quorum has answered.
    pub straggler: Duration,
    /// The same for a plain read, before it asks further drives.
    pub read_straggler: Duration,
    /// For a whole operation on a register.
    pub operation: Duration,
    /// The longest pause after another coordinator got in the way.
    pub pause_max: Duration,
    /// For one drive to take or give one run of stripes.
    pub shard: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            straggler: Duration::from_millis(250),
            read_straggler: Duration::from_millis(100),
            operation: Duration::from_secs(10),
            pause_max: Duration::from_millis(20),
            shard: Duration::from_secs(5),
        }
    }
}

/// One erasure set.
#[derive(Debug)]
pub struct ErasureSet {
    /// Its place among the sets.
    pub(super) index: u32,
    pub(super) rt: Rt,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) drives: Vec<Arc<dyn Drive>>,
    pub(super) quorums: Quorums,
    pub(super) ballots: Arc<Ballots>,
    pub(super) locks: KeyLocks,
    pub(super) patience: Patience,
}

impl ErasureSet {
    /// The set at `index` of these drives, in the order of their indices.
    ///
    /// # Panics
    /// If there are none, or more than 16.
    #[must_use]
    pub fn new(
        rt: Rt,
        index: u32,
        drives: Vec<Arc<dyn Drive>>,
        ballots: Arc<Ballots>,
        mut patience: Patience,
    ) -> ErasureSet {
        let mut quorums = Quorums::of(u8::try_from(drives.len()).unwrap_or(u8::MAX));
        if rt.mutation().is(Mutant::AcceptQuorumTooSmall) {
            quorums.accept = quorums.accept.saturating_sub(1).max(1);
        }
        if rt.mutation().is(Mutant::PrepareQuorumTooSmall) {
            quorums.prepare = quorums.prepare.saturating_sub(1).max(1);
        }
        if rt.mutation().is(Mutant::NoShardDeadline) {
            patience.shard = Duration::MAX;
        }
        ErasureSet {
            index,
            recorder: rt.recorder(),
            rt,
            drives,
            quorums,
            ballots,
            locks: KeyLocks::default(),
            patience,
        }
    }

    /// N.
    pub(super) fn len(&self) -> usize {
        self.drives.len()
    }

    /// Whether so many drives take objects. For what stages nothing and still makes a full drive's index grow.
    ///
    /// # Errors
    /// [`StoreError::Full`]
    pub(super) fn check_room(&self, drives: u8) -> Result<(), StoreError> {
        let with_room = self.drives.iter().filter(|drive| !drive.is_full()).count();
        if with_room < usize::from(drives) {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    /// Which drive holds which shard of a key.
    pub(super) fn distribution(&self, bucket: &str, key: &str) -> Distribution {
        Distribution::new(bucket, key, self.quorums.drives)
    }
}

/// Issues this process's ballots: never the same one twice, each above what was seen.
#[derive(Debug)]
pub struct Ballots {
    node: u32,
    boot: u64,
    round: AtomicU64,
}

impl Ballots {
    /// For a process that starts now: `boot` is 64 fresh random bits.
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

    /// A ballot of at least `epoch`, in a round above `round` and above all that this process has issued.
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
