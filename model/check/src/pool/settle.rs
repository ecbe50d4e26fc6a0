//! What makes no difference is taken out of a state at once (the arguments are in [`crate::register::world`]).

use super::content::Content;
use super::state::{Drive, State, World};
use model::pool::Placed;
use model::protocol::{Ballot, Drives, Request};

impl World {
    /// Refuses at once what will be refused for ever, and forgets what can have no effect any more.
    pub(super) fn settle(&self, s: &mut State) {
        while let Some((client, mail, drive)) = find_refused(s) {
            self.deliver(s, client, mail, drive, true);
        }
        if !self.broken {
            self.forget_hopeless_ballots(s);
        }
        forget_spent_mail(s);
        if self.faults.boots > 0 && s.faults.boots == 0 {
            for pool in self.pools() {
                for drive in 0..self.sizes[usize::from(pool)] {
                    if s.sets[usize::from(pool)][usize::from(drive)].own.hi != u64::MAX / 2 {
                        s.drive(pool, drive).own.hi = u64::MAX / 2;
                    }
                }
            }
        }
    }

    /// Forgets ballots that fewer than half of a set can have voted for, now or later.
    fn forget_hopeless_ballots(&self, s: &mut State) {
        let is_hopeless = |((pool, ballot), record): &(&(u8, Ballot), &super::state::Record)| {
            let mut voters = record.voters;
            for mail in s.clients.iter().flat_map(|client| &client.mail) {
                if matches!(&mail.request, Request::Accept { vote, .. } if mail.pool == *pool && vote.ballot == *ballot)
                {
                    voters = voters.iter().chain(mail.to.iter()).collect();
                }
            }
            !record.chosen && voters.count() < self.majority(*pool)
        };
        let hopeless: Vec<(u8, Ballot)> = s.votes.iter().filter(is_hopeless).map(|(at, _)| *at).collect();
        for at in hopeless {
            s.votes.remove(&at);
        }
    }

    /// Returns whether a request may change anything on a drive; what it would not change, it may as well not reach.
    pub(super) fn is_of_use(drive: &Drive, request: &Request<Placed<Content>>) -> bool {
        let register = &drive.key.register;
        match request {
            Request::Finalize { ballot } => register.accepted.ballot == *ballot && !register.committed,
            Request::Purge { ballot } => register.accepted.ballot == *ballot,
            _ => true,
        }
    }
}

/// A request whose answer by a drive that it is on its way to is settled.
fn find_refused(s: &State) -> Option<(u8, usize, u8)> {
    for (client, state) in (0u8..).zip(&s.clients) {
        for (index, mail) in state.mail.iter().enumerate() {
            let drives = &s.sets[usize::from(mail.pool)];
            let refused = |drive: &u8| is_settled(&drives[usize::from(*drive)], &mail.request);
            if let Some(drive) = mail.to.iter().find(refused) {
                return Some((client, index, drive));
            }
        }
    }
    None
}

fn forget_spent_mail(s: &mut State) {
    for client in 0..s.clients.len() {
        for index in 0..s.clients[client].mail.len() {
            let mail = &s.clients[client].mail[index];
            let drives = &s.sets[usize::from(mail.pool)];
            let is_spent = |drive: &u8| is_void(&drives[usize::from(*drive)], &mail.request);
            let spent: Drives = mail.to.iter().filter(is_spent).collect();
            if !spent.is_empty() {
                let mail = &mut s.client(client as u8).mail[index];
                mail.to = mail.to.without(spent);
            }
        }
        if s.clients[client].mail.iter().any(|mail| mail.to.is_empty()) {
            s.client(client as u8).mail.retain(|mail| !mail.to.is_empty());
        }
    }
}

/// Returns whether a drive's answer to a request is the same from now on, and changes nothing.
fn is_settled(drive: &Drive, request: &Request<Placed<Content>>) -> bool {
    match request {
        Request::Prepare { ballot } => *ballot <= highest(drive),
        Request::Accept { vote, .. } => {
            let repeats = drive.key.register.accepted.ballot == vote.ballot;
            !may_vote(drive, vote.ballot) && !repeats
        }
        _ => false,
    }
}

/// Returns whether a request will never again change anything on the drive.
fn is_void(drive: &Drive, request: &Request<Placed<Content>>) -> bool {
    let register = &drive.key.register;
    match request {
        Request::Finalize { ballot } => {
            let now = register.accepted.ballot == *ballot && !register.committed;
            !now && !may_vote(drive, *ballot)
        }
        Request::Purge { ballot } => register.accepted.ballot != *ballot && !may_vote(drive, *ballot),
        _ => false,
    }
}

fn may_vote(drive: &Drive, ballot: Ballot) -> bool {
    let promised = drive.key.promised == ballot && ballot > drive.key.register.accepted.ballot;
    promised || ballot > highest(drive)
}

fn highest(drive: &Drive) -> Ballot {
    let key = &drive.key;
    key.promised.max(key.register.accepted.ballot).max(drive.own.floor)
}
