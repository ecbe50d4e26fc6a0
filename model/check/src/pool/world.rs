//! The sets of all pools that a key may be in, clients and movers with their coordinators, and the network between
//! them, as a stateright model.
//!
//! Drives and coordinators are the server's own machines. Which pool a new key is created in is the client's choice,
//! and any. The reductions are those of [`crate::register`]'s world; moreover
//!
//! - data is staged on all drives of a set in one step, and never lost; a mover has copied what it found before its
//!   first ballot;
//! - a Prepare that a coordinator has left behind, because another set has told it enough, is forgotten too.

use super::content::{Content, write_of};
use super::order::sort_drives;
use super::rules::properties;
use crate::explore::Charted;
use crate::register::change::{Change, INITIAL, Key};
use crate::rules::{Broken, Seen};
use model::pool::mutant::{Mutant, Mutation};
use model::pool::{Answers, Coordinator, Event, Placed, Task};
use model::protocol::{Ballot, DriveState, Drives, Folder, KeyState, Register, Request, Value, Vote};
use stateright::semantics::LinearizabilityTester;
use stateright::{Model, Property};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client or a mover does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A client's change or read, and the pool that it would create the key in.
    Change(Change, u8),
    /// A move to a pool.
    Move(u8),
    /// Finishes or takes back what others left.
    Recover,
    /// Lets all drives forget the key.
    Purge,
}

/// What there is at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing was written.
    Nothing,
    /// A value in the first pool.
    Value,
    /// In the second pool a copy of a key that has been deleted and purged since.
    StaleCopy,
    /// The first pool has forwarded the key to its copy in the second.
    Forwarded,
    /// In the first pool a tombstone that is chosen, which no drive knows.
    Deleted,
}

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// N of each pool's set.
    pub sizes: Vec<u8>,
    /// The operations, one client each.
    pub jobs: Vec<Job>,
    /// What there is at the start, committed.
    pub start: Start,
    /// Ballots that each operation may use.
    pub rounds: Vec<u8>,
    /// How many faults there may be.
    pub faults: Faults,
    /// The break, if any.
    pub mutation: Mutation,
    /// Whether there is one.
    pub broken: bool,
    /// The occasions that arose in some state.
    pub seen: Seen,
}

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The drives, by pool.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The clients, by operation.
    pub clients: Vec<Arc<Client>>,
    /// What is left of the faults.
    pub faults: Faults,
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// Every vote that is chosen or may be, by pool and ballot.
    pub votes: BTreeMap<(u8, Ballot), Record>,
    /// The ballot under which each operation first proposed its change.
    pub born: Vec<Ballot>,
    /// Values that were the key's and are no more, by bit.
    pub gone: u16,
    /// The key's value.
    pub latest: u8,
    /// The rules that were broken.
    pub broken: Broken,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drives that lose power and restart.
    pub boots: u8,
    /// Coordinators that crash.
    pub crashes: u8,
    /// Answers that are lost.
    pub silences: u8,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    /// What it knows of itself.
    pub own: DriveState,
    /// What it holds of the key.
    pub key: KeyState<Placed<Content>>,
    /// The register on the media, where it lags behind.
    pub durable: Option<Register<Placed<Content>>>,
}

/// How far a client's operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not invoked.
    Idle,
    /// A plain read asks drives.
    Reading,
    /// Its coordinator runs.
    Running,
    /// Answered, crashed, or out of ballots.
    Over,
}

/// A client and its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// How far it is.
    pub stage: Stage,
    /// Ballots used.
    pub rounds: u8,
    /// Its coordinator.
    pub machine: Option<Coordinator<Content, Change>>,
    /// A plain read's.
    pub answers: Answers<Content>,
    /// What it sent and what did not arrive everywhere.
    pub mail: Vec<Mail>,
    /// A get's: the key was absent at some moment since it began.
    pub saw_absent: bool,
    /// Whether it was told how its operation ended.
    pub answered: bool,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// The pool that it goes to.
    pub pool: u8,
    /// The request.
    pub request: Request<Placed<Content>>,
    /// The drives that it has not reached.
    pub to: Drives,
}

/// A ballot's votes in one set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// What was voted for.
    pub value: Placed<Content>,
    /// What it follows.
    pub prev: Placed<Content>,
    /// Who voted.
    pub voters: Drives,
    /// Whether more than half of the set did.
    pub chosen: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation.
    Invoke(u8),
    /// Delivers one of a client's requests to a drive.
    Deliver {
        /// Client whose message it is.
        client: u8,
        /// Which of its requests.
        mail: u8,
        /// To which drive.
        drive: u8,
        /// Whether the answer comes back.
        answered: bool,
    },
    /// A coordinator goes on with what there is.
    Hurry(u8),
    /// A plain read asks a drive of a pool.
    Read(u8, u8, u8),
    /// A plain read answers, or turns to Prepare.
    Conclude(u8),
    /// A client's coordinator is gone.
    Crash(u8),
    /// A drive of a pool loses power and restarts.
    Boot(u8, u8),
}

impl State {
    /// A drive, to change it.
    pub fn drive(&mut self, pool: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(pool)][usize::from(drive)])
    }

    /// A client, to change it.
    pub fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// Returns how many drives of a pool hold a folder.
    pub fn holding(&self, pool: u8, folder: Folder) -> usize {
        let drives = self.sets[usize::from(pool)].iter();
        drives.filter(|drive| drive.key.folders.contains(&folder)).count()
    }

    /// Returns whether K shards of a value are in some set.
    pub fn is_readable(&self, value: &Content) -> bool {
        let mut pools = 0..self.sets.len() as u8;
        pools.any(|pool| self.holding(pool, value.folder()) >= usize::from(value.data()))
    }

    /// Returns what the highest chosen ballot of a pool carries.
    pub fn chosen_in(&self, pool: u8) -> Placed<Content> {
        let votes = self.votes.range((pool, Ballot::ZERO)..(pool + 1, Ballot::ZERO));
        let last = votes.rev().find(|(_, record)| record.chosen);
        last.map_or_else(Placed::absent, |(_, record)| record.value.clone())
    }

    /// The pools that the key is visible in: where it lives, or where a copy is that it was forwarded to.
    pub fn homes(&self) -> Vec<(u8, Content)> {
        let chosen: Vec<_> = (0..self.sets.len() as u8).map(|pool| self.chosen_in(pool)).collect();
        let value_in = |pool: u8, set: &Placed<Content>| match set {
            Placed::Here(value) if !value.absent => Some((pool, *value)),
            Placed::Incoming { copy, .. } => {
                let forward = Placed::Forward { to: pool, copy: *copy };
                chosen.contains(&forward).then_some((pool, *copy))
            }
            _ => None,
        };
        (0u8..)
            .zip(&chosen)
            .filter_map(|(pool, set)| value_in(pool, set))
            .collect()
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial_state()]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for (client, state) in (0u8..).zip(&s.clients) {
            self.client_actions(s, client, state, actions);
        }
        if s.faults.boots > 0 {
            for (pool, set) in (0u8..).zip(&s.sets) {
                let drives = (0u8..).zip(set);
                let touched = drives.filter(|(_, d)| !d.key.promised.is_zero() || d.durable.is_some());
                actions.extend(touched.map(|(drive, _)| Action::Boot(pool, drive)));
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
        self.asks(*action, None, &self.names())
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        self.line(last, &action, &mut self.names())
    }
}

impl World {
    /// The state after an action, its drives in the order that they were in.
    pub(super) fn unsorted(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Invoke(client) => self.invoke(&mut s, client),
            Action::Deliver {
                client,
                mail,
                drive,
                answered,
            } => {
                s.faults.silences -= u8::from(!answered);
                self.deliver(&mut s, client, usize::from(mail), drive, answered);
            }
            Action::Hurry(client) => {
                let before = s.clients[usize::from(client)].machine.clone();
                let effects = s.client(client).machine.as_mut()?.on(Event::Hurry);
                if effects.is_empty() && s.clients[usize::from(client)].machine == before {
                    return None;
                }
                self.carry_out(&mut s, client, effects);
            }
            Action::Read(client, pool, drive) => self.read(&mut s, client, pool, drive),
            Action::Conclude(client) => self.conclude(&mut s, client)?,
            Action::Crash(client) => {
                s.faults.crashes -= 1;
                self.leave(&mut s, client);
            }
            Action::Boot(pool, drive) => self.boot(&mut s, pool, drive),
        }
        self.settle(&mut s);
        self.judge(&mut s);
        Some(s)
    }

    /// The pools.
    pub fn pools(&self) -> impl Iterator<Item = u8> + use<> {
        0..self.sizes.len() as u8
    }

    /// A client's operation, if it changes or reads the key for somebody.
    pub fn change(&self, client: u8) -> Option<Change> {
        match &self.jobs[usize::from(client)] {
            Job::Change(change, _) => Some(*change),
            _ => None,
        }
    }

    /// Returns what its coordinator is to do. A mover copies what it finds.
    pub fn task(&self, client: u8, found: Option<Content>) -> Task<Content, Change> {
        match self.jobs[usize::from(client)].clone() {
            Job::Change(op, pool) => {
                let write = self.sizes.iter().map(|size| write_of(*size)).collect();
                Task::Change { op, pool, write }
            }
            Job::Move(to) => {
                let of = found.unwrap_or_else(Content::absent);
                Task::Move {
                    to,
                    of,
                    copy: self.copy_of(client, of, to),
                }
            }
            Job::Recover => Task::Recover,
            Job::Purge => Task::Purge,
        }
    }

    /// Returns what a mover makes of a value.
    fn copy_of(&self, client: u8, of: Content, to: u8) -> Content {
        let drives = self.sizes[usize::from(to)];
        let kept = of.absent || self.mutation.is(Mutant::FolderNamesKept);
        let copy = if kept { of.copy } else { client + 1 };
        Content { copy, drives, ..of }
    }

    /// Returns what is chosen at the start, by pool.
    fn first_values(&self) -> Vec<(u8, Placed<Content>)> {
        let of = Content {
            name: INITIAL,
            copy: 0,
            absent: false,
            drives: self.sizes[0],
        };
        let copy = self.copy_of(INITIAL, of, 1);
        let copied = (1, Placed::Incoming { copy, of });
        match self.start {
            Start::Nothing => Vec::new(),
            Start::Value => vec![(0, Placed::Here(of))],
            Start::StaleCopy => vec![copied],
            Start::Forwarded => vec![(0, Placed::Forward { to: 1, copy }), copied],
            Start::Deleted => vec![(0, Placed::Here(Content { absent: true, ..of }))],
        }
    }

    /// Returns what the tombstone of the start follows.
    fn deleted(&self) -> Vote<Placed<Content>> {
        let ballot = Ballot {
            node: 1,
            ..Ballot::ZERO
        };
        let value = Placed::Here(Content {
            name: INITIAL - 1,
            copy: 0,
            absent: false,
            drives: self.sizes[0],
        });
        Vote { ballot, value }
    }

    fn initial_state(&self) -> State {
        let first = Ballot {
            round: 1,
            ..Ballot::ZERO
        };
        let mut drive = Drive {
            own: DriveState::boot(0, if self.faults.boots > 0 { 0 } else { u64::MAX / 2 }),
            key: KeyState::empty(),
            durable: None,
        };
        drive.own.floor = Ballot::ZERO;
        let sets = self
            .sizes
            .iter()
            .map(|size| (0..*size).map(|_| Arc::new(drive.clone())).collect());
        let is_there = matches!(self.start, Start::Value | Start::Forwarded);
        let latest = if is_there { INITIAL } else { 0 };
        let client = Client {
            stage: Stage::Idle,
            rounds: 0,
            machine: None,
            answers: Vec::new(),
            mail: Vec::new(),
            saw_absent: false,
            answered: false,
        };
        let mut state = State {
            sets: sets.collect(),
            clients: self.jobs.iter().map(|_| Arc::new(client.clone())).collect(),
            faults: self.faults,
            history: LinearizabilityTester::new(Key(latest)),
            votes: BTreeMap::new(),
            born: vec![Ballot::ZERO; self.jobs.len()],
            gone: 0,
            latest,
            broken: Broken::default(),
        };
        for (pool, value) in self.first_values() {
            let vote = Vote {
                ballot: first,
                value: value.clone(),
            };
            let committed = self.start != Start::Deleted;
            let prev = if committed { vote.clone() } else { self.deleted() };
            if !committed {
                let record = chosen(prev.value.clone(), Placed::absent());
                state.votes.insert((pool, prev.ballot), record);
            }
            for drive in 0..self.sizes[usize::from(pool)] {
                let drive = state.drive(pool, drive);
                drive.own.hi = drive.own.hi.max(1);
                drive.key.register = Register {
                    committed,
                    ..Register::open(vote.clone(), prev.clone())
                };
                drive.key.folders.extend(value.value().map(|value| value.folder()));
            }
            state.votes.insert((pool, first), chosen(value, prev.value));
        }
        state
    }
}

fn chosen(value: Placed<Content>, prev: Placed<Content>) -> Record {
    Record {
        value,
        prev,
        voters: Drives::NONE,
        chosen: true,
    }
}
