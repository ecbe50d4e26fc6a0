//! Reader of one part: any K shards of each stripe, verified, from the drives that have them.

use super::{
    ErasureSet, StoreError,
    pace::{Wait, Waited, Work},
    read::SmallShards,
};
use crate::{
    drive::{ShardReader, SmallShard},
    erasure::{Codec, Decoder, Layout, STRIPE_LEN, ShardSet, reseal},
    runtime::{Mutant, Mutation},
};
use bytes::Bytes;
use model::{
    protocol::{Fetch, fetch::Next},
    record::PartData,
};
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Stripes that are read from the drives at once: bounds a stream's memory at about twice as many MiB.
const STRIPES_AT_ONCE: u64 = 4;

/// Upper bound of the memory that a reader takes, in bytes: the shards of its stripes, and what is decoded of them.
pub const READ_MEMORY_BYTES: u64 = 2 * STRIPES_AT_ONCE * STRIPE_LEN as u64;

/// Open shards of one part, and the decoder over them.
pub(crate) struct PartReader {
    part: PartData,
    layout: Layout,
    decoder: Decoder,
    mutation: Mutation,
    data_shards: usize,
    /// By shard index: the drive that has it.
    drive_of: Vec<usize>,
    /// Decides which shards to open next.
    fetch: Fetch,
    /// By shard index, those that are open.
    shards: Vec<Option<Arc<dyn ShardReader>>>,
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartReader({:032x})", self.part.folder)
    }
}

impl PartReader {
    /// Opens K shards of a part of `bucket/key`. Those of `small` that belong to its data folder need not be asked for.
    /// Unless `patient`, shards that only suspected drives could have are not waited for.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]: fewer than K shards can be opened.
    pub async fn open(
        set: &ErasureSet,
        bucket: &str,
        key: &str,
        codec: Codec,
        part: &PartData,
        small: SmallShards,
        patient: bool,
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
        for shard in 0..count {
            if set.pace.is_suspected(reader.drive_of[shard], Work::Read) && reader.shards[shard].is_none() {
                reader.fetch.slow(shard as u8);
            }
        }
        reader.ensure(set, patient).await?;
        Ok(reader)
    }

    /// Uses the small shards that came with the register, as many as are needed.
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
                self.shards[shard] = Some(Arc::new(SmallShard(framed)));
            }
        }
    }

    /// Opens shards until K are open: data shards first, as they need no decoding, and those of slow drives last.
    async fn ensure(&mut self, set: &ErasureSet, patient: bool) -> Result<(), StoreError> {
        let mut wait: Option<Wait<Box<dyn ShardReader>>> = None;
        loop {
            let next = match self.fetch.next() {
                Next::Read => return Ok(()),
                Next::Open(next) => next,
                Next::TooFew => return Err(self.too_few()),
            };
            let wait = wait.get_or_insert_with(|| Wait::new(set, Work::Read));
            for drive in next.iter().map(|shard| self.drive_of[usize::from(shard)]) {
                if !wait.has(drive) {
                    wait.add(
                        drive,
                        set.drives[drive].open_shard(self.fetch.folder(), self.part.number),
                    );
                }
            }
            match wait.next().await {
                Waited::Answer(drive, opened) => {
                    let shard = self.shard_of(drive);
                    match opened {
                        // A shard of another length is not this one (a file cut short).
                        Ok(reader) if reader.len() == self.layout.shard_file_len() => {
                            self.fetch.opened(shard as u8);
                            self.shards[shard] = Some(reader.into());
                        }
                        _ => self.fetch.bad(shard as u8),
                    }
                }
                Waited::Slow(drives) => {
                    for drive in drives {
                        self.fetch.slow(self.shard_of(drive) as u8);
                    }
                    let others = match self.fetch.next() {
                        Next::Open(next) => next.iter().any(|shard| !wait.has(self.drive_of[usize::from(shard)])),
                        Next::Read | Next::TooFew => true,
                    };
                    if !patient && !others {
                        return Err(self.too_few());
                    }
                }
                Waited::Over(drives) => {
                    for drive in drives {
                        self.fetch.bad(self.shard_of(drive) as u8);
                    }
                }
            }
        }
    }

    fn too_few(&self) -> StoreError {
        StoreError::Unreadable(format!(
            "fewer than {} shards of data folder {:032x} can be read",
            self.data_shards,
            self.fetch.folder()
        ))
    }

    fn shard_of(&self, drive: usize) -> usize {
        let shard = self.drive_of.iter().position(|other| *other == drive);
        shard.unwrap_or_default()
    }

    /// Reads the next run of stripes of `range` into `out`, and moves the range's start behind it. Unless `patient`,
    /// shards that only suspected drives could have are not waited for.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]: fewer than K shards are left.
    pub async fn read(
        &mut self,
        set: &ErasureSet,
        range: &mut Range<u64>,
        out: &mut VecDeque<Bytes>,
        patient: bool,
    ) -> Result<(), StoreError> {
        let all = self.layout.stripes_of(range.clone());
        let stripes = all.start..all.end.min(all.start + STRIPES_AT_ONCE);
        let bytes = self.layout.frames_range(stripes.clone());
        let mut runs: Vec<Option<Bytes>> = vec![None; self.shards.len()];
        loop {
            self.ensure(set, patient).await?;
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

    /// Reads the bytes of the shards that are open and not read yet. Those of slow drives are closed.
    async fn read_runs(&mut self, set: &ErasureSet, bytes: &Range<u64>, runs: &mut [Option<Bytes>]) {
        let (start, len) = (bytes.start, (bytes.end - bytes.start) as usize);
        let mut wait = Wait::new(set, Work::Read);
        for (shard, reader) in self.shards.iter().enumerate() {
            if let (Some(reader), None) = (reader, &runs[shard]) {
                let reader = reader.clone();
                let read = async move { reader.read(start, len).await };
                wait.add(self.drive_of[shard], Box::pin(read));
            }
        }
        while !wait.is_empty() {
            match wait.next().await {
                Waited::Answer(drive, read) => {
                    let shard = self.shard_of(drive);
                    match read {
                        Ok(run) if run.len() == len => runs[shard] = Some(run),
                        _ => self.close(shard),
                    }
                }
                Waited::Slow(drives) => {
                    for drive in drives {
                        let shard = self.shard_of(drive);
                        self.fetch.slow(shard as u8);
                        self.shards[shard] = None;
                    }
                    return;
                }
                Waited::Over(drives) => drives.into_iter().for_each(|drive| self.close(self.shard_of(drive))),
            }
        }
    }

    /// Gives up a shard that cannot be read.
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

    /// Decodes the stripes.
    ///
    /// # Errors
    /// The shards with a corrupt frame; none of them if too few shards were read.
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
