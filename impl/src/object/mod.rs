//! Objects and buckets over erasure sets: runs `model`'s machines against drives.
//!
//! The one way from the S3 operations in `api` to drives. Safety rests on the machines; the locks here
//! only save wasted work.

mod error;
mod types;

pub use error::StoreError;
pub use types::{
    BucketInfo, CompletedPart, Deleted, Health, ListQuery, Listing, ObjectInfo, PartInfo, PutOptions, StorageClass,
    UploadInfo, Uploads, UploadsQuery, WriteMeta,
};

use crate::runtime::Rt;
use bytes::Bytes;
use model::record::Precondition;
use std::{ops::Range, sync::Arc};

/// A deployment's objects, as one process serves them.
#[derive(Debug)]
pub struct Store {
    _private: (),
}

/// Writes one object or part. Dropped before [`ObjectWriter::commit`], nothing of it becomes visible and
/// its staged shards are removed.
#[derive(Debug)]
pub struct ObjectWriter {
    _private: (),
}

/// Reads one version: its description is here at once, its bytes on [`ObjectReader::stream`].
#[derive(Debug)]
pub struct ObjectReader {
    _private: (),
}

/// The bytes of a range of one version, in order.
#[derive(Debug)]
pub struct ByteStream {
    _private: (),
}

#[expect(unused_variables, reason = "bodies follow with the driver")]
impl Store {
    /// The runtime that the store runs on.
    pub fn rt(&self) -> &Rt {
        unimplemented!()
    }

    /// Whether reads and writes would succeed now.
    pub async fn health(&self) -> Health {
        unimplemented!()
    }

    /// Makes a bucket. The name was checked by the caller.
    ///
    /// # Errors
    /// [`StoreError::BucketExists`], or unavailable.
    pub async fn create_bucket(&self, name: &str) -> Result<BucketInfo, StoreError> {
        unimplemented!()
    }

    /// Removes an empty bucket. Open uploads do not keep it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::BucketNotEmpty`], or unavailable.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// A bucket.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn bucket(&self, name: &str) -> Result<BucketInfo, StoreError> {
        unimplemented!()
    }

    /// All buckets, by name.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn list_buckets(&self) -> Result<Vec<BucketInfo>, StoreError> {
        unimplemented!()
    }

    /// Begins to write an object. Feed bytes with [`ObjectWriter::write`], then commit.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable (too few drives to reach the write quorum).
    pub async fn put(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        options: PutOptions,
    ) -> Result<ObjectWriter, StoreError> {
        unimplemented!()
    }

    /// Opens an object's latest version.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::NoSuchKey`], or unavailable.
    pub async fn get(self: &Arc<Self>, bucket: &str, key: &str) -> Result<ObjectReader, StoreError> {
        unimplemented!()
    }

    /// Describes an object's latest version.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectInfo, StoreError> {
        unimplemented!()
    }

    /// Deletes a key. A key that does not exist is deleted already.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::PreconditionFailed`], or unavailable.
    pub async fn delete(&self, bucket: &str, key: &str, precondition: Precondition) -> Result<Deleted, StoreError> {
        unimplemented!()
    }

    /// Lists keys and common prefixes.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn list(&self, bucket: &str, query: &ListQuery) -> Result<Listing, StoreError> {
        unimplemented!()
    }

    /// Begins a multipart upload; its id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        options: PutOptions,
        meta: WriteMeta,
    ) -> Result<u128, StoreError> {
        unimplemented!()
    }

    /// Describes an open upload.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn upload(&self, bucket: &str, key: &str, upload: u128) -> Result<UploadInfo, StoreError> {
        unimplemented!()
    }

    /// Begins to write a part (`number` 1 to 10,000). Commit with a [`WriteMeta`] that has the part's ETag
    /// and checksums.
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
    ) -> Result<ObjectWriter, StoreError> {
        unimplemented!()
    }

    /// Parts of an open upload with numbers above `after`, in order, at most `limit`; and whether there
    /// are more.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn list_parts(
        &self,
        bucket: &str,
        key: &str,
        upload: u128,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartInfo>, bool), StoreError> {
        unimplemented!()
    }

    /// Makes an object of an upload's parts. `meta` carries the object's ETag and checksums as computed by
    /// the caller from the parts named (their stored ETags must match: [`StoreError::InvalidPart`]); its
    /// headers are ignored, the upload's count.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], [`StoreError::InvalidPart`], [`StoreError::PreconditionFailed`], or unavailable.
    pub async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: u128,
        parts: &[CompletedPart],
        meta: WriteMeta,
        precondition: Precondition,
    ) -> Result<ObjectInfo, StoreError> {
        unimplemented!()
    }

    /// Forgets an upload and its parts.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn abort_upload(&self, bucket: &str, key: &str, upload: u128) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Lists open uploads, by key and then by the time they were begun.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn list_uploads(&self, bucket: &str, query: &UploadsQuery) -> Result<Uploads, StoreError> {
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "bodies follow with the driver")]
impl ObjectWriter {
    /// Appends bytes; returns when there is room for more.
    ///
    /// # Errors
    /// Unavailable (too few drives are left for the write quorum), or full.
    pub async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Makes what was written the key's latest version, durably. Call it only when the body has ended
    /// well and its hashes are right.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`], [`StoreError::NoSuchKey`] (`If-Match` on an absent key),
    /// [`StoreError::NoSuchUpload`], unavailable, or full.
    pub async fn commit(self, meta: WriteMeta, precondition: Precondition) -> Result<ObjectInfo, StoreError> {
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "bodies follow with the driver")]
impl ObjectReader {
    /// What the object is.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        unimplemented!()
    }

    /// Its bytes in `range` (within its size). The first stripe is read before this returns, so an object
    /// that cannot be read is an error here and not a broken response.
    ///
    /// # Errors
    /// Unavailable: fewer than K shards are left.
    pub async fn stream(self, range: Range<u64>) -> Result<ByteStream, StoreError> {
        unimplemented!()
    }
}

impl ByteStream {
    /// The next bytes; `None` at the end. An error means that the response must be broken off.
    pub async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        unimplemented!()
    }
}
