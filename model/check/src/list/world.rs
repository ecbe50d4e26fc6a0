//! Sets of drives that hold several keys each, writers with their coordinators, and a client that lists all keys.
//!
//! Drives, coordinators and the merging of pages are the server's own machines. Their environment is reduced as in the
//! world of the register: a request may be lost, delayed and reordered without bound, so it stays in the sender's mail
//! until it is delivered, if ever; a reply comes back at once or never. A page that arrives late might as well have
//! been requested late. All drives have all shards: losses are explored in the register's world.

use super::order::sort_drives;
use super::rules::{Occasion, Rule};
use super::state::{Action, Client, Drive, Ledger, Listing, Spec, Stage, Start, State, System, Throughout, World};
use crate::harness;
use crate::kit::drive::{UNBOUNDED, fresh};
use crate::register::change::{Change, Content, INITIAL, Key, Kind};
use crate::rules::{Seen, Violations};
use model::list::Span;
use model::protocol::{Ballot, DriveState, Drives, Folder, KeyState, Quorums, Recovering, Register, Value, Vote};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the initial delete of a key.
const TOMBSTONE: u8 = INITIAL + 1;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
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
            system: System {
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
                crashes: self.crashes,
            },
            ledger: Ledger {
                histories: self
                    .keys
                    .iter()
                    .map(|key| LinearizabilityTester::new(Key(initial(key.start))))
                    .collect(),
                throughout: vec![Throughout::default(); self.keys.len()],
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        self.possible(s, actions);
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.act(&mut s, action)?;
        Some(s)
    }

    fn canonical(&self, mut s: State) -> State {
        sort_drives(self, &mut s);
        s
    }

    fn broken(&self, s: &State) -> Violations<Rule> {
        s.ledger.broken
    }

    fn seen(&self) -> &Seen<Occasion> {
        &self.seen
    }
}

impl World {
    /// Returns the number of sets.
    pub(super) fn sets(&self) -> u8 {
        self.keys.iter().map(|key| key.set).max().map_or(0, |set| set + 1)
    }

    /// Returns the place of a key and its initial content.
    pub fn spec(&self, key: u8) -> Spec {
        self.keys[usize::from(key) - 1]
    }

    /// Returns all keys.
    pub fn every_key(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.keys.len() as u8
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
        let mut own = DriveState {
            epoch: u64::from(self.recovering.is_some()),
            ..fresh(UNBOUNDED)
        };
        if recovering.is_some() {
            own = DriveState {
                hi: UNBOUNDED,
                ..DriveState::joined(1)
            };
        }
        let mut keys = BTreeMap::new();
        for key in self.every_key().filter(|key| self.spec(*key).set == set) {
            let start = self.spec(key).start;
            let state = match &recovering {
                Some(recovering) if !recovering.knows(&key, false) => KeyState::lost(),
                // The keys that it knows were installed.
                Some(_) => self.healed(start),
                None => self.held(start, drive),
            };
            keys.insert(key, state);
        }
        Drive { own, keys, recovering }
    }

    /// Returns the initial state of a key on a drive.
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

    /// Returns the state of a key on a drive that has all chosen votes.
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
