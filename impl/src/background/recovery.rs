//! Crash recovery at startup: of unfinished votes, parts of uploads that are gone, and folders that no value names.
//!
//! The next operation on a key would finish its vote. Doing it at once keeps the window small in which the loss of
//! further drives would make an acknowledged key unreadable. No operation would find the other two.

use crate::{
    drive::{Drive, ListFrom, RegisterKey, Unnamed},
    set::{
        ErasureSet, StoreError,
        cleanup::{remove_left, touch},
        read,
    },
    store::Store,
};
use futures::future::join_all;
use model::{
    list::{Page as _, Span},
    protocol::Request,
    upload::{CleanUp, clean_up, open_upload},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Registers, or folders, asked for at once.
const PAGE: usize = 1000;

/// Upper bound of attempts to drop a folder. A drive that gets the vote of a clean-up after its Drop keeps the folder.
const CLEAN_UPS: usize = 3;

/// Result of a recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Keys that had a vote which a drive did not know to be chosen.
    pub settled: usize,
    /// Folders that no value named, and that are gone.
    pub dropped: usize,
    /// Uploads that had ended, and whose parts are gone now.
    pub ended: usize,
    /// Keys that could not be settled or cleaned now: too few drives answered.
    pub left: usize,
}

/// Settles every key that a drive holds uncommitted, and ends the uploads whose end a drive has missed; then
/// drops the folders that no value names now and that none has come to name after `grace`.
pub async fn recover(store: &Store, grace: Duration) -> Recovered {
    let mut done = Recovered::default();
    for set in store.sets() {
        let Found { unsettled, uploads } = found(set).await;
        for key in unsettled {
            match read::resolve(set, &key).await {
                Ok(_) => done.settled += 1,
                Err(_) => done.left += 1,
            }
        }
        for (owner, upload) in uploads {
            match end(set, &owner, upload).await {
                Ok(ended) => done.ended += usize::from(ended),
                Err(_) => done.left += 1,
            }
        }
    }
    // Only now: what was never chosen is named until it is settled.
    let leftovers = join_all(store.sets().iter().map(unnamed)).await;
    if leftovers.iter().all(BTreeSet::is_empty) {
        return done;
    }
    store.rt().sleep(grace).await;
    for (set, leftovers) in store.sets().iter().zip(leftovers) {
        let (dropped, left) = clean_all(set, leftovers).await;
        done.dropped += dropped;
        done.left += left;
    }
    done
}

/// Drops those of `leftovers` that no value has come to name (`drive.no-garbage`). Returns the number of folders that
/// are gone, and the number of keys that some are left of.
async fn clean_all(set: &Arc<ErasureSet>, leftovers: BTreeSet<Unnamed>) -> (usize, usize) {
    let mut there: BTreeSet<Unnamed> = unnamed(set).await.intersection(&leftovers).cloned().collect();
    let (mut dropped, mut failed) = (0, 0);
    for _ in 0..CLEAN_UPS {
        let mut tried = BTreeSet::new();
        for (owner, folders) in by_owner(&there) {
            match clean(set, &owner, &folders).await {
                Ok(unneeded) => tried.extend(unneeded),
                Err(_) => failed += 1,
            }
        }
        if tried.is_empty() {
            return (dropped, failed);
        }
        there = unnamed(set).await.intersection(&tried).cloned().collect();
        dropped += tried.len() - there.len();
    }
    (dropped, failed + by_owner(&there).len())
}

fn by_owner(folders: &BTreeSet<Unnamed>) -> BTreeMap<RegisterKey, Vec<Unnamed>> {
    let mut owners: BTreeMap<RegisterKey, Vec<Unnamed>> = BTreeMap::new();
    for folder in folders {
        owners.entry(folder.owner.clone()).or_default().push(folder.clone());
    }
    owners
}

/// Lists the folders that some drive of a set holds and its registers do not name.
async fn unnamed(set: &Arc<ErasureSet>) -> BTreeSet<Unnamed> {
    join_all(set.drives.iter().map(unnamed_on))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Lists the folders on a drive that no value names: as far as the drive answers.
async fn unnamed_on(drive: &Arc<dyn Drive>) -> Vec<Unnamed> {
    let mut all: Vec<Unnamed> = Vec::new();
    let mut after = None;
    while let Ok(page) = drive.unnamed(after, PAGE).await {
        all.extend(page.found);
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    all
}

/// Registers on the drives of a set that need recovery.
#[derive(Default)]
struct Found {
    /// Keys that some drive holds a vote for without knowing it to be chosen.
    unsettled: BTreeSet<RegisterKey>,
    /// Uploads that some drive has parts of, by the key that they are for.
    uploads: BTreeSet<(RegisterKey, u128)>,
}

async fn found(set: &Arc<ErasureSet>) -> Found {
    let mut all = Found::default();
    for on_drive in join_all(set.drives.iter().map(found_on)).await {
        all.unsettled.extend(on_drive.unsettled);
        all.uploads.extend(on_drive.uploads);
    }
    all
}

async fn found_on(drive: &Arc<dyn Drive>) -> Found {
    let mut found = Found::default();
    let mut from = ListFrom::Start;
    while let Ok(page) = drive.list(&[], from, PAGE).await {
        for (key, register) in page.iter() {
            if let Some(part) = key.part_of() {
                found.uploads.insert((part.owner, part.upload));
            }
            // A row that cannot be read is none that is known to be chosen.
            if !register.is_ok_and(|register| register.committed) {
                found.unsettled.insert(key);
            }
        }
        let Span::Through(last) = page.span() else { break };
        from = ListFrom::After(last.to_vec());
    }
    found
}

/// Removes what is left of an upload if it is gone (`multipart.leaves-nothing`). Returns whether it is.
async fn end(set: &Arc<ErasureSet>, owner: &RegisterKey, upload: u128) -> Result<bool, StoreError> {
    if open_upload(&read::read(set, owner).await?, upload).is_some() {
        return Ok(false);
    }
    let (_, ballot) = touch(set, owner).await?;
    remove_left(set, owner, upload, ballot).await;
    Ok(true)
}

/// Staging clean-up of one key: votes for its value again, under a ballot of its own. The writes that staged the
/// folders have lost their turn then, and what the chosen value does not name may be dropped. Never by age alone.
/// Returns the folders that were to be dropped.
async fn clean(set: &Arc<ErasureSet>, owner: &RegisterKey, folders: &[Unnamed]) -> Result<Vec<Unnamed>, StoreError> {
    let (record, ballot) = touch(set, owner).await?;
    let mut dropped = Vec::new();
    for leftover in folders {
        match clean_up(&record, leftover.folder, leftover.upload) {
            CleanUp::Keep => continue,
            CleanUp::End(upload) => {
                remove_left(set, owner, upload, ballot).await;
            }
            CleanUp::Drop => {
                let request = Request::Discard {
                    ballot,
                    folder: leftover.folder,
                };
                join_all(set.drives.iter().map(|drive| drive.register(owner, request.clone()))).await;
            }
        }
        dropped.push(leftover.clone());
    }
    Ok(dropped)
}
