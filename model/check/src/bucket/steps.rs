//! The actions that are possible in a state, and their effects.

use super::rules::{Occasion, Rule};
use super::state::{Action, Client, Content, Drive, Kind, Ledger, Proposal, State, System, Told, World};
use crate::kit::drive::{UNBOUNDED, fresh};
use model::bucket::mutant::Mutant;
use model::bucket::{
    Bucket, Change, Changed, Deletion, Effect, Ended, Event, Gate, Held, Incarnation, Listing, Phase, Vacancy, held,
    vacancy,
};
use model::protocol::mutant::Mutation as RegisterMutation;
use model::protocol::{
    Acceptor, Ballot, Decision, Drives, KeyState, Outcome, Quorums, Reply, Request, Resolution, Snapshot, Vote, resolve,
};
use stateright::semantics::ConsistencyTester;
use std::collections::BTreeMap;

impl World {
    pub(super) fn client_actions(&self, s: &State, client: u8, actions: &mut Vec<Action>) {
        match &s.system.clients[usize::from(client)] {
            Client::Idle => actions.push(Action::Invoke(client)),
            Client::Ready(incarnation) => {
                let set = self.set_of(client);
                let open = self.open(s, set, *incarnation);
                let needed = usize::from(Quorums::of(self.drives).prepare);
                let subsets = (0..=open.bits()).map(Drives::from_bits);
                let rounds = subsets
                    .filter(|drives| drives.without(open).is_empty() && (drives.count() == needed || *drives == open));
                let rounds = rounds.filter(|drives| drives.count() >= needed);
                actions.extend(rounds.map(|drives| Action::Propose(client, drives)));
                if open.count() < self.majority() {
                    actions.push(Action::CallOff(client));
                }
            }
            Client::Creating => actions.push(Action::Commit(client)),
            Client::Deleting {
                machine,
                change,
                looking,
                survey,
            } => {
                if change.is_some() {
                    actions.push(Action::Commit(client));
                }
                if looking.is_some() {
                    actions.extend([Action::Look(client), Action::LookAway(client)]);
                }
                if survey.is_some() {
                    let unheard = |(set, drive): &(u8, u8)| machine.listing_of(*set, *drive).is_none();
                    let asked = self.places().filter(unheard);
                    actions.extend(asked.map(|(set, drive)| Action::Survey(client, set, drive)));
                    actions.push(Action::StragglerTimeout(client));
                }
            }
            Client::Voting | Client::Over => {}
        }
        for (set, drive) in self.places() {
            if s.system.drive(set, drive).accepts.contains(client) && self.would_vote(s, client, set, drive) {
                actions.push(Action::Accept(client, drive));
            }
        }
    }

    /// Returns whether an Accept that arrives now has an effect; otherwise it may as well arrive later, or never.
    fn would_vote(&self, s: &State, client: u8, set: u8, drive: u8) -> bool {
        s.system.proposals.get(&client).is_some_and(|sent| {
            self.lets_in(s.system.drive(set, drive), sent.incarnation) || self.mutation.is(Mutant::VoteUngated)
        })
    }

    pub(super) fn set_of(&self, client: u8) -> u8 {
        match self.kinds[usize::from(client)] {
            Kind::Put(set) | Kind::Unput(set) => set,
            Kind::Create | Kind::Delete => 0,
        }
    }

    pub(super) fn majority(&self) -> usize {
        usize::from(self.drives) / 2 + 1
    }

    /// Returns the incarnation in the names of an incarnation's key registers; 0 under the mutant that leaves it out.
    fn named(&self, incarnation: Incarnation) -> Incarnation {
        if self.named { incarnation } else { 0 }
    }

    fn lets_in(&self, drive: &Drive, incarnation: Incarnation) -> bool {
        let is_open = |gate: &Gate| gate.is_open(self.mutation);
        if self.mutation.is(Mutant::AnyIncarnation) {
            return drive.gates.values().any(is_open);
        }
        match drive.gates.get(&incarnation) {
            Some(gate) => is_open(gate),
            None => is_open(&Gate::new(None, drive.life)),
        }
    }

    /// Returns the drives of a set whose gates admit votes in an incarnation.
    pub(super) fn open(&self, s: &State, set: u8, incarnation: Incarnation) -> Drives {
        let lets_in = |drive: &u8| self.lets_in(s.system.drive(set, *drive), incarnation);
        (0..self.drives).filter(lets_in).collect()
    }

    pub(super) fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Invoke(client) => self.invoke(s, client),
            Action::Propose(client, grants) => self.propose(s, client, grants),
            Action::CallOff(client) => self.call_off(s, client)?,
            Action::Accept(client, drive) => self.accept(s, client, drive),
            Action::Commit(client) => self.commit(s, client),
            Action::Look(client) => {
                let Client::Deleting { looking, .. } = &s.system.clients[usize::from(client)] else {
                    return None;
                };
                let seen = self.vacancy(s, (*looking)?);
                self.feed(s, client, Event::Looked(seen));
            }
            Action::LookAway(client) => self.feed(s, client, Event::Looked(Vacancy::Empty)),
            Action::Survey(client, set, drive) => self.survey(s, client, set, drive),
            Action::StragglerTimeout(client) => {
                let before = s.system.clients[usize::from(client)].clone();
                self.feed(s, client, Event::StragglerTimeout);
                (before != s.system.clients[usize::from(client)]).then_some(())?;
            }
            Action::Ask(set, drive, incarnation) => {
                let bucket = s.system.bucket;
                let state = s.system.drive_mut(set, drive);
                let gate = *state.gate(incarnation);
                state.told.insert(incarnation, (gate.ask(), bucket));
            }
            Action::Answer(set, drive, incarnation) => self.answer(s, set, drive, incarnation)?,
            Action::Lose(set, drive) => {
                s.system.faults.losses -= 1;
                let state = s.system.drive_mut(set, drive);
                state.life += 1;
                state.durable.clear();
                let life = state.life;
                state.gates.values_mut().for_each(|gate| *gate = Gate::new(None, life));
            }
            Action::Boot(set, drive) => {
                s.system.faults.boots -= 1;
                let state = s.system.drive_mut(set, drive);
                state.told.clear();
                state.gates.extend(std::mem::take(&mut state.durable));
            }
        }
        Some(())
    }

    pub(super) fn invoke(&self, s: &mut State, client: u8) {
        let kind = self.kinds[usize::from(client)];
        s.ledger.history.on_invoke(client, kind).expect("a client asks once");
        match kind {
            Kind::Put(_) | Kind::Unput(_) => match s.system.bucket {
                Some(bucket) => s.system.clients[usize::from(client)] = Client::Ready(bucket.incarnation),
                None => self.tell(s, client, Told::NoSuchBucket),
            },
            Kind::Create => s.system.clients[usize::from(client)] = Client::Creating,
            Kind::Delete => {
                let (machine, _) = Deletion::new(vec![self.survey; usize::from(self.sets)]);
                s.system.clients[usize::from(client)] = Client::Deleting {
                    machine: machine.with_mutation(self.mutation),
                    change: None,
                    looking: None,
                    survey: None,
                };
                let bucket = s.system.bucket;
                self.feed(s, client, Event::Read(bucket));
            }
        }
    }

    fn tell(&self, s: &mut State, client: u8, told: Told) {
        s.system.clients[usize::from(client)] = Client::Over;
        s.ledger
            .history
            .on_return(client, told)
            .expect("a client is answered once");
        let consistent = s.ledger.history.is_consistent();
        s.ledger.broken.check(Rule::Linearizable, consistent);
    }

    /// Applies a request for a key to a drive.
    fn step_drive(
        &self,
        s: &mut State,
        set: u8,
        index: u8,
        of: Incarnation,
        request: Request<Content>,
    ) -> Reply<Content> {
        let key = s
            .system
            .drive_mut(set, index)
            .keys
            .entry(self.named(of))
            .or_insert_with(KeyState::empty);
        // Restarts and wipes of the votes' state are explored in the register's world.
        let mut drive = fresh(UNBOUNDED);
        let mut acceptor = Acceptor {
            drive: &mut drive,
            key,
            index,
            mutation: RegisterMutation::NONE,
        };
        acceptor.step(request).0
    }

    fn snapshot(&self, s: &State, set: u8, drive: u8, of: Incarnation) -> Snapshot<Content> {
        let key = s.system.drive(set, drive).keys.get(&self.named(of)).cloned();
        let key = key.unwrap_or_else(KeyState::empty);
        Snapshot {
            accepted: key.register.accepted,
            prev: key.register.prev,
            committed: key.register.committed,
            folders: Vec::new(),
            authoritative: true,
            floor: Ballot::ZERO,
            epoch: 0,
        }
    }

    /// Runs Prepare and Resolve, then sends an Accept of the writer's value, or of one that it has to repeat.
    pub(super) fn propose(&self, s: &mut State, client: u8, grants: Drives) {
        let Client::Ready(incarnation) = s.system.clients[usize::from(client)] else {
            return;
        };
        let set = self.set_of(client);
        let in_round = |key: &KeyState<Content>| key.promised.max(key.register.accepted.ballot).round;
        let keys = s.system.sets[usize::from(set)]
            .iter()
            .filter_map(|drive| drive.keys.get(&self.named(incarnation)));
        let ballot = Ballot {
            round: keys.map(in_round).max().unwrap_or(0) + 1,
            node: u32::from(client) + 1,
            ..Ballot::ZERO
        };
        let mut snapshots = BTreeMap::new();
        for drive in grants.iter() {
            if let Reply::Granted(snapshot) = self.step_drive(s, set, drive, incarnation, Request::Prepare { ballot }) {
                snapshots.insert(drive, snapshot);
            }
        }
        let unput = matches!(self.kinds[usize::from(client)], Kind::Unput(_));
        let (value, prev) = match resolve(Quorums::of(self.drives), &snapshots, RegisterMutation::NONE) {
            Resolution::Chosen(base) if unput && base.value.absent => return self.tell(s, client, Told::Done),
            Resolution::Chosen(base) => {
                let value = Content {
                    writer: client + 1,
                    absent: unput,
                    incarnation,
                };
                (value, base)
            }
            Resolution::Repeat { value, prev } => (value, prev),
            Resolution::Stuck { .. } | Resolution::TooFew => unreachable!("no shards, and Q grants"),
        };
        let vote = Vote { ballot, value };
        let carries_on = value.writer != client + 1;
        let proposal = Proposal {
            set,
            incarnation,
            vote,
            prev,
            chosen: false,
        };
        s.system.proposals.insert(client, proposal);
        (0..self.drives).for_each(|drive| {
            s.system.drive_mut(set, drive).accepts.insert(client);
        });
        if carries_on {
            self.tell(s, client, Told::Unavailable);
        } else {
            s.system.clients[usize::from(client)] = Client::Voting;
        }
    }

    fn call_off(&self, s: &mut State, client: u8) -> Option<()> {
        let Client::Ready(incarnation) = s.system.clients[usize::from(client)] else {
            return None;
        };
        match held(incarnation, s.system.bucket, self.mutation) {
            Held::Gone => self.tell(s, client, Told::NoSuchBucket),
            Held::CallOff(change) => {
                self.change(s, change);
            }
            Held::Again => return None,
        }
        Some(())
    }

    fn accept(&self, s: &mut State, client: u8, drive: u8) {
        let Proposal {
            set,
            incarnation,
            vote,
            prev,
            ..
        } = s.system.proposals[&client].clone();
        s.system.drive_mut(set, drive).accepts.remove(client);
        if self.step_drive(s, set, drive, incarnation, Request::Accept { vote, prev }) != Reply::Accepted {
            return;
        }
        s.system.drive_mut(set, drive).voted.insert(client);
        let live = s.system.live.get(&incarnation).copied();
        if let Some(listed) = s.system.drive(set, drive).listed.get(&incarnation).copied() {
            self.seen.see(Occasion::VotedAgain);
            s.ledger.broken.check(Rule::GateHolds, live > Some(listed));
        }
        let votes = s.system.sets[usize::from(set)]
            .iter()
            .filter(|drive| drive.voted.contains(client));
        if votes.count() < self.majority() || s.system.proposals[&client].chosen {
            return;
        }
        s.system.proposals.get_mut(&client).expect("it is there").chosen = true;
        let absent = s.system.proposals[&client].vote.value.absent;
        let gone = s.system.bucket.is_none_or(|bucket| bucket.incarnation != incarnation);
        s.ledger.broken.check(Rule::DeletedIsEmpty, !gone || absent);
        if incarnation > super::state::FIRST {
            self.seen.see(Occasion::LaterWritten);
        }
        if let Client::Voting = s.system.clients[usize::from(client)] {
            self.tell(s, client, Told::Done);
        }
    }

    /// Changes the bucket's register.
    pub(super) fn change(&self, s: &mut State, change: Change) -> Changed {
        let base = s.system.bucket;
        let after = match change.decide(base, self.mutation) {
            Decision::Write(after) => after,
            Decision::Keep => return Outcome::Kept(base),
            Decision::Refuse(refusal) => return Outcome::Refused { refusal, base },
        };
        s.system.bucket = after;
        if let Some(Bucket {
            incarnation,
            turn,
            phase: Phase::Live,
        }) = after
        {
            s.system.live.insert(incarnation, turn);
        }
        if let (Some(bucket), None) = (base, after) {
            s.ledger.judge_removal(self, &s.system, bucket.incarnation);
        }
        Outcome::Written(after)
    }

    fn commit(&self, s: &mut State, client: u8) {
        match &mut s.system.clients[usize::from(client)] {
            Client::Creating => {
                let told = match self.change(s, Change::Create(Incarnation::from(client) + 2)) {
                    Outcome::Written(_) => Told::Done,
                    _ => Told::Exists,
                };
                self.tell(s, client, told);
            }
            Client::Deleting { change, .. } => {
                let change = change.take().expect("it is on its way");
                let changed = self.change(s, change);
                self.feed(s, client, Event::Changed(changed));
            }
            _ => {}
        }
    }

    pub(super) fn listing(&self, s: &State, set: u8, drive: u8, incarnation: Incarnation) -> Listing<u8, Content> {
        let has = s.system.drive(set, drive).keys.contains_key(&self.named(incarnation));
        let key = has.then(|| (set, self.snapshot(s, set, drive, incarnation)));
        Listing {
            keys: key.into_iter().collect(),
            rest: self.snapshot(s, set, drive, Incarnation::MAX),
        }
    }

    /// Returns the vacancy according to the listings of all drives.
    fn vacancy(&self, s: &State, incarnation: Incarnation) -> Vacancy {
        let of_set = |set| {
            let listings = (0..self.drives).map(|drive| (drive, self.listing(s, set, drive, incarnation)));
            vacancy(Quorums::of(self.drives), &listings.collect()).expect("all of them")
        };
        (0..self.sets).map(of_set).max().expect("there is a set")
    }

    pub(super) fn survey(&self, s: &mut State, client: u8, set: u8, drive: u8) {
        let Client::Deleting {
            survey: Some((incarnation, turn)),
            ..
        } = s.system.clients[usize::from(client)]
        else {
            return;
        };
        let lazily = self.mutation.is(Mutant::ClosedLazily) && s.system.faults.boots > 0;
        let state = s.system.drive_mut(set, drive);
        let gate = state.gate(incarnation);
        let before = *gate;
        let lists = gate.survey(turn, self.mutation);
        if lazily && before != *gate {
            state.durable.entry(incarnation).or_insert(before);
        }
        if lists {
            let listed = state.listed.entry(incarnation).or_insert(turn);
            *listed = turn.max(*listed);
        }
        let listing = lists.then(|| self.listing(s, set, drive, incarnation));
        if let Some(listing) = &listing {
            let found = listing.keys.values().map(|snapshot| snapshot.accepted.value);
            let mut written = found.filter(|value| value.writer > 0);
            let apart = written.all(|value| value.incarnation == incarnation);
            s.ledger.broken.check(Rule::IncarnationsApart, apart);
        }
        let from = drive;
        self.feed(s, client, Event::Surveyed { set, from, listing });
    }

    fn answer(&self, s: &mut State, set: u8, drive: u8, incarnation: Incarnation) -> Option<()> {
        let state = s.system.drive_mut(set, drive);
        let (question, bucket) = state.told.remove(&incarnation)?;
        let gate = state.gates.get_mut(&incarnation)?;
        gate.answer(question, incarnation, bucket, self.mutation);
        Some(())
    }

    /// Passes an event to a client's deletion.
    pub(super) fn feed(&self, s: &mut State, client: u8, event: Event<u8, Content>) {
        let Client::Deleting {
            machine,
            change,
            looking,
            survey,
        } = &mut s.system.clients[usize::from(client)]
        else {
            return;
        };
        let effect = machine.on(event);
        match effect {
            Some(Effect::Look(incarnation)) => *looking = Some(incarnation),
            Some(Effect::Change(wanted)) => (*change, *looking, *survey) = (Some(wanted), None, None),
            Some(Effect::Survey(incarnation, turn)) => *survey = Some((incarnation, turn)),
            Some(Effect::Read) | None => {}
        }
        let told = match machine.ended() {
            None => return,
            Some(Ended::Deleted) => Told::Done,
            Some(Ended::NotEmpty) => Told::NotEmpty,
            Some(Ended::NoSuchBucket) => Told::NoSuchBucket,
            Some(Ended::Contended | Ended::Unavailable) => Told::Unavailable,
            Some(Ended::Ambiguous) => unreachable!("nothing is ambiguous here but what never ends"),
        };
        self.tell(s, client, told);
    }

    /// Drops Accepts that can have no effect any more.
    pub(super) fn forget_spent(&self, s: &mut State) {
        for (set, drive) in self.places() {
            let Drive { keys, accepts, .. } = s.system.drive(set, drive);
            let refuses = |client: &u8| {
                let proposal = &s.system.proposals[client];
                let key = keys.get(&self.named(proposal.incarnation));
                key.is_some_and(|key| key.promised.max(key.register.accepted.ballot) > proposal.vote.ballot)
            };
            let spent: Drives = accepts.iter().filter(refuses).collect();
            if !spent.is_empty() {
                let state = s.system.drive_mut(set, drive);
                state.accepts = state.accepts.without(spent);
            }
        }
    }
}

impl Ledger {
    /// Checks that none of a removed bucket's keys is present, whatever votes single drives still hold.
    fn judge_removal(&mut self, world: &World, s: &System, incarnation: Incarnation) {
        for set in 0..world.sets {
            let own = |proposal: &&Proposal| proposal.set == set && proposal.incarnation == incarnation;
            let chosen = s.proposals.values().filter(own).filter(|proposal| proposal.chosen);
            let latest = chosen.max_by_key(|proposal| proposal.vote.ballot);
            let there = latest.is_some_and(|proposal| !proposal.vote.value.absent);
            if latest.is_some() {
                world.seen.see(Occasion::Deleted);
            }
            self.broken.check(Rule::DeletedIsEmpty, !there);
            let left = |drive: &Drive| drive.keys.get(&world.named(incarnation)).cloned();
            let votes = s.sets[usize::from(set)].iter().filter_map(left);
            if votes.map(|key| key.register.accepted.value).any(|value| !value.absent) {
                world.seen.see(Occasion::VoteLeft);
            }
        }
    }
}
