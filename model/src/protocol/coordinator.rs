//! The side of the node that serves a request: one machine per operation on a register.

use super::mutant::{Mutant, Mutation};
use super::resolve::resolve_mutated;
use super::{
    Ballot, Decision, Drives, Effect, Event, Nack, Operation, Outcome, Quorums, Reply, Request, Resolution, Snapshot,
    Unavailable, Value, Vote,
};
use std::collections::BTreeMap;

/// One operation on one register, from its first Prepare to its outcome.
///
/// Feed events with [`Coordinator::on`], carry out the effects in their order, stop when
/// [`Coordinator::outcome`] is there (the effects returned together with it still go out, unanswered).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinator<V, O: Operation<V>> {
    quorums: Quorums,
    op: O,
    /// The current round's; [`Ballot::ZERO`] before the first.
    ballot: Ballot,
    /// The highest epoch and the highest round that an answer told of.
    seen: (u64, u64),
    pub(super) phase: Phase<V>,
    /// Whether an Accept of the operation's own change has left: from then on it is never proposed again,
    /// and a failure is ambiguous.
    proposed: bool,
    outcome: Option<Outcome<V, O::Refusal>>,
    mutation: Mutation,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Phase<V> {
    /// A ballot has been asked for.
    Starting,
    Preparing {
        grants: BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        /// Stragglers are not waited for.
        hurried: bool,
    },
    Voting {
        vote: Vote<V>,
        /// The operation's own change, not a repeat of what was found.
        own: bool,
        accepted: Drives,
        missing: Missing,
        /// The drives among the grants that hold the staged folder.
        holders: Drives,
    },
    Done,
}

/// Drives that did not do what they were asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Missing {
    /// They know of a higher ballot: a later round may win them.
    pub(super) contended: Drives,
    /// Offline, or they refuse for another reason: another round at once would fare no better.
    pub(super) failed: Drives,
}

impl Missing {
    fn contend(&mut self, drive: u8) {
        self.contended.insert(drive);
        self.failed.remove(drive);
    }

    fn fail(&mut self, drive: u8) {
        if !self.contended.contains(drive) {
            self.failed.insert(drive);
        }
    }

    fn found(&mut self, drive: u8) {
        self.contended.remove(drive);
        self.failed.remove(drive);
    }
}

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// A coordinator and its first effects.
    pub fn new(quorums: Quorums, op: O) -> (Self, Vec<Effect<V>>) {
        let mut machine = Coordinator {
            quorums,
            op,
            ballot: Ballot::ZERO,
            seen: (0, 0),
            phase: Phase::Starting,
            proposed: false,
            outcome: None,
            mutation: Mutation::NONE,
        };
        let effects = machine.start(false);
        (machine, effects)
    }

    /// The same machine with the protocol broken in one way.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome<V, O::Refusal>> {
        self.outcome.as_ref()
    }

    /// The operation.
    pub fn operation(&self) -> &O {
        &self.op
    }

    /// The ballot of the current round, [`Ballot::ZERO`] before the first. Once the outcome is
    /// [`Outcome::Written`] by one's own votes, it is the ballot that they were cast in: what a clean-up
    /// sends its Drop under.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Takes an event, returns what to do. Answers to earlier ballots change nothing.
    ///
    /// # Panics
    /// If a ballot is given that is not above the last one.
    pub fn on(&mut self, event: Event<V>) -> Vec<Effect<V>> {
        if self.outcome.is_some() {
            return Vec::new();
        }
        match event {
            Event::Begin(ballot) => self.begin(ballot),
            Event::Reply { from, ballot, reply } if self.is_current(from, ballot) => self.reply(from, reply),
            Event::Failed { from, ballot } if self.is_current(from, ballot) => self.failed(from),
            Event::Reply { .. } | Event::Failed { .. } => Vec::new(),
            Event::Hurry => self.hurry(),
            Event::Deadline => self.give_up(Unavailable::Deadline),
        }
    }

    fn is_current(&self, from: u8, ballot: Ballot) -> bool {
        ballot == self.ballot && from < self.quorums.drives
    }

    fn begin(&mut self, ballot: Ballot) -> Vec<Effect<V>> {
        if self.phase != Phase::Starting {
            return Vec::new();
        }
        assert!(
            ballot > self.ballot,
            "register.one-value-per-ballot: a ballot serves one round"
        );
        self.ballot = ballot;
        self.phase = Phase::Preparing {
            grants: BTreeMap::new(),
            missing: Missing::default(),
            hurried: false,
        };
        vec![self.to_all(Request::Prepare { ballot })]
    }

    fn reply(&mut self, from: u8, reply: Reply<V>) -> Vec<Effect<V>> {
        let contends = match &reply {
            Reply::Refused(nack) => self.learn(nack),
            _ => false,
        };
        match (&mut self.phase, reply) {
            (Phase::Preparing { grants, missing, .. }, Reply::Granted(snapshot)) => {
                missing.found(from);
                grants.insert(from, snapshot);
                self.prepared(false)
            }
            (Phase::Preparing { grants, missing, .. }, Reply::Refused(_)) if !grants.contains_key(&from) => {
                if contends {
                    missing.contend(from)
                } else {
                    missing.fail(from)
                }
                self.prepared(false)
            }
            (Phase::Voting { accepted, missing, .. }, Reply::Accepted) => {
                missing.found(from);
                accepted.insert(from);
                self.voted(false)
            }
            (Phase::Voting { accepted, missing, .. }, Reply::Refused(_)) if !accepted.contains(from) => {
                if contends {
                    missing.contend(from)
                } else {
                    missing.fail(from)
                }
                self.voted(false)
            }
            _ => Vec::new(),
        }
    }

    fn failed(&mut self, from: u8) -> Vec<Effect<V>> {
        match &mut self.phase {
            Phase::Preparing { grants, missing, .. } if !grants.contains_key(&from) => {
                missing.fail(from);
                self.prepared(false)
            }
            Phase::Voting { accepted, missing, .. } if !accepted.contains(from) => {
                missing.fail(from);
                self.voted(false)
            }
            _ => Vec::new(),
        }
    }

    fn hurry(&mut self) -> Vec<Effect<V>> {
        match &mut self.phase {
            Phase::Preparing { hurried, .. } => {
                *hurried = true;
                self.prepared(true)
            }
            Phase::Voting { .. } => self.voted(true),
            Phase::Starting | Phase::Done => Vec::new(),
        }
    }

    /// Remembers what a refusal tells; whether a higher ballot stands behind it.
    fn learn(&mut self, nack: &Nack) -> bool {
        let highest = nack.promised.max(nack.floor);
        self.seen.0 = self.seen.0.max(nack.epoch).max(highest.epoch);
        self.seen.1 = self.seen.1.max(highest.round);
        highest > self.ballot || nack.epoch > self.ballot.epoch
    }

    /// Asks for the next ballot.
    fn start(&mut self, pause: bool) -> Vec<Effect<V>> {
        self.phase = Phase::Starting;
        vec![Effect::Begin {
            epoch: self.seen.0.max(self.ballot.epoch),
            round: self.seen.1.max(self.ballot.round),
            pause,
        }]
    }

    fn to_all(&self, request: Request<V>) -> Effect<V> {
        Effect::Send {
            to: Drives::all(self.quorums.drives),
            request,
        }
    }

    fn end(&mut self, outcome: Outcome<V, O::Refusal>) {
        self.phase = Phase::Done;
        self.outcome = Some(outcome);
    }

    /// Ends without an answer: what is known not to have left is known not to be done.
    fn give_up(&mut self, why: Unavailable) -> Vec<Effect<V>> {
        let undo = self.undo();
        self.end(if self.proposed {
            Outcome::Ambiguous(why)
        } else {
            Outcome::Unavailable(why)
        });
        undo
    }
}

/// Prepare and Resolve.
impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Decides, or goes on waiting, after an answer to a Prepare. `hurry`: stragglers have just had their
    /// moment.
    fn prepared(&mut self, hurry: bool) -> Vec<Effect<V>> {
        let Phase::Preparing {
            grants,
            missing,
            hurried,
        } = &self.phase
        else {
            return Vec::new();
        };
        let (missing, hurried) = (*missing, *hurried);
        let authoritative = grants.values().filter(|s| s.authoritative).count();
        let granted: Drives = grants.keys().copied().collect();
        let pending = self.pending(granted, missing);
        let needed = usize::from(self.quorums.prepare);
        if authoritative >= needed && (hurried || pending.is_empty()) {
            let grants = grants.clone();
            return self.resolve(&grants, missing, pending);
        }
        let hopeless = authoritative + pending.count() < needed;
        if hopeless {
            return self.again_or(
                Unavailable::PrepareQuorum,
                authoritative + pending.count() + missing.contended.count() >= needed,
                missing,
            );
        }
        if hurry && !missing.contended.is_empty() {
            return self.start(true);
        }
        Vec::new()
    }

    fn pending(&self, answered: Drives, missing: Missing) -> Drives {
        Drives::all(self.quorums.drives)
            .without(answered)
            .without(missing.contended)
            .without(missing.failed)
    }

    /// Tries again if a higher ballot stood in the way and winning the drives that it holds would do;
    /// otherwise ends.
    fn again_or(&mut self, why: Unavailable, enough_with_contended: bool, missing: Missing) -> Vec<Effect<V>> {
        if enough_with_contended && !missing.contended.is_empty() {
            self.start(true)
        } else {
            self.give_up(why)
        }
    }

    fn resolve(&mut self, grants: &BTreeMap<u8, Snapshot<V>>, missing: Missing, pending: Drives) -> Vec<Effect<V>> {
        match resolve_mutated(self.quorums, grants, self.mutation) {
            Resolution::TooFew => Vec::new(),
            Resolution::Chosen(base) => self.base(base, grants, missing, pending),
            Resolution::Repeat { value, prev } => self.repeat(value, prev, grants, missing, pending),
            Resolution::Stuck { top, prev } if !self.proposed && self.op.replaces(&top.value) => {
                self.repeat(top.value, prev, grants, missing, pending)
            }
            Resolution::Stuck { .. } if pending.is_empty() => self.again_or(Unavailable::Stuck, true, missing),
            Resolution::Stuck { .. } => Vec::new(),
        }
    }

    fn repeat(
        &mut self,
        value: V,
        prev: Vote<V>,
        grants: &BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        pending: Drives,
    ) -> Vec<Effect<V>> {
        if let Some(effects) = self.without_voters(grants.len() + pending.count(), missing) {
            return effects;
        }
        let holders = self.holders(grants);
        self.vote(value, prev, false, holders)
    }

    /// What to do on a base that is known to be chosen.
    fn base(
        &mut self,
        base: Vote<V>,
        grants: &BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        pending: Drives,
    ) -> Vec<Effect<V>> {
        if self.proposed && !self.mutation.is(Mutant::ProposeAgain) {
            let finalize = self.finalize_base(&base, grants);
            self.judge(base.value);
            return finalize;
        }
        let holders = self.holders(grants);
        let value = match self.op.decide(&base.value, holders) {
            Decision::Write(value) => value,
            answer => {
                let finalize = self.finalize_base(&base, grants);
                self.answer(answer, base.value);
                return finalize;
            }
        };
        if let Some((_, needed)) = self.op.staged() {
            let needed = usize::from(needed);
            let short = holders.count() < needed
                && !self.mutation.is(Mutant::TrustStaging)
                && !self.mutation.is(Mutant::AcceptWithoutShard);
            if short && !pending.is_empty() {
                return Vec::new();
            }
            if short {
                let enough = holders.count() + missing.contended.count() >= needed;
                return self.again_or(Unavailable::StagedQuorum, enough, missing);
            }
        }
        if let Some(effects) = self.without_voters(grants.len() + pending.count(), missing) {
            return effects;
        }
        self.proposed = true;
        self.vote(value, base, true, holders)
    }

    /// What to do instead of an Accept that fewer than A drives are there to take: `Some` if so. It
    /// would only make the outcome ambiguous.
    fn without_voters(&mut self, voters: usize, missing: Missing) -> Option<Vec<Effect<V>>> {
        let accept = usize::from(self.quorums.accept);
        if voters >= accept {
            return None;
        }
        let enough = voters + missing.contended.count() >= accept;
        Some(self.again_or(Unavailable::PrepareQuorum, enough, missing))
    }

    fn holders(&self, grants: &BTreeMap<u8, Snapshot<V>>) -> Drives {
        let Some((folder, _)) = self.op.staged() else {
            return Drives::NONE;
        };
        let holding = grants.iter().filter(|(_, s)| s.folders.contains(&folder));
        holding.map(|(drive, _)| *drive).collect()
    }

    /// Tells the drives that may not know it that the base is chosen, so that a key does not stay
    /// uncommitted for want of a next write.
    fn finalize_base(&self, base: &Vote<V>, grants: &BTreeMap<u8, Snapshot<V>>) -> Vec<Effect<V>> {
        let ignorant = grants
            .iter()
            .filter(|(_, s)| s.accepted.ballot == base.ballot && !s.committed);
        let to: Drives = ignorant.map(|(drive, _)| *drive).collect();
        if to.is_empty() || self.mutation.is(Mutant::BaseNotChosen) {
            return Vec::new();
        }
        let ballot = base.ballot;
        let request = Request::Finalize { ballot };
        vec![Effect::Send { to, request }]
    }

    /// Ends an operation whose Accept has left by what is chosen now.
    fn judge(&mut self, chosen: V) {
        self.end(if self.op.is_in(&chosen) {
            Outcome::Written(chosen)
        } else {
            // It may have been done and then replaced.
            Outcome::Ambiguous(Unavailable::Deadline)
        });
    }

    fn answer(&mut self, answer: Decision<V, O::Refusal>, base: V) {
        self.end(match answer {
            Decision::Keep => Outcome::Kept(base),
            Decision::Refuse(refusal) => Outcome::Refused { refusal, base },
            Decision::Write(_) => unreachable!("a write is voted on"),
        });
    }
}

/// Accept.
impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    fn vote(&mut self, value: V, prev: Vote<V>, own: bool, holders: Drives) -> Vec<Effect<V>> {
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
    fn voted(&mut self, hurry: bool) -> Vec<Effect<V>> {
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
        if hurry && !missing.contended.is_empty() {
            return self.start(true);
        }
        Vec::new()
    }

    fn chosen(&mut self, value: V, own: bool, holders: Drives) -> Vec<Effect<V>> {
        let ballot = self.ballot;
        let mut effects = vec![self.to_all(Request::Finalize { ballot })];
        if own {
            self.end(Outcome::Written(value));
        } else if self.proposed && !self.mutation.is(Mutant::ProposeAgain) {
            self.judge(value);
        } else {
            // A ballot carries one value: a write needs another one, an answer does not.
            match self.op.decide(&value, holders) {
                Decision::Write(_) => effects.extend(self.start(false)),
                answer => self.answer(answer, value),
            }
        }
        effects
    }

    /// A can no longer be reached in this round; `possible` drives accepted or may yet.
    fn lost(&mut self, own: bool, possible: usize, missing: Missing) -> Vec<Effect<V>> {
        let enough = possible + missing.contended.count() >= usize::from(self.quorums.accept);
        if !self.undo().is_empty() {
            return self.give_up(Unavailable::PrepareQuorum);
        }
        if own && missing.contended.is_empty() {
            // Whether it is done shows when what was accepted is resolved; own changes leave only once.
            return self.start(false);
        }
        self.again_or(Unavailable::PrepareQuorum, enough, missing)
    }

    /// What a coordinator that undoes its change would send; the protocol never does.
    fn undo(&self) -> Vec<Effect<V>> {
        match (&self.phase, self.op.staged()) {
            (Phase::Voting { vote, own: true, .. }, Some((folder, _))) if self.mutation.is(Mutant::BestEffortUndo) => {
                let ballot = vote.ballot;
                vec![self.to_all(Request::Drop { ballot, folder })]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
