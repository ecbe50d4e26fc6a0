//! Erasure set: registers, staged shards and scans over its drives.
//!
//! Runs `model`'s machines against drives and knows nothing of buckets, versions or uploads beyond their records.
//! Safety rests on the machines; the locks here only save wasted work.

mod ballots;
pub(crate) mod cleanup;
pub(crate) mod driver;
mod error;
mod locks;
mod pace;
pub(crate) mod part_reader;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod stage;

pub use ballots::Ballots;
pub use error::StoreError;

use crate::{
    drive::Drive,
    erasure::{Codec, Codecs, Distribution},
    runtime::{Mutant, Recorder, Rt},
};
use locks::KeyLocks;
use model::protocol::Quorums;
use pace::Pace;
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// Time limits of operations on a set.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Limit of a whole operation on a register.
    pub operation: Duration,
    /// The longest pause after another coordinator got in the way.
    pub pause_max: Duration,
    /// Limit for drives to take or give one run of stripes while those that answer do not suffice.
    pub shard: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            operation: Duration::from_secs(10),
            pause_max: Duration::from_millis(20),
            shard: Duration::from_secs(5),
        }
    }
}

/// Erasure set.
#[derive(Debug)]
pub struct ErasureSet {
    /// Index among the sets.
    index: u32,
    pub(crate) rt: Rt,
    recorder: Option<Arc<dyn Recorder>>,
    pub(crate) drives: Vec<Arc<dyn Drive>>,
    pub(crate) quorums: Quorums,
    ballots: Arc<Ballots>,
    /// The highest epoch that is known to be stored at A drives.
    settled: AtomicU64,
    locks: KeyLocks,
    timeouts: Timeouts,
    pace: Arc<Pace>,
    codecs: Codecs,
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
        mut timeouts: Timeouts,
    ) -> ErasureSet {
        let mut quorums = Quorums::of(u8::try_from(drives.len()).unwrap_or(u8::MAX));
        if rt.mutation().is(Mutant::AcceptQuorumTooSmall) {
            quorums.accept = quorums.accept.saturating_sub(1).max(1);
        }
        if rt.mutation().is(Mutant::PrepareQuorumTooSmall) {
            quorums.prepare = quorums.prepare.saturating_sub(1).max(1);
        }
        if rt.mutation().is(Mutant::NoShardDeadline) {
            timeouts.shard = Duration::MAX;
        }
        ErasureSet {
            index,
            recorder: rt.recorder(),
            pace: Pace::new(rt.clone(), drives.clone()),
            rt,
            drives,
            quorums,
            ballots,
            settled: AtomicU64::new(0),
            locks: KeyLocks::default(),
            codecs: Codecs::default(),
            timeouts,
        }
    }

    /// Number of drives: N.
    pub(crate) fn len(&self) -> usize {
        self.drives.len()
    }

    /// Checks that at least `drives` drives have room. For operations that stage nothing and still grow the index.
    ///
    /// # Errors
    /// [`StoreError::Full`]
    pub(crate) fn check_room(&self, drives: u8) -> Result<(), StoreError> {
        let with_room = self.drives.iter().filter(|drive| !drive.is_full()).count();
        if with_room < usize::from(drives) {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    /// Code with K = `data` and M = `parity`.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if there is no such code.
    pub(crate) fn codec(&self, data: u8, parity: u8) -> Result<Codec, StoreError> {
        self.codecs
            .get(data, parity)
            .map_err(|error| StoreError::Internal(error.to_string()))
    }

    /// Assignment of a key's shards to drives.
    pub(crate) fn distribution(&self, bucket: &str, key: &str) -> Distribution {
        Distribution::new(bucket, key, self.quorums.drives)
    }
}
