//! What makes no difference is taken out of a state at once (the arguments are in `world`).

use super::change::Content;
use super::rules::Occasion;
use super::state::{Drive, Mail, State, World};
use model::protocol::mutant::Mutant;
use model::protocol::{Ballot, Drives, Request, Standing};

impl World {
    /// Refuses at once what will be refused for ever, and forgets what can have no effect any more.
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
        if !s.faults.need_hi() {
            for drive in 0..self.drives {
                if s.drives[usize::from(drive)].own.hi != u64::MAX / 2 {
                    s.drive(drive).own.hi = u64::MAX / 2;
                }
            }
        }
    }

    /// A drive that knows the one key there is has recovered.
    fn end_recoveries(&self, s: &mut State) {
        for drive in 0..self.drives {
            let Drive { own, key, .. } = &*s.drives[usize::from(drive)];
            if key.known && matches!(own.standing, Standing::Recovering(_)) {
                let state = s.drive(drive);
                state.own.standing = Standing::Whole;
                state.way_back.lacking = Drives::NONE;
            }
        }
    }

    /// Returns whether what a drive refuses now it might accept later.
    fn promises_fall(&self) -> bool {
        let mutants = [
            Mutant::NoFencing,
            Mutant::FloorNotRaised,
            Mutant::ReplyBeforeDurable,
            Mutant::BestEffortUndo,
            Mutant::DropWithoutAccepted,
            Mutant::DropIgnoresFloor,
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

    /// A request of a coordinator whose answer by a drive that it is on its way to is settled.
    fn find_refused(&self, s: &State) -> Option<(u8, usize, u8)> {
        for (client, state) in s.clients.iter().enumerate() {
            for (index, mail) in state.mail.iter().enumerate() {
                let refused = |drive: &u8| is_settled(&s.drives[usize::from(*drive)], &mail.request);
                if let Some(drive) = mail.to.iter().find(refused) {
                    return Some((client as u8, index, drive));
                }
            }
        }
        None
    }

    fn see_late(&self, s: &State, client: u8, mail: usize, drive: u8) {
        let request = &s.clients[usize::from(client)].mail[mail].request;
        if matches!(request, Request::Accept { .. }) {
            self.seen.see(Occasion::LateAccept);
        }
        let is_old = |ballot| is_of_the_past(&s.drives[usize::from(drive)], ballot);
        if request.ballot().is_some_and(is_old) {
            self.seen.see(Occasion::FencedOff);
        }
    }

    /// Returns whether an Install is on its way to a drive that has promised more since.
    fn is_late(&self, s: &State, mail: &Mail) -> bool {
        let promised = |drive: u8| s.drives[usize::from(drive)].key.promised;
        let ballot = mail.request.ballot().unwrap_or(Ballot::ZERO);
        mail.to.iter().any(|drive| promised(drive) > ballot)
    }

    pub(super) fn forget_spent_mail(&self, s: &mut State) {
        let falling = self.promises_fall();
        for client in 0..s.clients.len() {
            for index in 0..s.clients[client].mail.len() {
                let mail = &s.clients[client].mail[index];
                if matches!(mail.request, Request::Install { .. }) && self.is_late(s, mail) {
                    self.seen.see(Occasion::LateInstall);
                }
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

    /// Returns whether a request may change anything on a drive; what it would not change, it may as well not reach.
    pub(super) fn is_of_use(drive: &Drive, request: &Request<Content>) -> bool {
        let register = &drive.key.register;
        match request {
            Request::Finalize { ballot } => register.accepted.ballot == *ballot && !register.committed,
            Request::Purge { ballot } => register.accepted.ballot == *ballot,
            _ => true,
        }
    }
}

/// Returns whether a drive's answer to a request is the same from now on, and changes nothing.
fn is_settled(drive: &Drive, request: &Request<Content>) -> bool {
    if drive.own.standing == Standing::Outside {
        return false;
    }
    match request {
        Request::Prepare { ballot } => is_of_the_past(drive, *ballot) || *ballot <= highest(drive),
        Request::Accept { vote, .. } => {
            let repeats = drive.key.register.accepted.ballot == vote.ballot;
            is_of_the_past(drive, vote.ballot) || !may_vote(drive, vote.ballot) && !repeats
        }
        Request::Fence { ballot } => ballot.epoch <= drive.own.epoch,
        _ => false,
    }
}

/// Returns whether a ballot's epoch is one that the drive takes no more.
fn is_of_the_past(drive: &Drive, ballot: Ballot) -> bool {
    ballot.epoch < drive.own.epoch
}

/// Returns whether a request will never again change anything on the drive.
fn is_void(drive: &Drive, request: &Request<Content>) -> bool {
    let register = &drive.key.register;
    if drive.own.standing == Standing::Outside {
        return false;
    }
    match request {
        Request::Prepare { .. } | Request::Accept { .. } | Request::Fence { .. } => false,
        Request::Read | Request::Standing => false,
        Request::Finalize { ballot } => {
            let now = register.accepted.ballot == *ballot && !register.committed;
            !now && (is_of_the_past(drive, *ballot) || !may_vote(drive, *ballot))
        }
        Request::Purge { ballot } => register.accepted.ballot > *ballot,
        Request::Install { ballot, vote, .. } => {
            let replaced = vote.ballot < register.accepted.ballot;
            is_of_the_past(drive, *ballot) || drive.key.promised != *ballot || replaced
        }
        Request::Drop { ballot, folder } => {
            let fenced = drive.key.promised.max(drive.own.floor) > *ballot || is_of_the_past(drive, *ballot);
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
