//! A shard in a file until its row is committed, and the removal of such files.

use super::state::{Shared, lock};
use crate::{
    drive::Staging,
    runtime::{Mutant, spawn},
};
use model::protocol::Folder;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A shard that is being staged: the sweep leaves it alone, and its file is removed on drop, if it was begun and is not
/// kept. A writer may be dropped in the middle of a job, so each job holds the shard too: nothing is removed under a
/// job (`drive.removed-after-jobs`).
pub(super) struct Staged {
    pub(super) shared: Arc<Shared>,
    folder: Folder,
    part: u16,
    /// A file may exist that is this shard's to remove.
    remove: AtomicBool,
}

impl Staged {
    pub(super) fn new(shared: Arc<Shared>, staging: &Staging) -> Arc<Staged> {
        let (folder, part) = (staging.folder, staging.part);
        *lock(&shared.staging).entry((folder, part)).or_default() += 1;
        let remove = AtomicBool::new(false);
        Arc::new(Staged {
            shared,
            folder,
            part,
            remove,
        })
    }

    /// Returns what a job holds while it runs.
    pub(super) fn hold(self: &Arc<Self>) -> Option<Arc<Staged>> {
        let forgotten = self.shared.mutation.is(Mutant::RemovedUnderJob);
        (!forgotten).then(|| self.clone())
    }

    /// Has the file, which is about to be made, removed on drop.
    pub(super) fn begin(&self) {
        self.remove.store(true, Ordering::Release);
    }

    /// Leaves the file in its place on drop.
    pub(super) fn keep(&self) {
        self.remove.store(false, Ordering::Release);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let (folder, part) = (self.folder, self.part);
        let forget = move |shared: &Shared| {
            let mut staging = lock(&shared.staging);
            match staging.get_mut(&(folder, part)) {
                Some(writers) if *writers > 1 => *writers -= 1,
                _ => drop(staging.remove(&(folder, part))),
            }
        };
        if !self.remove.load(Ordering::Acquire) {
            return forget(&self.shared);
        }
        let shared = self.shared.clone();
        lock(&shared.removing).insert((folder, part));
        let removal = async move {
            let job = move |shared: &Shared| {
                remove_shard(shared, folder, part);
                forget(shared);
                Ok(())
            };
            shared.run(job).await.ok();
        };
        spawn(&self.shared.rt, "remove an unfinished shard", removal);
    }
}

/// Removes a shard's file.
pub(super) fn remove_shard(shared: &Shared, folder: Folder, part: u16) {
    if shared.health.check().is_err() {
        // What is left of a failed drive goes when it is opened again.
        return;
    }
    let path = shared.shard_path(folder, part);
    if let Err(error) = shared.files.remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a shard; the next start tries again");
    }
    lock(&shared.removing).remove(&(folder, part));
}
