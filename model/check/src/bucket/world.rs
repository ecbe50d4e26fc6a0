//! Sets of drives with their gates, a bucket's register, and clients that write keys and create and delete the bucket.
//!
//! Reduced where an argument says that no behaviour is lost:
//!
//! - Messages are lost, delayed and reordered without bound: what is sent lies with its drive until it is delivered,
//!   if ever. A client that never goes on has crashed.
//! - An answer comes back at once or never.
//! - A set has one key of each incarnation. A writer's Prepare round is one step, on any Q or on all of the drives
//!   that let it in: what rivals do in between is the register's world to explore. So each writer votes in one ballot.
//! - A writer that finds something to be carried on carries it on, and ends.
//! - The first look of a deletion is one step, and a deletion may go on whatever it saw.
//! - A drive asks for the bucket only while a writer is there, and only if the answer says what it does not know.

use super::order::sort_drives;
use super::rules::{Occasion, properties};
use crate::explore::Charted;
use crate::rules::{Broken, Seen};
use model::bucket::mutant::Mutation;
use model::bucket::{Bucket, Change, Deletion, Gate, Incarnation, Phase, Question, Record};
use model::protocol::{Drives, FolderNeed, KeyState, Quorums, Value, Vote};
use stateright::semantics::{LinearizabilityTester, SequentialSpec};
use stateright::{Model, Property};
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
    pub seen: Seen,
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

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
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
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Name>,
    /// The rules that were broken.
    pub broken: Broken,
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
    Hurry(u8),
    /// A drive's question about the bucket is answered; the answer is on its way.
    Ask(u8, u8, Incarnation),
    /// The answer arrives.
    Answer(u8, u8, Incarnation),
    /// A drive loses its gates.
    Lose(u8, u8),
    /// A drive restarts.
    Boot(u8, u8),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let record = self.warm.then_some(Record::At(0, Phase::Live));
        let drive = Drive {
            gates: BTreeMap::from([(FIRST, Gate::new(record, 0))]),
            durable: BTreeMap::new(),
            life: 0,
            told: BTreeMap::new(),
            keys: BTreeMap::new(),
            accepts: Drives::NONE,
            voted: Drives::NONE,
            listed: BTreeMap::new(),
        };
        vec![State {
            sets: vec![vec![drive; usize::from(self.drives)]; usize::from(self.sets)],
            bucket: Some(Bucket {
                incarnation: FIRST,
                turn: 0,
                phase: Phase::Live,
            }),
            live: BTreeMap::from([(FIRST, 0)]),
            clients: vec![Client::Idle; self.kinds.len()],
            proposals: BTreeMap::new(),
            faults: self.faults,
            history: LinearizabilityTester::new(Name(Some(BTreeSet::new()))),
            broken: Broken::default(),
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for client in 0..self.kinds.len() as u8 {
            self.client_actions(s, client, actions);
        }
        for (set, drive) in self.places() {
            let state = s.drive(set, drive);
            let incarnations = s.live.keys().copied();
            let asks = incarnations.filter(|incarnation| s.would_ask(self, set, drive, *incarnation));
            actions.extend(asks.map(|incarnation| Action::Ask(set, drive, incarnation)));
            actions.extend(
                state
                    .told
                    .keys()
                    .map(|incarnation| Action::Answer(set, drive, *incarnation)),
            );
            if s.faults.losses > 0 && state.gates.values().any(|gate| gate.record().is_some()) {
                actions.push(Action::Lose(set, drive));
            }
            if s.faults.boots > 0 && !(state.durable.is_empty() && state.told.is_empty()) {
                actions.push(Action::Boot(set, drive));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = self.unsorted(last, action)?;
        sort_drives(&mut s);
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }

    fn format_action(&self, action: &Action) -> String {
        self.asks(*action, &self.names())
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        self.line(last, &action, &mut self.names())
    }
}

impl Drive {
    /// Its gate before the keys of an incarnation.
    pub fn gate(&mut self, incarnation: Incarnation) -> &mut Gate {
        self.gates.entry(incarnation).or_insert(Gate::new(None, self.life))
    }
}

impl State {
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
    fn would_ask(&self, world: &World, set: u8, drive: u8, incarnation: Incarnation) -> bool {
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

impl World {
    /// The state after an action, its drives in the order that they were in.
    pub(super) fn unsorted(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.step(&mut s, action)?;
        self.forget_spent(&mut s);
        let closed = s.bucket.is_some_and(|bucket| bucket.phase == Phase::Deleting);
        if closed {
            self.see(Occasion::Abandoned);
            self.rescue(&mut s);
        }
        Some(s)
    }

    /// All drives, by set.
    pub(super) fn places(&self) -> impl Iterator<Item = (u8, u8)> {
        let drives = self.drives;
        (0..self.sets).flat_map(move |set| (0..drives).map(move |drive| (set, drive)))
    }

    /// The drives do not know of the bucket when it begins.
    #[must_use]
    pub fn cold(self) -> World {
        World { warm: false, ..self }
    }

    /// The bounds in words: sets x drives and the operations by letter.
    #[must_use]
    pub fn bounds(&self) -> String {
        let letter = |kind: &Kind| match kind {
            Kind::Put(0) => 'p',
            Kind::Put(_) => 'q',
            Kind::Unput(_) => 'u',
            Kind::Create => 'c',
            Kind::Delete => 'd',
        };
        let kinds: String = self.kinds.iter().map(letter).collect();
        let mut words = format!("{}x{} {kinds}", self.sets, self.drives);
        words += &crate::explore::departures(&[
            (u8::from(!self.warm), "cold"),
            (self.faults.losses, "losses"),
            (self.faults.boots, "boots"),
        ]);
        words
    }
}

/// A world: sets, N and the operations by letter: p and q put the key of the first and of the second set, u deletes the
/// first one, c creates and d deletes the bucket.
///
/// # Panics
/// If there is no such operation.
#[must_use]
pub fn world(sets: u8, drives: u8, kinds: &str, faults: Faults) -> World {
    let kind = |letter| match letter {
        'p' => Kind::Put(0),
        'q' => Kind::Put(1),
        'u' => Kind::Unput(0),
        'c' => Kind::Create,
        'd' => Kind::Delete,
        _ => panic!("no operation {letter}"),
    };
    World {
        sets,
        drives,
        kinds: kinds.chars().map(kind).collect(),
        warm: true,
        faults,
        survey: Quorums::of(drives),
        named: true,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}
