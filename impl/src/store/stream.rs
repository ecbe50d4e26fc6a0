//! Reading one version: any K shards of each stripe, verified, from the drives that have them.

use super::types::ObjectInfo;
use crate::{
    drive::{DriveError, ShardReader, SmallShard},
    erasure::{Codec, Decoder, Layout, STRIPE_LEN, ShardSet, reseal},
    runtime::{self, Mutant, Mutation},
    set::{ErasureSet, StoreError, read::SmallShards},
};
use bytes::Bytes;
use futures::future::join_all;
use model::{
    protocol::{Fetch, fetch::Next},
    record::PartData,
};
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Stripes that are read from the drives at once: bounds a stream's memory at about twice as many MiB.
const STRIPES_AT_ONCE: u64 = 4;

/// The memory that a [`ByteStream`] takes at most, in bytes: the shards of its stripes, and what is decoded
/// of them.
pub const READ_MEMORY_BYTES: u64 = 2 * STRIPES_AT_ONCE * STRIPE_LEN as u64;

/// Reads one version: its description is here at once, its bytes on [`ObjectReader::stream`].
#[derive(Debug)]
pub struct ObjectReader {
    set: Arc<ErasureSet>,
    bucket: String,
    info: ObjectInfo,
    /// The shards of a one-part object, opened before anything is answered: they stay readable when the
    /// object is replaced meanwhile (`read.one-data-folder`).
    opened: Option<PartReader>,
}

/// The bytes of a range of one version, in order.
#[derive(Debug)]
pub struct ByteStream {
    source: Source,
    ready: VecDeque<Bytes>,
    failed: bool,
}

#[derive(Debug)]
struct Source {
    set: Arc<ErasureSet>,
    bucket: String,
    key: String,
    codec: Codec,
    /// The parts that are left, each with the range of it that is wanted.
    parts: VecDeque<(PartData, Range<u64>)>,
    /// The part at hand.
    current: Option<(PartReader, Range<u64>)>,
    opened: Option<PartReader>,
}

impl ObjectReader {
    /// Opens a version's shards. Those of `small` that are of this version need not be asked for.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]; the data folder may have been dropped by an overwrite, so the caller
    /// reads the key again once.
    pub(super) async fn open(
        set: Arc<ErasureSet>,
        bucket: &str,
        info: ObjectInfo,
        small: SmallShards,
    ) -> Result<ObjectReader, StoreError> {
        let mut reader = ObjectReader {
            set,
            bucket: bucket.to_owned(),
            info,
            opened: None,
        };
        if let [part] = &reader.info.data.parts[..]
            && part.size > 0
        {
            let codec = codec(&reader.info)?;
            let (set, key) = (&reader.set, &reader.info.key);
            reader.opened = Some(PartReader::open(set, bucket, key, codec, part, small).await?);
        }
        Ok(reader)
    }

    /// What the object is.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Its bytes in `range` (within its size). The first stripe is read before this returns, so an object
    /// that cannot be read is an error here and not a broken response.
    ///
    /// # Errors
    /// Unavailable: fewer than K shards are left.
    pub async fn stream(self, range: Range<u64>) -> Result<ByteStream, StoreError> {
        let codec = codec(&self.info)?;
        let mut parts = VecDeque::new();
        let mut start = 0;
        for part in &self.info.data.parts {
            let wanted = range.start.max(start)..range.end.min(start + part.size);
            if wanted.start < wanted.end {
                parts.push_back((part.clone(), wanted.start - start..wanted.end - start));
            }
            start += part.size;
        }
        let source = Source {
            set: self.set,
            bucket: self.bucket,
            key: self.info.key,
            codec,
            parts,
            current: None,
            opened: self.opened,
        };
        let mut stream = ByteStream {
            source,
            ready: VecDeque::new(),
            failed: false,
        };
        stream.fill().await?;
        Ok(stream)
    }
}

impl ByteStream {
    /// The next bytes; `None` at the end. An error means that the response must be broken off.
    pub async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        if self.failed {
            return None;
        }
        if self.ready.is_empty()
            && let Err(error) = self.fill().await
        {
            self.failed = true;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }

    /// Reads the next run of stripes.
    async fn fill(&mut self) -> Result<(), StoreError> {
        while self.ready.is_empty() {
            let source = &mut self.source;
            if source.current.is_none() {
                let Some((part, range)) = source.parts.pop_front() else {
                    return Ok(());
                };
                let reader = match source.opened.take() {
                    Some(reader) => reader,
                    None => {
                        let Source { set, bucket, key, .. } = &*source;
                        PartReader::open(set, bucket, key, source.codec, &part, SmallShards::new()).await?
                    }
                };
                source.current = Some((reader, range));
            }
            let Some((reader, range)) = &mut source.current else {
                return Ok(());
            };
            reader.read(&source.set, range, &mut self.ready).await?;
            if range.is_empty() {
                source.current = None;
            }
        }
        Ok(())
    }
}

fn codec(info: &ObjectInfo) -> Result<Codec, StoreError> {
    Codec::new(info.data.data_shards, info.data.parity_shards).map_err(|error| StoreError::Internal(error.to_string()))
}

/// The shards of one part.
struct PartReader {
    part: PartData,
    layout: Layout,
    decoder: Decoder,
    mutation: Mutation,
    data_shards: usize,
    /// By shard index: the drive that has it.
    drive_of: Vec<usize>,
    /// Which shards are open.
    fetch: Fetch,
    /// By shard index, those that are open.
    shards: Vec<Option<Box<dyn ShardReader>>>,
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartReader({:032x})", self.part.folder)
    }
}

impl PartReader {
    async fn open(
        set: &Arc<ErasureSet>,
        bucket: &str,
        key: &str,
        codec: Codec,
        part: &PartData,
        small: SmallShards,
    ) -> Result<PartReader, StoreError> {
        let distribution = set.distribution(bucket, key);
        let layout = Layout::new(codec, part.size).map_err(|error| StoreError::Internal(error.to_string()))?;
        let count = set.len();
        let mut reader = PartReader {
            part: part.clone(),
            layout,
            decoder: Decoder::new(codec),
            mutation: set.rt.mutation(),
            data_shards: codec.data(),
            drive_of: (0..count).map(|shard| distribution.drive_of(shard)).collect(),
            fetch: Fetch::new(part.folder, codec.data() as u8, count as u8),
            shards: (0..count).map(|_| None).collect(),
        };
        reader.take_small(small);
        reader.ensure(set).await?;
        Ok(reader)
    }

    /// Takes over shards that came with the register, as many as are needed.
    fn take_small(&mut self, mut small: SmallShards) {
        for shard in 0..self.shards.len() {
            if self.fetch.open().count() == self.data_shards {
                return;
            }
            if let Some((folder, framed)) = small.remove(&self.drive_of[shard])
                && folder == self.fetch.folder()
                && framed.len() as u64 == self.layout.shard_file_len()
            {
                self.fetch.opened(shard as u8);
                self.shards[shard] = Some(Box::new(SmallShard(framed)));
            }
        }
    }

    /// Opens shards until K are open: data shards first, as they need no decoding.
    async fn ensure(&mut self, set: &ErasureSet) -> Result<(), StoreError> {
        loop {
            let next = match self.fetch.next() {
                Next::Read => return Ok(()),
                Next::Open(next) => next,
                Next::TooFew => {
                    return Err(StoreError::Unreadable(format!(
                        "fewer than {} shards of data folder {:032x} can be read",
                        self.data_shards,
                        self.fetch.folder()
                    )));
                }
            };
            let (folder, number) = (self.fetch.folder(), self.part.number);
            let opening = next.iter().map(|shard| {
                let drive = &set.drives[self.drive_of[usize::from(shard)]];
                runtime::timeout(&set.rt, set.patience.shard, drive.open_shard(folder, number))
            });
            for (shard, opened) in next.iter().zip(join_all(opening).await) {
                match opened {
                    // A shard of another length is not this one (a file cut short).
                    Some(Ok(reader)) if reader.len() == self.layout.shard_file_len() => {
                        self.fetch.opened(shard);
                        self.shards[usize::from(shard)] = Some(reader);
                    }
                    _ => self.fetch.bad(shard),
                }
            }
        }
    }

    /// Reads the next run of stripes of `range` into `out`, and moves the range's start behind it.
    async fn read(
        &mut self,
        set: &ErasureSet,
        range: &mut Range<u64>,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), StoreError> {
        let all = self.layout.stripes_of(range.clone());
        let stripes = all.start..all.end.min(all.start + STRIPES_AT_ONCE);
        let bytes = self.layout.frames_range(stripes.clone());
        let mut runs: Vec<Option<Bytes>> = vec![None; self.shards.len()];
        loop {
            self.ensure(set).await?;
            self.read_runs(set, &bytes, &mut runs).await;
            match self.decode(&stripes, range, &runs) {
                Ok(segments) => {
                    out.extend(segments);
                    range.start = range.end.min(stripes.end * STRIPE_LEN as u64);
                    return Ok(());
                }
                Err(bad) => {
                    if self.mutation.is(Mutant::BadFrameEndsRead) && bad.iter().next().is_some() {
                        return Err(StoreError::Unreadable("a frame does not hold".into()));
                    }
                    for shard in bad.iter() {
                        let folder = format_args!("{:032x}", self.part.folder);
                        tracing::warn!(%folder, shard, "bitrot: a shard's hash does not match");
                        self.close(shard);
                        runs[shard] = None;
                    }
                }
            }
        }
    }

    /// Reads the bytes of the shards that are open and not read yet.
    async fn read_runs(&mut self, set: &ErasureSet, bytes: &Range<u64>, runs: &mut [Option<Bytes>]) {
        let len = (bytes.end - bytes.start) as usize;
        let reads = self
            .shards
            .iter()
            .zip(runs.iter())
            .enumerate()
            .filter_map(|(index, (shard, run))| match shard {
                Some(reader) if run.is_none() => Some(async move {
                    let read = runtime::timeout(&set.rt, set.patience.shard, reader.read(bytes.start, len));
                    (index, read.await.unwrap_or_else(|| Err(DriveError::TimedOut)))
                }),
                _ => None,
            });
        for (index, read) in join_all(reads).await {
            match read {
                Ok(run) if run.len() == len => runs[index] = Some(run),
                _ => self.close(index),
            }
        }
    }

    /// A shard cannot be read.
    fn close(&mut self, shard: usize) {
        self.fetch.bad(shard as u8);
        self.shards[shard] = None;
    }

    fn frame(&self, read: Bytes) -> Bytes {
        if self.mutation.is(Mutant::FrameHashIgnored) {
            return reseal(read);
        }
        read
    }

    /// The bytes of the stripes; or the shards of which a frame does not hold (none: too few were read).
    fn decode(
        &mut self,
        stripes: &Range<u64>,
        range: &Range<u64>,
        runs: &[Option<Bytes>],
    ) -> Result<Vec<Bytes>, ShardSet> {
        let base = self.layout.frame_offset(stripes.start);
        let mut segments = Vec::new();
        for stripe in stripes.clone() {
            let start = (self.layout.frame_offset(stripe) - base) as usize;
            let frame = start..start + self.layout.frame_len(stripe);
            let frames: Vec<Option<Bytes>> = runs
                .iter()
                .map(|run| run.as_ref().map(|run| self.frame(run.slice(frame.clone()))))
                .collect();
            let wanted = self.layout.range_in_stripe(stripe, range.clone());
            match self.decoder.decode(self.layout.stripe_len(stripe), wanted, &frames) {
                Ok(decoded) => segments.extend(decoded.segments),
                Err(too_few) => return Err(too_few.corrupt),
            }
        }
        Ok(segments)
    }
}
