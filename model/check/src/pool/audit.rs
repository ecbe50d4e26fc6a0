//! Checks of the rules after each step. Drives are counted here, and never by the protocol's own quorum code.

use super::content::Content;
use super::rules::{Occasion, Rule};
use super::state::{Ledger, Record, State, System, World};
use crate::kit::votes::majority;
use crate::register::change::{Change, Kind};
use model::pool::Placed;
use model::protocol::{Ballot, Drives, KeyState, Request, Value, Vote};

impl World {
    /// Returns the size of a majority of a set's drives.
    pub(super) fn majority(&self, pool: u8) -> usize {
        majority(self.sizes[usize::from(pool)])
    }

    /// Checks the invariants of every state.
    pub(super) fn check_invariants(&self, s: &mut State) {
        let homes = s.ledger.homes(self.pools().end);
        s.ledger.broken.check(Rule::OneHome, homes.len() <= 1);
        if let Some((pool, value)) = homes.first() {
            let readable = s.system.holding(*pool, value.folder()) >= usize::from(value.data());
            s.ledger.broken.check(Rule::MoveKeepsData, readable);
        }
        let latest = homes.first().map_or(0, |(_, value)| value.name);
        if latest != s.ledger.latest {
            s.ledger.gone |= 1 << s.ledger.latest & !1;
            s.ledger.latest = latest;
        }
        let back = s.ledger.gone >> latest & 1 == 1;
        s.ledger.broken.check(Rule::NoResurrection, !back);
        if latest == 0 {
            for client in 0..s.system.clients.len() as u8 {
                let asks = self.change(client).is_some_and(Change::is_get);
                let state = &s.system.clients[usize::from(client)];
                if asks && !state.saw_absent && (state.machine.is_some() || !state.reading.is_empty()) {
                    s.system.client(client).saw_absent = true;
                }
            }
        }
        if self
            .jobs
            .iter()
            .enumerate()
            .all(|(client, job)| !matches!(job, super::state::Job::Change(..)) || s.system.clients[client].answered)
        {
            self.seen.see(Occasion::AllAnswered);
        }
    }
}

impl Ledger {
    /// Checks an Accept that a coordinator sends.
    pub(super) fn audit_proposal(
        &mut self,
        world: &World,
        client: u8,
        pool: u8,
        vote: &Vote<Placed<Content>>,
        prev: &Vote<Placed<Content>>,
    ) {
        let known = prev.ballot.is_zero() || self.votes.get(&(pool, prev.ballot)).is_some_and(|record| record.chosen);
        self.broken.check(Rule::PrevIsChosen, known);
        let record = Record::proposed(vote.value.clone(), prev.value.clone());
        if world
            .pools()
            .any(|other| other != pool && self.votes.contains_key(&(other, vote.ballot)))
        {
            world.seen.see(Occasion::TwoSets);
        }
        let earlier = self.votes.insert((pool, vote.ballot), record);
        self.broken.check(Rule::OneValuePerBallot, earlier.is_none());
        let own = world
            .change(client)
            .is_some_and(|change| named(&vote.value) == change.name);
        if own && self.born[usize::from(client)].is_zero() {
            self.born[usize::from(client)] = vote.ballot;
        }
        if vote.value == Placed::Withdrawn {
            world.seen.see(Occasion::Withdrawn);
        }
        let created = |other: u8| {
            let votes = self.votes.range((other, Ballot::ZERO)..(other + 1, Ballot::ZERO));
            votes
                .into_iter()
                .any(|(_, record)| record.value.is_live() && record.prev.is_absent())
        };
        if world.pools().filter(|pool| created(*pool)).count() > 1 {
            world.seen.see(Occasion::TwoCreated);
        }
    }

    /// Checks a drive's step.
    pub(super) fn audit_step(
        &mut self,
        world: &World,
        s: &System,
        pool: u8,
        drive: u8,
        before: &KeyState<Placed<Content>>,
        request: &Request<Placed<Content>>,
    ) {
        let (was, now) = {
            let key = &s.sets[usize::from(pool)][usize::from(drive)].key;
            (before.register.accepted.ballot, key.register.accepted.ballot)
        };
        match request {
            Request::Accept { vote, .. } if now == vote.ballot && was != now => {
                self.audit_vote(world, pool, drive, vote)
            }
            Request::Purge { ballot } if was != now => self.audit_purge(world, s, *ballot),
            _ => {}
        }
    }

    fn audit_vote(&mut self, world: &World, pool: u8, drive: u8, vote: &Vote<Placed<Content>>) {
        let majority = world.majority(pool);
        let Some(record) = self.votes.get_mut(&(pool, vote.ballot)).filter(|record| !record.chosen) else {
            return;
        };
        record.voters.insert(drive);
        if record.voters.count() >= majority {
            record.chosen = true;
            record.voters = Drives::NONE;
            self.audit_chosen(world, pool, vote);
        }
    }

    /// Checks a set after a ballot has become chosen in it.
    fn audit_chosen(&mut self, world: &World, pool: u8, vote: &Vote<Placed<Content>>) {
        let votes = self.votes.range((pool, Ballot::ZERO)..(pool + 1, Ballot::ZERO));
        let chosen: Vec<Record> = votes
            .filter(|(_, record)| record.chosen)
            .map(|(_, r)| r.clone())
            .collect();
        for pair in chosen.windows(2) {
            let (first, second) = (&pair[0].value, &pair[1]);
            // A tombstone that was purged is absence.
            let follows = second.prev == *first || second.prev.is_absent() && first.is_absent();
            self.broken.check(Rule::Chain, second.value == *first || follows);
            if second.value != *first {
                world.seen.see(Occasion::TwoChosen);
            }
        }
        if vote.value.is_live() && chosen.last().is_some_and(|record| record.prev.is_incoming()) {
            world.seen.see(Occasion::Arrived);
        }
        self.audit_creation(world, vote);
        // Only a delete takes a key away.
        let deletes = vote.value.is_absent() && named(&vote.value) != 0;
        let lost = self.latest != 0 && self.homes(world.pools().end).is_empty();
        self.broken.check(Rule::MoveKeepsData, deletes || !lost);
    }

    /// Checks that a superseded change stays dead: between the ballot in which it was first proposed and the one in
    /// which it is chosen, no vote is chosen for another value or tombstone of the key.
    fn audit_creation(&mut self, world: &World, vote: &Vote<Placed<Content>>) {
        let name = named(&vote.value);
        let born = name
            .checked_sub(1)
            .and_then(|client| self.born.get(usize::from(client)).copied());
        let Some(born) = born.filter(|born| vote.value.is_live() && !born.is_zero()) else {
            return;
        };
        let first = !self
            .votes
            .iter()
            .any(|((_, ballot), record)| record.chosen && *ballot != vote.ballot && named(&record.value) == name);
        let passed = self.votes.iter().any(|((_, ballot), record)| {
            let between = *ballot > born && *ballot < vote.ballot;
            // A roll-back to absence supersedes nothing: no client was told anything because of it.
            let speaks = record.value.is_here() && named(&record.value) != 0;
            record.chosen && between && speaks
        });
        self.broken.check(Rule::SupersededStaysDead, !(first && passed));
        if first && let Some(change) = world.change(name - 1) {
            let held = change.kind != Kind::Create || self.latest == 0;
            self.broken.check(Rule::Precondition, held);
        }
    }

    /// Checks a purge of a tombstone: no drive of any set has anything older, or will accept it.
    fn audit_purge(&mut self, world: &World, s: &System, ballot: Ballot) {
        world.seen.see(Occasion::Purged);
        let total = s.sets.iter().flatten().all(|drive| {
            let voted = drive.key.register.accepted.ballot;
            voted >= ballot || voted.is_zero() && drive.key.promised.max(drive.own.floor) >= ballot
        });
        self.broken.check(Rule::PurgeIsTotal, total);
    }
}

/// Returns the name of the change that made a value.
fn named(value: &Placed<Content>) -> u8 {
    value.value().map_or(0, |value| value.name)
}
