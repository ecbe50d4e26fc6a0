//! What each rule demands of a step. The books are kept by folders and by the chain of chosen values, without the code
//! that is judged.

use super::requests::{Request, Told, part_of};
use super::rules::{Occasion, Rule};
use super::state::{Fate, State, World};
use model::protocol::Folder;
use model::record::{Record, Version};
use stateright::semantics::ConsistencyTester;
use std::collections::BTreeSet;

/// The folders of a version.
fn folders(version: &Version) -> Vec<Folder> {
    let parts = version
        .data()
        .map(|data| data.parts.iter().map(|part| part.folder).collect());
    parts.unwrap_or_default()
}

fn versions(record: &Record) -> &[Version] {
    record.object().map_or(&[], |object| &object.versions)
}

impl World {
    /// When a drive has removed a folder.
    pub(super) fn audit_folder(&self, s: &mut State, folder: Folder) {
        let alive = s.votes.iter().enumerate();
        let alive = alive.filter(|(at, cast)| cast.fate == Fate::Open || *at == s.latest());
        let named = alive
            .flat_map(|(_, cast)| versions(&cast.value.0))
            .any(|version| folders(version).contains(&folder));
        // It may be a put's.
        let of_open = part_of(folder).is_some_and(|(upload, number, _)| {
            let was_named = s.parts[&(upload, number)].named.contains(&folder);
            was_named && s.is_open(upload)
        });
        s.broken.demand(Rule::PartsKept, !named && !of_open);
    }

    /// When a vote has become chosen.
    pub(super) fn audit_chosen(&self, s: &mut State, vote: usize) {
        let cast = s.votes[vote].clone();
        let value = cast.value.0.clone();
        if let Some(client) = cast.client
            && let Request::Complete { upload, replaced } = self.request(client)
            && let Some(version) = versions(&value).iter().find(|version| version.change == value.name())
        {
            let named = self.named(upload, replaced);
            let found = folders(version);
            let window = &s.clients[usize::from(client)].window;
            let there = found.iter().all(|folder| {
                let number = part_of(*folder).map_or(0, |(_, number, _)| number);
                window.get(&number).is_some_and(|folders| folders.contains(folder))
            });
            if window.values().any(|folders| folders.len() > 1) {
                self.seen.see(Occasion::ReplacedMeanwhile);
            }
            s.broken.demand(Rule::PartsAsNamed, found == named && there);
        }
        self.audit_ends(s);
    }

    /// Of each upload there is at most one version, and none without its end; what is gone stays gone.
    fn audit_ends(&self, s: &mut State) {
        for upload in 1..=self.uploads.0 {
            let is_of = |version: &&Version| {
                let of = |folder: &Folder| part_of(*folder).is_some_and(|(of, _, _)| of == upload);
                folders(version).iter().any(of)
            };
            let ended = s.ended_by(upload);
            let mut made = BTreeSet::new();
            let mut sound = true;
            for (at, cast) in s.votes.iter().enumerate().filter(|(_, cast)| cast.fate == Fate::Chosen) {
                let value = &cast.value.0;
                let open = value.object().and_then(|object| object.upload(upload.into())).is_some();
                let of: Vec<u128> = versions(value)
                    .iter()
                    .filter(is_of)
                    .map(|version| version.change)
                    .collect();
                let gone = ended.is_some_and(|end| at >= end);
                sound &= !(gone && open) && (gone || of.is_empty());
                made.extend(of);
            }
            let aborted = self.told_done(s, |request| request == Request::Abort(upload));
            let ends = self.told_done(s, |request| request.ends() == Some(upload));
            s.broken
                .demand(Rule::Once, sound && ends <= 1 && made.len() + aborted <= 1);
        }
    }

    /// Returns how many clients with such a request were told that it is done.
    fn told_done(&self, s: &State, wanted: impl Fn(Request) -> bool) -> usize {
        let clients = self.requests.iter().zip(&s.clients);
        clients
            .filter(|(request, client)| wanted(**request) && client.done)
            .count()
    }

    /// When a client is answered.
    pub(super) fn audit_told(&self, s: &mut State, client: u8, told: Told) {
        let request = self.request(client);
        match (request, told) {
            (Request::Part(_), Told::Done) => {
                let open = s.clients[usize::from(client)].staged;
                s.broken.demand(Rule::PartNeedsOpen, open == Some(true));
            }
            (Request::Part(_), Told::NoSuchUpload) if s.clients[usize::from(client)].staged.is_some() => {
                self.seen.see(Occasion::LatePart);
            }
            (Request::Complete { upload, replaced }, Told::InvalidPart) => {
                self.seen.see(Occasion::InvalidPart);
                let named = self.named(upload, replaced);
                let window = &s.clients[usize::from(client)].window;
                let differs = window.values().flatten().any(|folder| !named.contains(folder));
                s.broken.demand(Rule::InvalidPartIsKnown, differs);
            }
            (_, Told::NoSuchUpload) if request.ends().is_some() => self.seen.see(Occasion::EndsRace),
            _ => {}
        }
        self.audit_ends(s);
        let consistent = s.history.is_consistent();
        s.broken.demand(Rule::Linearizable, consistent);
    }

    /// What holds in every state.
    pub(super) fn judge(&self, s: &mut State) {
        if s.clients.iter().all(|client| client.over && client.answered) {
            self.seen.see(Occasion::AllAnswered);
        }
    }
}
