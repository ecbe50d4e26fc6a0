//! What makes no difference is taken out of a state at once (the arguments are in `world`).

use crate::change::Content;
use crate::rules::Occasion;
use crate::world::{Drive, State, World};
use model::protocol::mutant::Mutant;
use model::protocol::{Ballot, Drives, Request};

impl World {
    /// Refuses at once what will be refused for ever, and forgets what can have no effect any more.
    pub fn settle(&self, s: &mut State) {
        if !self.promises_fall() {
            while let Some((client, mail, drive)) = self.find_refused(s) {
                if matches!(
                    s.clients[usize::from(client)].mail[mail].request,
                    Request::Accept { .. }
                ) {
                    self.see(Occasion::LateAccept);
                }
                self.deliver(s, client, mail, drive, true);
            }
            self.forget_hopeless_ballots(s);
        }
        self.forget_spent_mail(s);
        if s.faults.boots == 0 {
            for drive in 0..self.drives {
                if s.drives[usize::from(drive)].own.hi != u64::MAX / 2 {
                    s.drive(drive).own.hi = u64::MAX / 2;
                }
            }
        }
    }

    /// Whether what a drive refuses now it might accept later.
    fn promises_fall(&self) -> bool {
        let mutants = [
            Mutant::NoFencing,
            Mutant::FloorNotRaised,
            Mutant::ReplyBeforeDurable,
            Mutant::BestEffortUndo,
            Mutant::DropWithoutAccepted,
            Mutant::DropIgnoresFloor,
        ];
        mutants.into_iter().any(|mutant| self.mutation.is(mutant))
    }

    /// A request of a coordinator that will be refused by a drive it is on its way to.
    fn find_refused(&self, s: &State) -> Option<(u8, usize, u8)> {
        for (client, state) in s.clients.iter().enumerate() {
            for (index, mail) in state.mail.iter().enumerate() {
                let refused = |drive: &u8| is_refused(&s.drives[usize::from(*drive)], &mail.request);
                if let Some(drive) = mail.to.iter().find(refused) {
                    return Some((client as u8, index, drive));
                }
            }
        }
        None
    }

    fn forget_spent_mail(&self, s: &mut State) {
        let falling = self.promises_fall();
        for client in 0..s.clients.len() {
            for index in 0..s.clients[client].mail.len() {
                let mail = &s.clients[client].mail[index];
                let is_spent = |drive: &u8| !falling && is_void(&s.drives[usize::from(*drive)], &mail.request);
                let spent: Drives = mail.to.iter().filter(is_spent).collect();
                let done: Drives = mail.delivered.iter().filter(is_spent).collect();
                let exhausted = s.faults.doubles == 0;
                if !spent.is_empty() || !done.is_empty() || (exhausted && !mail.delivered.is_empty()) {
                    let mail = &mut s.client(client as u8).mail[index];
                    mail.to = mail.to.without(spent);
                    mail.delivered = if exhausted {
                        Drives::NONE
                    } else {
                        mail.delivered.without(done)
                    };
                }
            }
            let is_live = |to: Drives, delivered: Drives| !to.is_empty() || !delivered.is_empty();
            // A machine's own round stays: its index among the mail is in use while it is delivered.
            if s.clients[client]
                .mail
                .iter()
                .any(|mail| !is_live(mail.to, mail.delivered))
            {
                s.client(client as u8)
                    .mail
                    .retain(|mail| is_live(mail.to, mail.delivered));
            }
        }
    }

    /// Forgets ballots that fewer than A drives can have voted for, now or later.
    fn forget_hopeless_ballots(&self, s: &mut State) {
        if self.broken {
            return;
        }
        let hopeless: Vec<Ballot> = s
            .votes
            .iter()
            .filter(|(ballot, record)| {
                let mut voters = record.voters;
                for mail in s.clients.iter().flat_map(|client| &client.mail) {
                    if matches!(&mail.request, Request::Accept { vote, .. } if vote.ballot == **ballot) {
                        mail.to.iter().for_each(|drive| {
                            voters.insert(drive);
                        });
                    }
                }
                !record.chosen && voters.count() < self.majority()
            })
            .map(|(ballot, _)| *ballot)
            .collect();
        for ballot in hopeless {
            s.votes.remove(&ballot);
        }
    }

    /// Whether a request may change anything on a drive; what it would not change, it may as well not reach.
    pub fn is_of_use(drive: &Drive, request: &Request<Content>) -> bool {
        let register = &drive.key.register;
        match request {
            Request::Finalize { ballot } => register.accepted.ballot == *ballot && !register.committed,
            _ => true,
        }
    }
}

/// Whether a Prepare or an Accept is below what the drive has promised, voted for or forgotten.
fn is_refused(drive: &Drive, request: &Request<Content>) -> bool {
    match request {
        Request::Prepare { ballot } => *ballot <= highest(drive),
        Request::Accept { vote, .. } => {
            !may_vote(drive, vote.ballot) && drive.key.register.accepted.ballot != vote.ballot
        }
        _ => false,
    }
}

/// Whether a request will never again change anything on the drive.
fn is_void(drive: &Drive, request: &Request<Content>) -> bool {
    let register = &drive.key.register;
    match request {
        Request::Prepare { .. } | Request::Accept { .. } | Request::Read => false,
        Request::Finalize { ballot } => {
            let now = register.accepted.ballot == *ballot && !register.committed;
            !now && !may_vote(drive, *ballot)
        }
        Request::Drop { ballot, folder } => {
            let fenced = drive.key.promised.max(drive.own.floor) > *ballot;
            let voted = register.accepted.ballot == *ballot && !fenced;
            !drive.key.folders.contains(folder) || !voted && !may_vote(drive, *ballot)
        }
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
