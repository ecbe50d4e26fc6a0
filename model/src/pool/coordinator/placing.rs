//! Prepare: from the grants of all sets to where the key is, and what to do there.

use super::{Coordinator, Phase, Placed, Step, Task};
use crate::pool::mutant::Mutant;
use crate::pool::view::{Base, Placement, View};
use crate::pool::{Answers, Effect};
use crate::protocol::{Decision, Drives, Operation, Outcome, Request, Unavailable, Value, Vote};

/// The pool that a key is in, and the vote that says so.
type Home<V> = (u8, Vote<Placed<V>>);

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Decides, or goes on waiting, after an answer to a Prepare.
    pub(super) fn prepared(&mut self) -> Vec<Effect<V>> {
        let Phase::Preparing { answers, timed_out, .. } = &self.phase else {
            return Vec::new();
        };
        let all_in = self.pools().all(|pool| self.unanswered(pool).is_empty());
        if !timed_out && !all_in {
            return Vec::new();
        }
        let answers = answers.clone();
        let view = View::of(&self.quorums, &answers, self.mutation);
        let mut placement = view.placement();
        if self.mutation.is(Mutant::CreationInOnePool)
            && let (Placement::Absent | Placement::TooFew, Task::Change { pool, .. }) = (&placement, &self.task)
            && matches!(view.base(*pool), Base::Known(vote) if vote.value.is_absent())
        {
            placement = Placement::Absent;
        }
        match placement {
            Placement::TooFew => self.wait_or(Unavailable::PrepareQuorum),
            Placement::Unsettled { pool, first } => self.settle(pool, first),
            Placement::Home { pool, base } => self.at_home(pool, base, &view),
            Placement::Absent => self.nowhere(&view),
        }
    }

    /// The drives of a pool that have not answered the Prepare.
    fn unanswered(&self, pool: u8) -> Drives {
        let Phase::Preparing { answers, missing, .. } = &self.phase else {
            return Drives::NONE;
        };
        let answered = answers[usize::from(pool)].keys().copied().collect();
        self.pending(pool, answered, missing[usize::from(pool)])
    }

    /// Returns whether a drive of a pool refused the Prepare under a higher ballot.
    fn is_contended(&self, pool: u8) -> bool {
        match &self.phase {
            Phase::Preparing { missing, .. } => !missing[usize::from(pool)].contended.is_empty(),
            _ => false,
        }
    }

    /// Waits for who has yet to answer; tries again if a higher ballot stands in the way; otherwise ends.
    fn wait_or(&mut self, why: Unavailable) -> Vec<Effect<V>> {
        let contended = self.pools().any(|pool| self.is_contended(pool));
        if self.pools().any(|pool| !self.unanswered(pool).is_empty()) {
            Vec::new()
        } else if contended {
            self.start()
        } else {
            self.give_up(why)
        }
    }

    /// Carries on, or calls off, what was found.
    fn settle(&mut self, pool: u8, first: Base<V>) -> Vec<Effect<V>> {
        match first {
            Base::Repeat { value, prev } => self.vote(pool, value, prev, Step::Settle),
            Base::Stuck { top, prev } if !self.proposed && self.replaces(&top.value) => {
                self.vote(pool, top.value, prev, Step::Settle)
            }
            Base::Stuck { .. } => self.wait_or(Unavailable::Stuck),
            Base::Known(_) | Base::TooFew => self.wait_or(Unavailable::PrepareQuorum),
        }
    }

    fn replaces(&self, top: &Placed<V>) -> bool {
        matches!((&self.task, top.value()), (Task::Change { op, .. }, Some(top)) if op.replaces(top))
    }

    /// Returns what to do with a key that is known to be in the set of a pool.
    fn at_home(&mut self, pool: u8, base: Vote<Placed<V>>, view: &View<V>) -> Vec<Effect<V>> {
        let value = base.value.value().cloned().unwrap_or_else(V::absent);
        match self.task.clone() {
            Task::Change { op, .. } => {
                let Some(value) = self.answer(&value, self.holders(pool)) else {
                    return Vec::new();
                };
                if self.mutation.is(Mutant::WriterInOldSet)
                    && let Some((pool, base)) = view.forward()
                {
                    return self.propose(&op, pool, value, base);
                }
                self.propose(&op, pool, value, base)
            }
            Task::Move { .. } | Task::Recover if base.value.is_incoming() => {
                self.vote(pool, Placed::Here(value), base, Step::Arrive)
            }
            Task::Move { to, of, copy } if to != pool => self.copy((pool, base), to, (of, copy), view),
            Task::Recover => self.recover(Some((pool, base, value)), view),
            Task::Purge if self.mutation.is(Mutant::ForwardPurgedAlone) => self.forget(view),
            Task::Move { .. } | Task::Purge => {
                self.end(Outcome::Kept(value));
                Vec::new()
            }
        }
    }

    /// Returns what to do with a key that is known to be absent.
    fn nowhere(&mut self, view: &View<V>) -> Vec<Effect<V>> {
        match self.task.clone() {
            Task::Change { op, pool, .. } => match self.answer(&V::absent(), self.holders(pool)) {
                Some(value) => self.create(&op, pool, value, view),
                None => Vec::new(),
            },
            Task::Recover => self.recover(None, view),
            Task::Purge => self.forget(view),
            Task::Move { .. } => {
                self.end(Outcome::Kept(V::absent()));
                Vec::new()
            }
        }
    }

    /// Ends a client's operation on a chosen value, unless it needs a vote on another: that value then.
    pub(super) fn answer(&mut self, chosen: &V, holders: Drives) -> Option<V> {
        let Task::Change { op, .. } = &self.task else {
            return None;
        };
        let base = chosen.clone();
        let outcome = if self.proposed {
            if op.is_in(chosen) {
                Outcome::Written(base)
            } else {
                // It may have been done and then replaced.
                Outcome::Ambiguous(Unavailable::Deadline)
            }
        } else {
            match op.decide(chosen, holders) {
                Decision::Write(value) => return Some(value),
                Decision::Keep => Outcome::Kept(base),
                Decision::Refuse(refusal) => Outcome::Refused { refusal, base },
            }
        };
        self.end(outcome);
        None
    }

    /// Creates the key in the set of a pool, once nothing stands in the way there.
    fn create(&mut self, op: &O, pool: u8, value: V, view: &View<V>) -> Vec<Effect<V>> {
        match view.base(pool) {
            Base::Known(base) if base.value.is_incoming() => self.withdraw(pool, base),
            Base::Known(base) => self.propose(op, pool, value, base),
            first => self.settle(pool, first),
        }
    }

    /// Takes a stale copy back, so that its data goes.
    fn withdraw(&mut self, pool: u8, copy: Vote<Placed<V>>) -> Vec<Effect<V>> {
        let value = if self.mutation.is(Mutant::WithdrawnByTombstone) {
            Placed::absent()
        } else {
            Placed::Withdrawn
        };
        self.vote(pool, value, copy, Step::Settle)
    }

    /// Lets the operation's own change leave, if W of the grants hold what was staged for it.
    fn propose(&mut self, op: &O, pool: u8, value: V, base: Vote<Placed<V>>) -> Vec<Effect<V>> {
        let needed = match &self.task {
            Task::Change { write, .. } if op.staged().is_some() => write[usize::from(pool)],
            _ => 0,
        };
        if self.holders(pool).count() < usize::from(needed) {
            if self.staged == Some(pool) {
                return self.wait_or(Unavailable::StagedQuorum);
            }
            return self.stage(pool);
        }
        self.vote(pool, Placed::Here(value), base, Step::Own)
    }

    /// Moves a live key: a copy in the other set first, which the set that it lives in then forwards it to.
    fn copy(&mut self, home: Home<V>, to: u8, (of, copy): (V, V), view: &View<V>) -> Vec<Effect<V>> {
        let (from, base) = home;
        let into = match view.base(to) {
            Base::Known(vote) => vote,
            first => return self.settle(to, first),
        };
        if let Some(effects) = self.forward(from, &base, to, &into) {
            return effects;
        }
        let held = |folder| {
            let grants = self.answers()[usize::from(to)].values();
            grants
                .filter(move |snapshot| snapshot.folders.contains(&folder))
                .count()
        };
        let is_staged = copy
            .folders()
            .iter()
            .all(|need| held(need.folder) >= usize::from(need.write));
        if base.value != Placed::Here(of.clone()) || !is_staged {
            // It has changed since it was copied.
            return self.wait_or(Unavailable::StagedQuorum);
        }
        if self.mutation.is(Mutant::ForwardAtOnce) {
            let vote = Vote {
                ballot: self.ballot(),
                value: Placed::Incoming { copy: copy.clone(), of },
            };
            let mut effects = self.vote(from, Placed::Forward { to, copy }, base, Step::Forward);
            effects.push(self.to_all(to, Request::Accept { vote, prev: into }));
            return effects;
        }
        let value = if self.mutation.is(Mutant::LiveBeforeForward) {
            Placed::Here(copy)
        } else {
            Placed::Incoming { copy, of }
        };
        self.vote(to, value, into, Step::Copy { from, base })
    }

    /// Forwards the key to a copy of it that is known to be chosen. It is never replaced by another: the forward may be
    /// under way.
    fn forward(&mut self, from: u8, base: &Vote<Placed<V>>, to: u8, into: &Vote<Placed<V>>) -> Option<Vec<Effect<V>>> {
        let (Placed::Here(value), Placed::Incoming { copy, of }) = (&base.value, &into.value) else {
            return None;
        };
        let forward = Placed::Forward { to, copy: copy.clone() };
        (of == value || self.mutation.is(Mutant::StaleCopyForwarded))
            .then(|| self.vote(from, forward, base.clone(), Step::Forward))
    }

    /// Finishes what a mover left, and takes back what no move will use, one vote at a time.
    fn recover(&mut self, home: Option<(u8, Vote<Placed<V>>, V)>, view: &View<V>) -> Vec<Effect<V>> {
        for pool in self.pools() {
            if home.as_ref().is_some_and(|(home, ..)| *home == pool) {
                continue;
            }
            let base = match view.base(pool) {
                Base::Known(base) => base,
                Base::TooFew if self.is_contended(pool) => return self.start(),
                // A set that cannot say is looked at another time.
                Base::TooFew => continue,
                first => return self.settle(pool, first),
            };
            if let Some((from, live, _)) = &home
                && !self.mutation.is(Mutant::CopyWithdrawn)
                && let Some(effects) = self.forward(*from, live, pool, &base)
            {
                return effects;
            }
            if base.value.is_incoming() {
                return self.withdraw(pool, base);
            }
        }
        self.end(Outcome::Kept(home.map_or_else(V::absent, |(_, _, value)| value)));
        Vec::new()
    }

    /// Votes a tombstone in each set that has anything, if every drive of every set has granted with authority: none of
    /// them takes anything older then (`pool.purge-is-total`).
    fn forget(&mut self, view: &View<V>) -> Vec<Effect<V>> {
        let answers = self.answers().clone();
        let alone = self.mutation.is(Mutant::PurgeInOnePool);
        let granted = |pool: &u8| {
            let grants = answers[usize::from(*pool)].values();
            let all = usize::from(self.quorums[usize::from(*pool)].drives);
            grants.filter(|grant| grant.authoritative).count() == all
        };
        let has_any = |pool: &u8| {
            let mut grants = answers[usize::from(*pool)].values();
            grants.any(|grant| !grant.accepted.ballot.is_zero())
        };
        let mut left: Vec<u8> = self.pools().filter(has_any).collect();
        if self.mutation.is(Mutant::ForwardPurgedAlone) {
            left.retain(|pool| matches!(view.base(*pool), Base::Known(base) if base.value.value().is_none()));
        }
        if alone {
            let deleted = |pool: &u8| matches!(view.base(*pool), Base::Known(base) if base.value.is_absent());
            left.retain(|pool| granted(pool) && deleted(pool));
        } else if !self.pools().all(|pool| granted(&pool)) {
            return self.wait_or(Unavailable::PrepareQuorum);
        }
        let mut bases = Vec::new();
        for pool in left {
            match view.base(pool) {
                Base::Known(copy) if copy.value.is_incoming() => return self.withdraw(pool, copy),
                Base::Known(base) => bases.push((pool, base)),
                first => return self.settle(pool, first),
            }
        }
        let Some((pool, base)) = bases.pop() else {
            self.end(Outcome::Kept(V::absent()));
            return Vec::new();
        };
        let (left, done) = (bases, Vec::new());
        self.vote(pool, Placed::absent(), base, Step::Forget { left, done })
    }

    fn answers(&self) -> &Answers<V> {
        match &self.phase {
            Phase::Preparing { answers, .. } => answers,
            _ => unreachable!("only grants are decided on"),
        }
    }

    /// The drives of a pool that granted and hold what was staged.
    fn holders(&self, pool: u8) -> Drives {
        let (Task::Change { op, .. }, Phase::Preparing { answers, .. }) = (&self.task, &self.phase) else {
            return Drives::NONE;
        };
        let Some((folder, _)) = op.staged() else {
            return Drives::NONE;
        };
        let holding = answers[usize::from(pool)]
            .iter()
            .filter(|(_, s)| s.folders.contains(&folder));
        holding.map(|(drive, _)| *drive).collect()
    }

    /// Sends an Accept to all drives of a set, if enough are there to take it.
    fn vote(&mut self, pool: u8, value: Placed<V>, prev: Vote<Placed<V>>, step: Step<V>) -> Vec<Effect<V>> {
        let voters = self.answers()[usize::from(pool)].len() + self.unanswered(pool).count();
        if voters < usize::from(self.quorums[usize::from(pool)].accept) {
            return self.wait_or(Unavailable::PrepareQuorum);
        }
        self.proposed |= step == Step::Own;
        self.send_vote(pool, value, prev, step)
    }
}
