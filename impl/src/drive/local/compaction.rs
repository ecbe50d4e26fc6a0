//! Schedule and pace of index compactions.

use super::{
    IndexPolicy,
    state::{Shared, lock},
};
use crate::{
    drive::{
        DriveError, IndexError,
        format::index_path,
        index::{Compaction, Index},
    },
    runtime::{Mutant, OpenMode, timeout},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// Interval of the checks that the drive has not ended with a copy untaken, and that an old index is still read.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a compaction that the file system had no room for.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(600);
/// Longest wait for the turn: another drive may hang in the middle of a compaction.
const TURN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Shortest and longest pause between two steps.
const STEP_PAUSE_MIN: Duration = Duration::from_millis(1);
const STEP_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause between two steps as a multiple of what the last one took: while commits run, and while none do.
const PAUSES_BUSY: u32 = 9;
const PAUSES_IDLE: u32 = 1;
/// A compaction that leaves more than this share of what the index took up was in vain.
const IN_VAIN: f64 = 0.75;
/// After one in vain the index is not compacted again before it has grown, or its rows have shrunk, by half.
const CHANGED_BY: f64 = 1.5;

/// Sizes of an index in bytes: of its rows, and of what its file takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    live: u64,
    allocated: u64,
}

impl IndexPolicy {
    /// Returns whether an index of these sizes is to be compacted. `in_vain` are its sizes after a compaction that was
    /// in vain, as on a file system that tells more than the file needs.
    ///
    /// Pages of a tree that grows in no order are two thirds full: an index that takes up twice its rows has lost
    /// little.
    fn is_due(&self, now: Sizes, in_vain: Option<Sizes>) -> bool {
        let changed = in_vain.is_none_or(|last| {
            now.allocated as f64 >= last.allocated as f64 * CHANGED_BY
                || now.live as f64 <= last.live as f64 / CHANGED_BY
        });
        changed && now.allocated > 2 * now.live + self.wasted_bytes_min
    }
}

/// A copy of the index that lacks but few rows: the commit task takes it over.
pub(super) struct Ready {
    compaction: Compaction,
    /// The copy is the index, and may use the reserve.
    serving: Arc<AtomicBool>,
    done: oneshot::Sender<Result<(), DriveError>>,
}

/// Compacts the index of a drive whenever it is due, until the drive ends.
pub(super) async fn tend(shared: Arc<Shared>, policy: IndexPolicy) {
    let mut in_vain = None;
    loop {
        shared.rt.sleep(policy.interval).await;
        match look(&shared, &policy, &mut in_vain).await {
            Ok(()) => {}
            Err(DriveError::Full) => {
                let drive = shared.path.display();
                tracing::warn!(%drive, "no room to compact the index; it is tried again in ten minutes");
                shared.rt.sleep(NO_ROOM_PAUSE).await;
            }
            // The drive has failed or was closed.
            Err(_) => return,
        }
    }
}

async fn look(shared: &Arc<Shared>, policy: &IndexPolicy, in_vain: &mut Option<Sizes>) -> Result<(), DriveError> {
    let sizes = loop {
        let counted = |shared: &Shared| match index(shared, Index::count_rows)? {
            true => sizes_of(shared).map(Some),
            false => Ok(None),
        };
        if let Some(sizes) = paced(shared, counted).await? {
            break sizes;
        }
    };
    if !policy.is_due(sizes, *in_vain) {
        return Ok(());
    }
    let turn = timeout(&shared.rt, TURN_WAIT_MAX, policy.turn.acquire()).await;
    let sizes = shared.run(sizes_of).await?;
    if !policy.is_due(sizes, *in_vain) {
        return Ok(());
    }
    let began = shared.rt.mono();
    let compacted = compact(shared, sizes).await;
    drop(turn);
    if compacted.is_err() {
        shared.index.stop_tracking();
        shared.run(remove_unfinished).await?;
    }
    compacted?;
    let now = shared.run(sizes_of).await?;
    *in_vain = Some(now).filter(|now| now.allocated as f64 > sizes.allocated as f64 * IN_VAIN);
    let (drive, secs) = (shared.path.display(), (shared.rt.mono() - began).as_secs_f64());
    let (bytes_before, bytes) = (sizes.allocated, now.allocated);
    tracing::info!(%drive, bytes_before, bytes, secs, "compacted the index");
    Ok(())
}

/// Copies the index, has the commit task take the copy over, and closes the old one.
async fn compact(shared: &Arc<Shared>, sizes: Sizes) -> Result<(), DriveError> {
    let serving = Arc::new(AtomicBool::new(false));
    let in_use = serving.clone();
    let mut compaction = shared.run(move |shared| begin(shared, sizes, in_use)).await?;
    loop {
        let (back, ready) = paced(shared, move |shared| {
            // The drive's last room is for its objects.
            if shared.reserve.is_full() {
                return Err(DriveError::Full);
            }
            let ready = index(shared, |index| compaction.step(index))?;
            Ok((compaction, ready))
        })
        .await?;
        compaction = back;
        if ready {
            break;
        }
    }
    let (done, mut taken) = oneshot::channel();
    *lock(&shared.compacted) = Some(Ready {
        compaction,
        serving,
        done,
    });
    loop {
        tokio::select! {
            biased;
            adopted = &mut taken => break adopted.unwrap_or_else(|_| Err(shared.health.error_or("closed")))?,
            () = shared.rt.sleep(LOOK) => {}
        }
        // The drive may have ended with the copy untaken.
        shared
            .health
            .check()
            .inspect_err(|_| drop(lock(&shared.compacted).take()))?;
    }
    while !shared.run(|shared| Ok(shared.index.close_retired())).await? {
        shared.rt.sleep(LOOK).await;
    }
    Ok(())
}

/// Runs a step beside commits, then pauses for as long as keeps it from slowing them down.
async fn paced<T: Send + 'static>(
    shared: &Arc<Shared>,
    step: impl FnOnce(&Shared) -> Result<T, DriveError> + Send + 'static,
) -> Result<T, DriveError> {
    let (began, commits) = (shared.rt.mono(), shared.meter.commits());
    let done = shared.run(step).await?;
    let took = shared.rt.mono().saturating_sub(began);
    let pauses = match shared.meter.commits() == commits {
        true => PAUSES_IDLE,
        false => PAUSES_BUSY,
    };
    let pause = took.saturating_mul(pauses).clamp(STEP_PAUSE_MIN, STEP_PAUSE_MAX);
    shared.rt.sleep(pause).await;
    Ok(done)
}

fn index<T>(shared: &Shared, work: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, DriveError> {
    shared.health.check()?;
    work(&shared.index).map_err(|error| failed(shared, &error))
}

/// Maps an error of the copy: a full file system ends the compaction, any other fails the drive.
fn failed(shared: &Shared, error: &IndexError) -> DriveError {
    match error.is_full() {
        true => DriveError::Full,
        false => shared.index_failed(error),
    }
}

fn sizes_of(shared: &Shared) -> Result<Sizes, DriveError> {
    let allocated = index(shared, Index::allocated_bytes)?;
    let live = shared.index.live_bytes();
    Ok(Sizes { live, allocated })
}

/// Path of a copy of the index that is not finished.
pub(super) fn unfinished(drive: &Path) -> PathBuf {
    index_path(drive).with_extension("redb.new")
}

fn remove_unfinished(shared: &Shared) -> Result<(), DriveError> {
    shared.health.check()?;
    shared.files.remove_file(&unfinished(&shared.path)).ok();
    Ok(())
}

fn begin(shared: &Shared, sizes: Sizes, serving: Arc<AtomicBool>) -> Result<Compaction, DriveError> {
    shared.health.check()?;
    let path = unfinished(&shared.path);
    shared.files.remove_file(&path).ok();
    let space = shared.files.space(&shared.path);
    let room = space.is_ok_and(|space| shared.reserve.leaves_room(&space, 2 * sizes.live));
    if !room {
        return Err(DriveError::Full);
    }
    let file = shared.files.open(&path, OpenMode::CreateNew);
    let file = file.map_err(|error| failed(shared, &IndexError::Io(error)))?;
    let reserve = shared.reserve.clone();
    let make_room = Arc::new(move || serving.load(Ordering::Acquire) && reserve.release());
    index(shared, |index| {
        Compaction::begin(index, file, make_room, shared.mutation)
    })
}

/// Takes over a copy of the index that is ready, if there is one. Only in the commit lane.
pub(super) fn adopt(shared: &Shared) {
    let Some(ready) = lock(&shared.compacted).take() else {
        return;
    };
    let Ready {
        compaction,
        serving,
        done,
    } = ready;
    let adopted = finish(shared, compaction);
    serving.store(adopted.is_ok(), Ordering::Release);
    // A dropped receiver is a task that has ended with its runtime.
    done.send(adopted).ok();
}

fn finish(shared: &Shared, mut compaction: Compaction) -> Result<(), DriveError> {
    index(shared, |index| compaction.finish(index))?;
    let (from, to) = (unfinished(&shared.path), index_path(&shared.path));
    let renamed = shared.files.rename(&from, &to);
    renamed.map_err(|error| failed(shared, &IndexError::Io(error)))?;
    // Until the name is durable a crash brings the old index back: it must not lack a commit then.
    if !shared.mutation.is(Mutant::CompactionNameNotSynced) {
        let folder = to.parent().unwrap_or(&shared.path);
        shared
            .files
            .sync_dir(folder)
            .map_err(|error| shared.index_failed(&IndexError::Io(error)))?;
    }
    // The copy has the index's name: whatever the error, nothing may be committed to the old file any more.
    let adopted = shared.index.adopt(compaction);
    adopted.map_err(|error| shared.index_failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_compacted_when_it_wastes_half_and_not_for_the_same_waste_again() {
        const MIB: u64 = 1 << 20;
        let policy = IndexPolicy::default();
        let sizes = |live, allocated| Sizes { live, allocated };
        assert!(!policy.is_due(sizes(0, MIB), None));
        assert!(!policy.is_due(sizes(10 * MIB, 21 * MIB), None));
        assert!(policy.is_due(sizes(10 * MIB, 22 * MIB), None));
        let in_vain = Some(sizes(10 * MIB, 22 * MIB));
        assert!(!policy.is_due(sizes(10 * MIB, 22 * MIB), in_vain));
        assert!(!policy.is_due(sizes(7 * MIB, 32 * MIB), in_vain));
        assert!(policy.is_due(sizes(6 * MIB, 22 * MIB), in_vain));
        assert!(policy.is_due(sizes(10 * MIB, 33 * MIB), in_vain));
    }
}
