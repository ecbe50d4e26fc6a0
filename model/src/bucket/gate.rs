//! A drive's side: which incarnations it votes in.

use super::mutant::{Mutant, Mutation};
use super::{Bucket, Incarnation, Phase};
use serde::{Deserialize, Serialize};

/// The highest state of an incarnation that a drive knows of, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Record {
    /// Phase of the bucket in this turn.
    At(u64, Phase),
    /// Gone for ever.
    Gone,
}

/// A question about the bucket that waits for its answer: good for the life of the record that it was asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question(u64);

/// A drive's gate before the keys of one incarnation: it votes on them only while the gate is open.
///
/// A survey closes the gate. Nothing opens it but what the drive itself read in the bucket's register, in a read that
/// began after it asked. So a record may be lost at any time (`bucket.gate-holds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate {
    record: Option<Record>,
    /// Number of the record's life; drawn anew when it is lost.
    life: u64,
}

impl Gate {
    /// A gate of which the drive has this record, or none. `life` is random.
    #[must_use]
    pub fn new(record: Option<Record>, life: u64) -> Gate {
        Gate { record, life }
    }

    /// Returns what the drive knows: all that it has to store.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        self.record
    }

    /// Returns whether keys may be voted on. If not, the drive asks for the bucket before it refuses.
    #[must_use]
    pub fn is_open(self, mutation: Mutation) -> bool {
        match self.record {
            Some(Record::At(_, phase)) => phase == Phase::Live,
            Some(Record::Gone) => false,
            None => mutation.is(Mutant::ForgottenIsOpen),
        }
    }

    /// Closes the gate for the deletion of this turn. The drive lists for it if this is true, once the gate is stored
    /// durably; else the deletion has been called off, or is over.
    pub fn survey(&mut self, turn: u64, mutation: Mutation) -> bool {
        let closed = Record::At(turn, Phase::Deleting);
        if mutation.is(Mutant::SurveyUnfenced) {
            return true;
        }
        self.record = self.record.max(Some(closed));
        self.record == Some(closed)
    }

    /// Begins a question: the bucket's register is read *after* this.
    #[must_use]
    pub fn ask(self) -> Question {
        Question(self.life)
    }

    /// Takes the answer: what the register of the bucket's name held.
    pub fn answer(&mut self, question: Question, own: Incarnation, bucket: Option<Bucket>, mutation: Mutation) {
        let told = match bucket.filter(|bucket| bucket.incarnation == own) {
            Some(bucket) => Record::At(bucket.turn, bucket.phase),
            None => Record::Gone,
        };
        // The survey that closed the gate after the question may have been lost with the record.
        if question.0 != self.life && !mutation.is(Mutant::AnswerOutlivesLoss) {
            return;
        }
        self.record = if mutation.is(Mutant::AnswerLowers) {
            Some(told)
        } else {
            self.record.max(Some(told))
        };
    }
}
