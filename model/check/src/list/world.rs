//! Sets of drives that hold several keys each, writers with their coordinators, and a client that lists all keys.
//!
//! Drives, coordinators and what puts pages together are the server's own machines. What surrounds them is reduced as
//! in the world of the register: a request may be lost, delayed and reordered without bound, so it lies in the
//! sender's mail until it is delivered, if ever; an answer comes back at once or never. A page that comes late might as
//! well have been asked for late. Shards are on all drives: losses are the register's world to explore.

use super::order::sort_drives;
use super::rules::properties;
use crate::explore::Charted;
use crate::register::change::{Change, Content, INITIAL, Key, Kind, Told};
use crate::rules::{Broken, Seen};
use model::list::Span;
use model::list::mutant::Mutation;
use model::protocol::mutant::Mutation as RegisterMutation;
use model::protocol::{
    Ballot, Coordinator, DriveState, Drives, Folder, KeyState, Quorums, Recovering, Register, Request, Snapshot, Value,
    Vote,
};
use stateright::semantics::LinearizabilityTester;
use stateright::{Model, Property};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the delete that a key starts with.
const TOMBSTONE: u8 = INITIAL + 1;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// N of each set.
    pub drives: u8,
    /// K of every value.
    pub data: u8,
    /// The keys in their order, named from 1.
    pub keys: Vec<Spec>,
    /// What is done to which key, a client each.
    pub ops: Vec<(Kind, u8)>,
    /// How many keys a page has.
    pub limit: usize,
    /// Ballots that an operation may use.
    pub rounds: u8,
    /// How many writers may crash.
    pub crashes: u8,
    /// If the last drive of the first set has lost everything: what it has gone past since, and what it does not know
    /// of that.
    pub recovering: Option<(u8, Vec<u8>)>,
    /// What the listing takes for the quorums.
    pub quorums: Quorums,
    /// The break of listings, if any.
    pub mutation: Mutation,
    /// The break of the register, if any.
    pub register_mutation: RegisterMutation,
    /// The occasions that arose in some state.
    pub seen: Seen,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The set that has it.
    pub set: u8,
    /// How it starts.
    pub start: Start,
}

/// How a key starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Never written.
    Never,
    /// Put, and known to be chosen on all drives but this one, which missed it.
    Put(Option<u8>),
    /// Put on A drives; none of them knows that it is chosen.
    Open,
    /// Put, then deleted; the last drive has not heard of the delete.
    Deleted,
}

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The drives, by set.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The writers, by operation; then the listing's own reads.
    pub clients: Vec<Arc<Client>>,
    /// The listing.
    pub listing: Listing,
    /// What clients asked and were told, by key.
    pub histories: Vec<LinearizabilityTester<u8, Key>>,
    /// Which keys were there, and which were not, at every moment since the listing began.
    pub throughout: Vec<Throughout>,
    /// How many writers may still crash.
    pub crashes: u8,
    /// The rules that were broken, by bit.
    pub broken: Broken,
}

/// Whether a key was there or not at every moment of the listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Throughout {
    /// It was there.
    pub present: bool,
    /// It was not.
    pub absent: bool,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    /// What it knows of itself.
    pub own: DriveState,
    /// What it holds of each of its set's keys.
    pub keys: BTreeMap<u8, KeyState<Content>>,
    /// How far it has come, if it has lost everything and joined again.
    pub recovering: Option<Recovering<u8>>,
}

/// A client's operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it asks for.
    pub change: Change,
    /// Of which key.
    pub key: u8,
    /// Whether it was invoked.
    pub invoked: bool,
    /// What it was told.
    pub told: Option<Told>,
    /// Ballots used.
    pub rounds: u8,
    /// Its coordinator, while it runs.
    pub machine: Option<Coordinator<Content, Change>>,
    /// What it sent and what did not arrive everywhere.
    pub mail: Vec<Mail>,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// The key that it is about.
    pub key: u8,
    /// The request.
    pub request: Request<Content>,
    /// The drives that it has not reached.
    pub to: Drives,
}

/// A page, as its drive gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The keys, and what the drive says of each.
    pub rows: Vec<(u8, Snapshot<Content>)>,
    /// How far it speaks.
    pub span: Span<u8>,
}

/// How far a listing is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// What it does.
    pub stage: Stage,
    /// The marker.
    pub after: Option<u8>,
    /// The pages behind the marker, by set and drive.
    pub pages: Vec<BTreeMap<u8, Page>>,
    /// The keys that it has listed, with the names of their values.
    pub found: Vec<(u8, u8)>,
    /// How many of them were found on the pages before.
    pub page_begins: usize,
    /// The keys of these pages that have yet to be read alone.
    pub asked: Vec<u8>,
    /// How far these pages speak, once they were put together.
    pub span: Span<u8>,
}

/// What a listing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It has not begun.
    Idle,
    /// It asks drives for pages.
    Paging,
    /// It reads the first of the keys on which the pages cannot decide.
    Reading,
    /// It has answered, or given up.
    Over,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation, its shards staged: these drives promise, and answer a read.
    Invoke(u8, Drives),
    /// Delivers one of a client's requests to a drive of its key's set.
    Deliver {
        /// Client whose message it is.
        client: u8,
        /// Which of its requests.
        mail: u8,
        /// To which drive.
        drive: u8,
    },
    /// A writer's coordinator is gone.
    Crash(u8),
    /// Begins the listing.
    Begin,
    /// A drive of a set gives its page.
    Page(u8, u8),
    /// These drives answer what the listing asks about a key alone.
    ReadAlone(Drives),
}

impl State {
    /// A drive.
    pub fn drive(&self, set: u8, drive: u8) -> &Drive {
        &self.sets[usize::from(set)][usize::from(drive)]
    }

    /// A drive, to change it.
    pub fn drive_mut(&mut self, set: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(set)][usize::from(drive)])
    }

    /// A client.
    pub fn client(&self, client: u8) -> &Client {
        &self.clients[usize::from(client)]
    }

    /// A client, to change it.
    pub fn client_mut(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// The client that reads for the listing.
    pub fn reader(&self) -> u8 {
        self.clients.len() as u8 - 1
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial_state()]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        self.possible(s, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = self.unsorted(last, action)?;
        sort_drives(self, &mut s);
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
        self.step(&mut s, action)?;
        Some(s)
    }

    /// Returns how many sets there are.
    pub(super) fn sets(&self) -> u8 {
        self.keys.iter().map(|key| key.set).max().map_or(0, |set| set + 1)
    }

    /// A key's place.
    pub fn spec(&self, key: u8) -> Spec {
        self.keys[usize::from(key) - 1]
    }

    /// Every key.
    pub fn every_key(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.keys.len() as u8
    }

    fn initial_state(&self) -> State {
        let sets = self.sets();
        let change = |(kind, index): (Kind, usize)| Change {
            name: index as u8 + 1,
            kind,
            data: self.data,
            write: self.write(),
            shards_late: 0,
        };
        let read = (Kind::PreparedGet, 0);
        let clients = self.ops.iter().chain(std::iter::once(&read)).enumerate();
        let client = |(index, (kind, key)): (usize, &(Kind, u8))| {
            Arc::new(Client {
                change: change((*kind, index)),
                key: *key,
                invoked: false,
                told: None,
                rounds: 0,
                machine: None,
                mail: Vec::new(),
            })
        };
        let initial = |start| match start {
            Start::Put(_) | Start::Open => INITIAL,
            Start::Never | Start::Deleted => 0,
        };
        State {
            sets: (0..sets)
                .map(|set| {
                    (0..self.drives)
                        .map(|drive| Arc::new(self.initial_drive(set, drive)))
                        .collect()
                })
                .collect(),
            clients: clients.map(client).collect(),
            listing: Listing {
                stage: Stage::Idle,
                after: None,
                pages: vec![BTreeMap::new(); usize::from(sets)],
                found: Vec::new(),
                page_begins: 0,
                asked: Vec::new(),
                span: Span::Nothing,
            },
            histories: self
                .keys
                .iter()
                .map(|key| LinearizabilityTester::new(Key(initial(key.start))))
                .collect(),
            throughout: vec![Throughout::default(); self.keys.len()],
            crashes: self.crashes,
            broken: Broken::default(),
        }
    }

    fn initial_drive(&self, set: u8, drive: u8) -> Drive {
        let past = self
            .recovering
            .as_ref()
            .filter(|_| set == 0 && drive == self.drives - 1);
        let recovering = past.map(|(cursor, unknown)| {
            let mut recovering = Recovering::new(1);
            recovering.pass(*cursor, unknown.iter().copied());
            recovering
        });
        let mut own = DriveState::boot(u64::from(self.recovering.is_some()), u64::MAX / 2);
        own.floor = Ballot::ZERO;
        if recovering.is_some() {
            own = DriveState {
                hi: u64::MAX / 2,
                ..DriveState::joined(1)
            };
        }
        let mut keys = BTreeMap::new();
        for key in self.every_key().filter(|key| self.spec(*key).set == set) {
            let start = self.spec(key).start;
            let state = match &recovering {
                Some(recovering) if !recovering.knows(&key, false) => KeyState::lost(),
                // What it knows was installed.
                Some(_) => self.healed(start),
                None => self.held(start, drive),
            };
            keys.insert(key, state);
        }
        Drive { own, keys, recovering }
    }

    /// Returns what a drive holds of a key that starts so.
    fn held(&self, start: Start, drive: u8) -> KeyState<Content> {
        let has = match start {
            Start::Never => false,
            Start::Put(missed) => missed != Some(drive),
            Start::Open => drive < Quorums::of(self.drives).accept,
            Start::Deleted => return self.deleted(drive + 1 < self.drives),
        };
        if !has {
            return KeyState::empty();
        }
        let mut key = self.healed(start);
        if start == Start::Open {
            key.register.prev = Vote::absent();
            key.register.committed = false;
        }
        key
    }

    /// Returns what a drive holds that has all that is chosen.
    fn healed(&self, start: Start) -> KeyState<Content> {
        let mut key = KeyState::empty();
        match start {
            Start::Never => {}
            Start::Deleted => return self.deleted(true),
            Start::Put(_) | Start::Open => {
                let value = Content {
                    name: INITIAL,
                    absent: false,
                    data: self.data,
                    write: self.write(),
                    holders: Drives::all(self.drives),
                };
                key.register = committed(1, value);
                key.folders.insert(Folder::from(INITIAL));
            }
        }
        key
    }

    fn deleted(&self, heard: bool) -> KeyState<Content> {
        let mut key = self.healed(Start::Put(None));
        if heard {
            let tombstone = Content {
                name: TOMBSTONE,
                ..Content::absent()
            };
            key.register = committed(2, tombstone);
            key.folders.clear();
        }
        key
    }
}

fn committed(round: u64, value: Content) -> Register<Content> {
    Register::committed(Vote {
        ballot: Ballot { round, ..Ballot::ZERO },
        value,
    })
}
