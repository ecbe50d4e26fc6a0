//! Listing objects.

use super::{ApiError, Code, Context, checksum};
use crate::{
    access::Resource,
    store::{ListQuery, Listing, Store},
};

/// The largest page.
pub const PAGE_MAX: usize = 1000;

/// Returns how many entries a client may have when it asks for `wanted`.
///
/// # Errors
/// [`Code::InvalidArgument`] for a negative number.
pub fn page_size(wanted: Option<i32>) -> Result<usize, ApiError> {
    match wanted {
        None => Ok(PAGE_MAX),
        Some(wanted) => usize::try_from(wanted).map(|wanted| wanted.min(PAGE_MAX)).map_err(|_| {
            ApiError::new(
                Code::InvalidArgument,
                "The maximum number of entries must not be negative.",
            )
        }),
    }
}

/// A page of keys and common prefixes.
///
/// # Errors
/// [`Code::NoSuchBucket`].
pub async fn list(cx: &Context, store: &Store, bucket: &str, mut query: ListQuery) -> Result<Listing, ApiError> {
    cx.authorize(Resource::Bucket(bucket))?;
    // S3 takes an empty delimiter or marker for none.
    query.delimiter = query.delimiter.filter(|delimiter| !delimiter.is_empty());
    query.after = query.after.filter(|after| !after.is_empty());
    if query.limit == 0 {
        store.bucket(bucket).await?;
        return Ok(Listing::default());
    }
    Ok(store.list(bucket, &query).await?)
}

/// The continuation token for going on after `last`. Clients must not look into it, so it is not the key
/// itself.
#[must_use]
pub fn token(last: &str) -> String {
    checksum::encode(last.as_bytes())
}

/// Returns where a continuation token goes on.
///
/// # Errors
/// [`Code::InvalidArgument`] for one that is not ours.
pub fn parse_token(token: &str) -> Result<String, ApiError> {
    base64_simd::STANDARD
        .decode_to_vec(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|last| !last.is_empty())
        .ok_or_else(|| ApiError::new(Code::InvalidArgument, "The continuation token provided is incorrect."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes() {
        assert_eq!(page_size(None), Ok(1000));
        assert_eq!(page_size(Some(0)), Ok(0));
        assert_eq!(page_size(Some(7)), Ok(7));
        assert_eq!(page_size(Some(5000)), Ok(1000));
        assert_eq!(page_size(Some(-1)).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn tokens() {
        assert_eq!(parse_token(&token("a/ä b")), Ok("a/ä b".into()));
        assert!(parse_token("").is_err());
        assert!(parse_token("not base64!").is_err());
    }
}
