//! What an operation on a register tells its coordinator, and what the coordinator tells its driver.

use super::{Ballot, Drives, Folder, Reply, Request};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A change of a register, evaluated on a base that is known to be chosen.
pub trait Operation<V>: Clone + Debug {
    /// Why the change is refused on a base (a precondition that does not hold).
    type Refusal: Clone + Debug;

    /// The folder that was staged for it, and W: Accept may leave only when W of the grants hold it.
    fn staged(&self) -> Option<(Folder, u8)>;

    /// Returns what to do on `base`. `holders` are the drives among the grants that hold the staged folder.
    fn decide(&self, base: &V, holders: Drives) -> Decision<V, Self::Refusal>;

    /// Returns whether `value` shows that this operation took effect. Asked only after an Accept has left.
    fn is_in(&self, value: &V) -> bool;

    /// Returns whether it mends the drives that lack something of the chosen value: such an operation keeps every base.
    fn heals(&self) -> bool {
        false
    }

    /// Returns whether it is for every drive that answers, and goes on under a higher ballot than those that refuse
    /// know of: what lags may be what it is about.
    fn is_for_all(&self) -> bool {
        self.heals()
    }

    /// Returns whether the value that [`Operation::decide`] makes of `top` names no data of `top`'s last change:
    /// then a `top` that may be chosen but has lost its shards may be carried on without them, so that a
    /// wedged key can be replaced.
    fn replaces(&self, _top: &V) -> bool {
        false
    }
}

/// An operation's answer to a chosen base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<V, R> {
    /// Vote for this value.
    Write(V),
    /// Nothing needs to change: the base is the answer (a read, the delete of an absent key).
    Keep,
    /// The precondition does not hold.
    Refuse(R),
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Effect<V> {
    /// Issue a ballot with an epoch of at least `epoch` and a round above `round`, and give it back with
    /// [`Event::Begin`]; after a random pause if `pause`, because another coordinator got in the way.
    Begin {
        /// The highest epoch seen.
        epoch: u64,
        /// The highest round seen.
        round: u64,
        /// Whether to pause first.
        pause: bool,
    },
    /// Send a request to each of these drives. Requests to one drive arrive in the order sent, if at all.
    Send {
        /// The drives.
        to: Drives,
        /// The request.
        request: Request<V>,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event<V> {
    /// A ballot for the next round.
    Begin(Ballot),
    /// A drive answered the Prepare or Accept of `ballot`.
    Reply {
        /// The drive.
        from: u8,
        /// The ballot of the request.
        ballot: Ballot,
        /// Its answer.
        reply: Reply<V>,
    },
    /// A drive will not answer the request of `ballot`: it is offline, or failed.
    Failed {
        /// The drive.
        from: u8,
        /// The ballot of the request.
        ballot: Ballot,
    },
    /// Stragglers have had their moment: go on with the quorum that there is, if there is one.
    StragglerTimeout,
    /// The caller waits no longer: end now.
    Deadline,
}

/// Why an operation could not be done. S3 answers 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unavailable {
    /// Fewer than Q drives answered with authority, or fewer than A are there to vote.
    PrepareQuorum,
    /// Fewer than W drives of the grants hold the staged folder.
    StagedQuorum,
    /// A value that may be chosen has too few shards left to be carried on.
    Stuck,
    /// Other coordinators kept getting in the way, or drives did not answer, until the deadline.
    Deadline,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome<V, R> {
    /// The change is chosen; the value that it made.
    Written(V),
    /// Nothing needed to change; the chosen value.
    Kept(V),
    /// The precondition did not hold on this chosen value.
    Refused {
        /// Reason of the refusal.
        refusal: R,
        /// The base on which it was evaluated.
        base: V,
    },
    /// Not done, and it never will be: no Accept of its value has left.
    Unavailable(Unavailable),
    /// It may be done, now or later: an Accept of its value has left and its fate is not known.
    Ambiguous(Unavailable),
}
