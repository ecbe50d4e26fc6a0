//! What the rules of heal demand (`specs/heal.md`).

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
    /// After a drive has purged a tombstone: what it refused is refused, and no drive has anything older, or may
    /// vote for it.
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
    /// After a drive has taken over what a healer sent.
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

    /// Before a drive removes folders: what names it as a holder of one is replaced by something chosen, or never
    /// will be chosen.
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

    /// A drive that speaks for the key knows of every vote of its slot that is chosen.
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
            // Up to a tombstone that was purged there is nothing to know.
            let knows = key.register.accepted.ballot.max(self.purged);
            let forgotten = chosen.iter().any(|(ballot, by)| by.contains(drive) && *ballot > knows);
            self.broken.check(Rule::AuthorityIsEarned, !forgotten);
        }
    }
}
