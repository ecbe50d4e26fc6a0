//! Drives that lose everything, and their return.

use super::rules::{Occasion, Rule};
use super::state::{Drive, Past, Rejoin, State, World};
use model::protocol::join::{absence_is_known, join_epoch, lacks, may_join};
use model::protocol::mutant::Mutant;
use model::protocol::{Ballot, DriveState, Drives, KeyState, Membership, Quorums, Reply, Request};
use std::collections::BTreeMap;

impl World {
    pub(super) fn wipe(&self, s: &mut State, drive: u8) {
        s.system.faults.wipes -= 1;
        let state = s.system.drive(drive);
        let votes = state.key.promised.max(state.key.register.accepted.ballot);
        let promised = state.past.promised.max(votes);
        *state = Drive {
            own: DriveState::outside(),
            key: KeyState::lost(),
            durable: None,
            past: Past {
                promised,
                rejoin: Rejoin {
                    past: state.past.rejoin.past.max(promised.epoch),
                    ..Rejoin::default()
                },
                voted: 0,
            },
        };
    }

    /// Makes the drive's record of the key unreadable. Its floor rises to the rounds that it has reserved, which cover
    /// all that it promised or voted in: that is refused from now on.
    pub(super) fn rot(&self, s: &mut State, drive: u8) {
        s.system.faults.rots -= 1;
        let state = s.system.drive(drive);
        let votes = state.key.promised.max(state.key.register.accepted.ballot);
        state.past.promised = state.past.promised.max(votes);
        state.durable = None;
        state.past.voted = 0;
        let folders = std::mem::take(&mut state.key.folders);
        let known = self.mutation.is(Mutant::RottenIsAbsent);
        state.key = KeyState {
            folders,
            known,
            ..KeyState::lost()
        };
        if !self.mutation.is(Mutant::RottenWithoutFloor) {
            state.own.floor = DriveState::boot(state.own.epoch, state.own.hi).floor;
        }
    }

    /// Chooses the epoch to join under. All drives are asked at once: epochs only rise, so later answers could only
    /// raise it.
    pub(super) fn join(&self, s: &mut State, drive: u8, told: Drives) -> Option<()> {
        let epochs: BTreeMap<u8, u64> = told
            .iter()
            .filter_map(|other| match self.step_drive(s, other, Request::Membership) {
                Reply::Membership { epoch, whole: true } => Some((other, epoch)),
                _ => None,
            })
            .collect();
        let epoch = join_epoch(Quorums::of(self.drives), &epochs, self.mutation)?;
        if self.mutation.is(Mutant::JoinWithFloor) {
            let votes = told.iter().map(|other| {
                let key = &s.system.drives[usize::from(other)].key;
                key.promised.max(key.register.accepted.ballot)
            });
            s.system.drive(drive).own.floor = votes.max().unwrap_or(Ballot::ZERO);
        }
        s.system.drive(drive).past.rejoin.joining = Some(epoch);
        Some(())
    }

    /// Has the epoch stored by another drive.
    pub(super) fn fence(&self, s: &mut State, drive: u8, other: u8) {
        let state = &s.system.drives[usize::from(drive)];
        let epoch = match (state.own.membership, state.past.rejoin.joining) {
            (Membership::Recovering(epoch), _) | (_, Some(epoch)) => epoch,
            _ => return,
        };
        let ballot = Ballot { epoch, ..Ballot::ZERO };
        self.step_drive(s, other, Request::Fence { ballot });
    }

    /// Lets a drive join as soon as enough others have stored its epoch, through any drive's Fence.
    pub(super) fn come_in(&self, s: &mut State, drive: u8) {
        let Some(epoch) = s.system.drives[usize::from(drive)].past.rejoin.joining else {
            return;
        };
        let has_stored = |other: &u8| {
            let own = &s.system.drives[usize::from(*other)].own;
            *other != drive && own.membership != Membership::Unjoined && own.epoch >= epoch
        };
        let fenced: Drives = (0..self.drives).filter(has_stored).collect();
        if !may_join(Quorums::of(self.drives), fenced) {
            return;
        }
        let state = s.system.drive(drive);
        let past = state.past.rejoin.past;
        let floor = state.own.floor;
        state.own = DriveState::joined(epoch);
        if self.mutation.is(Mutant::JoinWithFloor) || self.mutation.is(Mutant::JoinLeavesFloor) {
            state.own.floor = floor;
        }
        state.past.rejoin = Rejoin::default();
        s.ledger.broken.check(Rule::EpochFences, epoch > past);
    }

    /// Asks another drive whether it lacks the key, and takes the key for absent if enough drives do.
    pub(super) fn scan(&self, s: &mut State, drive: u8, other: u8) -> Option<()> {
        let Membership::Recovering(join) = s.system.drives[usize::from(drive)].own.membership else {
            return None;
        };
        let Reply::Read(snapshot) = self.step_drive(s, other, Request::Read) else {
            return None;
        };
        if !lacks(join, &snapshot, self.mutation) {
            return None;
        }
        let state = s.system.drive(drive);
        state.past.rejoin.lacking.insert(other);
        if absence_is_known(Quorums::of(self.drives), state.past.rejoin.lacking) {
            state.key.known = true;
            self.seen.see(Occasion::KnownAbsent);
        }
        Some(())
    }
}
