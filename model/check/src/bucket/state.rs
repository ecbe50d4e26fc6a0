//! What there is: the bounds of a run, its state, and what may happen.

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
    /// How many sets.
    pub sets: u8,
    /// N, of each set.
    pub drives: u8,
    /// The operations, one client each.
    pub kinds: Vec<Kind>,
    /// Whether the drives know of the first incarnation when it begins.
    pub warm: bool,
    /// How many faults there may be.
    pub faults: Faults,
    /// What deletions think that Q is.
    pub survey: Quorums,
    /// Whether the registers of keys carry the incarnation in their names.
    pub named: bool,
    /// The break, if any.
    pub mutation: Mutation,
    /// The occasions that arose in some state.
    pub seen: Seen<Occasion>,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drives that lose their gates.
    pub losses: u8,
    /// Drives that restart.
    pub boots: u8,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Put the key of this set.
    Put(u8),
    /// Delete the key of this set.
    Unput(u8),
    /// Create the bucket.
    Create,
    /// Delete the bucket.
    Delete,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// It is done.
    Done,
    /// The bucket is not there.
    NoSuchBucket,
    /// The bucket is there.
    Exists,
    /// The bucket holds something.
    NotEmpty,
    /// Not done, and it never will be.
    Unavailable,
}

/// A bucket as clients see it: none, or the sets whose keys are there.
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

/// A key's value: the client that wrote it and the incarnation that it wrote it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// From 1.
    pub writer: u8,
    /// Whether it hides the key.
    pub absent: bool,
    /// Where it was meant for.
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

/// A drive, what is on its way to it, and what is known of its past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// By incarnation.
    pub gates: BTreeMap<Incarnation, Gate>,
    /// What a restart falls back to, where it differs (a break).
    pub durable: BTreeMap<Incarnation, Gate>,
    /// How often it has lost its gates.
    pub life: u64,
    /// Answers about the bucket on their way to it, by the incarnation that it asked for.
    pub told: BTreeMap<Incarnation, (Question, Option<Bucket>)>,
    /// By incarnation, the key of its set.
    pub keys: BTreeMap<Incarnation, KeyState<Content>>,
    /// Writers whose Accept is on its way.
    pub accepts: Drives,
    /// Writers in whose ballot it voted.
    pub voted: Drives,
    /// The highest turn of each incarnation that it has listed for.
    pub listed: BTreeMap<Incarnation, u64>,
}

/// How far a client is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Not begun.
    Idle,
    /// It has read that the bucket is there, in this incarnation.
    Ready(Incarnation),
    /// Its votes are on their way.
    Voting,
    /// Its creation is on its way.
    Creating,
    /// Its deletion.
    Deleting {
        /// The machine.
        machine: Deletion<u8, Content>,
        /// A change of the bucket that is on its way.
        change: Option<Change>,
        /// The bucket whose keys it looks at.
        looking: Option<Incarnation>,
        /// What drives are asked to list for.
        survey: Option<(Incarnation, u64)>,
    },
    /// Answered, or it does nothing more.
    Over,
}

/// A ballot's vote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// The set.
    pub set: u8,
    /// The bucket.
    pub incarnation: Incarnation,
    /// The vote.
    pub vote: Vote<Content>,
    /// What it follows.
    pub prev: Vote<Content>,
    /// Whether more than half of the drives have voted for it, at some moment.
    pub chosen: bool,
}

/// All that there is at one moment: what is judged, and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The system.
    pub system: System,
    /// The books.
    pub ledger: Ledger,
}

/// What is judged: machines, what is between them, and what may yet befall them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct System {
    /// By set.
    pub sets: Vec<Vec<Drive>>,
    /// The bucket's register.
    pub bucket: Option<Bucket>,
    /// By incarnation, the highest turn in which it was live.
    pub live: BTreeMap<Incarnation, u64>,
    /// The clients, by operation.
    pub clients: Vec<Client>,
    /// By writer.
    pub proposals: BTreeMap<u8, Proposal>,
    /// What is left of the faults.
    pub faults: Faults,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Name>,
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client begins.
    Invoke(u8),
    /// A writer has its Prepare round on these drives and sends its Accept.
    Propose(u8, Drives),
    /// A writer that drives refuse reads the bucket anew, and calls a deletion off.
    CallOff(u8),
    /// A writer's Accept arrives at a drive of its set.
    Accept(u8, u8),
    /// A client's change of the bucket takes effect.
    Commit(u8),
    /// A deletion looks at the bucket as it is.
    Look(u8),
    /// A deletion has looked, and goes on.
    LookAway(u8),
    /// A deletion's survey arrives at a drive of a set.
    Survey(u8, u8, u8),
    /// A deletion goes on with the drives that have listed.
    StragglerTimeout(u8),
    /// A drive's question about the bucket is answered; the answer is on its way.
    Ask(u8, u8, Incarnation),
    /// The answer arrives.
    Answer(u8, u8, Incarnation),
    /// A drive loses its gates.
    Lose(u8, u8),
    /// A drive restarts.
    Boot(u8, u8),
}

impl Drive {
    /// Its gate before the keys of an incarnation.
    pub fn gate(&mut self, incarnation: Incarnation) -> &mut Gate {
        self.gates.entry(incarnation).or_insert(Gate::new(None, self.life))
    }
}

impl System {
    /// A drive.
    pub fn drive(&self, set: u8, drive: u8) -> &Drive {
        &self.sets[usize::from(set)][usize::from(drive)]
    }

    /// A drive, to change it.
    pub fn drive_mut(&mut self, set: u8, drive: u8) -> &mut Drive {
        &mut self.sets[usize::from(set)][usize::from(drive)]
    }

    /// Returns what a drive has read if it asks for the bucket of this incarnation now.
    fn would_tell(&self, incarnation: Incarnation) -> Record {
        let own = self.bucket.filter(|bucket| bucket.incarnation == incarnation);
        own.map_or(Record::Gone, |bucket| Record::At(bucket.turn, bucket.phase))
    }

    /// Returns whether a drive asks, for the sake of some writer, and would learn something.
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
