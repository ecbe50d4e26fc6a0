//! Buckets: a register each, and this process's map of them.
//!
//! All writes to a deployment of one node go through one process, so its map, read from the registers
//! once, is the truth while it runs. With several nodes there is no map: each request reads the bucket's register, and
//! buckets cannot be removed, since nothing keeps another node from writing to one meanwhile. Deleting a bucket waits
//! for the writes at hand in it and refuses new ones; keys carry the bucket's incarnation, so nothing that slips
//! through a crash shows up in a later bucket of that name (`bucket.deleted-is-empty`).

use super::{
    Store,
    bucket_map::{BucketMap, Buckets, Entry},
    types::{BucketInfo, ListQuery},
};
use crate::{
    drive::{ListFrom, RegisterKey},
    erasure::set_of,
    runtime,
    set::{ErasureSet, StoreError, driver::settled, read::read, scan::scan},
};
use model::{
    protocol::Outcome,
    record::{Bucket, Change, Record, Refusal},
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
        let set = self.bucket_set(name);
        set.check_room(set.quorums.accept)?;
        let Buckets::Own(map) = self.buckets() else {
            let bucket = created(self.create(name).await)?;
            return Ok(BucketInfo {
                name: name.to_owned(),
                created_nanos: bucket.created_nanos,
            });
        };
        self.load_buckets(map).await?;
        let mut map = map.0.write().await;
        if map.as_ref().is_some_and(|map| map.contains_key(name)) {
            return Err(StoreError::BucketExists);
        }
        let outcome = self.create(name).await;
        if matches!(outcome, Outcome::Ambiguous(_) | Outcome::Refused { .. }) {
            *map = None;
        }
        let bucket = created(outcome)?;
        let created_nanos = bucket.created_nanos;
        if let Some(map) = map.as_mut() {
            map.insert(name.to_owned(), Entry::new(bucket));
        }
        Ok(BucketInfo {
            name: name.to_owned(),
            created_nanos,
        })
    }

    async fn create(&self, name: &str) -> Outcome<Record, Refusal> {
        let incarnation = runtime::random_id(self.rt());
        self.change_bucket(name, Change::CreateBucket { incarnation }).await
    }

    /// Removes an empty bucket. Open uploads do not keep it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::BucketNotEmpty`], unavailable, or [`StoreError::NotYet`] with
    /// several nodes.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
        let Buckets::Own(map) = self.buckets() else {
            return Err(StoreError::NotYet("removing a bucket while several nodes serve"));
        };
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
        let mut map = map.0.write().await;
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
        let info = |(name, bucket): (&String, &Bucket)| BucketInfo {
            name: name.clone(),
            created_nanos: bucket.created_nanos,
        };
        let Buckets::Own(map) = self.buckets() else {
            return Ok(self.scan_buckets().await?.iter().map(info).collect());
        };
        self.load_buckets(map).await?;
        let map = map.0.read().await;
        let entries = map.iter().flatten();
        Ok(entries.map(|(name, entry)| info((name, &entry.bucket))).collect())
    }

    /// The incarnation that a bucket is in.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub(super) async fn incarnation(&self, name: &str) -> Result<u128, StoreError> {
        Ok(self.entry(name).await?.bucket.incarnation)
    }

    async fn entry(&self, name: &str) -> Result<Entry, StoreError> {
        let Buckets::Own(map) = self.buckets() else {
            let record = read(self.bucket_set(name), &RegisterKey::bucket(name)).await?;
            let bucket = record.bucket().ok_or(StoreError::NoSuchBucket)?;
            return Ok(Entry::new(bucket.clone()));
        };
        self.load_buckets(map).await?;
        let map = map.0.read().await;
        map.as_ref()
            .and_then(|map| map.get(name))
            .cloned()
            .ok_or(StoreError::NoSuchBucket)
    }

    /// Reads the buckets' registers, unless that has been done.
    async fn load_buckets(&self, map: &BucketMap) -> Result<(), StoreError> {
        if map.0.read().await.is_some() {
            return Ok(());
        }
        let mut map = map.0.write().await;
        if map.is_some() {
            return Ok(());
        }
        let found = self.scan_buckets().await?;
        let entries = found.into_iter().map(|(name, bucket)| (name, Entry::new(bucket)));
        *map = Some(entries.collect());
        Ok(())
    }

    /// Reads the registers of all buckets.
    async fn scan_buckets(&self) -> Result<BTreeMap<String, Bucket>, StoreError> {
        let mut found = BTreeMap::new();
        let mut from = ListFrom::Start;
        loop {
            let scanned = scan(self.sets(), &RegisterKey::buckets_prefix(), &from, PAGE).await?;
            for (key, record) in &scanned.registers {
                if let (Some(name), Some(bucket)) = (key.bucket_name(), record.bucket()) {
                    found.insert(name.to_owned(), bucket.clone());
                }
            }
            match scanned.span.marker() {
                Some(last) => from = ListFrom::After(last.as_bytes().to_vec()),
                None => return Ok(found),
            }
        }
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

/// The bucket that was created.
fn created(outcome: Outcome<Record, Refusal>) -> Result<Bucket, StoreError> {
    let record = settled(outcome)?;
    let bucket = record.bucket().cloned();
    bucket.ok_or_else(|| StoreError::Internal("a new bucket is not a bucket".into()))
}
