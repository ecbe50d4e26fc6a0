//! The side of the node that serves a request: one machine per operation on a register.

use super::mutant::{Mutant, Mutation};
use super::{
    Ballot, Drives, Effect, Event, Nack, Operation, Outcome, Quorums, Reply, Request, Snapshot, Unavailable, Value,
    Vote,
};
use std::collections::BTreeMap;

/// Coordinator of one operation on one register, from its first Prepare to its outcome.
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
    /// The highest epoch that is known to be stored at A drives.
    settled: u64,
    /// Accepts still travel as changes ([`super::Brief`]): a drive votes only on the base that it holds.
    changes: bool,
    pub(super) phase: Phase<V>,
    /// An Accept of the operation's own change has left: from then on it is never proposed again,
    /// and a failure is ambiguous.
    proposed: bool,
    /// Another coordinator's ballot is behind a refusal in this round, not just a floor.
    rival: bool,
    outcome: Option<Outcome<V, O::Refusal>>,
    mutation: Mutation,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Phase<V> {
    /// A ballot has been asked for.
    Starting,
    /// The ballot's epoch is being stored at A drives, before its Prepare leaves.
    Fencing {
        stored: Drives,
        missing: Missing,
    },
    Preparing {
        grants: BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        /// Stragglers are not waited for.
        timed_out: bool,
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
pub(crate) struct Missing {
    /// Drives that know of a higher ballot: a later round may win them.
    pub(crate) contended: Drives,
    /// Offline, or they refuse for another reason: another round at once would fare no better.
    pub(crate) failed: Drives,
}

impl Missing {
    pub(crate) fn contend(&mut self, drive: u8) {
        self.contended.insert(drive);
        self.failed.remove(drive);
    }

    pub(crate) fn fail(&mut self, drive: u8) {
        if !self.contended.contains(drive) {
            self.failed.insert(drive);
        }
    }

    pub(crate) fn found(&mut self, drive: u8) {
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
            settled: 0,
            changes: false,
            phase: Phase::Starting,
            proposed: false,
            rival: false,
            outcome: None,
            mutation: Mutation::NONE,
        };
        let effects = machine.start(false);
        (machine, effects)
    }

    /// The same machine with the protocol broken in one way.
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self
    }

    /// The same machine, of a node that knows the epochs up to `epoch` to be stored at A drives.
    #[must_use]
    pub fn with_settled(mut self, epoch: u64) -> Self {
        self.settled = epoch;
        self
    }

    /// The same machine, whose Accepts are sent as changes ([`super::Brief`]): drives that lack the base are sent it
    /// before (`accept.laggard-is-healed`). Once a drive has refused for want of it, they are sent whole.
    #[must_use]
    pub fn with_changes(mut self) -> Self {
        self.changes = true;
        self
    }

    /// Returns whether the Accepts of this round are sent as changes.
    #[must_use]
    pub fn sends_changes(&self) -> bool {
        self.changes
    }

    /// The highest epoch that the node now knows to be stored at A drives.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Returns how it ended, once it has.
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
            Event::Failed { .. } if self.mutation.is(Mutant::FailureIgnored) => Vec::new(),
            Event::Failed { from, ballot } if self.is_current(from, ballot) => self.failed(from),
            Event::Reply { .. } | Event::Failed { .. } => Vec::new(),
            Event::StragglerTimeout => self.straggler_timeout(),
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
        self.rival = false;
        if ballot.epoch > self.settled && !self.mutation.is(Mutant::EpochUnsettled) {
            // Were the epoch used before, a drive that is wiped and joins under the same one would forget what it
            // promised in it (`drive.epoch-fences`).
            self.phase = Phase::Fencing {
                stored: Drives::NONE,
                missing: Missing::default(),
            };
            return vec![self.to_all(Request::Fence { ballot })];
        }
        self.prepare()
    }

    fn prepare(&mut self) -> Vec<Effect<V>> {
        let ballot = self.ballot;
        self.phase = Phase::Preparing {
            grants: BTreeMap::new(),
            missing: Missing::default(),
            timed_out: false,
        };
        vec![self.to_all(Request::Prepare { ballot })]
    }

    fn reply(&mut self, from: u8, reply: Reply<V>) -> Vec<Effect<V>> {
        let contends = match &reply {
            Reply::Refused(nack) => self.learn(nack),
            _ => false,
        };
        match (&mut self.phase, reply) {
            (Phase::Fencing { stored, missing }, Reply::Membership { .. }) => {
                missing.found(from);
                stored.insert(from);
                self.fenced(false)
            }
            (Phase::Fencing { stored, missing }, Reply::Refused(_)) if !stored.contains(from) => {
                if contends {
                    missing.contend(from)
                } else {
                    missing.fail(from)
                }
                self.fenced(false)
            }
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
            Phase::Fencing { stored, missing } if !stored.contains(from) => {
                missing.fail(from);
                self.fenced(false)
            }
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

    fn straggler_timeout(&mut self) -> Vec<Effect<V>> {
        match &mut self.phase {
            Phase::Fencing { .. } => self.fenced(true),
            Phase::Preparing { timed_out, .. } => {
                *timed_out = true;
                self.prepared(true)
            }
            Phase::Voting { .. } => self.voted(true),
            Phase::Starting | Phase::Done => Vec::new(),
        }
    }

    /// Prepares once A drives have stored the epoch, or goes on waiting.
    fn fenced(&mut self, timeout: bool) -> Vec<Effect<V>> {
        let Phase::Fencing { stored, missing } = &self.phase else {
            return Vec::new();
        };
        let (stored, missing, needed) = (*stored, *missing, usize::from(self.quorums.accept));
        if stored.count() >= needed {
            self.settled = self.ballot.epoch;
            return self.prepare();
        }
        let possible = stored.count() + self.pending(stored, missing).count();
        if possible < needed {
            return self.again_or(Unavailable::PrepareQuorum, possible, needed, missing);
        }
        if timeout && !missing.contended.is_empty() {
            return self.start(true);
        }
        Vec::new()
    }

    /// Remembers what a refusal tells; whether a higher ballot stands behind it.
    fn learn(&mut self, nack: &Nack) -> bool {
        let highest = nack.promised.max(nack.floor);
        self.seen.0 = self.seen.0.max(nack.epoch).max(highest.epoch);
        self.seen.1 = self.seen.1.max(highest.round);
        self.rival |= nack.promised > self.ballot;
        // Nothing but the base of a change stood in its way, as far as one sees: the next round sends values whole, for
        // it may be past that base, or hold a vote that the base cannot replace.
        let lacks_base = self.changes && nack.promised == self.ballot;
        self.changes &= !lacks_base || self.mutation.is(Mutant::ChangesAgain);
        highest > self.ballot || nack.epoch > self.ballot.epoch || lacks_base
    }

    /// Asks for the next ballot. To outbid what a drive has forgotten takes no pause.
    fn start(&mut self, pause: bool) -> Vec<Effect<V>> {
        self.phase = Phase::Starting;
        vec![Effect::Begin {
            epoch: self.seen.0.max(self.ballot.epoch),
            round: self.seen.1.max(self.ballot.round),
            pause: pause && self.rival,
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

mod preparing;
mod voting;

#[cfg(test)]
mod tests;
