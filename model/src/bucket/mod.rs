//! Buckets of many nodes: a register that says whether the bucket is there, and a gate on every drive that keeps
//! votes out of a bucket that goes (`specs/bucket.md`).

pub mod deletion;
pub mod gate;
pub mod listing;
pub mod mutant;

use crate::protocol::{Decision, Outcome};
use mutant::{Mutant, Mutation};
use serde::{Deserialize, Serialize};

pub use deletion::{Deletion, Effect, Ended, Event};
pub use gate::{Gate, Question, Record};
pub use listing::{Listing, Vacancy, vacancy};

/// 128 random bits, drawn when a bucket is created. The registers of its keys carry them in their names.
pub type Incarnation = u128;

/// Phase of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Takes writes.
    Live,
    /// Being checked for emptiness: it exists, but keys are not voted on.
    Deleting,
}

/// A bucket that is there: the value of its register, which is absent when the bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// Tells it from other buckets that had its name.
    pub incarnation: Incarnation,
    /// Raised by every change: what the gates go by.
    pub turn: u64,
    /// Whether it is open, or about to be deleted.
    pub phase: Phase,
}

/// A change of a bucket's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Creates it, in this incarnation.
    Create(Incarnation),
    /// A deletion begins.
    Close(Incarnation),
    /// The deletion of this turn is called off.
    Reopen(Incarnation, u64),
    /// The deletion of this turn has found the bucket empty.
    Remove(Incarnation, u64),
}

/// Refusal of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The bucket is there, maybe in the middle of a deletion.
    Exists,
    /// The incarnation is gone.
    Gone,
    /// The deletion of this turn has been called off.
    CalledOff,
}

/// Outcome of a change of the register.
pub type Changed = Outcome<Option<Bucket>, Refusal>;

impl Change {
    /// Returns what the register's operation decides on a base that is known to be chosen.
    #[must_use]
    pub fn decide(self, base: Option<Bucket>, mutation: Mutation) -> Decision<Option<Bucket>, Refusal> {
        let bucket = match (self, base) {
            (Change::Create(_), Some(_)) => return Decision::Refuse(Refusal::Exists),
            (Change::Create(incarnation), None) => {
                return Decision::Write(Some(Bucket {
                    incarnation,
                    turn: 0,
                    phase: Phase::Live,
                }));
            }
            (Change::Close(incarnation) | Change::Reopen(incarnation, _) | Change::Remove(incarnation, _), base) => {
                match base.filter(|bucket| bucket.incarnation == incarnation) {
                    Some(bucket) => bucket,
                    None => return Decision::Refuse(Refusal::Gone),
                }
            }
        };
        let next = |phase, turn| Decision::Write(Some(Bucket { turn, phase, ..bucket }));
        match (self, bucket.phase) {
            (Change::Close(_), Phase::Live) => next(Phase::Deleting, bucket.turn + 1),
            (Change::Close(_), Phase::Deleting) => Decision::Keep,
            (Change::Reopen(_, turn), Phase::Deleting) if turn == bucket.turn => {
                let same = mutation.is(Mutant::ReopenInSameTurn);
                next(Phase::Live, if same { bucket.turn } else { bucket.turn + 1 })
            }
            (Change::Remove(_, turn), Phase::Deleting)
                if turn == bucket.turn || mutation.is(Mutant::RemoveInAnyTurn) =>
            {
                Decision::Write(None)
            }
            _ => Decision::Refuse(Refusal::CalledOff),
        }
    }
}

/// Next step of a writer whose drives refuse it, once it has waited and read the bucket's register anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// The bucket is gone: the write is answered so.
    Gone,
    /// The deletion takes too long, or its node has died: the writer calls it off.
    CallOff(Change),
    /// The bucket takes writes: try again.
    Again,
}

/// Returns what a writer that drives refuse does: no deletion keeps a bucket closed for ever (`live.bucket-is-usable`).
#[must_use]
pub fn held(incarnation: Incarnation, bucket: Option<Bucket>, mutation: Mutation) -> Held {
    match bucket.filter(|bucket| bucket.incarnation == incarnation) {
        None => Held::Gone,
        Some(bucket) if bucket.phase == Phase::Deleting && !mutation.is(Mutant::WriterWaitsOnly) => {
            Held::CallOff(Change::Reopen(incarnation, bucket.turn))
        }
        Some(_) => Held::Again,
    }
}
