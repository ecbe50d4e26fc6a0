//! After a start: files that a crash left behind, which no row of the index names, go.
//!
//! `drive.sweep-unnamed`: a folder goes only if it is not being staged and then, looked up afterwards, no
//! row names it. A writer that finishes in between has its row before it stops counting as staging.

use super::state::{Shared, lock};
use crate::{
    drive::{DriveError, format::DATA_FOLDER},
    runtime::{Kind, Mutant},
};
use model::protocol::Folder;
use std::{io, path::Path, sync::Arc};

/// Sweeps all folders of shards, one group of them after the other.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let data = shared.path.join(DATA_FOLDER);
    let groups = shared.run(move |shared| Ok(shared.files.read_dir(&data))).await;
    let groups = match groups {
        Ok(Ok(groups)) => groups,
        Ok(Err(error)) => return warn(&shared, &error),
        Err(_) => return,
    };
    let mut removed = 0;
    for group in groups.into_iter().filter(|group| group.kind == Kind::Folder) {
        let job = move |shared: &Shared| sweep_group(shared, &group.name);
        match shared.run(job).await {
            Ok(Ok(folders)) => removed += folders,
            Ok(Err(error)) => warn(&shared, &error),
            // The drive has failed or was closed.
            Err(_) => return,
        }
    }
    if removed > 0 {
        tracing::info!(drive = %shared.path.display(), folders = removed, "removed what a crash had left unfinished");
    }
}

fn warn(shared: &Shared, error: &io::Error) {
    tracing::warn!(drive = %shared.path.display(), %error, "cannot look for what a crash has left");
}

fn sweep_group(shared: &Shared, group: &str) -> Result<io::Result<usize>, DriveError> {
    shared.health.check()?;
    let entries = match shared.files.read_dir(&shared.path.join(DATA_FOLDER).join(group)) {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error)),
    };
    let mut removed = 0;
    for entry in entries {
        // A name that is not ours is left alone.
        let Some(folder) = parse(&entry.name).filter(|folder| entry.name.starts_with(group) && *folder != 0) else {
            continue;
        };
        if lock(&shared.staging).contains_key(&folder) {
            continue;
        }
        let view = shared.index.view().map_err(|error| shared.index_failed(&error))?;
        let held = view.holds_folder(folder).map_err(|error| shared.index_failed(&error))?;
        if held && !shared.mutation.is(Mutant::SweepRemovesHeld) {
            continue;
        }
        match remove_folder(shared, &shared.folder_path(folder)) {
            Ok(()) => removed += 1,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(removed))
}

fn parse(name: &str) -> Option<Folder> {
    let hex = name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then(|| Folder::from_str_radix(name, 16).ok()).flatten()
}

fn remove_folder(shared: &Shared, folder: &Path) -> io::Result<()> {
    for entry in shared.files.read_dir(folder)? {
        shared.files.remove_file(&folder.join(entry.name))?;
    }
    shared.files.remove_dir(folder)
}
