//! Staging of one data folder: encodes a body into shards and spreads them over the drives of a set.
//!
//! Staged data is invisible until a commit names its folder in a register. Dropped before that, a writer removes it.

use super::{
    ErasureSet, StoreError,
    driver::{Shards, execute, settled},
    pace::{Wait, Waited, Work},
};
use crate::{
    drive::{Drive, DriveError, RegisterKey, SMALL_SHARD_BYTES, ShardWriter, Staging},
    erasure::{Codec, Distribution, Encoder, Layout, Stripe, StripePool},
    runtime::{self, Mutant},
};
use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use model::{
    protocol::{Drives, Folder, Outcome, write_quorum},
    record::{Checksum, Op, PartData, Record},
};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Upper bound of the memory that a [`StagingWriter`] and the body on its way to it take, in bytes, with `drives` in a
/// set: what has come in and is hashed, a stripe and its shards, and what each drive gathers for a write.
pub(crate) fn write_memory_bytes(drives: usize) -> u64 {
    const BODY_BYTES: u64 = 4 << 20;
    const DRIVE_BYTES: u64 = (1 << 20) + (256 << 10);
    BODY_BYTES + drives as u64 * DRIVE_BYTES
}

/// Erasure code of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Erasure {
    codec: Codec,
    /// Data shards: K.
    pub data: u8,
    /// Parity shards: M.
    pub parity: u8,
}

impl Erasure {
    /// K and M of `set` at this parity.
    ///
    /// # Errors
    /// [`StoreError::Internal`]: the configuration was checked at the start.
    pub fn new(set: &ErasureSet, parity: u8) -> Result<Erasure, StoreError> {
        let data = (set.len() as u8).saturating_sub(parity);
        let codec = set.codec(data, parity)?;
        Ok(Erasure { codec, data, parity })
    }
}

/// Returns the name of a new data folder for a write that is voted on at `register`.
pub(crate) fn new_folder(set: &ErasureSet, register: &RegisterKey) -> Folder {
    if set.rt.mutation().is(Mutant::FolderReused) {
        xxh3_128(register.as_bytes())
    } else {
        folder_name(set.rt.wall_nanos(), runtime::random_id(&set.rt))
    }
}

/// Number of the time's lowest bits, in nanoseconds, in which folder names have the same first byte: 1.07 s.
const TURN_BITS: u32 = 30;
/// Number of random bits of a folder name.
const RANDOM_BITS: u32 = 56;

/// Returns a folder name that begins with the time: one byte, which names the subfolder of its files and takes each
/// value in turn, then the time in nanoseconds, then chance.
///
/// Drives keep the rows of shards in the order of these names. In order of time the rows of one commit share pages,
/// where random names would change a page for each.
fn folder_name(wall_nanos: u64, random: u128) -> Folder {
    let turn = u128::from((wall_nanos >> TURN_BITS) as u8);
    let random = random & ((1 << RANDOM_BITS) - 1);
    turn << (u64::BITS + RANDOM_BITS) | u128::from(wall_nanos) << RANDOM_BITS | random.max(1)
}

/// Stages the body of one object or part. Dropped before [`Staged::commit`], nothing of it becomes visible and its
/// shards are removed.
#[derive(Debug)]
pub struct StagingWriter {
    erasure: Erasure,
    encoder: Option<Encoder>,
    sink: Sink,
    /// Writers of files may hold frames that they have not written.
    gathered: bool,
    folder: StagedFolder,
    size: u64,
    /// Bytes of frames that each shard has got.
    framed_len: u64,
    /// Drives that had no room.
    full: usize,
}

/// Complete body that is not committed yet: its files are durable on enough drives, or its shards are small. Dropped
/// before [`Staged::commit`], its shards are removed.
pub(crate) struct Staged {
    shards: Shards,
    folder: StagedFolder,
    erasure: Erasure,
    size: u64,
}

/// Destination of framed blocks: memory while the shard is small, then a file on each drive.
enum Sink {
    Small(Vec<BytesMut>),
    Files(Vec<Option<Box<dyn ShardWriter>>>),
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sink::Small(_) => "Small",
            Sink::Files(_) => "Files",
        })
    }
}

/// Data folder of a write. Dropped while it may be given up, it is removed from every drive.
#[derive(Debug)]
struct StagedFolder {
    set: Arc<ErasureSet>,
    staging: Staging,
    distribution: Distribution,
    /// A drive may hold something of it that no value will ever name.
    abandon_on_drop: bool,
}

impl StagedFolder {
    /// Index of the shard that a drive gets.
    fn shard_of(&self, drive: usize) -> usize {
        if self.set.rt.mutation().is(Mutant::OneShardForAll) {
            return 0;
        }
        self.distribution.shard_of(drive)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if self.abandon_on_drop {
            abandon(&self.set, self.staging.owner.clone(), self.staging.folder);
        }
    }
}

/// Gives up a folder of which no Accept has left, on every drive (`put.abandon-before-accept`).
fn abandon(set: &Arc<ErasureSet>, owner: RegisterKey, folder: Folder) {
    let task_set = set.clone();
    runtime::spawn(&set.rt, "abandon", async move {
        let calls = task_set
            .drives
            .iter()
            .map(|drive: &Arc<dyn Drive>| drive.abandon(&owner, folder));
        // A drive that does not hear of it keeps a folder that no value names, for the staging clean-up.
        drop(join_all(calls).await);
    });
}

impl StagingWriter {
    /// Creates the writer of the data folder that `staging` describes. `size` is the expected length of the body in
    /// bytes, if it is known; `stripes` lends the buffers.
    pub(crate) fn new(
        set: Arc<ErasureSet>,
        staging: Staging,
        distribution: Distribution,
        erasure: Erasure,
        size: Option<u64>,
        stripes: Arc<StripePool>,
    ) -> StagingWriter {
        let encoder = match size {
            Some(size) => Encoder::with_expected_len(erasure.codec, size),
            None => Encoder::new(erasure.codec),
        };
        let encoder = encoder.with_pool(stripes);
        let sink = Sink::Small(vec![BytesMut::new(); set.len()]);
        let folder = StagedFolder {
            set,
            staging,
            distribution,
            abandon_on_drop: false,
        };
        StagingWriter {
            erasure,
            encoder: Some(encoder),
            sink,
            gathered: false,
            folder,
            size: 0,
            framed_len: 0,
            full: 0,
        }
    }

    /// Appends bytes; returns when there is room for more.
    ///
    /// # Errors
    /// Unavailable (too few drives are left for the write quorum), or full.
    pub async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.size += data.len() as u64;
        let mut input = &data[..];
        while let Some(stripe) = self.encoder.as_mut().and_then(|encoder| encoder.push(&mut input)) {
            self.take(stripe).await?;
        }
        Ok(())
    }

    /// The runtime that it runs on.
    pub fn rt(&self) -> &runtime::Rt {
        &self.folder.set.rt
    }

    /// Tells whether [`StagingWriter::flush`] would give memory back.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        self.gathered
    }

    /// Hands what the drives have gathered for larger writes to their files, for a body that pauses.
    ///
    /// # Errors
    /// As [`StagingWriter::write`].
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.gathered = false;
        self.on_files(|_, mut writer| async move { writer.flush().await.map(|()| writer) })
            .await
    }

    /// Encodes the last stripe and makes files durable. Small shards become durable with the commit's Prepare.
    ///
    /// # Errors
    /// As [`StagingWriter::write`].
    pub(crate) async fn finish(mut self) -> Result<Staged, StoreError> {
        if let Some(stripe) = self.encoder.take().and_then(Encoder::finish) {
            self.take(stripe).await?;
        }
        assert_framed(self.erasure.codec, self.size, self.framed_len);
        self.sync().await?;
        let shards = match std::mem::replace(&mut self.sink, Sink::Small(Vec::new())) {
            Sink::Small(shards) => Shards::Small {
                staging: self.folder.staging.clone(),
                framed: shards.into_iter().map(BytesMut::freeze).collect(),
            },
            Sink::Files(writers) => Shards::Files(writers),
        };
        Ok(Staged {
            shards,
            folder: self.folder,
            erasure: self.erasure,
            size: self.size,
        })
    }

    /// Passes a stripe's frames to the sink.
    async fn take(&mut self, stripe: Stripe) -> Result<(), StoreError> {
        let (frames, drives) = (stripe.frames.len(), self.folder.set.len());
        assert!(frames == drives, "erasure.set: {frames} frames for {drives} drives");
        self.framed_len += stripe.frames.first().map_or(0, Bytes::len) as u64;
        if let Sink::Small(shards) = &mut self.sink {
            let frame_len = stripe.frames.first().map_or(0, Bytes::len);
            if shards.first().map_or(0, BytesMut::len) + frame_len <= SMALL_SHARD_BYTES {
                for (drive, shard) in shards.iter_mut().enumerate() {
                    shard.extend_from_slice(&stripe.frames[self.folder.shard_of(drive)]);
                }
                return Ok(());
            }
            let early = std::mem::take(shards);
            self.open_files().await?;
            self.append(early.into_iter().map(BytesMut::freeze).collect()).await?;
        }
        let frames = (0..self.folder.set.len()).map(|drive| stripe.frames[self.folder.shard_of(drive)].clone());
        self.append(frames.collect()).await
    }

    async fn open_files(&mut self) -> Result<(), StoreError> {
        let set = self.folder.set.clone();
        self.folder.abandon_on_drop = true;
        let mut wait = Wait::new(&set, Work::Write);
        for (index, drive) in set.drives.iter().enumerate() {
            wait.add(index, drive.stage_file(self.folder.staging.clone()));
        }
        let writers = self.keep(wait).await?;
        self.sink = Sink::Files(writers);
        Ok(())
    }

    /// Appends bytes to each drive's file, by drive index.
    async fn append(&mut self, mut blocks: Vec<Bytes>) -> Result<(), StoreError> {
        self.gathered = true;
        self.on_files(|drive, mut writer| {
            let block = blocks.get_mut(drive).map(std::mem::take).unwrap_or_default();
            async move {
                if !block.is_empty() {
                    writer.write(block).await?;
                }
                Ok(writer)
            }
        })
        .await
    }

    /// Makes files durable.
    async fn sync(&mut self) -> Result<(), StoreError> {
        self.on_files(|_, mut writer| async move { writer.sync().await.map(|()| writer) })
            .await
    }

    /// Has every drive do `work` on its file, if shards are files, side by side. A drive that fails or is too slow is
    /// left behind.
    ///
    /// # Errors
    /// Fewer drives are left than the write quorum.
    async fn on_files<F>(&mut self, mut work: impl FnMut(usize, Box<dyn ShardWriter>) -> F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<Box<dyn ShardWriter>, DriveError>> + Send + 'static,
    {
        let Sink::Files(writers) = &mut self.sink else {
            return Ok(());
        };
        let mut wait = Wait::new(&self.folder.set, Work::Write);
        for (drive, writer) in std::mem::take(writers).into_iter().enumerate() {
            if let Some(writer) = writer {
                wait.add(drive, Box::pin(work(drive, writer)));
            }
        }
        let writers = self.keep(wait).await?;
        self.sink = Sink::Files(writers);
        Ok(())
    }

    /// Waits for all drives, or for enough of them when the others are slow. Returns what those answered that are kept,
    /// by drive index.
    ///
    /// # Errors
    /// Fewer drives are left than the write quorum.
    async fn keep<T: Send + 'static>(&mut self, mut wait: Wait<T>) -> Result<Vec<Option<T>>, StoreError> {
        let mut tally = Tally::new(&self.folder.set, self.full);
        let mut kept: Vec<Option<T>> = (0..self.folder.set.len()).map(|_| None).collect();
        while !wait.is_empty() {
            match wait.next().await {
                Waited::Answer(drive, answer) => kept[drive] = tally.keep(answer),
                Waited::Slow(_) if tally.check(self.erasure).is_ok() => break,
                Waited::Slow(_) | Waited::Over(_) => {}
            }
        }
        self.full = tally.full;
        tally.check(self.erasure)?;
        Ok(kept)
    }
}

impl Staged {
    /// The set that holds the shards.
    pub fn set(&self) -> &Arc<ErasureSet> {
        &self.folder.set
    }

    /// Key that owns the data folder.
    pub fn owner(&self) -> &RegisterKey {
        &self.folder.staging.owner
    }

    /// Erasure code of the shards.
    pub fn erasure(&self) -> Erasure {
        self.erasure
    }

    /// Describes the staged data for the value that is to name it.
    pub fn part(&self, etag: String, checksums: Vec<Checksum>) -> PartData {
        PartData {
            number: self.folder.staging.part,
            folder: self.folder.staging.folder,
            size: self.size,
            etag,
            holders: Drives::NONE,
            checksums,
        }
    }

    /// Runs `op`, whose value names the data folder, on `register`. Returns the chosen record.
    ///
    /// # Errors
    /// The refusal of `op`, unavailable, or full.
    pub async fn commit(self, register: RegisterKey, op: Op) -> Result<Record, StoreError> {
        let Staged { shards, mut folder, .. } = self;
        let set = folder.set.clone();
        // From here on the operation runs to its end even if the caller goes away. Until it has ended, the folder
        // must not be removed.
        let hasty = set.rt.mutation().is(Mutant::AbandonAfterAccept);
        folder.abandon_on_drop = hasty;
        let ended = execute(&set, register, op, Some(shards)).await;
        folder.abandon_on_drop = match ended.outcome {
            Outcome::Refused { .. } | Outcome::Unavailable(_) => true,
            Outcome::Ambiguous(_) => hasty,
            Outcome::Written(_) | Outcome::Kept(_) => false,
        };
        match ended.outcome {
            Outcome::Unavailable(_) if ended.full => Err(StoreError::Full),
            outcome => settled(outcome),
        }
    }
}

/// Count of the drives that a write has not lost.
struct Tally {
    kept: usize,
    /// Number of shards below W that a mutant is content with.
    fewer: usize,
    /// Drives that had no room, now or earlier in the write.
    full: usize,
}

impl Tally {
    fn new(set: &ErasureSet, full: usize) -> Tally {
        let fewer = usize::from(set.rt.mutation().is(Mutant::WriteQuorumTooSmall));
        Tally { kept: 0, fewer, full }
    }

    fn keep<T>(&mut self, result: Result<T, DriveError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.kept += 1;
                Some(value)
            }
            Err(error) => {
                self.full += usize::from(error == DriveError::Full);
                None
            }
        }
    }

    /// Checks that they are enough for the write quorum (`put.ack-needs-write-quorum`).
    fn check(&self, erasure: Erasure) -> Result<(), StoreError> {
        let needed = usize::from(write_quorum(erasure.data, erasure.parity)) - self.fewer;
        if self.kept >= needed {
            return Ok(());
        }
        if self.full > 0 && self.kept + self.full >= needed {
            return Err(StoreError::Full);
        }
        Err(StoreError::Unwritable(format!(
            "{} drives take the data, {needed} are needed",
            self.kept
        )))
    }
}

/// Panics unless each shard of a body of `size` bytes has got as many bytes as its file is read by.
fn assert_framed(codec: Codec, size: u64, framed_len: u64) {
    // A body that is too long for any shard file is refused where it is received.
    let Ok(layout) = Layout::new(codec, size) else { return };
    let expected = layout.shard_file_len();
    assert!(
        framed_len == expected,
        "erasure.file-len: shards of {framed_len} bytes in place of {expected}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "erasure.file-len")]
    fn a_shard_of_another_length_is_not_committed() {
        let codec = Codec::new(2, 2).expect("a code");
        assert_framed(codec, 10, 32 + 5);
        assert_framed(codec, 10, 32 + 4);
    }

    #[test]
    fn folders_made_after_each_other_have_names_in_this_order_and_take_turns_with_subfolders() {
        const SECOND: u64 = 1_000_000_000;
        let began = 1_800_000_000 * SECOND;
        let name = |nanos, random| format!("{:032x}", folder_name(nanos, random));
        assert_eq!(name(began, u128::MAX), "da18fae27693b40000ffffffffffffff");
        assert!(name(began, u128::MAX) < name(began + 1, 0));
        assert_ne!(name(began, 1), name(began, 2));
        assert_ne!(folder_name(0, 0), 0);
        let subfolders: std::collections::BTreeSet<_> =
            (0..275).map(|n| name(began + n * SECOND, 0)[..2].to_owned()).collect();
        assert_eq!(subfolders.len(), 256);
    }
}
