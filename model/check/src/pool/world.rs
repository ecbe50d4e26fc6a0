//! The sets of all pools that a key may be in, clients and movers with their coordinators, and the network between
//! them, as a stateright model.
//!
//! Drives and coordinators are the server's own machines. A client may create a new key in any pool. The reductions are
//! those of [`crate::register`]'s world, and two more:
//!
//! - Data is staged on all drives of a set in one step and never lost; a mover has copied the value that it found
//!   before its first ballot.
//! - A Prepare that a coordinator no longer needs, because another set has answered enough, is dropped too.

use super::content::{Content, write_of};
use super::order::sort_drives;
use super::rules::{Occasion, Rule};
use super::state::{Action, Drive, Job, Ledger, Record, Start, State, System, World};
use crate::harness;
use crate::kit::drive::UNBOUNDED;
use crate::register::change::{Change, INITIAL, Key};
use crate::rules::{Seen, Violations};
use model::pool::mutant::Mutant;
use model::pool::{Event, Placed, Task};
use model::protocol::{Ballot, Register, Value, Vote};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let first = Ballot {
            round: 1,
            ..Ballot::ZERO
        };
        let drive = Drive::new(if self.faults.boots > 0 { 0 } else { UNBOUNDED });
        let sets = self
            .sizes
            .iter()
            .map(|size| (0..*size).map(|_| Arc::new(drive.clone())).collect());
        let is_there = matches!(self.start, Start::Value | Start::Forwarded);
        let latest = if is_there { INITIAL } else { 0 };
        let mut state = State {
            system: System {
                sets: sets.collect(),
                clients: self.jobs.iter().map(|_| Arc::default()).collect(),
                faults: self.faults,
            },
            ledger: Ledger {
                history: LinearizabilityTester::new(Key(latest)),
                votes: BTreeMap::new(),
                born: vec![Ballot::ZERO; self.jobs.len()],
                gone: 0,
                latest,
                broken: Violations::default(),
            },
        };
        for (pool, value) in self.first_values() {
            let vote = Vote {
                ballot: first,
                value: value.clone(),
            };
            let committed = self.start != Start::Deleted;
            let prev = if committed { vote.clone() } else { self.deleted() };
            if !committed {
                let record = Record::chosen(prev.value.clone(), Placed::absent());
                state.ledger.votes.insert((pool, prev.ballot), record);
            }
            for drive in 0..self.sizes[usize::from(pool)] {
                let drive = state.system.drive(pool, drive);
                drive.own.hi = drive.own.hi.max(1);
                drive.key.register = Register {
                    committed,
                    ..Register::open(vote.clone(), prev.clone())
                };
                drive.key.folders.extend(value.value().map(|value| value.folder()));
            }
            state
                .ledger
                .votes
                .insert((pool, first), Record::chosen(value, prev.value));
        }
        state
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        for (client, state) in (0u8..).zip(&s.system.clients) {
            self.client_actions(s, client, state, actions);
        }
        if s.system.faults.boots > 0 {
            for (pool, set) in (0u8..).zip(&s.system.sets) {
                let drives = (0u8..).zip(set);
                let touched = drives.filter(|(_, drive)| drive.has_volatile());
                actions.extend(touched.map(|(drive, _)| Action::Boot(pool, drive)));
            }
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Invoke(client) => self.invoke(&mut s, client),
            Action::Deliver {
                client,
                mail,
                drive,
                answered,
            } => {
                s.system.faults.silences -= u8::from(!answered);
                self.deliver(&mut s, client, usize::from(mail), drive, answered);
            }
            Action::StragglerTimeout(client) => {
                let before = s.system.clients[usize::from(client)].machine.clone();
                let effects = s.system.client(client).machine.as_mut()?.on(Event::StragglerTimeout);
                if effects.is_empty() && s.system.clients[usize::from(client)].machine == before {
                    return None;
                }
                self.apply_effects(&mut s, client, effects);
            }
            Action::Read(client, pool, drive) => self.read(&mut s, client, pool, drive),
            Action::Conclude(client) => self.conclude(&mut s, client)?,
            Action::Crash(client) => {
                s.system.faults.crashes -= 1;
                self.leave(&mut s, client);
            }
            Action::Boot(pool, drive) => self.boot(&mut s, pool, drive),
        }
        self.settle(&mut s);
        self.check_invariants(&mut s);
        Some(s)
    }

    fn canonical(&self, mut s: State) -> State {
        sort_drives(&mut s);
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
    pub fn pools(&self) -> Range<u8> {
        0..self.sizes.len() as u8
    }

    /// Returns a client's operation, unless it is a move, a recovery or a purge.
    pub fn change(&self, client: u8) -> Option<Change> {
        match &self.jobs[usize::from(client)] {
            Job::Change(change, _) => Some(*change),
            _ => None,
        }
    }

    /// Returns the task of a client's coordinator. A move copies the value that was found.
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

    /// Returns a mover's copy of a value.
    fn copy_of(&self, client: u8, of: Content, to: u8) -> Content {
        let drives = self.sizes[usize::from(to)];
        let kept = of.absent || self.mutation.is(Mutant::FolderNamesKept);
        let copy = if kept { of.copy } else { client + 1 };
        Content { copy, drives, ..of }
    }

    /// Returns the initially chosen values, by pool.
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

    /// Returns the vote that the initial tombstone follows.
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
}
