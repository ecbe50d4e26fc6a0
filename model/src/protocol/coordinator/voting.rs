//! Accept: from acceptances to a chosen vote, or to another round.

use super::{Coordinator, Missing, Phase};
use crate::protocol::mutant::Mutant;
use crate::protocol::{Drives, Effect, Operation, Outcome, Request, Unavailable, Value, Vote};

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Sends an Accept to all. Nothing of the operation itself leaves unless it is its `own` change.
    pub(super) fn vote(&mut self, value: V, prev: Vote<V>, own: bool, holders: Drives) -> Vec<Effect<V>> {
        let vote = Vote {
            ballot: self.ballot,
            value,
        };
        self.phase = Phase::Voting {
            vote: vote.clone(),
            own,
            accepted: Drives::NONE,
            missing: Missing::default(),
            holders,
        };
        vec![self.to_all(Request::Accept { vote, prev })]
    }

    /// Concludes, or goes on waiting, after an answer to an Accept.
    pub(super) fn voted(&mut self, timeout: bool) -> Vec<Effect<V>> {
        let Phase::Voting {
            vote,
            own,
            accepted,
            missing,
            holders,
        } = &self.phase
        else {
            return Vec::new();
        };
        let (own, accepted, missing, holders) = (*own, *accepted, *missing, *holders);
        let needed = usize::from(self.quorums.accept);
        if accepted.count() >= needed {
            let value = vote.value.clone();
            return self.chosen(value, own, holders);
        }
        let possible = accepted.count() + self.pending(accepted, missing).count();
        if possible < needed {
            return self.lost(own, possible, missing);
        }
        if timeout && !missing.contended.is_empty() {
            return self.start(true);
        }
        Vec::new()
    }

    /// The vote of this round is chosen.
    fn chosen(&mut self, value: V, own: bool, holders: Drives) -> Vec<Effect<V>> {
        let ballot = self.ballot;
        let mut effects = vec![self.to_all(Request::Finalize { ballot })];
        if own {
            self.end(Outcome::Written(value));
        } else if self.op.heals() || self.answer_on(&value, holders).is_some() {
            // A ballot carries one value: a write needs another one, a heal needs to see who lacks what; an answer
            // needs neither.
            effects.extend(self.start(false));
        }
        effects
    }

    /// A can no longer be reached in this round; `possible` drives accepted or may yet.
    fn lost(&mut self, own: bool, possible: usize, missing: Missing) -> Vec<Effect<V>> {
        if !self.undo().is_empty() {
            return self.give_up(Unavailable::PrepareQuorum);
        }
        if own && missing.contended.is_empty() {
            // Whether it is done shows when what was accepted is resolved; own changes leave only once.
            return self.start(false);
        }
        let needed = usize::from(self.quorums.accept);
        self.again_or(Unavailable::PrepareQuorum, possible, needed, missing)
    }

    /// Returns what a coordinator that undoes its change would send; the protocol never does.
    pub(super) fn undo(&self) -> Vec<Effect<V>> {
        match (&self.phase, self.op.staged()) {
            (Phase::Voting { vote, own: true, .. }, Some((folder, _))) if self.mutation.is(Mutant::BestEffortUndo) => {
                let ballot = vote.ballot;
                vec![self.to_all(Request::Discard { ballot, folder })]
            }
            _ => Vec::new(),
        }
    }
}
