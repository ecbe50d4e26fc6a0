//! Bucket and key of a URL.

use super::operations::Target;
use crate::api::{ApiError, Code, names};
use http::Uri;
use percent_encoding::percent_decode_str;

/// First part of paths that are no buckets: health, admin and metrics endpoints.
pub(super) const OWN_PATHS: &str = "minio";

/// Bucket and key that a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    pub bucket: Option<String>,
    pub key: Option<String>,
}

impl Resource {
    /// Reads a URL. `virtual_bucket` is the bucket that the host names.
    ///
    /// # Errors
    /// [`Code::InvalidUri`] for a path that is not UTF-8, [`Code::InvalidBucketName`], and what
    /// [`names::check_key`] refuses.
    pub fn parse(uri: &Uri, virtual_bucket: Option<&str>) -> Result<Resource, ApiError> {
        let path = percent_decode_str(uri.path())
            .decode_utf8()
            .map_err(|_| Code::InvalidUri)?;
        let path = path.strip_prefix('/').ok_or(Code::InvalidUri)?;
        let (bucket, key) = match virtual_bucket {
            Some(bucket) => (bucket, path),
            None if path.is_empty() => return Ok(Resource::default()),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        if !names::is_bucket_name(bucket) && bucket != OWN_PATHS {
            return Err(Code::InvalidBucketName.into());
        }
        let key = (!key.is_empty()).then(|| key.to_owned());
        if let Some(key) = &key {
            names::check_key(key)?;
        }
        Ok(Resource {
            bucket: Some(bucket.to_owned()),
            key,
        })
    }

    pub fn target(&self) -> Target {
        match (&self.bucket, &self.key) {
            (None, _) => Target::Service,
            (Some(_), None) => Target::Bucket,
            (Some(_), Some(_)) => Target::Object,
        }
    }
}

/// The URL in path style.
pub(super) fn path_style(uri: &Uri, virtual_bucket: Option<&str>) -> Result<Uri, ApiError> {
    let Some(bucket) = virtual_bucket else {
        return Ok(uri.clone());
    };
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let path = format!("/{bucket}{}{query}", uri.path());
    path.parse().map_err(|_| Code::InvalidUri.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str, bucket: Option<&str>) -> Result<(Option<String>, Option<String>), Code> {
        let resource = Resource::parse(&uri.parse().unwrap(), bucket);
        resource
            .map(|resource| (resource.bucket, resource.key))
            .map_err(|error| error.code)
    }

    fn named(bucket: &str, key: Option<&str>) -> Result<(Option<String>, Option<String>), Code> {
        Ok((Some(bucket.to_owned()), key.map(str::to_owned)))
    }

    #[test]
    fn buckets_and_keys() {
        assert_eq!(parse("/", None), Ok((None, None)));
        assert_eq!(parse("/bucket", None), named("bucket", None));
        assert_eq!(parse("/bucket/?prefix=x", None), named("bucket", None));
        assert_eq!(parse("/bucket/a//b%2Fc/", None), named("bucket", Some("a//b/c/")));
        assert_eq!(parse("/minio/x", None), named("minio", Some("x")));
        assert_eq!(parse("/", Some("bucket")), named("bucket", None));
        assert_eq!(parse("/a/b", Some("bucket")), named("bucket", Some("a/b")));
        assert_eq!(parse("//k", None), Err(Code::InvalidBucketName));
        assert_eq!(parse("/b", None), Err(Code::InvalidBucketName));
        assert_eq!(parse("/x", Some("BUCKET")), Err(Code::InvalidBucketName));
        assert_eq!(parse("/bucket/%ff", None), Err(Code::InvalidUri));
        let long = format!("/bucket/{}", "k".repeat(1025));
        assert_eq!(parse(&long, None), Err(Code::KeyTooLong));
    }

    #[test]
    fn virtual_hosts_become_paths() {
        let of = |uri: &str, bucket| path_style(&uri.parse().unwrap(), bucket).unwrap().to_string();
        assert_eq!(of("/b/k?x", None), "/b/k?x");
        assert_eq!(of("/a%20b?x=1", Some("bucket")), "/bucket/a%20b?x=1");
        assert_eq!(of("/", Some("bucket")), "/bucket/");
    }
}
