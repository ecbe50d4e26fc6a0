//! Sets of drives with their gates, a bucket's register, and clients that write keys and create and delete the bucket.
//!
//! Reduced where an argument shows that no behaviour is lost:
//!
//! - Messages are lost, delayed and reordered without bound: they stay with the receiving drive until they are
//!   delivered, if ever. A client without further steps has crashed.
//! - A reply comes back at once or never.
//! - A set has one key of each incarnation. A writer's Prepare round is one step, on all of the drives that admit
//!   it or any Q of them: contention is explored in the register's world. So each writer votes in one ballot.
//! - A writer that finds an undecided value repeats it, and ends.
//! - The first check of a deletion is one step, and the deletion may go on whatever it saw.
//! - A drive asks about the bucket only while a writer is there, and only if the answer would be new.

use super::order::sort_drives;
use super::rules::{Occasion, Rule};
use super::state::{Action, Client, Drive, FIRST, Ledger, Name, State, System, World};
use crate::harness;
use crate::rules::{Seen, Violations};
use model::bucket::{Bucket, Gate, Phase, Record};
use model::protocol::Drives;
use stateright::semantics::LinearizabilityTester;
use std::collections::{BTreeMap, BTreeSet};

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
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
        State {
            system: System {
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
            },
            ledger: Ledger {
                history: LinearizabilityTester::new(Name(Some(BTreeSet::new()))),
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        for client in 0..self.kinds.len() as u8 {
            self.client_actions(s, client, actions);
        }
        for (set, drive) in self.places() {
            let state = s.system.drive(set, drive);
            let incarnations = s.system.live.keys().copied();
            let asks = incarnations.filter(|incarnation| s.system.would_ask(self, set, drive, *incarnation));
            actions.extend(asks.map(|incarnation| Action::Ask(set, drive, incarnation)));
            actions.extend(
                state
                    .told
                    .keys()
                    .map(|incarnation| Action::Answer(set, drive, *incarnation)),
            );
            if s.system.faults.losses > 0 && state.gates.values().any(|gate| gate.record().is_some()) {
                actions.push(Action::Lose(set, drive));
            }
            if s.system.faults.boots > 0 && !(state.durable.is_empty() && state.told.is_empty()) {
                actions.push(Action::Boot(set, drive));
            }
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.act(&mut s, action)?;
        self.forget_spent(&mut s);
        let closed = s.system.bucket.is_some_and(|bucket| bucket.phase == Phase::Deleting);
        if closed {
            self.seen.see(Occasion::Abandoned);
            self.rescue(&mut s);
        }
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
    /// Returns all drives, by set.
    pub(super) fn places(&self) -> impl Iterator<Item = (u8, u8)> {
        let drives = self.drives;
        (0..self.sets).flat_map(move |set| (0..drives).map(move |drive| (set, drive)))
    }
}
