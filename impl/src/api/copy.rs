//! Copying objects within the deployment.

use super::{
    ApiError, Code, Context,
    checksum::DEFAULT_KIND,
    conditions::ReadConditions,
    headers,
    ingest::{Body, Expected, Incoming, ingest},
    multipart, names,
};
use crate::{
    access::Resource,
    store::{ByteStream, ObjectInfo, ObjectReader, PutOptions, Store, UploadInfo, WriteMeta},
};
use futures::stream;
use model::record::{Checksum, ChecksumKind, Precondition};
use std::{collections::BTreeMap, sync::Arc};

/// IAM action that the source of a copy needs.
const READ_ACTION: &str = "s3:GetObject";

/// Request to copy an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    /// The source's bucket.
    pub source_bucket: String,
    /// The source's key.
    pub source_key: String,
    /// Conditions on the source.
    pub source_conditions: ReadConditions,
    /// The destination's bucket.
    pub bucket: String,
    /// The destination's key.
    pub key: String,
    /// Headers that take the place of the source's (`x-amz-metadata-directive: REPLACE`).
    pub replace_headers: Option<BTreeMap<String, String>>,
    /// The destination's storage class, by its S3 name.
    pub storage_class: Option<String>,
    /// The checksum that the destination is to have; the source's by default.
    pub checksum: Option<ChecksumKind>,
    /// Condition on the destination.
    pub precondition: Precondition,
}

/// Copies one version of the source. The copy's ETag is the MD5 of its bytes.
///
/// # Errors
/// As reading and putting; [`Code::InvalidRequest`] for a copy onto itself that would change nothing.
pub async fn copy(cx: &Context, store: &Arc<Store>, request: CopyRequest) -> Result<ObjectInfo, ApiError> {
    let source = Resource::Object(&request.source_bucket, &request.source_key);
    cx.authorize_for(READ_ACTION, source)?;
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    names::check_key(&request.source_key)?;
    names::check_key(&request.key)?;
    let reader = open(store, &request.source_bucket, &request.source_key).await?;
    let source = reader.info().clone();
    request.source_conditions.check_copy(&source)?;
    refuse_idle_copy(&request, &source)?;

    let source_headers = || {
        let mut headers = source.data.headers.clone();
        headers.remove(headers::STORAGE_CLASS);
        headers
    };
    let headers = request.replace_headers.unwrap_or_else(source_headers);
    let (headers, class) = headers::stored(headers, request.storage_class.as_deref())?;
    let size = source.data.size;
    let options = PutOptions {
        class,
        size: Some(size),
        checksum: None,
    };
    let mut writer = store.put(&request.bucket, &request.key, options).await?;
    let source_kind = source.data.checksums.first().map(|checksum| checksum.kind);
    let incoming = Incoming {
        body: body(reader.stream(0..size).await?),
        size,
        md5: None,
        checksum: Expected::Compute(request.checksum.or(source_kind).unwrap_or(DEFAULT_KIND)),
        also: None,
    };
    let ingested = ingest(store, writer.staging(), incoming).await?;
    let meta = WriteMeta {
        etag: ingested.md5,
        headers,
        checksums: ingested.checksums,
    };
    Ok(writer.commit(meta, request.precondition).await?)
}

/// A part to copy out of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPartRequest {
    /// The source's bucket.
    pub source_bucket: String,
    /// The source's key.
    pub source_key: String,
    /// Conditions on the source.
    pub source_conditions: ReadConditions,
    /// First and last byte of the source; all by default.
    pub source_range: Option<(u64, u64)>,
    /// The upload's bucket.
    pub bucket: String,
    /// The upload.
    pub upload: UploadInfo,
    /// The part's number.
    pub number: u16,
}

/// Copies bytes of one version of the source into a part; its ETag and checksum.
///
/// # Errors
/// As reading and putting a part; [`Code::InvalidArgument`] for bytes that the source does not have.
pub async fn copy_part(
    cx: &Context,
    store: &Arc<Store>,
    request: CopyPartRequest,
) -> Result<(String, Option<Checksum>), ApiError> {
    let source = Resource::Object(&request.source_bucket, &request.source_key);
    cx.authorize_for(READ_ACTION, source)?;
    cx.authorize(Resource::Object(&request.bucket, &request.upload.key))?;
    names::check_key(&request.source_key)?;
    let reader = open(store, &request.source_bucket, &request.source_key).await?;
    let size = reader.info().data.size;
    request.source_conditions.check_copy(reader.info())?;
    let range = match request.source_range {
        None => 0..size,
        Some((first, last)) if first <= last && last < size => first..last + 1,
        Some(_) => {
            return Err(ApiError::new(
                Code::InvalidArgument,
                format!("The x-amz-copy-source-range is not within the source's {size} bytes."),
            ));
        }
    };
    let incoming = Incoming {
        size: range.end - range.start,
        body: body(reader.stream(range).await?),
        md5: None,
        checksum: Expected::Compute(multipart::upload_checksum(&request.upload).0),
        also: None,
    };
    multipart::store_part(store, &request.bucket, &request.upload, request.number, incoming).await
}

/// Opens a copy's source. An error names that, not the destination.
async fn open(store: &Arc<Store>, bucket: &str, key: &str) -> Result<ObjectReader, ApiError> {
    store.get(bucket, key).await.map_err(|error| {
        let error = ApiError::from(error);
        match error.code {
            Code::NoSuchBucket => error.with_field("BucketName", bucket),
            Code::NoSuchKey => error.with_field("Key", key),
            _ => error,
        }
    })
}

fn refuse_idle_copy(request: &CopyRequest, source: &ObjectInfo) -> Result<(), ApiError> {
    let onto_itself = request.source_bucket == request.bucket && request.source_key == request.key;
    let class = request.storage_class.as_deref().unwrap_or("STANDARD");
    let class_changes = class != headers::storage_class(&source.data.headers);
    if onto_itself && request.replace_headers.is_none() && !class_changes {
        return Err(ApiError::new(
            Code::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    Ok(())
}

fn body(source: ByteStream) -> Body {
    Box::pin(stream::unfold(source, |mut source| async move {
        let next = source.next().await?;
        Some((next.map_err(ApiError::from), source))
    }))
}
