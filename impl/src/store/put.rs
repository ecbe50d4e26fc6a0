//! Puts of objects: stage the body, then commit it in one vote on its key.

use super::{
    Store,
    types::{ObjectInfo, PutOptions, WriteMeta, latest_info},
};
use crate::{
    drive::{RegisterKey, Staging},
    runtime::{self, Mutant},
    set::{
        StoreError, read,
        stage::{Erasure, StagingWriter, new_folder},
    },
};
use model::record::{Change, EtagMatch, ObjectData, Op, Precondition, Versioning};
use std::sync::Arc;

impl Store {
    /// Begins to write an object. Feed bytes to [`ObjectWriter::staging`], then commit.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable (too few drives to reach the write quorum).
    pub async fn put(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        options: PutOptions,
    ) -> Result<ObjectWriter, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let set = self.set_of(key).clone();
        let erasure = Erasure::new(&set, self.parity(options.class))?;
        let register = RegisterKey::object(incarnation, key);
        let staging = Staging {
            folder: new_folder(&set, &register),
            owner: register.clone(),
            upload: None,
            part: 1,
        };
        let (distribution, stripes) = (set.distribution(bucket, key), self.stripes.clone());
        Ok(ObjectWriter {
            store: self.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            incarnation,
            register,
            staging: StagingWriter::new(set, staging, distribution, erasure, options.size, stripes),
        })
    }
}

/// Writer of one object. Dropped before [`ObjectWriter::commit`], nothing of it becomes visible and its staged shards
/// are removed.
#[derive(Debug)]
pub struct ObjectWriter {
    store: Arc<Store>,
    bucket: String,
    key: String,
    incarnation: u128,
    register: RegisterKey,
    staging: StagingWriter,
}

impl ObjectWriter {
    /// The writer of the object's bytes.
    pub fn staging(&mut self) -> &mut StagingWriter {
        &mut self.staging
    }

    /// Makes what was written the key's latest version, durably. Call it only when the body has ended
    /// well and its hashes are right.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`], [`StoreError::NoSuchKey`] (`If-Match` on an absent key), unavailable, or
    /// full.
    pub async fn commit(self, meta: WriteMeta, precondition: Precondition) -> Result<ObjectInfo, StoreError> {
        let ObjectWriter {
            store,
            bucket,
            key,
            incarnation,
            register,
            staging,
        } = self;
        let staged = staging.finish().await?;
        // A deleted bucket takes no more objects: its deletion waits for the commits at hand.
        let bucket = store.buckets().enter(&bucket, incarnation).await?;
        let precondition = store.checked_apart(&key, &register, precondition).await?;
        let now_nanos = store.rt().wall_nanos();
        let part = staged.part(meta.etag.clone(), meta.checksums.clone());
        let data = ObjectData {
            etag: meta.etag,
            size: part.size,
            data_shards: staged.erasure().data,
            parity_shards: staged.erasure().parity,
            parts: vec![part],
            headers: meta.headers,
            checksums: meta.checksums,
        };
        let kind = Change::Put {
            data,
            precondition,
            versioning: Versioning::Unversioned,
        };
        let op = Op::new(runtime::random_id(store.rt()), now_nanos, kind);
        let committed = staged.commit(register, op).await;
        drop(bucket);
        latest_info(&key, &committed?)
            .ok_or_else(|| StoreError::Internal("a put ended in a record without a version".into()))
    }
}

impl Store {
    /// Returns the part of a condition that is left for the vote: all of it, but for a mutant.
    async fn checked_apart(
        &self,
        key: &str,
        register: &RegisterKey,
        condition: Precondition,
    ) -> Result<Precondition, StoreError> {
        if !self.rt.mutation().is(Mutant::ConditionApart) {
            return Ok(condition);
        }
        let found = latest_info(key, &read::read(self.set_of(key), register).await?);
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
}
