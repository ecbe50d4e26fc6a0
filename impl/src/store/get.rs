//! Reads of objects: the latest version of a key, and its bytes.

use super::{
    Store,
    types::{ObjectInfo, latest_info},
};
use crate::{
    drive::RegisterKey,
    erasure::Codec,
    runtime::Mutant,
    set::{
        ErasureSet, StoreError,
        part_reader::PartReader,
        read::{self, SmallShards},
    },
};
use bytes::Bytes;
use model::record::PartData;
use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

/// Shortest and longest pause between two looks whether a version was replaced.
const REPLACED_PAUSE_MIN: Duration = Duration::from_millis(50);
const REPLACED_PAUSE_MAX: Duration = Duration::from_secs(1);

impl Store {
    /// Opens an object's latest version.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::NoSuchKey`], or unavailable.
    pub async fn get(self: &Arc<Self>, bucket: &str, key: &str) -> Result<ObjectReader, StoreError> {
        let set = self.set_of(key);
        let (mut register, mut info, mut small) = self.look_up(bucket, key).await?;
        let mut patient = false;
        loop {
            let opening = ObjectReader::open(set.clone(), bucket, register.clone(), info.clone(), small, patient);
            let opened = match patient {
                false => opening.await,
                true => tokio::select! {
                    biased;
                    opened = opening => opened,
                    () = replaced(set, &register, &info) => Err(StoreError::Unreadable("it was replaced".into())),
                },
            };
            match opened {
                // The data folder may have been dropped by an overwrite since the key was read.
                Err(StoreError::Unreadable(_)) if self.rt.mutation().is(Mutant::UnreadableIsAbsent) => {
                    return Err(StoreError::NoSuchKey);
                }
                Err(StoreError::Unreadable(why)) => {
                    let (of, now, again) = self.look_up(bucket, key).await?;
                    let unchanged = now == info;
                    if unchanged && patient {
                        return Err(StoreError::Unreadable(why));
                    }
                    // Only of a version that is still the latest are shards on slow drives worth a wait.
                    (register, info, small, patient) = (of, now, again, unchanged);
                }
                opened => return opened,
            }
        }
    }

    /// An object's register, its latest version, and small shards of it that came along.
    async fn look_up(&self, bucket: &str, key: &str) -> Result<(RegisterKey, ObjectInfo, SmallShards), StoreError> {
        let register = RegisterKey::object(self.incarnation(bucket).await?, key);
        let set = self.set_of(key);
        let distribution = set.distribution(bucket, key);
        let order = (0..set.len()).map(|shard| distribution.drive_of(shard)).collect();
        let enough = usize::from(self.set_size() - self.standard_parity);
        let (record, small) = read::read_object(set, &register, order, enough).await?;
        let info = latest_info(key, &record).ok_or(StoreError::NoSuchKey)?;
        Ok((register, info, small))
    }

    /// Describes an object's latest version.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectInfo, StoreError> {
        let register = RegisterKey::object(self.incarnation(bucket).await?, key);
        let record = read::read(self.set_of(key), &register).await?;
        latest_info(key, &record).ok_or(StoreError::NoSuchKey)
    }
}

/// Reader of one version: its description is known at once, its bytes come with [`ObjectReader::stream`].
#[derive(Debug)]
pub struct ObjectReader {
    set: Arc<ErasureSet>,
    bucket: String,
    register: RegisterKey,
    info: ObjectInfo,
    /// The shards of a one-part object, opened before anything is answered: they stay readable when the
    /// object is replaced meanwhile (`read.one-data-folder`).
    opened: Option<PartReader>,
}

/// The bytes of a range of one version, in order.
#[derive(Debug)]
pub struct ByteStream {
    source: Source,
    register: RegisterKey,
    info: ObjectInfo,
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
    /// What was read and not taken yet.
    ready: VecDeque<Bytes>,
}

impl ObjectReader {
    /// Opens a version's shards. Those of `small` that are of this version need not be asked for. Unless `patient`, it
    /// fails when only drives that are suspected to hang could have the shards that are missing.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]; the data folder may have been dropped by an overwrite, so the caller
    /// reads the key again once.
    async fn open(
        set: Arc<ErasureSet>,
        bucket: &str,
        register: RegisterKey,
        info: ObjectInfo,
        small: SmallShards,
        patient: bool,
    ) -> Result<ObjectReader, StoreError> {
        let mut reader = ObjectReader {
            set,
            bucket: bucket.to_owned(),
            register,
            info,
            opened: None,
        };
        if let [part] = &reader.info.data.parts[..]
            && part.size > 0
        {
            let codec = codec(&reader.set, &reader.info)?;
            let (set, key) = (&reader.set, &reader.info.key);
            reader.opened = Some(PartReader::open(set, bucket, key, codec, part, small, patient).await?);
        }
        Ok(reader)
    }

    /// Description of the version.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Streams the bytes in `range` (within the size). The first stripe is read before this returns, so an object
    /// that cannot be read is an error here and not a broken response.
    ///
    /// # Errors
    /// Unavailable: fewer than K shards are left, or those of a version that has been replaced are on drives that are
    /// suspected to hang.
    pub async fn stream(self, range: Range<u64>) -> Result<ByteStream, StoreError> {
        let codec = codec(&self.set, &self.info)?;
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
            key: self.info.key.clone(),
            codec,
            parts,
            current: None,
            opened: self.opened,
            ready: VecDeque::new(),
        };
        let mut stream = ByteStream {
            source,
            register: self.register,
            info: self.info,
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
        if self.source.ready.is_empty()
            && let Err(error) = self.fill().await
        {
            self.failed = true;
            return Some(Err(error));
        }
        self.source.ready.pop_front().map(Ok)
    }

    /// Reads the next run of stripes. Only of a version that is still the latest are shards on slow drives worth a
    /// wait.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let ByteStream {
            source, register, info, ..
        } = self;
        let Err(error) = source.fill(false).await else {
            return Ok(());
        };
        let set = source.set.clone();
        let now = latest_info(&info.key, &read::read(&set, register).await?);
        if now.as_ref() != Some(info) {
            return Err(error);
        }
        tokio::select! {
            biased;
            filled = source.fill(true) => filled,
            () = replaced(&set, register, info) => Err(error),
        }
    }
}

impl Source {
    /// Reads the next run of stripes. Unless `patient`, it does not wait for drives that are suspected to hang.
    async fn fill(&mut self, patient: bool) -> Result<(), StoreError> {
        while self.ready.is_empty() {
            if self.current.is_none() {
                let Some((part, range)) = self.parts.front() else {
                    return Ok(());
                };
                let reader = match self.opened.take() {
                    Some(reader) => reader,
                    None => {
                        let Source { set, bucket, key, .. } = &*self;
                        PartReader::open(set, bucket, key, self.codec, part, SmallShards::new(), patient).await?
                    }
                };
                self.current = Some((reader, range.clone()));
                self.parts.pop_front();
            }
            let Some((reader, range)) = &mut self.current else {
                return Ok(());
            };
            reader.read(&self.set, range, &mut self.ready, patient).await?;
            if range.is_empty() {
                self.current = None;
            }
        }
        Ok(())
    }
}

/// Completes when the key's latest version is another one. For those who wait for a drive that hangs: an overwrite
/// drops the shards on all others, so that only that drive could still have one.
async fn replaced(set: &Arc<ErasureSet>, register: &RegisterKey, info: &ObjectInfo) {
    let mut pause = REPLACED_PAUSE_MIN;
    loop {
        set.rt.sleep(pause).await;
        if let Ok(record) = read::read(set, register).await
            && latest_info(&info.key, &record).as_ref() != Some(info)
        {
            return;
        }
        pause = (2 * pause).min(REPLACED_PAUSE_MAX);
    }
}

fn codec(set: &ErasureSet, info: &ObjectInfo) -> Result<Codec, StoreError> {
    set.codec(info.data.data_shards, info.data.parity_shards)
}
