//! A set of drives, clients with their coordinators and the network between them, as a stateright model.
//!
//! Drives and coordinators are the server's own machines. Their environment is reduced where an argument shows that no
//! behaviour is lost:
//!
//! - A request may be lost, delayed and reordered without bound: it stays in the sender's `mail` until it is
//!   delivered, if ever. So an operation in effect begins with the delivery of its first Prepare: one step invokes
//!   it, stages its shards and issues its first ballot; later ballots are issued at once.
//! - A reply comes back at once or never. On a reply a coordinator only sends requests, which may be delayed, or
//!   answers its client; for the client's history the earlier answer is the stricter case.
//! - A Prepare or Fence of a round that its coordinator has left is dropped: it could only make a drive refuse
//!   messages that might as well be lost.
//! - A request that a drive will always refuse, because promises only rise, is refused at once: no other reply
//!   to it is possible.
//! - The ledger drops ballots that can no longer be chosen.

use super::change::{Change, Content, INITIAL, Key};
use super::order::sort_drives;
use super::rules::{Occasion, Rule};
use super::state::{Action, Drive, Ledger, Record, State, System, World};
use crate::harness::{self, Checked};
use crate::kit::drive::UNBOUNDED;
use crate::rules::{Seen, Violations};
use model::protocol::{Ballot, Drives, Event, Folder, Register, Value, Vote};
use stateright::Property;
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let value = Content {
            name: INITIAL,
            absent: false,
            data: self.changes[0].data,
            write: self.changes[0].write,
            holders: Drives::all(self.drives),
        };
        let first = Ballot {
            round: 1,
            ..Ballot::ZERO
        };
        let mut drive = Drive::new(if self.faults.need_hi() { 0 } else { UNBOUNDED });
        let mut votes = BTreeMap::new();
        if self.initial {
            drive.own.hi = drive.own.hi.max(1);
            let vote = Vote { ballot: first, value };
            drive.key.register = Register::committed(vote);
            drive.key.folders.insert(Folder::from(INITIAL));
            drive.past.voted = 1 << INITIAL;
            votes.insert(first, Record::chosen(value, Content::absent()));
        }
        State {
            system: System {
                drives: (0..self.drives).map(|_| Arc::new(drive.clone())).collect(),
                clients: self.changes.iter().map(|_| Arc::default()).collect(),
                holders: vec![Drives::NONE; self.changes.len()],
                faults: self.faults,
            },
            ledger: Ledger {
                history: LinearizabilityTester::new(Key(if self.initial { INITIAL } else { 0 })),
                votes,
                acked: Ballot::ZERO,
                acks: 0,
                purged: Ballot::ZERO,
                acked_by: Vec::new(),
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        for (client, state) in s.system.clients.iter().enumerate() {
            if !self.is_rescuer(client as u8) {
                self.client_actions(s, client as u8, state, actions);
            }
        }
        for (drive, state) in s.system.drives.iter().enumerate() {
            let drive = drive as u8;
            if s.system.faults.boots > 0 && state.has_volatile() {
                actions.push(Action::Boot(drive));
            }
            self.recovery_actions(s, drive, state, actions);
            if s.system.faults.losses > 0 {
                actions.extend(state.key.folders.iter().map(|folder| Action::Lose(drive, *folder)));
            }
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Invoke(client, staged) => self.invoke(&mut s, client, staged),
            Action::Deliver {
                client,
                mail,
                drive,
                answered,
            } => {
                s.system.faults.silences -= u8::from(!answered);
                self.deliver(&mut s, client, usize::from(mail), drive, answered);
            }
            Action::Double { client, mail, drive } => {
                s.system.faults.doubles -= 1;
                self.deliver(&mut s, client, usize::from(mail), drive, true);
            }
            Action::StragglerTimeout(client) => {
                let effects = s.system.client(client).machine.as_mut()?.on(Event::StragglerTimeout);
                if effects.is_empty()
                    && s.system.clients[usize::from(client)]
                        .machine
                        .as_ref()?
                        .outcome()
                        .is_none()
                {
                    return None;
                }
                self.apply_effects(&mut s, client, effects, false);
            }
            Action::Read(client, drive) => self.read(&mut s, client, drive),
            Action::Open(client, drive) => self.open(&mut s, client, drive),
            Action::Conclude(client) => self.conclude(&mut s, client)?,
            Action::Crash(client) => {
                s.system.faults.crashes -= 1;
                self.leave(&mut s, client);
            }
            Action::Deadline(client) => {
                s.system.faults.deadlines -= 1;
                let effects = s.system.client(client).machine.as_mut()?.on(Event::Deadline);
                self.apply_effects(&mut s, client, effects, false);
            }
            Action::Fail(client, drive) => {
                s.system.faults.failures -= 1;
                self.fail(&mut s, client, drive);
            }
            Action::Boot(drive) => self.boot(&mut s, drive),
            Action::Wipe(drive) => self.wipe(&mut s, drive),
            Action::Rot(drive) => self.rot(&mut s, drive),
            Action::Join(drive, told) => self.join(&mut s, drive, told)?,
            Action::Fence(drive, other) => self.fence(&mut s, drive, other),
            Action::Scan(drive, other) => self.scan(&mut s, drive, other)?,
            Action::Lose(drive, folder) => {
                s.system.faults.losses -= 1;
                let latest = s.ledger.latest();
                if s.ledger.acks > 0 && Folder::from(latest.name) == folder {
                    self.seen.see(Occasion::AckedAndLost);
                }
                s.system.drive(drive).key.folders.remove(&folder);
            }
        }
        self.settle(&mut s);
        s.ledger.judge_losses(self, last, &s.system);
        s.ledger.check_invariants(self, &s.system);
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

    fn judgements(&self) -> Vec<Property<Checked<World>>> {
        if self.rescues {
            World::rescues().into()
        } else {
            Vec::new()
        }
    }
}

impl World {
    pub fn change(&self, client: u8) -> Change {
        self.changes[usize::from(client)]
    }
}
