//! Putting objects.

use super::{
    ApiError, Context, headers,
    ingest::{Incoming, ingest},
    names,
};
use crate::{
    access::Resource,
    store::{ObjectInfo, PutOptions, Store, WriteMeta},
};
use model::record::Precondition;
use std::{collections::BTreeMap, sync::Arc};

/// An object to put.
pub struct PutRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Headers to store with it, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Its storage class, by its S3 name.
    pub storage_class: Option<String>,
    /// Condition on the version to be replaced.
    pub precondition: Precondition,
    /// Body and what is known of it.
    pub incoming: Incoming,
}

/// Stores an object atomically: it is not visible until all of it is durable and verified.
///
/// # Errors
/// [`Code::NoSuchBucket`](super::Code::NoSuchBucket), [`Code::BadDigest`](super::Code::BadDigest),
/// [`Code::IncompleteBody`](super::Code::IncompleteBody),
/// [`Code::PreconditionFailed`](super::Code::PreconditionFailed), and what [`headers::stored`] refuses.
pub async fn put(cx: &Context, store: &Arc<Store>, request: PutRequest) -> Result<ObjectInfo, ApiError> {
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    names::check_key(&request.key)?;
    request.incoming.validate()?;
    let (headers, class) = headers::stored(request.headers, request.storage_class.as_deref())?;
    let options = PutOptions {
        class,
        size: Some(request.incoming.size),
        checksum: None,
    };
    let mut writer = store.put(&request.bucket, &request.key, options).await?;
    let ingested = ingest(store, writer.staging(), request.incoming).await?;
    let meta = WriteMeta {
        etag: ingested.md5,
        headers,
        checksums: ingested.checksums,
    };
    Ok(writer.commit(meta, request.precondition).await?)
}
