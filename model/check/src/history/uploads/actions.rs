//! The actions of clients, and the reactions of their machines.

use super::client::{Machine, Running};
use super::requests::{DRIVES, Request, Told, part, part_folder, part_of};
use super::state::{Action, Cast, Fate, State, World, ballot};
use crate::history::exact::Exact;
use model::protocol::{Ballot, Decision, Drives, Operation, Outcome, Unavailable, Value};
use model::record::mutant::Mutant;
use model::record::{Change, Op, Part, Record, Refusal};
use model::upload::{Event, Refused, Step};
use stateright::semantics::ConsistencyTester;
use std::sync::Arc;

/// Offset of the number under which a second attempt is recorded in the history.
pub(super) const AGAIN: u8 = 100;

impl World {
    /// Adds all possible actions.
    pub(super) fn offer(&self, s: &State, actions: &mut Vec<Action>) {
        for (client, state) in (0..).zip(&s.system.clients) {
            match &state.running {
                None if !state.over => actions.push(Action::Begin(client)),
                None => {}
                Some(running) if running.vote.is_some() => {
                    if running.vote.is_some_and(|vote| s.system.votes[vote].fate != Fate::Open) {
                        actions.push(Action::Hear(client));
                    }
                    if s.system.lost > 0 {
                        actions.push(Action::Lose(client));
                    }
                }
                Some(running) => {
                    actions.push(Action::Go(client));
                    if let (Step::ReadParts, Some(upload)) = (&running.step, self.request(client).ends())
                        && s.system.is_forgotten(upload)
                    {
                        actions.push(Action::ReadForgotten(client));
                    }
                    if matches!(running.step, Step::Vote(Change::PutPart(_))) && s.system.lost > 0 {
                        actions.push(Action::Lose(client));
                    }
                }
            }
        }
        let landing = s.system.parts.iter().filter(|(_, register)| register.open.is_some());
        actions.extend(landing.map(|((upload, number), _)| Action::PartLands(*upload, *number)));
        let latest = s.system.latest();
        for (index, drive) in (0..).zip(&s.system.drives) {
            if index > 0 && s.system.drives[usize::from(index) - 1] == *drive {
                continue;
            }
            let register = &drive.key.register;
            let late = (0..s.system.votes.len())
                .filter(|vote| s.system.votes[*vote].fate != Fate::Dead && register.accepted.ballot < ballot(*vote));
            actions.extend(late.map(|vote| Action::Accept(index, vote)));
            let last = register.accepted.ballot.round as usize - 1;
            if !register.committed && s.system.votes[last].fate == Fate::Chosen {
                actions.push(Action::Finalize(index));
            }
            let quiet = s.system.votes.iter().all(|cast| cast.fate != Fate::Open);
            if s.system.heals > 0 && quiet && (register.accepted.ballot, register.committed) != (ballot(latest), true) {
                actions.push(Action::Heal(index));
            }
            for upload in 1..=self.uploads.0 {
                let end = s.system.ended_by(upload).or_else(|| self.early_end(s, upload));
                let due = drive.forgot >> upload & 1 == 0 || self.is_swept(s, drive, upload);
                actions.extend(end.filter(|_| due).map(|end| Action::End(index, upload, end)));
            }
        }
    }

    /// Returns the open vote of an abort, under the mutant in which drives clean up before it is chosen.
    fn early_end(&self, s: &State, upload: u8) -> Option<usize> {
        let aborts = |cast: &Arc<Cast>| {
            let client = cast.client.filter(|_| cast.fate == Fate::Open);
            client.is_some_and(|client| self.request(client) == Request::Abort(upload))
        };
        s.system
            .votes
            .iter()
            .position(aborts)
            .filter(|_| self.mutation.is(Mutant::AbortCleansEarly))
    }

    pub(super) fn begin(&self, s: &mut State, client: u8) {
        let request = self.request(client);
        let (machine, step) = self.machine(client);
        if let Request::Complete { upload, .. } = request {
            let registers = s.system.parts.range((upload, 0)..(upload + 1, 0));
            let found: Vec<(u16, Option<u128>)> = registers
                .map(|((_, number), register)| (*number, register.chosen.as_ref().map(|part| part.data.folder)))
                .collect();
            // Folders that a first attempt has read may still be chosen.
            for (number, folder) in found {
                s.system.client(client).window.entry(number).or_default().extend(folder);
            }
        }
        let state = s.system.client(client);
        state.begun += 1;
        state.running = Some(Running {
            machine,
            step,
            vote: None,
        });
        let thread = if state.begun > 1 { client + AGAIN } else { client };
        if !matches!(request, Request::Part(_)) {
            s.ledger
                .history
                .on_invoke(thread, (client, request))
                .expect("a client asks once");
        }
        if request == Request::Put {
            self.stage(s, client.into());
        }
    }

    fn stage(&self, s: &mut State, folder: u128) {
        for drive in 0..DRIVES {
            s.system.drive(drive).key.folders.insert(folder);
        }
    }

    /// Executes the step that a client's machine requests.
    pub(super) fn go(&self, s: &mut State, client: u8) {
        let Some(running) = s.system.running(client) else {
            return;
        };
        match running.step.clone() {
            Step::ReadKey => {
                let record = s.system.value(s.system.latest()).clone();
                self.feed(s, client, Event::Key(record));
            }
            Step::ReadParts => self.read_parts(s, client, false),
            Step::Stage(upload) => {
                let upload = upload.id as u8;
                let folder = part_folder(upload, 1, client + 1);
                self.stage(s, folder);
                let open = s.system.is_open(upload);
                s.system.client(client).staged = Some(open);
                self.feed(s, client, Event::Staged(part(folder)));
            }
            Step::Vote(Change::PutPart(part)) => {
                let outcome = self.vote_part(s, client, part);
                self.feed(s, client, Event::Voted(outcome, Ballot::ZERO));
            }
            Step::Vote(change) => self.vote(s, client, change),
            Step::Refuse(_) | Step::Answer(_) | Step::Ended { .. } => {}
        }
    }

    /// Reads the parts of an upload; with `forgotten`, where drives have forgotten them, which finds nothing.
    pub(super) fn read_parts(&self, s: &mut State, client: u8, forgotten: bool) {
        let Some(upload) = self.request(client).ends() else {
            return;
        };
        let registers = s.system.parts.range((upload, 0)..(upload + 1, 0));
        let parts: Vec<Part> = registers
            .filter(|_| !forgotten)
            .filter_map(|(_, register)| register.chosen.clone())
            .collect();
        self.feed(s, client, Event::Parts(parts));
    }

    /// Returns the operation of a vote on the key.
    fn op(&self, vote: usize, kind: Change) -> Op {
        Op::new(vote as u128 + 1, 10, kind).with_mutation(self.mutation)
    }

    /// Proposes a change of the latest chosen value. Earlier open votes are dead from then on.
    fn vote(&self, s: &mut State, client: u8, change: Change) {
        let base = s.system.latest();
        let op = self.op(s.system.votes.len(), change);
        let decision = op.decide(s.system.value(base), Drives::all(DRIVES));
        let value = match decision {
            Decision::Keep => {
                let outcome = Outcome::Kept(s.system.value(base).clone());
                return self.feed(s, client, Event::Voted(outcome, Ballot::ZERO));
            }
            Decision::Refuse(refusal) => {
                let base = s.system.value(base).clone();
                let outcome = Outcome::Refused { refusal, base };
                return self.feed(s, client, Event::Voted(outcome, Ballot::ZERO));
            }
            Decision::Write(value) => value,
        };
        for cast in s.system.votes.iter_mut().filter(|cast| cast.fate == Fate::Open) {
            Arc::make_mut(cast).fate = Fate::Dead;
        }
        let vote = s.system.votes.len();
        s.system.votes.push(Arc::new(Cast {
            value: Exact(value),
            prev: base,
            client: Some(client),
            fate: Fate::Open,
        }));
        if let Some(running) = &mut s.system.client(client).running {
            running.vote = Some(vote);
        }
    }

    /// Chooses a part in its register, if W drives hold its folder.
    fn vote_part(&self, s: &mut State, client: u8, part: Part) -> Outcome<Record, Refusal> {
        let op = Op::new(1000 + u128::from(client), 10, Change::PutPart(part));
        let staged = op
            .staged()
            .is_some_and(|(folder, write)| s.system.holding(folder) >= usize::from(write));
        match op.decide(&Record::absent(), Drives::all(DRIVES)) {
            Decision::Write(record) if staged => {
                self.choose_part(s, &record);
                Outcome::Written(record)
            }
            _ => Outcome::Unavailable(Unavailable::StagedQuorum),
        }
    }

    fn choose_part(&self, s: &mut State, record: &Record) {
        let Some(part) = record.part().cloned() else { return };
        let folder = part.data.folder;
        let Some((upload, number, _)) = part_of(folder) else {
            return;
        };
        let Some(register) = s.system.parts.get_mut(&(upload, number)) else {
            return;
        };
        register.named.insert(folder);
        register.open = None;
        let old = register.chosen.replace(part);
        for drive in 0..DRIVES {
            s.system.drive(drive).forgot &= !(1 << upload);
        }
        for client in 0..s.system.clients.len() as u8 {
            let reads = s.system.running(client).is_some_and(|running| running.vote.is_none());
            if let Request::Complete { upload: of, .. } = self.request(client)
                && of == upload
                && reads
            {
                s.system.client(client).window.entry(number).or_default().insert(folder);
            }
        }
        if let Some(old) = old
            && (record.drops_unnamed() || self.mutation.is(Mutant::ReplacedPartDropped))
        {
            for drive in 0..DRIVES {
                s.system.drive(drive).key.folders.remove(&old.data.folder);
            }
            s.ledger.audit_folder(&s.system, old.data.folder);
        }
    }

    /// Chooses a late vote on a part's register, if enough drives still hold its folder.
    pub(super) fn land(&self, s: &mut State, at: (u8, u16)) {
        let Some(part) = s.system.parts.get_mut(&at).and_then(|register| register.open.take()) else {
            return;
        };
        if s.system.holding(part.data.folder) >= 2 {
            self.choose_part(s, &Record::new(1, model::record::Content::Part(part)));
        }
    }

    /// Passes the outcome of a vote to its client.
    pub(super) fn hear(&self, s: &mut State, client: u8) {
        let Some(Running {
            vote: Some(vote),
            step: Step::Vote(change),
            ..
        }) = s.system.running(client)
        else {
            return;
        };
        let (vote, latest) = (*vote, s.system.latest());
        let op = self.op(vote, change.clone());
        let (outcome, ballot) = match s.system.votes[vote].fate {
            Fate::Chosen => (Outcome::Written(s.system.value(vote).clone()), ballot(vote)),
            // The coordinator finds the change in a later chosen value.
            _ if op.is_in(s.system.value(latest)) => (Outcome::Written(s.system.value(latest).clone()), ballot(latest)),
            _ => (Outcome::Ambiguous(Unavailable::Deadline), ballot(vote)),
        };
        self.feed(s, client, Event::Voted(outcome, ballot));
    }

    /// Leaves a client without the outcome of its vote.
    pub(super) fn lose(&self, s: &mut State, client: u8) {
        s.system.lost -= 1;
        if let Some(Step::Vote(Change::PutPart(part))) = s.system.running(client).map(|running| running.step.clone())
            && let Some((upload, number, _)) = part_of(part.data.folder)
            && let Some(register) = s.system.parts.get_mut(&(upload, number))
        {
            register.open = Some(part);
        }
        let outcome = Outcome::Ambiguous(Unavailable::Deadline);
        self.feed(s, client, Event::Voted(outcome, Ballot::ZERO));
    }

    /// Passes an event to a client's machine, and answers the client when it ends.
    fn feed(&self, s: &mut State, client: u8, event: Event) {
        let state = s.system.client(client);
        let Some(running) = &mut state.running else { return };
        running.vote = None;
        let Some(step) = running.machine.on(event) else { return };
        running.step = step;
        let plain = matches!(running.machine, Machine::Plain);
        let told = match &running.step {
            Step::Refuse(Refused::NoSuchUpload) => Some(Told::NoSuchUpload),
            Step::Refuse(Refused::InvalidPart(_)) => Some(Told::InvalidPart),
            Step::Ended { .. } => Some(Told::Done),
            Step::Answer(outcome) => match outcome {
                Outcome::Kept(record) if plain && self.request(client) == Request::Get => {
                    Some(Told::Value(version_of(record)))
                }
                Outcome::Written(_) | Outcome::Kept(_) => Some(Told::Done),
                Outcome::Refused { .. } => Some(Told::NoSuchUpload),
                Outcome::Unavailable(_) | Outcome::Ambiguous(_) => {
                    state.running = None;
                    state.over = state.begun > 1 || self.request(client).ends().is_none();
                    return;
                }
            },
            _ => return,
        };
        let Some(told) = told else { return };
        let thread = if state.begun > 1 { client + AGAIN } else { client };
        state.running = None;
        (state.over, state.answered, state.done) = (true, true, told == Told::Done);
        if !matches!(self.request(client), Request::Part(_)) {
            s.ledger.history.on_return(thread, told).expect("it has asked");
        }
        s.ledger.audit_told(self, &s.system, client, told);
    }
}

/// Returns the client whose version a read finds.
fn version_of(record: &Record) -> Option<u8> {
    let (_, data) = record.object()?.latest_data()?;
    data.etag.parse().ok()
}
