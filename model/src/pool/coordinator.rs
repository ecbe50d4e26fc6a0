//! The side of the node that serves a request: one machine per operation on a key over all pools.

use super::mutant::Mutation;
use super::{Answers, Placed};
use crate::protocol::coordinator::Missing;
use crate::protocol::{Ballot, Drives, Nack, Operation, Outcome, Quorums, Reply, Request, Unavailable, Value, Vote};
use std::collections::BTreeMap;

/// Task of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task<V, O> {
    /// A client's operation.
    Change {
        /// Operation to carry out.
        op: O,
        /// The pool that a new key is created in: any is safe.
        pool: u8,
        /// W of its data in the set of each pool.
        write: Vec<u8>,
    },
    /// Moves the key to a pool.
    Move {
        /// The pool.
        to: u8,
        /// The value that was copied there before.
        of: V,
        /// The copy, staged: the same versions in folders of their own.
        copy: V,
    },
    /// Finishes or takes back what others left.
    Recover,
    /// Lets all drives of all pools forget a key that is nowhere.
    Purge,
}

/// Effect of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect<V> {
    /// Issue a ballot as for [`crate::protocol::Effect::Begin`]; its epoch is no lower than that of any set.
    Begin {
        /// The highest epoch seen.
        epoch: u64,
        /// The highest round seen.
        round: u64,
    },
    /// Stage the operation's own data in the set of a pool, before the next ballot begins.
    Stage {
        /// The pool.
        pool: u8,
    },
    /// Send a request to each of these drives.
    Send {
        /// The pool that they are of.
        pool: u8,
        /// The drives.
        to: Drives,
        /// The request.
        request: Request<Placed<V>>,
    },
}

/// Event for the coordinator of pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<V> {
    /// A ballot for the next round.
    Begin(Ballot),
    /// A drive answered the Prepare or Accept of `ballot`.
    Reply {
        /// The pool.
        pool: u8,
        /// The drive.
        from: u8,
        /// The ballot of the request.
        ballot: Ballot,
        /// Its answer.
        reply: Reply<Placed<V>>,
    },
    /// A drive will not answer the request of `ballot`.
    Failed {
        /// The pool.
        pool: u8,
        /// The drive.
        from: u8,
        /// The ballot of the request.
        ballot: Ballot,
    },
    /// Stragglers have had their moment: go on with what there is, if it is enough.
    StragglerTimeout,
    /// The caller waits no longer: end now.
    Deadline,
}

/// Coordinator of one operation on one key, from its first Prepare to its outcome.
///
/// It is used as [`crate::protocol::Coordinator`] is, and prepares in the sets of all pools under one ballot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinator<V, O: Operation<V>> {
    quorums: Vec<Quorums>,
    task: Task<V, O>,
    ballot: Ballot,
    /// The highest epoch and the highest round that an answer told of.
    seen: (u64, u64),
    pub(super) phase: Phase<V>,
    /// An Accept of the operation's own change has left.
    proposed: bool,
    /// The pool that the operation's own data was staged in last.
    staged: Option<u8>,
    outcome: Option<Outcome<V, O::Refusal>>,
    mutation: Mutation,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Phase<V> {
    Starting,
    Preparing {
        answers: Answers<V>,
        /// Drives of each pool that refused under a higher ballot, and those that failed.
        missing: Vec<Missing>,
        timed_out: bool,
    },
    Voting {
        pool: u8,
        vote: Vote<Placed<V>>,
        step: Step<V>,
        accepted: Drives,
        missing: Missing,
    },
    Done,
}

/// Purpose of a vote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step<V> {
    /// The client's change.
    Own,
    /// Settle what was found, or take back a stale copy.
    Settle,
    /// The copy; then the set that it is made of forwards the key to it, under the same ballot.
    Copy { from: u8, base: Vote<Placed<V>> },
    /// The forward.
    Forward,
    /// The copy, become the key.
    Arrive,
    /// A tombstone that is purged when all drives of these pools have it.
    Forget {
        left: Vec<(u8, Vote<Placed<V>>)>,
        done: Vec<u8>,
    },
}

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// A coordinator and its first effects, over the sets of all pools.
    pub fn new(quorums: Vec<Quorums>, task: Task<V, O>) -> (Self, Vec<Effect<V>>) {
        let staged = match &task {
            Task::Change { op, pool, .. } => op.staged().map(|_| *pool),
            _ => None,
        };
        let mut machine = Coordinator {
            quorums,
            task,
            ballot: Ballot::ZERO,
            seen: (0, 0),
            phase: Phase::Starting,
            proposed: false,
            staged: None,
            outcome: None,
            mutation: Mutation::NONE,
        };
        let effects = match staged {
            Some(pool) => machine.stage(pool),
            None => machine.start(),
        };
        (machine, effects)
    }

    /// The same machine with the protocol broken in one way.
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self
    }

    /// Returns how it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome<V, O::Refusal>> {
        self.outcome.as_ref()
    }

    /// The ballot of the current round, [`Ballot::ZERO`] before the first.
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
            Event::Reply {
                pool,
                from,
                ballot,
                reply,
            } if ballot == self.ballot => self.reply(pool, from, reply),
            Event::Failed { pool, from, ballot } if ballot == self.ballot => {
                self.miss(pool, from, false);
                self.go_on(false)
            }
            Event::Reply { .. } | Event::Failed { .. } => Vec::new(),
            Event::StragglerTimeout => self.go_on(true),
            Event::Deadline => self.give_up(Unavailable::Deadline),
        }
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
            answers: vec![BTreeMap::new(); self.quorums.len()],
            missing: vec![Missing::default(); self.quorums.len()],
            timed_out: false,
        };
        let prepare = |pool| self.to_all(pool, Request::Prepare { ballot });
        self.pools().map(prepare).collect()
    }

    fn reply(&mut self, pool: u8, from: u8, reply: Reply<Placed<V>>) -> Vec<Effect<V>> {
        match (&mut self.phase, reply) {
            (Phase::Preparing { answers, missing, .. }, Reply::Granted(snapshot)) => {
                missing[usize::from(pool)].found(from);
                answers[usize::from(pool)].insert(from, snapshot);
            }
            (
                Phase::Voting {
                    pool: voting,
                    accepted,
                    missing,
                    ..
                },
                Reply::Accepted,
            ) if *voting == pool => {
                missing.found(from);
                accepted.insert(from);
            }
            (Phase::Preparing { .. } | Phase::Voting { .. }, Reply::Refused(nack)) => {
                let contends = self.learn(&nack);
                self.miss(pool, from, contends);
            }
            _ => return Vec::new(),
        }
        self.go_on(false)
    }

    /// Notes that a drive did not do what it was asked to.
    fn miss(&mut self, pool: u8, from: u8, contends: bool) {
        let missing = match &mut self.phase {
            Phase::Preparing { answers, missing, .. } if !answers[usize::from(pool)].contains_key(&from) => {
                &mut missing[usize::from(pool)]
            }
            Phase::Voting {
                pool: voting,
                accepted,
                missing,
                ..
            } if *voting == pool && !accepted.contains(from) => missing,
            _ => return,
        };
        if contends {
            missing.contend(from);
        } else {
            missing.fail(from);
        }
    }

    fn go_on(&mut self, timeout: bool) -> Vec<Effect<V>> {
        match &mut self.phase {
            Phase::Preparing { timed_out, .. } => {
                *timed_out |= timeout;
                self.prepared()
            }
            Phase::Voting { .. } => self.voted(timeout),
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
    fn start(&mut self) -> Vec<Effect<V>> {
        self.phase = Phase::Starting;
        vec![Effect::Begin {
            epoch: self.seen.0.max(self.ballot.epoch),
            round: self.seen.1.max(self.ballot.round),
        }]
    }

    /// Asks for data to be staged, and then for the next ballot.
    fn stage(&mut self, pool: u8) -> Vec<Effect<V>> {
        self.staged = Some(pool);
        let mut effects = vec![Effect::Stage { pool }];
        effects.extend(self.start());
        effects
    }

    /// The drives of a pool that have not answered yet.
    fn pending(&self, pool: u8, answered: Drives, missing: Missing) -> Drives {
        let all = Drives::all(self.quorums[usize::from(pool)].drives);
        all.without(answered).without(missing.contended).without(missing.failed)
    }

    fn pools(&self) -> impl Iterator<Item = u8> + use<V, O> {
        0..self.quorums.len() as u8
    }

    fn to_all(&self, pool: u8, request: Request<Placed<V>>) -> Effect<V> {
        Effect::Send {
            pool,
            to: Drives::all(self.quorums[usize::from(pool)].drives),
            request,
        }
    }

    fn end(&mut self, outcome: Outcome<V, O::Refusal>) {
        self.phase = Phase::Done;
        self.outcome = Some(outcome);
    }

    /// Ends without an answer: what is known not to have left is known not to be done.
    fn give_up(&mut self, why: Unavailable) -> Vec<Effect<V>> {
        self.end(if self.proposed {
            Outcome::Ambiguous(why)
        } else {
            Outcome::Unavailable(why)
        });
        Vec::new()
    }
}

mod placing;
mod voting;
