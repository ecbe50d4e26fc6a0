//! What a start does about what the last one left: votes that nobody finalized, and staged folders that no
//! value names.
//!
//! Both would be found in time by whoever next uses the key. Doing it at once keeps the window small in
//! which the loss of further drives would make an acknowledged key unreadable.

use super::{
    Store,
    driver::{Ended, execute},
    error::StoreError,
    read,
    set::ErasureSet,
};
use crate::{
    drive::{Drive, ListFrom, RegisterKey, Unnamed},
    runtime,
};
use futures::future::join_all;
use model::{
    protocol::{Outcome, Request},
    record::{Change, Op},
    upload::{CleanUp, clean_up},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Registers, or folders, asked for at once.
const PAGE: usize = 1000;

/// What a recovery has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Keys that had a vote which a drive did not know to be chosen.
    pub settled: usize,
    /// Folders that no value named, and that are gone.
    pub dropped: usize,
    /// Keys that could not be settled or cleaned now: too few drives answered.
    pub left: usize,
}

impl Store {
    /// Settles every key that a drive holds uncommitted; then drops the folders that no value names now
    /// and that none has come to name after `grace`.
    pub async fn recover(&self, grace: Duration) -> Recovered {
        let mut done = Recovered::default();
        let leftovers = join_all(self.sets().iter().map(unnamed)).await;
        for set in self.sets() {
            for key in unsettled(set).await {
                match read::resolve(set, &key).await {
                    Ok(_) => done.settled += 1,
                    Err(_) => done.left += 1,
                }
            }
        }
        if leftovers.iter().all(BTreeSet::is_empty) {
            return done;
        }
        self.rt().sleep(grace).await;
        for (set, leftovers) in self.sets().iter().zip(leftovers) {
            let still = unnamed(set).await;
            let mut by_owner: BTreeMap<RegisterKey, Vec<Unnamed>> = BTreeMap::new();
            for folder in leftovers.intersection(&still) {
                by_owner.entry(folder.owner.clone()).or_default().push(folder.clone());
            }
            for (owner, folders) in by_owner {
                match clean(set, &owner, &folders).await {
                    Ok(dropped) => done.dropped += dropped,
                    Err(_) => done.left += 1,
                }
            }
        }
        done
    }
}

/// The folders that some drive of a set holds and its registers do not name.
async fn unnamed(set: &Arc<ErasureSet>) -> BTreeSet<Unnamed> {
    join_all(set.drives.iter().map(unnamed_on))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Every folder on a drive that no value names; none if the drive does not answer.
async fn unnamed_on(drive: &Arc<dyn Drive>) -> Vec<Unnamed> {
    let mut all: Vec<Unnamed> = Vec::new();
    loop {
        match drive.unnamed(all.last().cloned(), PAGE).await {
            Ok(page) if page.is_empty() => return all,
            Ok(page) => all.extend(page),
            Err(_) => return all,
        }
    }
}

/// The keys that some drive of a set holds a vote for without knowing it to be chosen.
async fn unsettled(set: &Arc<ErasureSet>) -> BTreeSet<RegisterKey> {
    join_all(set.drives.iter().map(unsettled_on))
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn unsettled_on(drive: &Arc<dyn Drive>) -> Vec<RegisterKey> {
    let mut keys = Vec::new();
    let mut from = ListFrom::Start;
    while let Ok(page) = drive.list(&[], from, PAGE).await {
        let open = page.registers.iter().filter(|(_, snapshot)| !snapshot.committed);
        keys.extend(open.map(|(key, _)| key.clone()));
        match page.registers.last() {
            Some((last, _)) if !page.complete => from = ListFrom::After(last.as_bytes().to_vec()),
            _ => break,
        }
    }
    keys
}

/// Staging clean-up of one key: votes for its value again, under a ballot of its own; then whoever staged
/// the folders has lost their turn, and what the chosen value does not name may go. Never by age alone.
async fn clean(set: &Arc<ErasureSet>, owner: &RegisterKey, folders: &[Unnamed]) -> Result<usize, StoreError> {
    let op = Op {
        change: runtime::random_id(&set.rt),
        now_nanos: set.rt.wall_nanos(),
        kind: Change::Touch,
    };
    let Ended { outcome, ballot, .. } = execute(set, owner.clone(), op, None).await;
    let Outcome::Written(record) = outcome else {
        return Err(StoreError::Unwritable("the clean-up was not voted for".into()));
    };
    let mut dropped = 0;
    for leftover in folders {
        match clean_up(&record, leftover.folder, leftover.upload) {
            CleanUp::Keep => continue,
            CleanUp::End(upload) => {
                join_all(set.drives.iter().map(|drive| drive.end_upload(owner, upload, ballot))).await;
            }
            CleanUp::Drop => {
                let request = Request::Drop {
                    ballot,
                    folder: leftover.folder,
                };
                join_all(set.drives.iter().map(|drive| drive.register(owner, request.clone()))).await;
            }
        }
        dropped += 1;
    }
    Ok(dropped)
}
