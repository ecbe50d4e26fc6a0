//! This process's map of buckets, and the gates that a deletion closes.

use crate::set::StoreError;
use model::record::Bucket;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

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

impl BucketMap {
    /// Keeps the bucket from being deleted while the guard lives.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`] if this incarnation is gone.
    pub async fn enter(&self, name: &str, incarnation: u128) -> Result<OwnedRwLockReadGuard<()>, StoreError> {
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
