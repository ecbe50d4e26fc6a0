//! Effects on drives: the server's acceptor, and the clean-up of an upload.

use super::requests::DRIVES;
use super::rules::{Occasion, Rule};
use super::state::{Drive, Fate, State, World, ballot, upload_of};
use crate::kit::drive::{UNBOUNDED, fresh};
use model::protocol::{Acceptor, Ballot, Folder, Reply, Request, Value};
use model::record::Record;
use model::upload::{CleanUp, clean_up, left_by};
use std::collections::BTreeSet;

impl World {
    /// Applies a request to a drive's acceptor.
    fn ask(&self, s: &mut State, drive: u8, request: Request<Record>) -> Reply<Record> {
        let before = s.system.drives[usize::from(drive)].key.folders.clone();
        let mut own = fresh(UNBOUNDED);
        let key = &mut s.system.drive(drive).key;
        let mut acceptor = Acceptor {
            drive: &mut own,
            key,
            index: drive,
            mutation: self.protocol,
        };
        let (reply, _) = acceptor.step(request);
        self.audit_removed(s, drive, &before);
        reply
    }

    /// Lets a drive vote; a majority of votes makes the vote chosen.
    pub(super) fn accept(&self, s: &mut State, drive: u8, vote: usize) {
        let request = Request::Accept {
            vote: s.system.vote(vote),
            prev: s.system.vote(s.system.votes[vote].prev),
        };
        if self.ask(s, drive, request) != Reply::Accepted {
            return;
        }
        s.system.drive(drive).voted |= 1 << vote;
        let voters = s
            .system
            .drives
            .iter()
            .filter(|drive| drive.voted >> vote & 1 == 1)
            .count();
        let cast = &mut s.system.votes[vote];
        if cast.fate == Fate::Open && voters > usize::from(DRIVES) / 2 {
            std::sync::Arc::make_mut(cast).fate = Fate::Chosen;
            s.ledger.audit_chosen(self, &s.system, vote);
        }
    }

    /// Lets a drive learn that its latest vote is chosen.
    pub(super) fn finalize(&self, s: &mut State, drive: u8) {
        let ballot = s.system.drives[usize::from(drive)].key.register.accepted.ballot;
        self.ask(s, drive, Request::Finalize { ballot });
    }

    /// Heals a drive.
    pub(super) fn heal(&self, s: &mut State, drive: u8) {
        s.system.heals -= 1;
        let vote = s.system.vote(s.system.latest());
        // Above every vote so far, below the next one.
        let healer = Ballot {
            node: 1,
            ..ballot(s.system.votes.len() - 1)
        };
        self.ask(s, drive, Request::Prepare { ballot: healer });
        let held = &s.system.drives[usize::from(drive)].key.folders;
        let needed = vote.value.folders().into_iter().map(|need| need.folder);
        let shards = needed.filter(|folder| !held.contains(folder)).collect();
        let install = Request::Install {
            ballot: healer,
            vote,
            shards,
        };
        self.ask(s, drive, install);
        // The promise is no longer needed: nothing votes below the chosen value any more.
        s.system.drive(drive).key.promised = Ballot::ZERO;
    }

    /// Asks a drive to clean up after an upload that ended with `vote`.
    pub(super) fn end(&self, s: &mut State, drive: u8, upload: u8, vote: usize) {
        let Drive { key, forgot, .. } = s.system.drive(drive);
        let before = key.folders.clone();
        let held: Vec<(Folder, u128)> = before.iter().map(|folder| (*folder, upload_of(*folder))).collect();
        let left = left_by(&key.register, upload.into(), ballot(vote), held, self.mutation);
        let Some(left) = left else {
            self.seen.see(Occasion::LagRefused);
            return;
        };
        *forgot |= 1 << upload;
        key.folders.retain(|folder| !left.contains(folder));
        let heard = key.register.committed.then_some(key.register.accepted.ballot);
        let known = s
            .system
            .ended_by(upload)
            .zip(heard)
            .is_some_and(|(end, heard)| heard >= ballot(end));
        s.ledger.broken.check(Rule::EndIsKnown, known);
        if left
            .iter()
            .any(|folder| super::requests::part_of(*folder).is_some_and(|(_, _, by)| by > 0))
        {
            self.seen.see(Occasion::ReplacedRemoved);
        }
        self.audit_removed(s, drive, &before);
    }

    /// Returns whether a sweep for unreferenced folders would have the drive clean up after this upload.
    pub(super) fn is_swept(&self, s: &State, drive: &Drive, upload: u8) -> bool {
        let latest = s.system.value(s.system.latest());
        let of_upload = |folder: &&Folder| upload_of(**folder) == u128::from(upload);
        let mut folders = drive.key.folders.iter().filter(of_upload);
        folders.any(|folder| clean_up(latest, *folder, Some(upload.into())) == CleanUp::End(upload.into()))
    }

    /// Checks that no folder that is still needed was removed.
    fn audit_removed(&self, s: &mut State, drive: u8, before: &BTreeSet<Folder>) {
        let after = &s.system.drives[usize::from(drive)].key.folders;
        let removed: Vec<Folder> = before.difference(after).copied().collect();
        for folder in removed {
            s.ledger.audit_folder(&s.system, folder);
        }
    }
}
