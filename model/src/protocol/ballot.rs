//! Ballots: who may change a register, in a total order.

use serde::{Deserialize, Serialize};

/// A round of voting on one register. Compared field by field, in this order.
///
/// A ballot serves one operation on one key, with one value (`register.one-value-per-ballot`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Epoch of the erasure set: raised when a wiped drive joins.
    pub epoch: u64,
    /// Above every round that its process has issued or seen in an answer; near its clock's microseconds.
    pub round: u64,
    /// The node that issued it.
    pub node: u32,
    /// 64 random bits of that node's process, not stored: a restarted process never repeats a ballot.
    pub boot: u64,
}

impl Ballot {
    /// Below every ballot that is ever issued: the vote for a key's absence before its first write.
    pub const ZERO: Ballot = Ballot {
        epoch: 0,
        round: 0,
        node: 0,
        boot: 0,
    };

    /// The highest ballot of a round: a floor that refuses the round whole.
    #[must_use]
    pub const fn ceiling(epoch: u64, round: u64) -> Ballot {
        Ballot {
            epoch,
            round,
            node: u32::MAX,
            boot: u64::MAX,
        }
    }

    /// Returns whether this is [`Ballot::ZERO`].
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Ballot::ZERO
    }
}
