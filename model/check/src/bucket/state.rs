//! The bounds of a run, its states, and the actions.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::bucket::mutant::Mutation;
use model::bucket::{Bucket, Change, Deletion, Gate, Incarnation, Question, Record};
use model::protocol::{Drives, FolderNeed, KeyState, Quorums, Value, Vote};
use stateright::semantics::{LinearizabilityTester, SequentialSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The incarnation that worlds start with.
pub const FIRST: Incarnation = 1;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// Number of sets.
    pub sets: u8,
    /// N of each set.
    pub drives: u8,
    /// The operations, one client each.
    pub kinds: Vec<Kind>,
    /// True if the drives know of the first incarnation at the start.
    pub warm: bool,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// The quorums that deletions use.
    pub survey: Quorums,
    /// True if the registers of keys carry the incarnation in their names.
    pub named: bool,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drives that lose their gates.
    pub losses: u8,
    /// Drives that restart.
    pub boots: u8,
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Put the key of this set.
    Put(u8),
    /// Delete the key of this set.
    Unput(u8),
    Create,
    Delete,
}

/// A reply to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Success.
    Done,
    /// The bucket does not exist.
    NoSuchBucket,
    /// The bucket exists.
    Exists,
    /// The bucket is not empty.
    NotEmpty,
    /// Not done, and never will be.
    Unavailable,
}

/// A bucket as clients see it: none, or the sets whose keys are present.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub Option<BTreeSet<u8>>);

impl SequentialSpec for Name {
    type Op = Kind;
    type Ret = Told;

    fn invoke(&mut self, kind: &Kind) -> Told {
        match (kind, &mut self.0) {
            (Kind::Create, Some(_)) => Told::Exists,
            (Kind::Create, bucket) => {
                *bucket = Some(BTreeSet::new());
                Told::Done
            }
            (_, None) => Told::NoSuchBucket,
            (Kind::Put(set), Some(keys)) => {
                keys.insert(*set);
                Told::Done
            }
            (Kind::Unput(set), Some(keys)) => {
                keys.remove(set);
                Told::Done
            }
            (Kind::Delete, Some(keys)) if !keys.is_empty() => Told::NotEmpty,
            (Kind::Delete, bucket) => {
                *bucket = None;
                Told::Done
            }
        }
    }

    fn is_valid_step(&mut self, kind: &Kind, told: &Told) -> bool {
        *told == Told::Unavailable || self.invoke(kind) == *told
    }
}

/// A key's value: the client that wrote it and the incarnation that it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// Number of the client, from 1.
    pub writer: u8,
    /// True if the key is deleted.
    pub absent: bool,
    pub incarnation: Incarnation,
}

impl Value for Content {
    fn absent() -> Self {
        Content {
            writer: 0,
            absent: true,
            incarnation: 0,
        }
    }

    fn is_absent(&self) -> bool {
        self.absent
    }

    fn folders(&self) -> Vec<FolderNeed> {
        Vec::new()
    }
}

/// A drive, the messages in flight to it, and its history for checks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// The gates, by incarnation.
    pub gates: BTreeMap<Incarnation, Gate>,
    /// The gates that a restart falls back to, where they differ; only under a mutant.
    pub durable: BTreeMap<Incarnation, Gate>,
    /// Number of times that it has lost its gates.
    pub life: u64,
    /// Answers about the bucket that are in flight to it, by the incarnation that it asked about.
    pub told: BTreeMap<Incarnation, (Question, Option<Bucket>)>,
    /// The key of its set, by incarnation.
    pub keys: BTreeMap<Incarnation, KeyState<Content>>,
    /// Writers whose Accept is in flight.
    pub accepts: Drives,
    /// Writers in whose ballots it voted.
    pub voted: Drives,
    /// The highest turn that it has listed its keys for, by incarnation.
    pub listed: BTreeMap<Incarnation, u64>,
}

/// Progress of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Not begun.
    Idle,
    /// It has read that the bucket exists, in this incarnation.
    Ready(Incarnation),
    /// Its Accepts are in flight.
    Voting,
    /// Its creation is in flight.
    Creating,
    /// Its deletion is in progress.
    Deleting {
        machine: Deletion<u8, Content>,
        /// A change of the bucket that is in flight.
        change: Option<Change>,
        /// The incarnation whose keys it checks before it begins.
        looking: Option<Incarnation>,
        /// The incarnation and turn that drives are asked to list their keys for.
        survey: Option<(Incarnation, u64)>,
    },
    /// Answered, or without further steps.
    Over,
}

/// A vote that a writer has proposed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    pub set: u8,
    pub incarnation: Incarnation,
    pub vote: Vote<Content>,
    /// The vote that it follows.
    pub prev: Vote<Content>,
    /// True if a majority of the drives has voted for it, at some moment.
    pub chosen: bool,
}

/// A state: the system that is checked, and the ledger that it is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub system: System,
    pub ledger: Ledger,
}

/// The system under test: the machines, the messages in flight, and the remaining faults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct System {
    /// The drives, by set.
    pub sets: Vec<Vec<Drive>>,
    /// The bucket's register.
    pub bucket: Option<Bucket>,
    /// The highest turn in which each incarnation was live.
    pub live: BTreeMap<Incarnation, u64>,
    /// The clients, by operation.
    pub clients: Vec<Client>,
    /// The proposals, by writer.
    pub proposals: BTreeMap<u8, Proposal>,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients.
    pub history: LinearizabilityTester<u8, Name>,
    pub broken: Violations<Rule>,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client begins.
    Invoke(u8),
    /// A writer runs its Prepare round on these drives and sends its Accept.
    Propose(u8, Drives),
    /// A writer that too few drives admit reads the bucket again, and calls off its deletion.
    CallOff(u8),
    /// A writer's Accept arrives at a drive of its set.
    Accept(u8, u8),
    /// A client's change of the bucket takes effect.
    Commit(u8),
    /// A deletion's first check sees the keys as they are.
    Look(u8),
    /// A deletion's first check finds the bucket empty, whatever is there.
    LookAway(u8),
    /// A deletion's survey arrives at a drive of a set.
    Survey(u8, u8, u8),
    /// A deletion goes on with the drives that have listed their keys.
    StragglerTimeout(u8),
    /// A drive asks about the bucket; the answer is in flight.
    Ask(u8, u8, Incarnation),
    /// The answer arrives.
    Answer(u8, u8, Incarnation),
    /// A drive loses its gates.
    Lose(u8, u8),
    /// A drive restarts.
    Boot(u8, u8),
}

impl Drive {
    /// Returns the gate of an incarnation's keys.
    pub fn gate(&mut self, incarnation: Incarnation) -> &mut Gate {
        self.gates.entry(incarnation).or_insert(Gate::new(None, self.life))
    }
}

impl System {
    pub fn drive(&self, set: u8, drive: u8) -> &Drive {
        &self.sets[usize::from(set)][usize::from(drive)]
    }

    /// Returns a drive for modification.
    pub fn drive_mut(&mut self, set: u8, drive: u8) -> &mut Drive {
        &mut self.sets[usize::from(set)][usize::from(drive)]
    }

    /// Returns the record that a drive would get if it asked about this incarnation now.
    fn would_tell(&self, incarnation: Incarnation) -> Record {
        let own = self.bucket.filter(|bucket| bucket.incarnation == incarnation);
        own.map_or(Record::Gone, |bucket| Record::At(bucket.turn, bucket.phase))
    }

    /// Returns whether a drive asks about the bucket: a writer waits for it, and the answer would be new.
    pub(super) fn would_ask(&self, world: &World, set: u8, drive: u8, incarnation: Incarnation) -> bool {
        let state = self.drive(set, drive);
        let gate = state.gates.get(&incarnation);
        let is_open = gate.is_some_and(|gate| gate.is_open(world.mutation));
        let waits = |client: &u8| match (&self.clients[usize::from(*client)], world.kinds[usize::from(*client)]) {
            (Client::Ready(of), Kind::Put(in_set) | Kind::Unput(in_set)) => *of == incarnation && in_set == set,
            _ => {
                let sent = self.proposals.get(client);
                state.accepts.contains(*client) && sent.is_some_and(|sent| sent.incarnation == incarnation)
            }
        };
        let told = state.told.get(&incarnation).map(|(_, bucket)| *bucket);
        let knows = gate.and_then(|gate| gate.record()) == Some(self.would_tell(incarnation));
        !is_open && !knows && told != Some(self.bucket) && (0..self.clients.len() as u8).any(|client| waits(&client))
    }
}
