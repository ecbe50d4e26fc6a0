//! Buckets.

use super::{ApiError, Code, Context, names};
use crate::{
    access::Resource,
    store::{BucketInfo, Store},
};

/// A page of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketPage {
    /// By name.
    pub buckets: Vec<BucketInfo>,
    /// Last name of this page, to go on after; `None` at the end.
    pub next: Option<String>,
}

/// Makes a bucket in `region`; `location` is where the client wants it.
///
/// # Errors
/// [`Code::InvalidBucketName`], [`Code::IllegalLocationConstraint`], [`Code::BucketAlreadyOwnedByYou`].
pub async fn create(
    cx: &Context,
    store: &Store,
    name: &str,
    region: &str,
    location: Option<&str>,
) -> Result<BucketInfo, ApiError> {
    cx.authorize(Resource::Bucket(name))?;
    if !names::is_bucket_name(name) {
        return Err(Code::InvalidBucketName.into());
    }
    if location.is_some_and(|location| !location.is_empty() && location != region) {
        return Err(Code::IllegalLocationConstraint.into());
    }
    Ok(store.create_bucket(name).await?)
}

/// Removes an empty bucket.
///
/// # Errors
/// [`Code::NoSuchBucket`], [`Code::BucketNotEmpty`].
pub async fn delete(cx: &Context, store: &Store, name: &str) -> Result<(), ApiError> {
    cx.authorize(Resource::Bucket(name))?;
    Ok(store.delete_bucket(name).await?)
}

/// Describes a bucket: what every question about a bucket's settings asks first.
///
/// # Errors
/// [`Code::NoSuchBucket`].
pub async fn get(cx: &Context, store: &Store, name: &str) -> Result<BucketInfo, ApiError> {
    cx.authorize(Resource::Bucket(name))?;
    Ok(store.bucket(name).await?)
}

/// Checks that a bucket exists: whatever else is wrong with a request, and whoever made it, a bucket that is not there
/// is what they must know.
///
/// # Errors
/// [`Code::NoSuchBucket`].
pub async fn exists(store: &Store, name: &str) -> Result<(), ApiError> {
    store.bucket(name).await?;
    Ok(())
}

/// Buckets whose names begin with `prefix` and come after `after`, at most `limit`.
///
/// # Errors
/// Too few drives answer.
pub async fn list(
    cx: &Context,
    store: &Store,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<BucketPage, ApiError> {
    cx.authorize(Resource::Service)?;
    let mut buckets = store.list_buckets().await?;
    buckets.retain(|bucket| bucket.name.starts_with(prefix) && after.is_none_or(|after| *bucket.name > *after));
    let more = buckets.len() > limit;
    buckets.truncate(limit);
    let next = buckets.last().filter(|_| more).map(|bucket| bucket.name.clone());
    Ok(BucketPage { buckets, next })
}
