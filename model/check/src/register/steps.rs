//! Effects of the actions: invocations, replies of drives, reactions of coordinators.

use super::change::{Content, Kind, Told};
use super::rules::{Occasion, Rule};
use super::state::{Mail, State, System, World};
use crate::kit::client::{Stage, next_ballot};
use crate::kit::drive::Answered;
use crate::kit::mail::send;
use model::protocol::mutant::Mutant;
use model::protocol::purge::purgeable;
use model::protocol::{Coordinator, Drives, Effect, Event, Folder, Outcome, ReadDecision, Reply, Request, decide_read};
use stateright::semantics::ConsistencyTester;

/// Number of ballots of a rescuer, many more than it needs; after that it makes no progress.
const RESCUE_ROUNDS: u8 = 100;

impl World {
    /// Invokes an operation, with its shards staged on these drives and its first ballot issued.
    pub(super) fn invoke(&self, s: &mut State, client: u8, staged: Drives) {
        let change = self.change(client);
        if change.is_asked_for() {
            s.ledger.history.on_invoke(client, change).expect("a client asks once");
        }
        for drive in staged.iter() {
            s.system.drive(drive).key.folders.insert(Folder::from(change.name));
        }
        let saw_absent = s.ledger.latest().absent && change.is_get();
        let state = s.system.client(client);
        state.saw_absent = saw_absent;
        if matches!(change.kind, Kind::Get | Kind::Head | Kind::Fetch | Kind::Purge) {
            state.stage = Stage::Reading;
            state.reading.unread = Drives::all(self.drives);
        } else {
            self.start_machine(s, client);
        }
    }

    fn start_machine(&self, s: &mut State, client: u8) {
        let (machine, effects) = Coordinator::new(self.quorums[usize::from(client)], self.change(client));
        // The node knows the settled epoch; it has to learn later ones.
        let mut machine = machine
            .with_mutation(self.mutation)
            .with_settled(s.system.settled_epoch());
        if self.brief {
            machine = machine.with_changes();
        }
        let state = s.system.client(client);
        state.stage = Stage::Running;
        state.machine = Some(machine);
        self.apply_effects(s, client, effects, false);
    }

    pub(super) fn boot(&self, s: &mut State, drive: u8) {
        s.system.faults.boots -= 1;
        if s.ledger.acks > 0 {
            self.seen.see(Occasion::BootAfterAck);
        }
        let mutation = self.mutation;
        let state = s.system.drive(drive);
        state.past.promised = state.key.promised.max(state.past.promised);
        state.boot(mutation);
    }

    /// Delivers a request to a drive, and the reply, unless it is lost, to the client's coordinator.
    pub(super) fn deliver(&self, s: &mut State, client: u8, mail: usize, drive: u8, answered: bool) {
        let state = s.system.client(client);
        let letter = &mut state.mail[mail];
        letter.to.remove(drive);
        if self.faults.doubles > 0 {
            letter.delivered.insert(drive);
        }
        let (mut request, brief) = (letter.request.clone(), letter.brief);
        if let Request::Accept { vote, .. } = &mut request
            && let Some(holders) = self.holders_of(&s.system, vote.value.name)
        {
            vote.value.holders = holders;
        }
        if brief {
            s.ledger.audit_base(self, &s.system, client, drive, &request);
        }
        let reply = self.answer(s, drive, request.clone(), brief);
        if matches!(request, Request::Install { .. }) && reply == Reply::Done && self.change(client).kind != Kind::Heal
        {
            self.seen.see(Occasion::BaseBrought);
        }
        self.bring_shard(s, client, drive, &request, &reply);
        let Some(ballot) = request.ballot() else { return };
        let state = s.system.client(client);
        if answered && let Some(machine) = &mut state.machine {
            let by_vote = reply == Reply::Accepted;
            let effects = machine.on(Event::Reply {
                from: drive,
                ballot,
                reply,
            });
            self.apply_effects(s, client, effects, by_vote);
        }
    }

    /// Stores the writer's shard along with its Accept, under the mutant that sends shards only then.
    fn bring_shard(&self, s: &mut State, client: u8, drive: u8, request: &Request<Content>, reply: &Reply<Content>) {
        if let (Request::Accept { vote, .. }, Reply::Accepted) = (request, reply)
            && self.mutation.is(Mutant::AcceptWithoutShard)
            && vote.value.name == self.change(client).name
        {
            s.system.drive(drive).key.folders.insert(Folder::from(vote.value.name));
        }
    }

    /// Reports to the client's coordinator that a drive failed. Requests in flight may still arrive.
    pub fn fail(&self, s: &mut State, client: u8, drive: u8) {
        let Some(machine) = &mut s.system.client(client).machine else {
            return;
        };
        let ballot = machine.ballot();
        let effects = machine.on(Event::Failed { from: drive, ballot });
        self.apply_effects(s, client, effects, false);
    }

    pub(super) fn holders_of(&self, s: &System, name: u8) -> Option<Drives> {
        let client = usize::from(name).checked_sub(1)?;
        s.holders.get(client).copied()
    }

    pub(super) fn step_drive(&self, s: &mut State, drive: u8, request: Request<Content>) -> Reply<Content> {
        self.answer(s, drive, request, false)
    }

    /// Returns a drive's reply to a request; a `brief` Accept carries a change.
    fn answer(&self, s: &mut State, drive: u8, request: Request<Content>, brief: bool) -> Reply<Content> {
        let may_boot = s.system.faults.boots > 0;
        let state = s.system.drive(drive);
        let hi = state.own.hi;
        let Answered { reply, before, removed } = if brief {
            state.answer_brief(drive, request.clone(), self.mutation, may_boot)
        } else {
            state.answer(drive, request.clone(), self.mutation, may_boot)
        };
        if state.own.hi > hi && !state.own.floor.is_zero() {
            self.seen.see(Occasion::HiRaised);
        }
        if !removed.is_empty() && matches!(request, Request::Finalize { .. }) {
            let is_of_prev = removed.contains(&Folder::from(before.register.prev.value.name));
            self.seen.see(if is_of_prev {
                Occasion::PrevDropped
            } else {
                Occasion::SupersededDropped
            });
        }
        if !removed.is_empty() {
            s.ledger.audit_removal(self, &s.system, drive, &removed);
        }
        self.audit_step(s, drive, &before, &request, &reply);
        reply
    }

    /// Applies a coordinator's effects. `by_vote`: they are its reaction to an acceptance.
    pub(super) fn apply_effects(&self, s: &mut State, client: u8, effects: Vec<Effect<Content>>, by_vote: bool) {
        for effect in effects {
            match effect {
                Effect::Begin { epoch, round, .. } => self.begin(s, client, epoch, round),
                Effect::Send { to, request } => {
                    if let Request::Accept { vote, prev } = &request {
                        self.audit_proposal(s, client, vote, prev);
                    }
                    let state = s.system.client(client);
                    let sends_changes = state.machine.as_ref().is_some_and(|machine| machine.sends_changes());
                    let brief = sends_changes && matches!(request, Request::Accept { .. });
                    let letter = Mail::new(0, request, to);
                    send(&mut state.mail, Mail { brief, ..letter });
                }
            }
        }
        let state = &s.system.clients[usize::from(client)];
        let Some(machine) = &state.machine else { return };
        let Some(outcome) = machine.outcome().cloned() else {
            return;
        };
        let ballot = machine.ballot();
        s.ledger
            .audit_outcome(self, client, &outcome, by_vote.then_some(ballot));
        if let (Kind::CleanUp(name), Outcome::Written(_)) = (self.change(client).kind, &outcome) {
            let request = Request::Discard {
                ballot,
                folder: Folder::from(name),
            };
            let to = Drives::all(self.drives);
            s.system.client(client).mail.push(Mail::new(0, request, to));
        }
        self.tell(s, client, outcome);
    }

    /// Issues the next ballot. The client leaves if none is left.
    fn begin(&self, s: &mut State, client: u8, epoch: u64, round: u64) {
        let state = s.system.client(client);
        if self.is_rescuer(client) && state.rounds == RESCUE_ROUNDS {
            return;
        }
        if state.rounds == self.rounds && !self.is_rescuer(client) {
            return self.leave(s, client);
        }
        state.rounds += 1;
        let known = state.machine.as_ref().map_or(0, |machine| machine.settled());
        // The process has seen the rounds of the initial value.
        let seen = round.max(u64::from(self.initial));
        let mut ballot = next_ballot(client, epoch.max(known), seen);
        if self.mutation.is(Mutant::BallotsUsedAgain) {
            ballot.node = 1;
        }
        let machine = state.machine.as_mut().expect("it asked");
        let effects = machine.on(Event::Begin(ballot));
        self.apply_effects(s, client, effects, false);
    }

    fn tell(&self, s: &mut State, client: u8, outcome: Outcome<Content, ()>) {
        let change = self.change(client);
        let told = match outcome {
            Outcome::Kept(value) if change.is_get() => return self.tell_value(s, client, value),
            outcome => Told::of(&outcome),
        };
        if let Some(told) = told.filter(|_| change.is_asked_for()) {
            self.tell_client(s, client, told);
        }
        self.leave(s, client);
    }

    /// Answers a get, which needs the value's bytes to be readable.
    fn tell_value(&self, s: &mut State, client: u8, value: Content) {
        if self.change(client).kind == Kind::Fetch && !value.absent {
            return self.begin_opening(s, client, value);
        }
        let told = if value.absent {
            Told::Value(0)
        } else if self.change(client).kind == Kind::Head || s.system.holding(value.name) >= usize::from(value.data) {
            Told::Value(value.name)
        } else {
            Told::Unavailable
        };
        s.ledger.audit_value(self, &s.system, client, told);
        self.tell_client(s, client, told);
        self.leave(s, client);
    }

    pub(super) fn tell_client(&self, s: &mut State, client: u8, told: Told) {
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

    pub(super) fn read(&self, s: &mut State, client: u8, drive: u8) {
        let reply = self.step_drive(s, drive, Request::Read);
        let state = s.system.client(client);
        state.reading.unread.remove(drive);
        if let Reply::Read(snapshot) = reply {
            state.reading.answers.insert(drive, snapshot);
        }
    }

    /// Sends a Purge to all drives once all of them have the tombstone.
    fn purge(&self, s: &mut State, client: u8) -> Option<()> {
        let quorums = self.quorums[usize::from(client)];
        let answers = &s.system.clients[usize::from(client)].reading.answers;
        let ballot = purgeable(quorums, answers, self.mutation)?;
        self.leave(s, client);
        let request = Request::Purge { ballot };
        s.system
            .client(client)
            .mail
            .push(Mail::new(0, request, Drives::all(self.drives)));
        Some(())
    }

    pub(super) fn conclude(&self, s: &mut State, client: u8) -> Option<()> {
        if self.change(client).kind == Kind::Purge {
            return self.purge(s, client);
        }
        let quorums = self.quorums[usize::from(client)];
        let answers = s.system.clients[usize::from(client)].reading.answers.clone();
        let value = match decide_read(quorums, &answers, self.mutation) {
            ReadDecision::Chosen(vote) => vote.value,
            ReadDecision::TooFew => return None,
            ReadDecision::Undecided => {
                let state = s.system.client(client);
                state.reading.answers.clear();
                state.reading.unread = Drives::NONE;
                self.start_machine(s, client);
                return Some(());
            }
        };
        // Shards are gone: the server would begin the read again.
        let at_once = matches!(self.change(client).kind, Kind::Get);
        if at_once && !value.absent && s.system.holding(value.name) < usize::from(value.data) {
            return None;
        }
        s.ledger.audit_read(self, answers.len());
        self.tell_value(s, client, value);
        Some(())
    }
}
