//! Buckets: a register each, and this process's map of them.
//!
//! All writes to a deployment of one node go through one process, so its map, read from the registers
//! once, is the truth while it runs. Deleting a bucket waits for the writes at hand in it and refuses new
//! ones; keys carry the bucket's incarnation, so nothing that slips through a crash shows up in a later
//! bucket of that name (`bucket.deleted-is-empty`).

use super::{
    Store,
    bucket_map::Entry,
    types::{BucketInfo, ListQuery},
};
use crate::{
    drive::{ListFrom, RegisterKey},
    erasure::set_of,
    runtime,
    set::{ErasureSet, StoreError, driver::settled, scan::scan},
};
use model::{
    protocol::Outcome,
    record::{Change, Record, Refusal},
};
use std::{collections::BTreeMap, sync::Arc};

/// Registers asked for at once while the buckets are read.
const PAGE: usize = 1000;

impl Store {
    /// Creates a bucket. The name was checked by the caller.
    ///
    /// # Errors
    /// [`StoreError::BucketExists`], or unavailable.
    pub async fn create_bucket(&self, name: &str) -> Result<BucketInfo, StoreError> {
        self.load_buckets().await?;
        let mut map = self.buckets().0.write().await;
        if map.as_ref().is_some_and(|map| map.contains_key(name)) {
            return Err(StoreError::BucketExists);
        }
        let set = self.bucket_set(name);
        set.check_room(set.quorums.accept)?;
        let incarnation = runtime::random_id(self.rt());
        let outcome = self.change_bucket(name, Change::CreateBucket { incarnation }).await;
        if matches!(outcome, Outcome::Ambiguous(_) | Outcome::Refused { .. }) {
            *map = None;
        }
        let record = settled(outcome)?;
        let bucket = record
            .bucket()
            .ok_or_else(|| StoreError::Internal("a new bucket is not a bucket".into()))?;
        let entry = Entry {
            bucket: bucket.clone(),
            gate: Arc::default(),
        };
        if let Some(map) = map.as_mut() {
            map.insert(name.to_owned(), entry);
        }
        Ok(BucketInfo {
            name: name.to_owned(),
            created_nanos: bucket.created_nanos,
        })
    }

    /// Removes an empty bucket. Open uploads do not keep it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::BucketNotEmpty`], or unavailable.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
        let entry = self.entry(name).await?;
        let gate = entry.gate.write().await;
        if !self
            .list(
                name,
                &ListQuery {
                    limit: 1,
                    ..ListQuery::default()
                },
            )
            .await?
            .objects
            .is_empty()
        {
            return Err(StoreError::BucketNotEmpty);
        }
        let incarnation = entry.bucket.incarnation;
        let mut map = self.buckets().0.write().await;
        let outcome = self.change_bucket(name, Change::DeleteBucket { incarnation }).await;
        match &outcome {
            Outcome::Written(_)
            | Outcome::Refused {
                refusal: Refusal::NoSuchBucket,
                ..
            } => {
                if let Some(map) = map.as_mut() {
                    map.remove(name);
                }
            }
            Outcome::Ambiguous(_) => *map = None,
            _ => {}
        }
        drop((map, gate));
        settled(outcome).map(drop)
    }

    /// Describes a bucket.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn bucket(&self, name: &str) -> Result<BucketInfo, StoreError> {
        let entry = self.entry(name).await?;
        Ok(BucketInfo {
            name: name.to_owned(),
            created_nanos: entry.bucket.created_nanos,
        })
    }

    /// Lists all buckets, by name.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]: too few drives answer.
    pub async fn list_buckets(&self) -> Result<Vec<BucketInfo>, StoreError> {
        self.load_buckets().await?;
        let map = self.buckets().0.read().await;
        let info = |(name, entry): (&String, &Entry)| BucketInfo {
            name: name.clone(),
            created_nanos: entry.bucket.created_nanos,
        };
        Ok(map.iter().flatten().map(info).collect())
    }

    /// The incarnation that a bucket is in.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub(super) async fn incarnation(&self, name: &str) -> Result<u128, StoreError> {
        Ok(self.entry(name).await?.bucket.incarnation)
    }

    async fn entry(&self, name: &str) -> Result<Entry, StoreError> {
        self.load_buckets().await?;
        let map = self.buckets().0.read().await;
        map.as_ref()
            .and_then(|map| map.get(name))
            .cloned()
            .ok_or(StoreError::NoSuchBucket)
    }

    /// Reads the buckets' registers, unless that has been done.
    async fn load_buckets(&self) -> Result<(), StoreError> {
        if self.buckets().0.read().await.is_some() {
            return Ok(());
        }
        let mut map = self.buckets().0.write().await;
        if map.is_some() {
            return Ok(());
        }
        let mut found = BTreeMap::new();
        let mut from = ListFrom::Start;
        loop {
            let scanned = scan(self.sets(), &RegisterKey::buckets_prefix(), &from, PAGE).await?;
            for (key, record) in &scanned.registers {
                if let (Some(name), Some(bucket)) = (key.bucket_name(), record.bucket()) {
                    found.insert(
                        name.to_owned(),
                        Entry {
                            bucket: bucket.clone(),
                            gate: Arc::default(),
                        },
                    );
                }
            }
            match scanned.span.marker() {
                Some(last) => from = ListFrom::After(last.as_bytes().to_vec()),
                None => break,
            }
        }
        *map = Some(found);
        Ok(())
    }

    /// The set that has a bucket's register.
    fn bucket_set(&self, name: &str) -> &Arc<ErasureSet> {
        &self.sets()[set_of(self.deployment(), name, self.sets().len())]
    }

    async fn change_bucket(&self, name: &str, kind: Change) -> Outcome<Record, Refusal> {
        self.change(self.bucket_set(name), RegisterKey::bucket(name), kind)
            .await
            .outcome
    }
}
