//! Checks of the rules of heal (`specs/heal.md`).

use super::change::Content;
use super::rules::{Occasion, Rule};
use super::state::{Drive, Ledger, State, System, World};
use model::protocol::mutant::Mutant;
use model::protocol::{Ballot, Drives, Folder, KeyState, Membership, Vote};

impl System {
    /// Returns whether every drive has the value, knows that it is chosen and holds a shard.
    pub fn is_healed(&self, value: &Content) -> bool {
        self.drives.iter().all(|drive| {
            let Drive { own, key, .. } = &**drive;
            let holds = value.absent || key.folders.contains(&Folder::from(value.name));
            let register = &key.register;
            let found = register.accepted.value;
            let settled = register.committed && (found == *value || found.absent && value.absent);
            own.membership != Membership::Unjoined && key.known && settled && holds
        })
    }
}

impl World {
    /// Checks a purge: the drive goes on refusing what it refused, and no drive has, or may vote for, anything older.
    pub(super) fn audit_purge(&self, s: &mut State, drive: u8, before: &KeyState<Content>, ballot: Ballot) {
        self.seen.see(Occasion::Purged);
        s.ledger.purged = s.ledger.purged.max(ballot);
        let is_past = |drive: &Drive| {
            let vote = drive.key.register.accepted.ballot;
            let own = &drive.own;
            let refuses = own.floor >= ballot || own.epoch > ballot.epoch || own.membership == Membership::Unjoined;
            vote >= ballot || vote.is_zero() && refuses
        };
        let total = s.system.drives.iter().all(|drive| is_past(drive));
        s.ledger.broken.check(Rule::PurgeIsTotal, total);
        let state = s.system.drive(drive);
        let promised = before.promised.max(before.register.accepted.ballot);
        if promised > state.own.floor {
            state.past.promised = state.past.promised.max(promised);
        }
    }
}

impl Ledger {
    /// Checks an Install that a drive has applied.
    pub(super) fn audit_install(
        &mut self,
        world: &World,
        s: &System,
        drive: u8,
        before: &KeyState<Content>,
        ballot: Ballot,
        vote: &Vote<Content>,
    ) {
        let record = self.votes.get(&vote.ballot);
        let chosen = vote.ballot.is_zero() || record.is_some_and(|r| r.chosen && r.value == vote.value);
        self.broken
            .check(Rule::InstallIsChosen, chosen && before.promised == ballot);
        let after = s.drives[usize::from(drive)].key.clone();
        let (old, new) = (&before.register.accepted, &after.register.accepted);
        let same = old.ballot < new.ballot || old == new;
        self.broken.check(Rule::HealIsNoOp, same);
        let latest = Folder::from(self.latest().name);
        let lowered = before.folders.contains(&latest) && !after.folders.contains(&latest);
        self.broken.check(Rule::NeverLowers, !lowered);
        if after.folders.difference(&before.folders).next().is_some() {
            world.seen.see(Occasion::ShardInstalled);
        }
    }

    /// Checks folders that a drive removes: every vote that names it as a holder of one has been replaced by a chosen
    /// value, or can never be chosen.
    pub(super) fn audit_removal(&mut self, world: &World, s: &System, drive: u8, folders: &[Folder]) {
        let latest = self.votes.iter().rev().find(|(_, record)| record.chosen);
        let since = latest.map_or(Ballot::ZERO, |(ballot, _)| *ballot);
        let in_use = self.votes.range(since..).any(|(_, record)| {
            let name = record.value.name;
            let holders = world.holders_of(s, name).unwrap_or(record.value.holders);
            folders.contains(&Folder::from(name)) && holders.contains(drive)
        });
        self.broken.check(Rule::NoNegativeEvidence, !in_use);
    }

    /// Checks that an authoritative drive knows every vote of its slot that is chosen (`heal.authority-is-earned`).
    pub(super) fn judge_authority(&mut self, world: &World, s: &System) {
        let chosen: Vec<(Ballot, Drives)> = self
            .votes
            .iter()
            .filter(|(_, record)| record.chosen)
            .map(|(ballot, record)| (*ballot, record.voters))
            .collect();
        let speaks = world.mutation.is(Mutant::WipedSpeaks);
        for drive in 0..world.drives {
            let Drive { own, key, .. } = &*s.drives[usize::from(drive)];
            if own.membership == Membership::Unjoined || !(key.known || speaks) {
                continue;
            }
            // Nothing needs to be known of ballots up to that of a purged tombstone.
            let knows = key.register.accepted.ballot.max(self.purged);
            let forgotten = chosen.iter().any(|(ballot, by)| by.contains(drive) && *ballot > knows);
            self.broken.check(Rule::AuthorityIsEarned, !forgotten);
        }
    }
}
