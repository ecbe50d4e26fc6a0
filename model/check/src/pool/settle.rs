//! Normalization: removes differences that have no effect from a state (the arguments are in
//! [`crate::register::world`]).

use super::state::{Mail, State, System, World};
use crate::kit::client::forget_spent;
use crate::kit::drive::UNBOUNDED;
use crate::kit::mail::find;
use crate::kit::votes::forget_hopeless;
use model::protocol::Request;

impl World {
    /// Delivers at once what will always be refused, and drops what can no longer have an effect.
    pub(super) fn settle(&self, s: &mut State) {
        while let Some((client, mail, drive)) = find_refused(s) {
            self.deliver(s, client, mail, drive, true);
        }
        if !self.broken {
            self.forget_hopeless_ballots(s);
        }
        forget_spent_mail(s);
        if self.faults.boots > 0 && s.system.faults.boots == 0 {
            for pool in self.pools() {
                for drive in 0..self.sizes[usize::from(pool)] {
                    if s.system.sets[usize::from(pool)][usize::from(drive)].own.hi != UNBOUNDED {
                        s.system.drive(pool, drive).own.hi = UNBOUNDED;
                    }
                }
            }
        }
    }

    /// Drops ballots in which no majority of a set can have voted, now or later.
    fn forget_hopeless_ballots(&self, s: &mut State) {
        let mail: Vec<&Mail> = s.system.clients.iter().flat_map(|client| &client.mail).collect();
        let key = |letter: &Mail, ballot| (letter.place, ballot);
        forget_hopeless(&mut s.ledger.votes, &mail, key, |(pool, _)| self.majority(pool));
    }
}

/// Finds a request in flight to a drive whose reply can no longer change.
fn find_refused(s: &State) -> Option<(u8, usize, u8)> {
    let clients = s.system.clients.iter().map(|client| &client.mail[..]);
    find(clients, |mail, drive| {
        s.system.sets[usize::from(mail.place)][usize::from(drive)].has_settled(&mail.request)
    })
}

fn forget_spent_mail(s: &mut State) {
    let System { sets, clients, .. } = &mut s.system;
    forget_spent(clients, false, |mail, drive| {
        let drive = &sets[usize::from(mail.place)][usize::from(drive)];
        match &mail.request {
            Request::Purge { ballot } => drive.key.register.accepted.ballot != *ballot && !drive.may_vote(*ballot),
            request => drive.is_done_with(request),
        }
    });
}
