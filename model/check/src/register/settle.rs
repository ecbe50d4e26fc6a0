//! Normalization: removes differences that have no effect from a state (the arguments are in `world`).

use super::rules::Occasion;
use super::state::{Drive, Mail, State, System, World};
use crate::kit::client::forget_spent;
use crate::kit::drive::UNBOUNDED;
use crate::kit::mail::find;
use crate::kit::votes::forget_hopeless;
use model::protocol::mutant::Mutant;
use model::protocol::{Ballot, Drives, Membership, Request};

impl World {
    /// Delivers at once what will always be refused, and drops what can no longer have an effect.
    pub(super) fn settle(&self, s: &mut State) {
        (0..self.drives).for_each(|drive| self.come_in(s, drive));
        if !self.promises_fall() {
            while let Some((client, mail, drive)) = self.find_refused(s) {
                self.see_late(s, client, mail, drive);
                self.deliver(s, client, mail, drive, true);
            }
            self.forget_hopeless_ballots(s);
        }
        self.forget_spent_mail(s);
        self.end_recoveries(s);
        if !s.system.faults.need_hi() {
            for drive in 0..self.drives {
                if s.system.drives[usize::from(drive)].own.hi != UNBOUNDED {
                    s.system.drive(drive).own.hi = UNBOUNDED;
                }
            }
        }
    }

    /// Ends the recovery of a drive that knows the key, since there is only one.
    fn end_recoveries(&self, s: &mut State) {
        for drive in 0..self.drives {
            let Drive { own, key, .. } = &*s.system.drives[usize::from(drive)];
            if key.known && matches!(own.membership, Membership::Recovering(_)) {
                let state = s.system.drive(drive);
                state.own.membership = Membership::Active;
                state.past.rejoin.lacking = Drives::NONE;
            }
        }
    }

    /// Returns whether the mutant may let a drive accept later what it refuses now.
    fn promises_fall(&self) -> bool {
        let mutants = [
            Mutant::NoFencing,
            Mutant::FloorNotRaised,
            Mutant::ReplyBeforeDurable,
            Mutant::BestEffortUndo,
            Mutant::DiscardWithoutAccepted,
            Mutant::DiscardIgnoresFloor,
            Mutant::JoinWithoutEpoch,
            Mutant::JoinWithFloor,
            Mutant::InstallWithoutPromise,
            Mutant::InstallLowersVote,
            Mutant::HiNotRaised,
            Mutant::BallotsUsedAgain,
            Mutant::PurgeWithoutFloor,
            Mutant::RottenWithoutFloor,
            Mutant::PurgeForgetsPromise,
            Mutant::PurgeAtFewer,
        ];
        mutants.into_iter().any(|mutant| self.mutation.is(mutant))
    }

    /// Finds a request in flight to a drive whose reply can no longer change.
    fn find_refused(&self, s: &State) -> Option<(u8, usize, u8)> {
        let clients = s.system.clients.iter().map(|client| &client.mail[..]);
        find(clients, |mail, drive| {
            s.system.drives[usize::from(drive)].has_settled(&mail.request)
        })
    }

    fn see_late(&self, s: &State, client: u8, mail: usize, drive: u8) {
        let request = &s.system.clients[usize::from(client)].mail[mail].request;
        if matches!(request, Request::Accept { .. }) {
            self.seen.see(Occasion::LateAccept);
        }
        let is_old = |ballot| s.system.drives[usize::from(drive)].has_left(ballot);
        if request.ballot().is_some_and(is_old) {
            self.seen.see(Occasion::FencedOff);
        }
    }

    /// Returns whether an Install is in flight to a drive that has promised a higher ballot since.
    fn is_late(&self, s: &State, mail: &Mail) -> bool {
        let promised = |drive: u8| s.system.drives[usize::from(drive)].key.promised;
        let ballot = mail.request.ballot().unwrap_or(Ballot::ZERO);
        mail.to.iter().any(|drive| promised(drive) > ballot)
    }

    pub(super) fn forget_spent_mail(&self, s: &mut State) {
        let mut mail = s.system.clients.iter().flat_map(|client| &client.mail);
        if mail.any(|mail| matches!(mail.request, Request::Install { .. }) && self.is_late(s, mail)) {
            self.seen.see(Occasion::LateInstall);
        }
        let (falling, may_double) = (self.promises_fall(), s.system.faults.doubles > 0);
        let System { drives, clients, .. } = &mut s.system;
        forget_spent(clients, may_double, |mail, drive| {
            !falling && drives[usize::from(drive)].is_done_with(&mail.request)
        });
    }

    /// Drops ballots in which no more than A - 1 drives can have voted, now or later.
    fn forget_hopeless_ballots(&self, s: &mut State) {
        if self.broken {
            return;
        }
        let mail: Vec<&Mail> = s.system.clients.iter().flat_map(|client| &client.mail).collect();
        forget_hopeless(&mut s.ledger.votes, &mail, |_, ballot| ballot, |_| self.majority());
    }
}
