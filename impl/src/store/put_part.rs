//! Puts of parts: stage the body, then commit it in one vote on the part's register, while its upload is open.

use super::{
    Store,
    multipart::{astray, next},
    types::{PartInfo, WriteMeta},
};
use crate::{
    drive::{RegisterKey, Staging},
    runtime,
    set::{
        ErasureSet, StoreError, read,
        stage::{Erasure, StagingWriter, new_folder},
    },
};
use model::{
    record::{Change, Op, Part},
    upload::{Event, Step, UploadPart},
};
use std::sync::Arc;

impl Store {
    /// Begins to write a part (`number` 1 to 10,000). Feed bytes to [`PartWriter::staging`], then commit.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn put_part(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        upload: u128,
        number: u16,
        size: Option<u64>,
    ) -> Result<PartWriter, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let set = self.set_of(key).clone();
        let (mut machine, _) = UploadPart::new(upload);
        let owner = RegisterKey::object(incarnation, key);
        let record = read::read(&set, &owner).await?;
        let Step::Stage(open) = next(machine.on(Event::Key(record)))? else {
            return Err(astray());
        };
        let erasure = Erasure::new(&set, open.parity_shards)?;
        let register = RegisterKey::part(incarnation, upload, number, key);
        let staging = Staging {
            folder: new_folder(&set, &register),
            owner,
            upload: Some(upload),
            part: number,
        };
        let (distribution, stripes) = (set.distribution(bucket, key), self.stripes.clone());
        Ok(PartWriter {
            store: self.clone(),
            bucket: bucket.to_owned(),
            incarnation,
            register,
            machine,
            staging: StagingWriter::new(set, staging, distribution, erasure, size, stripes),
        })
    }
}

/// Writer of one part of an upload. Dropped before [`PartWriter::commit`], nothing of it becomes visible and its staged
/// shards are removed.
#[derive(Debug)]
pub struct PartWriter {
    store: Arc<Store>,
    bucket: String,
    incarnation: u128,
    register: RegisterKey,
    /// Decides whether the part may be voted on.
    machine: UploadPart,
    staging: StagingWriter,
}

impl PartWriter {
    /// The writer of the part's bytes.
    pub fn staging(&mut self) -> &mut StagingWriter {
        &mut self.staging
    }

    /// Makes what was written the part of its number, durably, with the ETag and the checksums of `meta`. Call it only
    /// when the body has ended well and its hashes are right.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], unavailable, or full.
    pub async fn commit(self, meta: WriteMeta) -> Result<PartInfo, StoreError> {
        let PartWriter {
            store,
            bucket,
            incarnation,
            register,
            machine,
            staging,
        } = self;
        let staged = staging.finish().await?;
        // A deleted bucket takes no more parts: its deletion waits for the commits at hand.
        let bucket = store.buckets().enter(&bucket, incarnation).await?;
        let now_nanos = store.rt().wall_nanos();
        let part = Part {
            data_shards: staged.erasure().data,
            parity_shards: staged.erasure().parity,
            time_nanos: now_nanos,
            data: staged.part(meta.etag, meta.checksums),
        };
        let change = runtime::random_id(store.rt());
        let kind = change_of(staged.set(), staged.owner(), machine, part).await?;
        let committed = staged.commit(register, Op::new(change, now_nanos, kind)).await;
        drop(bucket);
        let record = committed?;
        let part = record.part();
        part.cloned()
            .map(PartInfo::from)
            .ok_or_else(|| StoreError::Internal("a put ended in a record without a part".into()))
    }
}

/// Returns the vote on a part whose shards are staged: its upload must still be open.
async fn change_of(
    set: &Arc<ErasureSet>,
    owner: &RegisterKey,
    mut machine: UploadPart,
    part: Part,
) -> Result<Change, StoreError> {
    let mut step = next(machine.on(Event::Staged(part)))?;
    loop {
        step = match step {
            Step::ReadKey => next(machine.on(Event::Key(read::read(set, owner).await?)))?,
            Step::Vote(change) => return Ok(change),
            _ => return Err(astray()),
        }
    }
}
