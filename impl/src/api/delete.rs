//! Deleting objects.

use super::{ApiError, Code, Context, names};
use crate::{access::Resource, store::Store};
use futures::{StreamExt, stream};
use model::record::Precondition;

/// Maximum number of keys in a request.
pub const KEYS_MAX: usize = 1000;

/// Number of keys that are deleted concurrently: enough that few commits of the drives take all, and no more requests
/// in their queues than many clients would make.
const CONCURRENT: usize = 128;

/// A key to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The key.
    pub key: String,
    /// Condition on the version to be deleted.
    pub precondition: Precondition,
}

/// Deletes a key. A key that does not exist is deleted already.
///
/// # Errors
/// [`Code::NoSuchBucket`], [`Code::PreconditionFailed`].
pub async fn delete(cx: &Context, store: &Store, bucket: &str, request: DeleteRequest) -> Result<(), ApiError> {
    cx.authorize(Resource::Object(bucket, &request.key))?;
    names::check_key(&request.key)?;
    store.delete(bucket, &request.key, request.precondition).await?;
    Ok(())
}

/// Deletes several keys, each of which the caller must be allowed to delete; what became of each, in their order.
///
/// # Errors
/// [`Code::MalformedXml`] for none or more than [`KEYS_MAX`], [`Code::NoSuchBucket`].
pub async fn delete_many(
    cx: &Context,
    store: &Store,
    bucket: &str,
    requests: Vec<Result<DeleteRequest, (String, ApiError)>>,
) -> Result<Vec<(String, Result<(), ApiError>)>, ApiError> {
    if requests.is_empty() || requests.len() > KEYS_MAX {
        return Err(Code::MalformedXml.into());
    }
    store.bucket(bucket).await?;
    let one = |request: Result<DeleteRequest, (String, ApiError)>| async move {
        match request {
            Err((key, error)) => (key, Err(error)),
            Ok(request) => {
                let _turn = store.bulk_turn().await;
                (request.key.clone(), delete(cx, store, bucket, request).await)
            }
        }
    };
    Ok(stream::iter(requests).map(one).buffered(CONCURRENT).collect().await)
}
