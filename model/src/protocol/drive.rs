//! What a drive knows of itself: how far its promises reach, and whether it has lost any.

use super::Ballot;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a drive knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriveState {
    /// Votes below this epoch are refused. Durable.
    pub epoch: u64,
    /// At or above every round promised or accepted: reserved in steps of [`DriveState::RESERVE`]. Durable.
    pub hi: u64,
    /// No ballot at or below it is promised anew: what was promised before the last start, and what was
    /// forgotten since. In memory.
    pub floor: Ballot,
    /// Whether it takes part, and has all that it ever voted for. Durable.
    pub membership: Membership,
}

/// What a drive is in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Membership {
    /// It has all that it ever voted for.
    Active,
    /// It lost everything, or is new in its slot, and has not joined: it refuses everything.
    Unjoined,
    /// It joined after such a loss, under this epoch. It votes on every key and speaks for those that it knows.
    Recovering(u64),
}

impl DriveState {
    /// How many rounds are reserved at once, so that a promise rarely waits for the drive.
    pub const RESERVE: u64 = 1 << 20;

    /// A drive at its start, from what it stored: whatever it promised before is refused from now on
    /// (`drive.promise-holds`).
    #[must_use]
    pub fn boot(epoch: u64, hi: u64) -> DriveState {
        DriveState {
            epoch,
            hi,
            floor: Ballot::ceiling(epoch, hi),
            membership: Membership::Active,
        }
    }

    /// A drive that has lost everything, or is new in its slot.
    #[must_use]
    pub fn outside() -> DriveState {
        DriveState {
            epoch: 0,
            hi: 0,
            floor: Ballot::ZERO,
            membership: Membership::Unjoined,
        }
    }

    /// Such a drive once it has joined under `epoch` ([`super::join`]): all that its slot promised or voted for
    /// before is of a lower epoch, which it refuses from now on (`drive.epoch-fences`). Its floor says so to readers:
    /// what it does not have of an older epoch it may have had and lost.
    #[must_use]
    pub fn joined(epoch: u64) -> DriveState {
        DriveState {
            epoch,
            floor: Ballot { epoch, ..Ballot::ZERO },
            membership: Membership::Recovering(epoch),
            ..DriveState::outside()
        }
    }

    /// Forgets a key's promise (its [`super::KeyState`] leaves memory): the floor takes its place.
    pub fn forget(&mut self, promised: Ballot) {
        self.floor = self.floor.max(promised);
    }

    /// Covers a round, and `ahead` more, by `hi` before it is promised or voted for (`drive.hi-covers`); true if that
    /// has to be stored.
    pub(super) fn cover(&mut self, round: u64, ahead: u64) -> bool {
        let raise = round.saturating_add(ahead) > self.hi;
        if raise {
            self.hi = round.saturating_add(DriveState::RESERVE);
        }
        raise
    }
}

/// How far a recovering drive has come, durably: for which keys it may speak (`heal.authority-is-earned`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>"))]
pub struct Recovering<K> {
    /// The epoch that it joined under.
    pub join: u64,
    /// The last key that it has gone past, in the order of keys; none before the first.
    cursor: Option<K>,
    /// Keys that it has gone past and still does not know.
    unknown: BTreeSet<K>,
}

impl<K: Ord> Recovering<K> {
    /// A drive that has just joined under `join`.
    #[must_use]
    pub fn new(join: u64) -> Self {
        Recovering {
            join,
            cursor: None,
            unknown: BTreeSet::new(),
        }
    }

    /// Returns whether the drive knows a key; `voted` if it has a vote for it, cast or installed: since it joined then.
    #[must_use]
    pub fn knows(&self, key: &K, voted: bool) -> bool {
        voted || self.cursor.as_ref().is_some_and(|cursor| key <= cursor) && !self.unknown.contains(key)
    }

    /// The last key that it has gone past.
    #[must_use]
    pub fn cursor(&self) -> Option<&K> {
        self.cursor.as_ref()
    }

    /// The keys that it has gone past and does not know, in their order.
    pub fn unknown(&self) -> impl Iterator<Item = &K> {
        self.unknown.iter()
    }

    /// Goes past the keys up to `cursor`: those that are not `unknown` are known to be absent
    /// ([`super::join::absence_is_known`]), or the drive has a vote for them.
    pub fn pass(&mut self, cursor: K, unknown: impl IntoIterator<Item = K>) {
        self.unknown.extend(unknown);
        if self.cursor.as_ref().is_none_or(|last| *last < cursor) {
            self.cursor = Some(cursor);
        }
    }

    /// A key has become known: it was installed, or voted on.
    pub fn learn(&mut self, key: &K) {
        self.unknown.remove(key);
    }

    /// Returns whether nothing that it has gone past is unknown: once it is past the last key, the drive is whole.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.unknown.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovering_drive_speaks_for_what_it_has_gone_past_or_voted_on() {
        let mut drive = Recovering::new(3);
        assert!(!drive.knows(&1, false));
        assert!(drive.knows(&1, true));
        drive.pass(5, [2, 4]);
        drive.pass(3, []);
        let known: Vec<i32> = (1..8).filter(|key| drive.knows(key, false)).collect();
        assert_eq!(known, [1, 3, 5]);
        drive.learn(&4);
        assert!(drive.knows(&4, false) && !drive.is_clear());
        drive.learn(&2);
        assert!(drive.is_clear());
    }
}
