//! After a start: files that a crash left behind, which no row of the index names, go.
//!
//! `drive.sweep-unnamed`: a file goes only if it is not being staged and then, looked up afterwards, no
//! row names it. A writer that finishes in between has its row before it stops counting as staging.

use super::state::{Shared, lock, shard_name, subfolder_name, subfolder_of};
use crate::{
    drive::{DriveError, format::DATA_FOLDER},
    runtime::{Kind, Mutant},
};
use model::protocol::Folder;
use std::{io, sync::Arc};

/// Sweeps all files of shards, one subfolder after the other.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let data = shared.path.join(DATA_FOLDER);
    let subfolders = shared.run(move |shared| Ok(shared.files.read_dir(&data))).await;
    let subfolders = match subfolders {
        Ok(Ok(subfolders)) => subfolders,
        Ok(Err(error)) => return warn(&shared, &error),
        Err(_) => return,
    };
    let mut removed = 0;
    for subfolder in subfolders.into_iter().filter(|entry| entry.kind == Kind::Folder) {
        // A name that is not ours is left alone.
        let Some(subfolder) = parse_subfolder(&subfolder.name) else {
            continue;
        };
        let job = move |shared: &Shared| sweep_subfolder(shared, subfolder);
        match shared.run(job).await {
            Ok(Ok(files)) => removed += files,
            Ok(Err(error)) => warn(&shared, &error),
            // The drive has failed or was closed.
            Err(_) => return,
        }
    }
    if removed > 0 {
        tracing::info!(drive = %shared.path.display(), files = removed, "removed what a crash had left unfinished");
    }
}

fn warn(shared: &Shared, error: &io::Error) {
    tracing::warn!(drive = %shared.path.display(), %error, "cannot look for what a crash has left");
}

fn sweep_subfolder(shared: &Shared, subfolder: u8) -> Result<io::Result<usize>, DriveError> {
    shared.health.check()?;
    let entries = match shared.files.read_dir(&shared.subfolder_path(subfolder)) {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error)),
    };
    let mut removed = 0;
    for entry in entries.into_iter().filter(|entry| entry.kind == Kind::File) {
        let ours = parse(&entry.name).filter(|(folder, _)| subfolder_of(*folder) == subfolder && *folder != 0);
        let Some((folder, part)) = ours else {
            continue;
        };
        if lock(&shared.staging).contains_key(&(folder, part)) {
            continue;
        }
        let view = shared.index.view().map_err(|error| shared.index_failed(&error))?;
        let held = view.shard(folder, part).map_err(|error| shared.index_failed(&error))?;
        if held.is_some() && !shared.mutation.is(Mutant::SweepRemovesHeld) {
            continue;
        }
        match shared.files.remove_file(&shared.shard_path(folder, part)) {
            Ok(()) => removed += 1,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(removed))
}

/// The subfolder of a name, two digits in hex.
fn parse_subfolder(name: &str) -> Option<u8> {
    let subfolder = u8::from_str_radix(name, 16).ok()?;
    (subfolder_name(subfolder) == name).then_some(subfolder)
}

/// Data folder and part of a file's name.
fn parse(name: &str) -> Option<(Folder, u16)> {
    let (folder, part) = name.split_once('.')?;
    let (folder, part) = (Folder::from_str_radix(folder, 16).ok()?, part.parse().ok()?);
    // Written in any other way, the name is not ours.
    (shard_name(folder, part) == name).then_some((folder, part))
}
