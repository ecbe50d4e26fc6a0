//! Accept: from acceptances in one set to a chosen vote, and what follows it.

use super::{Coordinator, Missing, Phase, Placed, Step, Task};
use crate::pool::Effect;
use crate::protocol::{Drives, Operation, Outcome, Request, Unavailable, Value, Vote};

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Sends an Accept to all drives of a set.
    pub(super) fn send_vote(
        &mut self,
        pool: u8,
        value: Placed<V>,
        prev: Vote<Placed<V>>,
        step: Step<V>,
    ) -> Vec<Effect<V>> {
        let vote = Vote {
            ballot: self.ballot,
            value,
        };
        self.phase = Phase::Voting {
            pool,
            vote: vote.clone(),
            step,
            accepted: Drives::NONE,
            missing: Missing::default(),
        };
        vec![self.to_all(pool, Request::Accept { vote, prev })]
    }

    /// Concludes, or goes on waiting, after an answer to an Accept.
    pub(super) fn voted(&mut self, timeout: bool) -> Vec<Effect<V>> {
        let Phase::Voting {
            pool,
            vote,
            step,
            accepted,
            missing,
        } = &self.phase
        else {
            return Vec::new();
        };
        let (pool, accepted, missing) = (*pool, *accepted, *missing);
        let quorums = self.quorums[usize::from(pool)];
        // All of them, if they are to forget it.
        let needed = usize::from(match step {
            Step::Forget { .. } => quorums.drives,
            _ => quorums.accept,
        });
        if accepted.count() >= needed {
            let (vote, step) = (vote.clone(), step.clone());
            return self.chosen(pool, vote, step);
        }
        let own = *step == Step::Own;
        let possible = accepted.count() + self.pending(pool, accepted, missing).count();
        if possible < needed {
            let may_win = possible + missing.contended.count() >= needed && !missing.contended.is_empty();
            // Own changes leave only once: what became of this one shows when it is resolved.
            return if may_win || own && missing.contended.is_empty() {
                self.start()
            } else {
                self.give_up(Unavailable::PrepareQuorum)
            };
        }
        if timeout && !missing.contended.is_empty() {
            return self.start();
        }
        Vec::new()
    }

    /// The vote of this round is chosen in its set.
    fn chosen(&mut self, pool: u8, vote: Vote<Placed<V>>, step: Step<V>) -> Vec<Effect<V>> {
        let ballot = self.ballot;
        let value = vote.value.value().cloned().unwrap_or_else(V::absent);
        let mut effects = Vec::new();
        if !matches!(step, Step::Forget { .. }) {
            effects.push(self.to_all(pool, Request::Finalize { ballot }));
        }
        match step {
            Step::Own => self.end(Outcome::Written(value)),
            Step::Settle => {
                // A ballot carries one value in a set, but whoever only wants to know where the key is knows it now.
                if !vote.value.is_live() || self.answer(&value, Drives::NONE).is_some() || self.goes_on() {
                    effects.extend(self.start());
                }
            }
            Step::Copy { from, base } => {
                let forward = Placed::Forward { to: pool, copy: value };
                effects.extend(self.send_vote(from, forward, base, Step::Forward));
            }
            Step::Forward => effects.extend(self.start()),
            // There may be more to recover.
            Step::Arrive if matches!(self.task, Task::Recover) => effects.extend(self.start()),
            Step::Arrive => self.end(Outcome::Kept(value)),
            Step::Forget { mut left, mut done } => {
                done.push(pool);
                if let Some((next, base)) = left.pop() {
                    return self.send_vote(next, vote.value, base, Step::Forget { left, done });
                }
                for pool in done {
                    effects.push(self.to_all(pool, Request::Finalize { ballot }));
                    effects.push(self.to_all(pool, Request::Purge { ballot }));
                }
                self.end(Outcome::Kept(V::absent()));
            }
        }
        effects
    }

    /// Returns whether there is no outcome yet.
    fn goes_on(&self) -> bool {
        self.outcome.is_none()
    }
}
