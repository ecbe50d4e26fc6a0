//! Effects of the actions: invocations, replies of drives, reactions of coordinators.

use super::content::Content;
use super::rules::{Occasion, Rule};
use super::state::{Mail, Start, State, World};
use crate::kit::client::{Stage, next_ballot};
use crate::kit::drive::Answered;
use crate::kit::mail::send;
use crate::register::change::{Change, Kind, Told};
use model::pool::{Coordinator, Effect, Event, Placed, Task, decide_read};
use model::protocol::mutant::Mutation as RegisterMutation;
use model::protocol::{Folder, Operation, Outcome, Quorums, ReadDecision, Reply, Request};
use stateright::semantics::ConsistencyTester;
use std::collections::BTreeMap;

impl World {
    fn quorums(&self) -> Vec<Quorums> {
        self.sizes.iter().map(|size| Quorums::of(*size)).collect()
    }

    pub(super) fn invoke(&self, s: &mut State, client: u8) {
        let change = self.change(client);
        if let Some(change) = change {
            s.ledger.history.on_invoke(client, change).expect("a client asks once");
        }
        let absent = s.ledger.latest == 0 && change.is_some_and(Change::is_get);
        s.system.client(client).saw_absent = absent;
        if change.is_some_and(|change| change.kind == Kind::Get) {
            let state = s.system.client(client);
            state.stage = Stage::Reading;
            state.reading = vec![BTreeMap::new(); self.sizes.len()];
        } else {
            self.start_machine(s, client);
        }
    }

    fn start_machine(&self, s: &mut State, client: u8) {
        let found = s.ledger.homes(self.pools().end).first().map(|(_, value)| *value);
        let task = self.task(client, found);
        if let Task::Move { to, of, copy } = &task
            && s.system.is_readable(of)
        {
            self.stage(s, *to, copy.folder());
        }
        let (machine, effects) = Coordinator::new(self.quorums(), task);
        let state = s.system.client(client);
        state.stage = Stage::Running;
        state.machine = Some(machine.with_mutation(self.mutation));
        self.apply_effects(s, client, effects);
    }

    pub(super) fn boot(&self, s: &mut State, pool: u8, drive: u8) {
        s.system.faults.boots -= 1;
        s.system.drive(pool, drive).boot(RegisterMutation::NONE);
    }

    /// Delivers a request to a drive, and the reply, unless it is lost, to the client's coordinator.
    pub(super) fn deliver(&self, s: &mut State, client: u8, mail: usize, drive: u8, answered: bool) {
        let letter = &mut s.system.client(client).mail[mail];
        letter.to.remove(drive);
        let (pool, request) = (letter.place, letter.request.clone());
        let reply = self.step_drive(s, pool, drive, request.clone());
        let Some(ballot) = request.ballot() else { return };
        let state = s.system.client(client);
        if answered && let Some(machine) = &mut state.machine {
            let effects = machine.on(Event::Reply {
                pool,
                from: drive,
                ballot,
                reply,
            });
            self.apply_effects(s, client, effects);
        }
    }

    fn step_drive(
        &self,
        s: &mut State,
        pool: u8,
        drive: u8,
        request: Request<Placed<Content>>,
    ) -> Reply<Placed<Content>> {
        let may_boot = s.system.faults.boots > 0;
        let state = s.system.drive(pool, drive);
        let Answered { reply, before, removed } =
            state.answer(drive, request.clone(), RegisterMutation::NONE, may_boot);
        if !removed.is_empty() && state.key.register.accepted.value.value().is_none() {
            self.seen.see(Occasion::Dropped);
        }
        s.ledger.audit_step(self, &s.system, pool, drive, &before, &request);
        reply
    }

    /// Applies a coordinator's effects.
    pub(super) fn apply_effects(&self, s: &mut State, client: u8, effects: Vec<Effect<Content>>) {
        for effect in effects {
            match effect {
                Effect::Begin { epoch, round } => self.begin(s, client, epoch, round),
                Effect::Stage { pool } => {
                    let change = self.change(client).expect("nobody else has data of its own");
                    let staged = Operation::<Content>::staged(&change);
                    staged.into_iter().for_each(|(folder, _)| self.stage(s, pool, folder));
                }
                Effect::Send { pool, to, mut request } => {
                    if let Request::Accept { vote, prev } = &mut request {
                        if let Placed::Here(value) = &mut vote.value {
                            value.drives = self.sizes[usize::from(pool)];
                        }
                        s.ledger.audit_proposal(self, client, pool, vote, prev);
                    }
                    send(&mut s.system.client(client).mail, Mail::new(pool, request, to));
                }
            }
        }
        let Some(machine) = &s.system.clients[usize::from(client)].machine else {
            return;
        };
        if let Some(outcome) = machine.outcome().cloned() {
            self.tell(s, client, outcome);
        }
    }

    /// Stages data on all drives of a set.
    fn stage(&self, s: &mut State, pool: u8, folder: Folder) {
        for drive in 0..self.sizes[usize::from(pool)] {
            s.system.drive(pool, drive).key.folders.insert(folder);
        }
    }

    /// Issues the next ballot. The client leaves if none is left.
    fn begin(&self, s: &mut State, client: u8, epoch: u64, round: u64) {
        let state = s.system.client(client);
        if state.rounds == self.rounds[usize::from(client)] {
            return self.leave(s, client);
        }
        state.rounds += 1;
        // The process has seen the rounds of the initial value.
        let seen = round.max(u64::from(self.start != Start::Nothing));
        let ballot = next_ballot(client, epoch, seen);
        let machine = state.machine.as_mut().expect("it asked");
        let effects = machine.on(Event::Begin(ballot));
        self.apply_effects(s, client, effects);
    }

    fn tell(&self, s: &mut State, client: u8, outcome: Outcome<Content, ()>) {
        let Some(change) = self.change(client) else {
            return self.leave(s, client);
        };
        match (&outcome, change.kind) {
            (Outcome::Written(_), Kind::Create) => self.seen.see(Occasion::ConditionalAcked),
            (Outcome::Written(_), Kind::Delete) => self.seen.see(Occasion::DeleteAcked),
            _ => {}
        }
        let told = match outcome {
            Outcome::Kept(value) if change.is_get() => return self.tell_value(s, client, &value),
            outcome => Told::of(&outcome),
        };
        if let Some(told) = told {
            self.tell_client(s, client, told);
        }
        self.leave(s, client);
    }

    /// Answers a get, which needs the value's bytes to be readable in some set.
    fn tell_value(&self, s: &mut State, client: u8, value: &Content) {
        let told = match () {
            () if value.absent => Told::Value(0),
            () if s.system.is_readable(value) => Told::Value(value.name),
            () => Told::Unavailable,
        };
        if told == Told::Value(0) {
            self.seen.see(Occasion::NotFound);
            let known = s.system.clients[usize::from(client)].saw_absent;
            s.ledger.broken.check(Rule::NotFoundIsKnown, known);
        }
        self.tell_client(s, client, told);
        self.leave(s, client);
    }

    fn tell_client(&self, s: &mut State, client: u8, told: Told) {
        s.ledger
            .history
            .on_return(client, told)
            .expect("a client is answered once");
        s.system.client(client).answered = true;
        let consistent = s.ledger.history.is_consistent();
        s.ledger.broken.check(Rule::Linearizable, consistent);
    }

    /// Ends the operation: the client ignores all replies, but its requests may still arrive.
    pub(super) fn leave(&self, s: &mut State, client: u8) {
        s.system.client(client).leave();
    }

    pub(super) fn read(&self, s: &mut State, client: u8, pool: u8, drive: u8) {
        if let Reply::Read(snapshot) = self.step_drive(s, pool, drive, Request::Read) {
            s.system.client(client).reading[usize::from(pool)].insert(drive, snapshot);
        }
    }

    pub(super) fn conclude(&self, s: &mut State, client: u8) -> Option<()> {
        let answers = s.system.clients[usize::from(client)].reading.clone();
        let value = match decide_read(&self.quorums(), &answers, self.mutation) {
            ReadDecision::Chosen(vote) => vote.value,
            ReadDecision::TooFew => return None,
            ReadDecision::Undecided => {
                s.system.client(client).reading.clear();
                self.start_machine(s, client);
                return Some(());
            }
        };
        let silent = answers.iter().any(BTreeMap::is_empty);
        if silent {
            self.seen.see(Occasion::AnsweredAlone);
        }
        s.ledger.broken.check(Rule::AliveAlone, !silent || !value.absent);
        // Data is gone: the server would begin the read again.
        if !value.absent && !s.system.is_readable(&value) {
            s.system.client(client).reading.iter_mut().for_each(BTreeMap::clear);
            return Some(());
        }
        self.tell_value(s, client, &value);
        Some(())
    }
}
