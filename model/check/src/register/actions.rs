//! The actions that are possible in a state.

use super::change::Kind;
use super::state::{Action, Client, Drive, State, World};
use crate::kit::client::Stage;
use model::protocol::mutant::Mutant;
use model::protocol::{Drives, Membership};

impl World {
    pub(super) fn client_actions(&self, s: &State, client: u8, state: &Client, actions: &mut Vec<Action>) {
        match state.stage {
            Stage::Idle if self.may_begin(s, client) => {
                let sets = self.stagings(client).into_iter();
                let there = sets.filter(|drives| drives.without(s.system.outside()) == *drives);
                actions.extend(there.map(|on| Action::Invoke(client, on)))
            }
            Stage::Idle | Stage::Over => {}
            Stage::Reading => {
                let mut there = state.reading.unread.without(s.system.outside());
                let mut needed = usize::from(self.quorums[usize::from(client)].prepare);
                if self.change(client).kind == Kind::Purge {
                    // A drive without the tombstone would have to be asked again later.
                    there = there.iter().filter(|drive| s.system.is_deleted_on(*drive)).collect();
                    needed = usize::from(self.drives) - usize::from(self.mutation.is(Mutant::PurgeAtFewer));
                }
                actions.extend(there.iter().map(|drive| Action::Read(client, drive)));
                if state.reading.answers.len() >= needed {
                    actions.push(Action::Conclude(client));
                }
            }
            Stage::Opening => {
                let untried = state
                    .reading
                    .opening
                    .as_ref()
                    .map_or(Drives::NONE, |opening| opening.fetch.untried());
                actions.extend(untried.iter().map(|drive| Action::Open(client, drive)));
            }
            Stage::Running => {
                actions.push(Action::StragglerTimeout(client));
                if s.system.faults.crashes > 0 {
                    actions.push(Action::Crash(client));
                }
                if s.system.faults.deadlines > 0 {
                    actions.push(Action::Deadline(client));
                }
                if s.system.faults.failures > 0 {
                    let waited_for = state.mail.last().map_or(Drives::NONE, |mail| mail.to);
                    actions.extend(waited_for.iter().map(|drive| Action::Fail(client, drive)));
                }
            }
        }
        for (index, mail) in state.mail.iter().enumerate() {
            let index = index as u8;
            for drive in mail
                .to
                .without(s.system.outside())
                .iter()
                .filter(|d| s.system.drives[usize::from(*d)].may_change_by(&mail.request))
            {
                let deliver = |answered| Action::Deliver {
                    client,
                    mail: index,
                    drive,
                    answered,
                };
                actions.push(deliver(true));
                if s.system.faults.silences > 0 && state.stage == Stage::Running {
                    actions.push(deliver(false));
                }
            }
            if s.system.faults.doubles > 0 {
                actions.extend(
                    mail.delivered
                        .without(s.system.outside())
                        .iter()
                        .map(|drive| Action::Double {
                            client,
                            mail: index,
                            drive,
                        }),
                );
            }
        }
    }

    /// Adds the steps by which a wiped drive returns, and the faults that wipe a drive or make its record unreadable.
    pub(super) fn recovery_actions(&self, s: &State, drive: u8, state: &Drive, actions: &mut Vec<Action>) {
        let is_blank = state.key.promised.is_zero() && state.key.register.accepted.ballot.is_zero();
        if s.system.faults.wipes > 0 && !(is_blank && state.key.folders.is_empty()) {
            actions.push(Action::Wipe(drive));
        }
        if s.system.faults.rots > 0 && !state.key.register.accepted.ballot.is_zero() {
            actions.push(Action::Rot(drive));
        }
        let others = Drives::all(self.drives)
            .without(s.system.outside())
            .without(Drives::one(drive));
        let epoch = match (state.own.membership, state.past.rejoin.joining) {
            (Membership::Unjoined, None) => {
                let sets = (0..=others.bits()).map(Drives::from_bits);
                let told = sets.filter(|told| told.without(others).is_empty() && self.may_tell(s, *told));
                return actions.extend(told.map(|told| Action::Join(drive, told)));
            }
            (Membership::Unjoined, Some(epoch)) => epoch,
            (Membership::Recovering(epoch), _) if !state.key.known => {
                let unheard = others.without(state.past.rejoin.lacking);
                actions.extend(unheard.iter().map(|other| Action::Scan(drive, other)));
                epoch
            }
            _ => return,
        };
        let unfenced = others
            .iter()
            .filter(|other| s.system.drives[usize::from(*other)].own.epoch < epoch);
        actions.extend(unfenced.map(|other| Action::Fence(drive, other)));
    }

    /// Returns whether these are Q active drives: just enough to give a joining drive its epoch.
    fn may_tell(&self, s: &State, told: Drives) -> bool {
        let whole = |drive| s.system.drives[usize::from(drive)].own.membership == Membership::Active;
        told.count() + self.majority() == usize::from(self.drives) + 1 && told.iter().all(whole)
    }

    /// Returns whether an operation may begin: a clean-up once there may be something staged to clean up, a purge once
    /// some drive has a committed tombstone.
    fn may_begin(&self, s: &State, client: u8) -> bool {
        match self.change(client).kind {
            Kind::CleanUp(name) => s.system.clients[usize::from(name) - 1].stage != Stage::Idle,
            Kind::Purge => {
                let has_tombstone = |drive| s.system.is_deleted_on(drive) && !s.system.vote_of(drive).is_zero();
                (0..self.drives).any(has_tombstone)
            }
            _ => true,
        }
    }

    /// Returns the sets of drives that an operation's shards may be staged on.
    fn stagings(&self, client: u8) -> Vec<Drives> {
        let change = self.change(client);
        if !change.has_data() || self.mutation.is(Mutant::AcceptWithoutShard) {
            return vec![Drives::NONE];
        }
        if !self.stagings.is_empty() {
            return self.stagings.clone();
        }
        let sets = (0..=Drives::all(self.drives).bits()).map(Drives::from_bits);
        sets.filter(|drives| drives.count() == usize::from(change.write))
            .collect()
    }
}
