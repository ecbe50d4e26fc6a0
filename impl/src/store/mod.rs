//! Buckets, objects and uploads of a deployment, over its erasure sets: what the S3 operations in `api` call.
//!
//! [`Store`] is here; each group of its operations has a file.

mod bucket_map;
mod buckets;
mod delete;
mod get;
mod list;
mod multipart;
mod put;
mod put_part;
mod survey;
mod types;

pub use crate::{
    drive::{Call, DriveState, DriveStatus, NodeStatus},
    erasure::STRIPE_LEN,
    set::{StoreError, part_reader::READ_MEMORY_BYTES, stage::StagingWriter},
};
pub use get::{ByteStream, ObjectReader};
pub use multipart::OpenUpload;
pub(crate) use multipart::upload_parts;
pub use put::ObjectWriter;
pub use put_part::PartWriter;
pub use survey::{DriveSurvey, SetSurvey, Survey};
pub use types::{
    BucketInfo, CompletedPart, Deleted, Health, ListQuery, Listing, ObjectInfo, PartInfo, PutOptions, StorageClass,
    UploadInfo, Uploads, UploadsQuery, WriteMeta,
};

use crate::{
    digest::HashPool,
    drive::{Cluster, RegisterKey},
    erasure::{StripePool, set_of},
    runtime::{self, Rt},
    set::{
        ErasureSet,
        driver::{Ended, execute},
        stage,
    },
};
use bucket_map::{BucketMap, Buckets};
use futures::future::join_all;
use model::record::{Change, Op};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Upper bound of keys that requests for many keys work on at once, all such requests together. More would only wait
/// at the drives until they time out.
const BULK_KEYS: usize = 256;

/// Number of idle stripe buffers that are kept for reuse; up to 2 MiB each.
const STRIPES_KEPT: usize = 16;

/// Configuration of a store.
#[derive(Debug)]
pub struct StoreConfig {
    /// The deployment ID's 16 bytes.
    pub deployment: [u8; 16],
    /// The erasure sets of the one pool, all of one size.
    pub sets: Vec<ErasureSet>,
    /// M of new objects.
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    pub reduced_parity: u8,
    /// The nodes, if there are several: other processes write to these sets as well then.
    pub cluster: Option<Cluster>,
}

/// A deployment's objects, as one process serves them.
#[derive(Debug)]
pub struct Store {
    rt: Rt,
    hashing: Arc<HashPool>,
    /// Buffers of stripes on their way to the drives.
    stripes: Arc<StripePool>,
    bulk: Semaphore,
    deployment: [u8; 16],
    sets: Vec<Arc<ErasureSet>>,
    standard_parity: u8,
    reduced_parity: u8,
    buckets: Buckets,
    cluster: Option<Cluster>,
}

impl Store {
    /// Creates a store over open drives.
    #[must_use]
    pub fn new(rt: Rt, config: StoreConfig) -> Arc<Store> {
        Arc::new(Store {
            hashing: HashPool::new(rt.clone()),
            bulk: Semaphore::new(BULK_KEYS),
            stripes: StripePool::new(STRIPES_KEPT),
            rt,
            deployment: config.deployment,
            sets: config.sets.into_iter().map(Arc::new).collect(),
            standard_parity: config.standard_parity,
            reduced_parity: config.reduced_parity,
            buckets: match &config.cluster {
                Some(_) => Buckets::Shared,
                None => Buckets::Own(BucketMap::default()),
            },
            cluster: config.cluster,
        })
    }

    /// The runtime that the store runs on.
    pub fn rt(&self) -> &Rt {
        &self.rt
    }

    /// The pool that hashes the bodies of all requests.
    pub fn hashing(&self) -> &Arc<HashPool> {
        &self.hashing
    }

    /// Waits for the turn of one key of a request for many keys; dropping the permit ends the turn.
    pub async fn bulk_turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.bulk.acquire().await.ok()
    }

    /// Ends what is at hand on every drive and closes their indexes.
    pub async fn close(&self) {
        for set in &self.sets {
            join_all(set.drives.iter().map(|drive| drive.close())).await;
        }
    }

    fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Upper bound of the memory that the write of one object takes, in bytes.
    #[must_use]
    pub fn write_memory_bytes(&self) -> u64 {
        stage::write_memory_bytes(self.sets.first().map_or(1, |set| set.len()))
    }

    /// The erasure sets, in order.
    pub(crate) fn sets(&self) -> &[Arc<ErasureSet>] {
        &self.sets
    }

    fn deployment(&self) -> [u8; 16] {
        self.deployment
    }

    /// The set that a key lives in.
    fn set_of(&self, key: &str) -> &Arc<ErasureSet> {
        &self.sets[set_of(self.deployment, key, self.sets.len())]
    }

    fn set_size(&self) -> u8 {
        self.sets.first().map_or(0, |set| set.quorums.drives)
    }

    fn parity(&self, class: StorageClass) -> u8 {
        match class {
            StorageClass::Standard => self.standard_parity,
            StorageClass::Reduced => self.reduced_parity,
        }
    }

    /// Runs one operation on a register.
    async fn change(&self, set: &Arc<ErasureSet>, key: RegisterKey, kind: Change) -> Ended {
        let op = Op::new(runtime::random_id(self.rt()), self.rt().wall_nanos(), kind);
        execute(set, key, op, None).await
    }
}
