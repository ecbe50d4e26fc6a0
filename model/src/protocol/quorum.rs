//! Quorum arithmetic, in one place.
//!
//! Two kinds of quorum. K differs between versions of one key (storage class, changed default, drives
//! missing at the put); a register's quorums must not, or a write by one quorum is missed by another.
//! So accept quorum A and prepare quorum Q depend on N only, and W, which depends on the version,
//! counts staged shards only.

use serde::{Deserialize, Serialize};

/// A set of drive indices of one erasure set (at most 16).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Drives(u16);

impl Drives {
    /// No drive.
    pub const NONE: Drives = Drives(0);

    /// The drives 0..n.
    ///
    /// # Panics
    /// If `n` is over 16.
    #[must_use]
    pub fn all(n: u8) -> Drives {
        assert!(n <= 16, "an erasure set has at most 16 drives");
        Drives(((1u32 << n) - 1) as u16)
    }

    /// One drive.
    #[must_use]
    pub fn one(index: u8) -> Drives {
        Drives(1 << index)
    }

    /// From a bit mask.
    #[must_use]
    pub fn from_bits(bits: u16) -> Drives {
        Drives(bits)
    }

    /// As a bit mask.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Adds a drive; false if it was in already.
    pub fn insert(&mut self, index: u8) -> bool {
        let before = self.0;
        self.0 |= 1 << index;
        self.0 != before
    }

    /// Takes a drive out.
    pub fn remove(&mut self, index: u8) {
        self.0 &= !(1 << index);
    }

    /// Returns whether a drive is in.
    #[must_use]
    pub fn contains(self, index: u8) -> bool {
        self.0 >> index & 1 == 1
    }

    /// Returns how many drives are in.
    #[must_use]
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether none is in.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The drives in `self` that are not in `other`.
    #[must_use]
    pub fn without(self, other: Drives) -> Drives {
        Drives(self.0 & !other.0)
    }

    /// The indices, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..16).filter(move |i| self.contains(*i))
    }
}

impl std::fmt::Debug for Drives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<u8> for Drives {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Drives {
        let mut drives = Drives::NONE;
        for index in indices {
            drives.insert(index);
        }
        drives
    }
}

/// The register's quorums of an erasure set: functions of N only (`quorum.by-set-not-by-version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quorums {
    /// N, the drives of the set.
    pub drives: u8,
    /// A: this many acceptances choose a value. A majority, so two values are never chosen side by side.
    pub accept: u8,
    /// Q: this many authoritative answers meet every set of A acceptors.
    pub prepare: u8,
}

impl Quorums {
    /// The quorums of a set of `drives` drives.
    ///
    /// # Panics
    /// If `drives` is 0 or over 16.
    #[must_use]
    pub fn of(drives: u8) -> Quorums {
        assert!((1..=16).contains(&drives), "an erasure set has 1 to 16 drives");
        let accept = drives / 2 + 1;
        Quorums {
            drives,
            accept,
            prepare: drives - accept + 1,
        }
    }
}

/// W: how many shards of a version with K data and M parity shards must be staged before it may be
/// voted on. K, or K+1 when K = M, so that neither half of a cut set can acknowledge a write.
#[must_use]
pub fn write_quorum(data: u8, parity: u8) -> u8 {
    if data == parity { data + 1 } else { data }
}

#[cfg(test)]
mod tests;
