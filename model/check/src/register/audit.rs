//! Checks of the rules after each step. Drives are counted from N, K and M here and never by the protocol's own quorum
//! code, so that a shared mistake cannot hide.

use super::change::{Content, Kind, Told};
use super::rules::{Occasion, Rule};
use super::state::{Drive, Ledger, Mail, Record, State, System, World};
use crate::kit::client::Stage;
use crate::kit::votes::majority;
use model::protocol::{Ballot, Drives, Folder, KeyState, Outcome, Register, Reply, Request, Value, Vote};

impl World {
    /// Returns the size of a majority of the drives.
    pub(super) fn majority(&self) -> usize {
        majority(self.drives)
    }

    /// Returns W: K shards, or one more where K is half of the drives.
    pub(super) fn enough_staged(&self, data: u8) -> usize {
        let data = usize::from(data);
        if data * 2 == usize::from(self.drives) {
            data + 1
        } else {
            data
        }
    }

    pub(super) fn lost(&self, s: &System) -> usize {
        usize::from(self.faults.losses - s.faults.losses + self.faults.wipes - s.faults.wipes)
    }

    /// Returns whether a version survives all losses within the bounds.
    fn survives(&self, value: &Content) -> bool {
        let losses = usize::from(self.faults.losses + self.faults.wipes);
        usize::from(value.data) + losses <= self.enough_staged(value.data)
    }

    /// Checks a drive's step.
    pub(super) fn audit_step(
        &self,
        s: &mut State,
        drive: u8,
        before: &KeyState<Content>,
        request: &Request<Content>,
        reply: &Reply<Content>,
    ) {
        let state = s.system.drives[usize::from(drive)].clone();
        let (key, own) = (&state.key, &state.own);
        let covered = own.hi >= key.promised.round && own.hi >= key.register.accepted.ballot.round;
        s.ledger.broken.check(Rule::HiCovers, covered);
        if let (Reply::Granted(_), Request::Prepare { ballot }) = (reply, request) {
            s.ledger
                .broken
                .check(Rule::PromiseHolds, *ballot > before.promised.max(state.past.promised));
        }
        if let Request::Accept { vote, prev } = request
            && key.register.accepted.ballot == vote.ballot
            && before.register.accepted.ballot != vote.ballot
        {
            let promised = before.promised.max(state.past.promised);
            s.ledger.broken.check(Rule::PromiseHolds, vote.ballot >= promised);
            s.ledger.broken.check(Rule::EpochFences, vote.ballot.epoch >= own.epoch);
            let register = &key.register;
            s.ledger.broken.check(
                Rule::OnKnownBase,
                register.accepted.value == vote.value && register.prev.value == prev.value,
            );
            if !before.known {
                self.seen.see(Occasion::VotedAgain);
            }
            if s.ledger.audit_vote(self, &s.system, drive, vote) {
                self.note_absence(s);
            }
        }
        if let Request::Install { ballot, vote, .. } = request
            && *reply == Reply::Done
        {
            s.ledger.audit_install(self, &s.system, drive, before, *ballot, vote);
        }
        if let Request::Purge { ballot } = request
            && before.register.accepted.ballot != key.register.accepted.ballot
        {
            self.audit_purge(s, drive, before, *ballot);
        }
        self.audit_garbage(s, drive);
        let state = s.system.drive(drive);
        if state.past.promised <= state.key.promised.max(state.key.register.accepted.ballot) {
            state.past.promised = Ballot::ZERO;
        }
    }

    /// Records for all running gets that absence was chosen, after something has become chosen.
    fn note_absence(&self, s: &mut State) {
        let absent = s.ledger.latest().absent;
        for client in 0..s.system.clients.len() as u8 {
            let asks = matches!(
                s.system.clients[usize::from(client)].stage,
                Stage::Reading | Stage::Opening | Stage::Running
            );
            if absent && asks && self.change(client).is_get() {
                s.system.client(client).saw_absent = true;
            }
        }
    }

    /// Checks `drive.no-garbage`: once a drive knows that a value is chosen, it holds no folder of another value that
    /// it voted for.
    fn audit_garbage(&self, s: &mut State, drive: u8) {
        let state = s.system.drive(drive);
        let Drive { key, past, .. } = &mut *state;
        let voted = &mut past.voted;
        let Register {
            accepted, committed, ..
        } = &key.register;
        let mut held = 0;
        for name in key.folders.iter().filter_map(|folder| u8::try_from(*folder).ok()) {
            held |= 1 << name;
        }
        let named = if accepted.value.absent {
            0
        } else {
            1 << accepted.value.name
        };
        *voted = (*voted | named) & held;
        let garbage = *committed && *voted & !named != 0;
        s.ledger.broken.check(Rule::NoGarbage, !garbage);
    }

    /// Checks an Accept that a coordinator sends.
    pub(super) fn audit_proposal(&self, s: &mut State, client: u8, vote: &Vote<Content>, prev: &Vote<Content>) {
        let known = prev.ballot.is_zero() || s.ledger.votes.get(&prev.ballot).is_some_and(|record| record.chosen);
        s.ledger.broken.check(Rule::PrevIsChosen, known);
        let record = Record::proposed(vote.value, prev.value);
        let earlier = s.ledger.votes.insert(vote.ballot, record);
        s.ledger.broken.check(Rule::OneValuePerBallot, earlier.is_none());
        let change = self.change(client);
        if change.has_data() && vote.value.name == change.name && s.system.holders[usize::from(client)].is_empty() {
            s.system.holders[usize::from(client)] = vote.value.holders;
            let staged = vote.value.holders.count() >= self.enough_staged(change.data);
            s.ledger.broken.check(Rule::AcceptedMeansStaged, staged);
        }
    }
}

impl Ledger {
    /// Checks that a change which reaches a drive that granted its ballot but lacks its base comes with that base
    /// (`accept.laggard-is-healed`). Skipped where drives forget their votes: then it depends on whether the drive was
    /// authoritative when it promised.
    pub(super) fn audit_base(&mut self, world: &World, s: &System, client: u8, drive: u8, request: &Request<Content>) {
        let Request::Accept { vote, prev } = request else {
            return;
        };
        let key = &s.drives[usize::from(drive)].key;
        let register = &key.register;
        let has_base = register.accepted.value == prev.value || register.prev.value == prev.value;
        let granted = key.promised == vote.ballot && register.accepted.ballot < vote.ballot;
        // A drive that has learned of a later choice meanwhile is ahead.
        let lags = !has_base && register.prev.ballot < prev.ballot;
        if !lags || !granted || world.faults.forgetful() > 0 {
            return;
        }
        world.seen.see(Occasion::BaseLacking);
        let brings_base = |mail: &Mail| {
            let Request::Install { vote: base, .. } = &mail.request else {
                return false;
            };
            base.value == prev.value && mail.to.contains(drive)
        };
        let on_its_way = s.clients[usize::from(client)].mail.iter().any(brings_base);
        self.broken.check(Rule::LaggardHealed, on_its_way);
    }

    /// Checks a drive's vote. Returns whether it made a value chosen.
    fn audit_vote(&mut self, world: &World, s: &System, drive: u8, vote: &Vote<Content>) -> bool {
        let value = vote.value;
        if !value.absent && value.holders.contains(drive) {
            world.seen.see(Occasion::HolderVoted);
            let holds = s.drives[usize::from(drive)]
                .key
                .folders
                .contains(&Folder::from(value.name));
            self.broken.check(Rule::AcceptedMeansStaged, holds || world.lost(s) > 0);
        }
        let majority = world.majority();
        let Some(record) = self.votes.get_mut(&vote.ballot) else {
            return false;
        };
        if record.chosen && world.faults.forgetful() == 0 {
            return false;
        }
        record.voters.insert(drive);
        if record.chosen || record.voters.count() < majority {
            return false;
        }
        record.chosen = true;
        if world.faults.forgetful() == 0 {
            record.voters = Drives::NONE;
        }
        // The staged shards are still there, unless the value has been replaced meanwhile.
        if self.latest() == value && !value.absent {
            let kept = s.holding(value.name) + world.lost(s) >= world.enough_staged(value.data);
            self.broken.check(Rule::AcceptedMeansStaged, kept);
        }
        self.audit_chain(world);
        true
    }

    /// Checks the sequence of chosen values after a ballot has become chosen.
    fn audit_chain(&mut self, world: &World) {
        let chosen: Vec<Record> = self.chosen().copied().collect();
        let first = if world.initial {
            chosen[0].value
        } else {
            Content::absent()
        };
        let mut chain = vec![first];
        for record in &chosen {
            let last = *chain.last().expect("it has a first");
            let follows = record.value == last || record.prev == last || (record.prev.absent && last.absent);
            self.broken
                .check(Rule::Chain, follows || (world.initial && record.value == first));
            if record.value != last {
                chain.push(record.value);
            } else if !record.value.absent {
                world.seen.see(Occasion::Repeated);
            }
        }
        if chain.len() > 2 {
            world.seen.see(Occasion::TwoChosen);
        }
        for pair in chain.windows(2) {
            let Some(client) = pair[1].name.checked_sub(1) else {
                continue;
            };
            if usize::from(client) < world.changes.len() {
                self.broken
                    .check(Rule::Precondition, world.change(client).may_follow(&pair[0]));
            }
            if !pair[0].absent && !pair[1].absent && pair[0].data != pair[1].data {
                world.seen.see(Occasion::MixedParity);
            }
        }
        for (at, deleted) in chain.iter().enumerate().filter(|(_, value)| value.absent) {
            let back = chain[..at].iter().any(|old| !old.absent && chain[at..].contains(old));
            self.broken.check(
                Rule::NoResurrection,
                !back || deleted.name == 0 && !world.initial && at == 0,
            );
        }
    }

    /// Checks the end of an operation. `voted` is its ballot if an acceptance ended it.
    pub(super) fn audit_outcome(
        &mut self,
        world: &World,
        client: u8,
        outcome: &Outcome<Content, ()>,
        voted: Option<Ballot>,
    ) {
        let change = world.change(client);
        let Outcome::Written(value) = outcome else { return };
        if !change.is_asked_for() || value.name != change.name {
            return;
        }
        self.acks = (self.acks + 1).min(2);
        match change.kind {
            Kind::Create | Kind::Match(_) => world.seen.see(Occasion::ConditionalAcked),
            Kind::Delete => world.seen.see(Occasion::DeleteAcked),
            _ => {}
        }
        if self.acks > 1 {
            world.seen.see(Occasion::TwoAcked);
        }
        let Some(ballot) = voted else { return };
        self.acked = self.acked.max(ballot);
        let Some(record) = self.votes.get(&ballot).copied() else {
            return;
        };
        self.broken.check(Rule::BySet, record.chosen);
        if !record.chosen {
            let alone = self.acked_by.iter().any(|other| other.without(record.voters) == *other);
            self.broken.check(Rule::NoSplitBrain, !alone);
            self.acked_by.push(record.voters);
        }
    }

    /// Checks a plain read that was decided on the answers of `answers` drives.
    pub(super) fn audit_read(&mut self, world: &World, answers: usize) {
        self.broken
            .check(Rule::BySet, answers + world.majority() > usize::from(world.drives));
    }

    /// Checks the answer to a get.
    pub(super) fn audit_value(&mut self, world: &World, s: &System, client: u8, told: Told) {
        if told == Told::Value(0) {
            world.seen.see(Occasion::NotFound);
            let known = s.clients[usize::from(client)].saw_absent;
            self.broken.check(Rule::NotFoundIsKnown, known);
        }
    }

    /// Checks between two states that shards which count for the latest chosen version go by losses alone. So K of them
    /// are left while losses ≤ |S| − K, and, once all N drives had it, after as many losses as it has parity shards.
    pub(super) fn judge_losses(&mut self, world: &World, last: &State, s: &System) {
        let latest = self.latest();
        if latest.absent || latest != last.ledger.latest() {
            return;
        }
        let shards = |s: &System| {
            let holders = world.holders_of(s, latest.name).unwrap_or(latest.holders);
            let counts = |drive: &u8| {
                let Drive { key, past, .. } = &*s.drives[usize::from(*drive)];
                // A shard on a drive that is no holder and has not voted for the value may be cleaned up. An unreadable
                // record erases whether the drive has voted.
                let voted = world.faults.rots == 0 && past.voted >> latest.name & 1 == 1;
                let counts = holders.contains(*drive) || voted;
                key.folders.contains(&Folder::from(latest.name)) && counts
            };
            (0..world.drives).filter(counts).count() + world.lost(s)
        };
        let kept = shards(s) >= shards(&last.system);
        self.broken.check(Rule::AckedSurvives, kept);
    }

    /// Checks the invariants of every state.
    pub(super) fn check_invariants(&mut self, world: &World, s: &System) {
        let latest = self.latest();
        let readable = latest.absent || !world.survives(&latest) || s.holding(latest.name) >= usize::from(latest.data);
        self.broken.check(Rule::AckedSurvives, readable);
        if !self.acked.is_zero() {
            let acked = self.acked;
            let voted = s
                .drives
                .iter()
                .filter(|d| d.key.register.accepted.ballot.max(self.purged) >= acked)
                .count();
            let forgot = usize::from(world.faults.forgetful() - s.faults.forgetful());
            self.broken.check(Rule::PowerLoss, voted + forgot >= world.majority());
        }
        if world.faults.forgetful() > 0 {
            self.judge_authority(world, s);
        }
        if world.lost(s) > 0 && !latest.absent && s.is_healed(&latest) {
            world.seen.see(Occasion::HealedAfterLoss);
        }
        if s.clients.iter().all(|client| client.answered) {
            world.seen.see(Occasion::AllAnswered);
        }
    }
}
