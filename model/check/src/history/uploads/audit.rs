//! Checks of the rules after each step, from folders and the chain of chosen values, without the code under test.

use super::requests::{Request, Told, part_of};
use super::rules::{Occasion, Rule};
use super::state::{Fate, Ledger, State, System, World};
use model::protocol::Folder;
use model::record::{Record, Version};
use stateright::semantics::ConsistencyTester;
use std::collections::BTreeSet;

/// Returns the folders of a version.
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
    /// Returns the number of such requests that were answered with success.
    fn told_done(&self, s: &System, wanted: impl Fn(Request) -> bool) -> usize {
        let clients = self.requests.iter().zip(&s.clients);
        clients
            .filter(|(request, client)| wanted(**request) && client.done)
            .count()
    }

    /// Checks the invariants of every state.
    pub(super) fn check_invariants(&self, s: &mut State) {
        if s.system.clients.iter().all(|client| client.over && client.answered) {
            self.seen.see(Occasion::AllAnswered);
        }
    }
}

impl Ledger {
    /// Checks a folder that was removed from drives: neither the latest value nor an open vote names it, and it is no
    /// part of an open upload.
    pub(super) fn audit_folder(&mut self, s: &System, folder: Folder) {
        let alive = s.votes.iter().enumerate();
        let alive = alive.filter(|(at, cast)| cast.fate == Fate::Open || *at == s.latest());
        let named = alive
            .flat_map(|(_, cast)| versions(&cast.value.0))
            .any(|version| folders(version).contains(&folder));
        // The folder may also be that of a put.
        let of_open = part_of(folder).is_some_and(|(upload, number, _)| {
            let was_named = s.parts[&(upload, number)].named.contains(&folder);
            was_named && s.is_open(upload)
        });
        self.broken.check(Rule::PartsKept, !named && !of_open);
    }

    /// Checks a vote that has become chosen.
    pub(super) fn audit_chosen(&mut self, world: &World, s: &System, vote: usize) {
        let cast = s.votes[vote].clone();
        let value = cast.value.0.clone();
        if let Some(client) = cast.client
            && let Request::Complete { upload, replaced } = world.request(client)
            && let Some(version) = versions(&value).iter().find(|version| version.change == value.name())
        {
            let named = world.named(upload, replaced);
            let found = folders(version);
            let window = &s.clients[usize::from(client)].window;
            let there = found.iter().all(|folder| {
                let number = part_of(*folder).map_or(0, |(_, number, _)| number);
                window.get(&number).is_some_and(|folders| folders.contains(folder))
            });
            if window.values().any(|folders| folders.len() > 1) {
                world.seen.see(Occasion::ReplacedMeanwhile);
            }
            self.broken.check(Rule::PartsAsNamed, found == named && there);
        }
        self.audit_ends(world, s);
    }

    /// Checks that each upload has at most one version, none before its end, and stays gone after it.
    fn audit_ends(&mut self, world: &World, s: &System) {
        for upload in 1..=world.uploads.0 {
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
            let aborted = world.told_done(s, |request| request == Request::Abort(upload));
            let ends = world.told_done(s, |request| request.ends() == Some(upload));
            self.broken
                .check(Rule::Once, sound && ends <= 1 && made.len() + aborted <= 1);
        }
    }

    /// Checks a reply to a client.
    pub(super) fn audit_told(&mut self, world: &World, s: &System, client: u8, told: Told) {
        let request = world.request(client);
        match (request, told) {
            (Request::Part(_), Told::Done) => {
                let open = s.clients[usize::from(client)].staged;
                self.broken.check(Rule::PartNeedsOpen, open == Some(true));
            }
            (Request::Part(_), Told::NoSuchUpload) if s.clients[usize::from(client)].staged.is_some() => {
                world.seen.see(Occasion::LatePart);
            }
            (Request::Complete { upload, replaced }, Told::InvalidPart) => {
                world.seen.see(Occasion::InvalidPart);
                let named = world.named(upload, replaced);
                let window = &s.clients[usize::from(client)].window;
                let differs = window.values().flatten().any(|folder| !named.contains(folder));
                self.broken.check(Rule::InvalidPartIsKnown, differs);
            }
            (_, Told::NoSuchUpload) if request.ends().is_some() => world.seen.see(Occasion::EndsRace),
            _ => {}
        }
        self.audit_ends(world, s);
        let consistent = self.history.is_consistent();
        self.broken.check(Rule::Linearizable, consistent);
    }
}
