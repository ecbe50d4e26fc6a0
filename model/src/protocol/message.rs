//! Messages between coordinator and drive about one register.

use super::{Ballot, Folder, Value};
use serde::{Deserialize, Serialize};

/// A value under the ballot that carried it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote<V> {
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: V,
}

impl<V: Value> Vote<V> {
    /// Absence before the first write: chosen from the start.
    #[must_use]
    pub fn absent() -> Self {
        Vote {
            ballot: Ballot::ZERO,
            value: V::absent(),
        }
    }
}

/// A message to a drive. A ballot below the drive's epoch is refused in every message that
/// [is fenced](Request::is_fenced).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Request<V> {
    /// Ask for the promise that no lower ballot will be accepted, and for what the drive holds.
    Prepare {
        /// The ballot to promise.
        ballot: Ballot,
    },
    /// Vote for a value.
    Accept {
        /// The value, under its ballot.
        vote: Vote<V>,
        /// The chosen value that it follows (of which it may be a repeat).
        prev: Vote<V>,
    },
    /// Tell that the vote of this ballot is chosen.
    Finalize {
        /// The ballot that is chosen.
        ballot: Ballot,
    },
    /// Staging clean-up: forget a staged folder that the value chosen under `ballot` does not name.
    Discard {
        /// The clean-up's own ballot, under which the base was accepted again.
        ballot: Ballot,
        /// The folder.
        folder: Folder,
    },
    /// Heal: take over a vote that is known to be chosen, and shards of its value.
    Install {
        /// The healer's own ballot, which the drive has promised.
        ballot: Ballot,
        /// The chosen vote.
        vote: Vote<V>,
        /// The folders that the drive lacks: a shard of each comes along, and is durable before this is applied.
        shards: Vec<Folder>,
    },
    /// Forget a tombstone that no drive needs any more.
    Purge {
        /// The ballot under which it is chosen.
        ballot: Ballot,
    },
    /// Answers like Prepare, without a promise.
    Read,
    /// Take no ballot of an epoch below this ballot's any more: what comes before the first ballot of an epoch.
    Fence {
        /// The ballot, of which only the epoch counts.
        ballot: Ballot,
    },
    /// Tell the drive's epoch, and whether it has all that it ever voted for.
    Membership,
}

impl<V> Request<V> {
    /// Returns whether a drive's epoch says if it is taken, and is raised by it. What tells of a ballot that is chosen
    /// is true in every epoch.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        !matches!(self, Request::Finalize { .. } | Request::Purge { .. })
    }

    /// The ballot that it is sent under; a question has none.
    #[must_use]
    pub fn ballot(&self) -> Option<Ballot> {
        match self {
            Request::Prepare { ballot }
            | Request::Finalize { ballot }
            | Request::Discard { ballot, .. }
            | Request::Install { ballot, .. }
            | Request::Purge { ballot }
            | Request::Fence { ballot } => Some(*ballot),
            Request::Accept { vote, .. } => Some(vote.ballot),
            Request::Read | Request::Membership => None,
        }
    }
}

/// Snapshot of one register on a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Snapshot<V> {
    /// The highest vote ([`Vote::absent`] if none).
    pub accepted: Vote<V>,
    /// The chosen vote that `accepted` follows. Equal to `accepted` once that is committed.
    pub prev: Vote<V>,
    /// The drive knows that `accepted` is chosen. True for a key without a vote.
    pub committed: bool,
    /// Data folders of this key that the drive holds, staged or live, in order.
    pub folders: Vec<Folder>,
    /// The drive may speak for this key: false while it recovers from a wipe.
    pub authoritative: bool,
    /// The drive's floor: it may have forgotten votes at or below it (a purged tombstone).
    pub floor: Ballot,
    /// The drive's epoch: it takes no ballot below it.
    pub epoch: u64,
}

/// Reason of a drive's refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nack {
    /// The highest ballot promised or accepted for the key.
    pub promised: Ballot,
    /// The drive's floor.
    pub floor: Ballot,
    /// The drive's epoch.
    pub epoch: u64,
}

/// A drive's answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply<V> {
    /// Prepare: granted, with what the drive holds.
    Granted(Snapshot<V>),
    /// Accept: the vote is durable.
    Accepted,
    /// Finalize, Drop, Install and Purge: done, or there was nothing to do.
    Done,
    /// Read: what the drive holds.
    Read(Snapshot<V>),
    /// Fence and Membership: what the drive is in its set.
    Membership {
        /// Its epoch, durably.
        epoch: u64,
        /// It has all that it ever voted for.
        whole: bool,
    },
    /// Refused; nothing changed.
    Refused(Nack),
}
