//! Writing one object or part: stage its shards on every drive, then one vote on its key.

use super::{
    Store, latest_info, multipart,
    types::{ObjectInfo, WriteMeta},
};
use crate::{
    drive::{DriveError, RegisterKey, SMALL_SHARD_BYTES, ShardWriter, Staging},
    erasure::{Codec, Distribution, Encoder, Stripe},
    runtime::{self, Mutant},
    set::{
        ErasureSet, StoreError,
        driver::{self, Shards, abandon, execute},
        read,
    },
};
use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use model::{
    protocol::{Drives, Outcome, write_quorum},
    record::{Change, EtagMatch, ObjectData, Op, Part, PartData, Precondition, Record, Versioning},
    upload::UploadPart,
};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The memory that an [`ObjectWriter`] and the body on its way to it take at most, in bytes, with `drives` in a
/// set: what has come in and is hashed, a stripe and its shards, and what each drive gathers for a write.
pub(super) fn write_memory_bytes(drives: usize) -> u64 {
    const BODY_BYTES: u64 = 4 << 20;
    const DRIVE_BYTES: u64 = (1 << 20) + (256 << 10);
    BODY_BYTES + drives as u64 * DRIVE_BYTES
}

/// Writes one object or part. Dropped before [`ObjectWriter::commit`], nothing of it becomes visible and
/// its staged shards are removed.
#[derive(Debug)]
pub struct ObjectWriter {
    store: Arc<Store>,
    target: Target,
    /// Of a part: whether it may be voted on.
    upload: Option<UploadPart>,
    erasure: Erasure,
    encoder: Option<Encoder>,
    sink: Sink,
    /// Whether writers of files may hold frames that they have not written.
    gathered: bool,
    staged: Staged,
    size: u64,
    /// Drives that it was too large for.
    full: usize,
}

/// What is written.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub bucket: String,
    pub key: String,
    pub incarnation: u128,
    /// Of a part: its upload and number.
    pub part: Option<(u128, u16)>,
}

impl Target {
    fn owner(&self) -> RegisterKey {
        RegisterKey::object(self.incarnation, &self.key)
    }

    /// The register that the write is voted on.
    fn register(&self) -> RegisterKey {
        match self.part {
            Some((upload, number)) => RegisterKey::part(self.incarnation, upload, number, &self.key),
            None => self.owner(),
        }
    }
}

/// How an object is cut into shards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Erasure {
    pub codec: Codec,
    pub data: u8,
    pub parity: u8,
}

impl Erasure {
    /// K and M of a set of `drives` at this parity.
    ///
    /// # Errors
    /// [`StoreError::Internal`]: the configuration was checked at the start.
    pub fn new(drives: usize, parity: u8) -> Result<Erasure, StoreError> {
        let data = (drives as u8).saturating_sub(parity);
        let codec = Codec::new(data, parity).map_err(|error| StoreError::Internal(error.to_string()))?;
        Ok(Erasure { codec, data, parity })
    }
}

/// Where framed blocks go: to memory while the shard is small, then to a file on each drive.
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

/// The data folder of a write. Dropped while it may be given up, it is removed from every drive.
#[derive(Debug)]
struct Staged {
    set: Arc<ErasureSet>,
    staging: Staging,
    distribution: Distribution,
    /// Whether a drive may hold something of it that no value will ever name.
    abandon_on_drop: bool,
}

impl Staged {
    /// Which shard a drive gets.
    fn shard_of(&self, drive: usize) -> usize {
        if self.set.rt.mutation().is(Mutant::OneShardForAll) {
            return 0;
        }
        self.distribution.shard_of(drive)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.abandon_on_drop {
            abandon(&self.set, self.staging.owner.clone(), self.staging.folder);
        }
    }
}

impl ObjectWriter {
    pub(super) fn new(
        store: Arc<Store>,
        set: Arc<ErasureSet>,
        target: Target,
        erasure: Erasure,
        size: Option<u64>,
    ) -> ObjectWriter {
        let folder = if set.rt.mutation().is(Mutant::FolderReused) {
            xxh3_128(target.register().as_bytes())
        } else {
            runtime::random_id(&set.rt)
        };
        let staging = Staging {
            owner: target.owner(),
            folder,
            upload: target.part.map(|(upload, _)| upload),
            part: target.part.map_or(1, |(_, number)| number),
        };
        let distribution = set.distribution(&target.bucket, &target.key);
        let encoder = match size {
            Some(size) => Encoder::with_expected_len(erasure.codec, size),
            None => Encoder::new(erasure.codec),
        };
        let encoder = encoder.with_pool(store.stripes.clone());
        let sink = Sink::Small(vec![BytesMut::new(); set.len()]);
        let staged = Staged {
            set,
            staging,
            distribution,
            abandon_on_drop: false,
        };
        ObjectWriter {
            store,
            target,
            upload: None,
            erasure,
            encoder: Some(encoder),
            sink,
            gathered: false,
            staged,
            size: 0,
            full: 0,
        }
    }

    /// The same writer, of a part of an upload that was found open.
    pub(super) fn of_upload(mut self, machine: UploadPart) -> ObjectWriter {
        self.upload = Some(machine);
        self
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
        &self.staged.set.rt
    }

    /// Whether [`ObjectWriter::flush`] would give memory back.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        self.gathered
    }

    /// Hands what the drives have gathered for larger writes to their files, for a body that pauses.
    ///
    /// # Errors
    /// As [`ObjectWriter::write`].
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.gathered = false;
        self.on_files(|_, mut writer| async move { writer.flush().await.map(|()| writer) })
            .await
    }

    /// Makes what was written the key's latest version, durably. Call it only when the body has ended
    /// well and its hashes are right.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`], [`StoreError::NoSuchKey`] (`If-Match` on an absent key),
    /// [`StoreError::NoSuchUpload`], unavailable, or full.
    pub async fn commit(mut self, meta: WriteMeta, precondition: Precondition) -> Result<ObjectInfo, StoreError> {
        if let Some(stripe) = self.encoder.take().and_then(Encoder::finish) {
            self.take(stripe).await?;
        }
        self.sync().await?;
        let shards = match std::mem::replace(&mut self.sink, Sink::Small(Vec::new())) {
            Sink::Small(shards) => Shards::Small {
                staging: self.staged.staging.clone(),
                framed: shards.into_iter().map(BytesMut::freeze).collect(),
            },
            Sink::Files(writers) => Shards::Files(writers),
        };
        // A deleted bucket takes no more objects: its deletion waits for the commits at hand.
        let bucket = self
            .store
            .buckets()
            .enter(&self.target.bucket, self.target.incarnation)
            .await?;
        let mut op = self.op(meta, self.looked_at_apart(precondition).await?);
        if let Change::PutPart(part) = op.kind {
            let machine = self.upload.take();
            let machine = machine.ok_or_else(|| StoreError::Internal("a part without an upload".into()))?;
            let (set, owner) = (&self.staged.set, &self.staged.staging.owner);
            op.kind = multipart::part_change(set, owner, machine, part).await?;
        }
        // From here on the operation runs to its end even if the caller goes away; until it has ended,
        // nobody may remove the folder.
        let hasty = self.staged.set.rt.mutation().is(Mutant::AbandonAfterAccept);
        self.staged.abandon_on_drop = hasty;
        let (set, register) = (self.staged.set.clone(), self.target.register());
        let ended = execute(&set, register, op, Some(shards)).await;
        drop(bucket);
        self.staged.abandon_on_drop = match ended.outcome {
            Outcome::Refused { .. } | Outcome::Unavailable(_) => true,
            Outcome::Ambiguous(_) => hasty,
            Outcome::Written(_) | Outcome::Kept(_) => false,
        };
        match ended.outcome {
            Outcome::Unavailable(_) if ended.full => Err(StoreError::Full),
            _ => self.info(&driver::settled(ended.outcome)?),
        }
    }

    /// What is left of a condition for the vote: all of it, but for a mutant.
    async fn looked_at_apart(&self, condition: Precondition) -> Result<Precondition, StoreError> {
        let set = &self.staged.set;
        if !set.rt.mutation().is(Mutant::ConditionApart) {
            return Ok(condition);
        }
        let found = latest_info("", &read::read(set, &self.target.register()).await?);
        let matches = |wanted: &EtagMatch| found.as_ref().is_some_and(|found| wanted.matches(&found.data.etag));
        let Precondition {
            if_match,
            if_none_match,
        } = &condition;
        if if_match.as_ref().is_none_or(matches) && !if_none_match.as_ref().is_some_and(matches) {
            Ok(Precondition::default())
        } else {
            Err(StoreError::PreconditionFailed)
        }
    }

    fn op(&self, meta: WriteMeta, precondition: Precondition) -> Op {
        let set = &self.staged.set;
        let now_nanos = set.rt.wall_nanos();
        let (data_shards, parity_shards) = (self.erasure.data, self.erasure.parity);
        let part = PartData {
            number: self.staged.staging.part,
            folder: self.staged.staging.folder,
            size: self.size,
            etag: meta.etag.clone(),
            holders: Drives::NONE,
            checksums: meta.checksums.clone(),
        };
        let kind = match self.target.part {
            Some(_) => Change::PutPart(Part {
                data_shards,
                parity_shards,
                time_nanos: now_nanos,
                data: part,
            }),
            None => Change::Put {
                data: ObjectData {
                    etag: meta.etag,
                    size: self.size,
                    data_shards,
                    parity_shards,
                    parts: vec![part],
                    headers: meta.headers,
                    checksums: meta.checksums,
                },
                precondition,
                versioning: Versioning::Unversioned,
            },
        };
        Op {
            change: runtime::random_id(&set.rt),
            now_nanos,
            kind,
        }
    }

    /// What was written, as the chosen record says.
    fn info(&self, record: &Record) -> Result<ObjectInfo, StoreError> {
        let key = self.target.key.clone();
        if let Some(part) = record.part() {
            let data = ObjectData {
                etag: part.data.etag.clone(),
                size: part.data.size,
                data_shards: part.data_shards,
                parity_shards: part.parity_shards,
                parts: vec![part.data.clone()],
                checksums: part.data.checksums.clone(),
                ..ObjectData::default()
            };
            return Ok(ObjectInfo {
                key,
                version: 0,
                time_nanos: part.time_nanos,
                data: data.into(),
            });
        }
        super::latest_info(&key, record)
            .ok_or_else(|| StoreError::Internal("a put ended in a record without a version".into()))
    }

    /// Puts a stripe's frames where they go.
    async fn take(&mut self, stripe: Stripe) -> Result<(), StoreError> {
        if let Sink::Small(shards) = &mut self.sink {
            let frame_len = stripe.frames.first().map_or(0, Bytes::len);
            if shards.first().map_or(0, BytesMut::len) + frame_len <= SMALL_SHARD_BYTES {
                for (drive, shard) in shards.iter_mut().enumerate() {
                    shard.extend_from_slice(&stripe.frames[self.staged.shard_of(drive)]);
                }
                return Ok(());
            }
            let early = std::mem::take(shards);
            self.open_files().await?;
            self.append(early.into_iter().map(BytesMut::freeze).collect()).await?;
        }
        let frames = (0..self.staged.set.len()).map(|drive| stripe.frames[self.staged.shard_of(drive)].clone());
        self.append(frames.collect()).await
    }

    async fn open_files(&mut self) -> Result<(), StoreError> {
        let set = self.staged.set.clone();
        self.staged.abandon_on_drop = true;
        let opened = join_all(set.drives.iter().map(|drive| {
            runtime::timeout(
                &set.rt,
                set.patience.shard,
                drive.stage_file(self.staged.staging.clone()),
            )
        }))
        .await;
        let mut tally = Tally::new(&self.staged.set, self.full);
        self.sink = Sink::Files(opened.into_iter().map(|writer| tally.keep(writer)).collect());
        self.full = tally.full;
        tally.check(self.erasure)
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
        F: Future<Output = Result<Box<dyn ShardWriter>, DriveError>>,
    {
        let Sink::Files(writers) = &mut self.sink else {
            return Ok(());
        };
        let (rt, limit) = (&self.staged.set.rt, self.staged.set.patience.shard);
        let works = std::mem::take(writers).into_iter().enumerate().map(|(drive, writer)| {
            let worked = writer.map(|writer| runtime::timeout(rt, limit, work(drive, writer)));
            async move { Some(worked?.await) }
        });
        let mut tally = Tally::new(&self.staged.set, self.full);
        let done = join_all(works).await;
        *writers = done.into_iter().map(|done| tally.keep(done?)).collect();
        self.full = tally.full;
        tally.check(self.erasure)
    }
}

/// Counts the drives that are still with a write.
struct Tally {
    kept: usize,
    /// How many shards fewer than W are enough for a mutant.
    fewer: usize,
    /// Drives that had no room, now or earlier in the write.
    full: usize,
}

impl Tally {
    fn new(set: &ErasureSet, full: usize) -> Tally {
        let fewer = usize::from(set.rt.mutation().is(Mutant::WriteQuorumTooSmall));
        Tally { kept: 0, fewer, full }
    }

    fn keep<T>(&mut self, result: Option<Result<T, DriveError>>) -> Option<T> {
        match result? {
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

    /// Whether they are enough for the write quorum (`put.ack-needs-write-quorum`).
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
