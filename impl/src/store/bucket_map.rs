//! How this process knows buckets: by a map of its own, or by their registers alone.

use crate::set::StoreError;
use model::record::Bucket;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// Knowledge of buckets.
#[derive(Debug)]
pub(super) enum Buckets {
    /// This process alone writes to the deployment, so that its map is the truth.
    Own(BucketMap),
    /// Other processes write as well: each request reads the bucket's register, and no bucket is removed.
    Shared,
}

impl Buckets {
    /// Keeps the bucket from being deleted while the guard lives.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`] if this incarnation is gone.
    pub async fn enter(&self, name: &str, incarnation: u128) -> Result<OwnedRwLockReadGuard<()>, StoreError> {
        match self {
            Buckets::Own(map) => map.enter(name, incarnation).await,
            Buckets::Shared => Ok(Arc::<RwLock<()>>::default().read_owned().await),
        }
    }
}

/// This process's map of buckets; `None` until it has been read, and after an outcome that is not known.
#[derive(Debug, Default)]
pub(super) struct BucketMap(pub RwLock<Option<BTreeMap<String, Entry>>>);

/// Bucket in the map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub bucket: Bucket,
    /// Held shared by commits, exclusively by the bucket's deletion.
    pub gate: Arc<RwLock<()>>,
}

impl Entry {
    /// A bucket that is not being deleted.
    pub fn new(bucket: Bucket) -> Entry {
        let gate = Arc::default();
        Entry { bucket, gate }
    }
}

impl BucketMap {
    /// As [`Buckets::enter`].
    async fn enter(&self, name: &str, incarnation: u128) -> Result<OwnedRwLockReadGuard<()>, StoreError> {
        let find = |map: &Option<BTreeMap<String, Entry>>| {
            let entry = map.as_ref()?.get(name)?;
            (entry.bucket.incarnation == incarnation).then(|| entry.gate.clone())
        };
        let gate = find(&*self.0.read().await).ok_or(StoreError::NoSuchBucket)?;
        let guard = gate.read_owned().await;
        // It may have been deleted while this waited.
        find(&*self.0.read().await).ok_or(StoreError::NoSuchBucket)?;
        Ok(guard)
    }
}
