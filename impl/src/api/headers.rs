//! Headers that are stored with an object, and its storage class.

use super::{ApiError, Code};
use crate::store::StorageClass;
use std::collections::BTreeMap;

/// Maximum size of user metadata: names after `x-amz-meta-`, and values, in bytes.
pub const METADATA_BYTES_MAX: usize = 2048;

/// Prefix of names of user metadata.
pub const METADATA_PREFIX: &str = "x-amz-meta-";

/// Stored header of the storage class, unless it is STANDARD.
pub const STORAGE_CLASS: &str = "x-amz-storage-class";

/// Standard headers that are stored with an object and come back on reads.
pub const STORED: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// The content type of an object that was stored without one.
pub const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// Checks headers that a client wants stored, and adds the storage class to them.
///
/// # Errors
/// [`Code::MetadataTooLarge`], [`Code::InvalidStorageClass`].
pub fn stored(
    mut headers: BTreeMap<String, String>,
    storage_class: Option<&str>,
) -> Result<(BTreeMap<String, String>, StorageClass), ApiError> {
    let metadata_bytes: usize = headers
        .iter()
        .filter_map(|(name, value)| Some(name.strip_prefix(METADATA_PREFIX)?.len() + value.len()))
        .sum();
    if metadata_bytes > METADATA_BYTES_MAX {
        return Err(Code::MetadataTooLarge.into());
    }
    // How a body was framed on its way here is not a property of the object.
    if let Some(encoding) = headers.remove("content-encoding") {
        let rest: Vec<&str> = encoding
            .split(',')
            .filter(|coding| !coding.trim().eq_ignore_ascii_case("aws-chunked"))
            .collect();
        let rest = rest.join(",");
        if !rest.trim().is_empty() {
            headers.insert("content-encoding".into(), rest.trim().to_owned());
        }
    }
    let class = parse_storage_class(storage_class)?;
    if class == StorageClass::Reduced {
        headers.insert(STORAGE_CLASS.into(), "REDUCED_REDUNDANCY".into());
    }
    Ok((headers, class))
}

/// The storage class of stored headers, by its S3 name.
#[must_use]
pub fn storage_class(headers: &BTreeMap<String, String>) -> &str {
    headers.get(STORAGE_CLASS).map_or("STANDARD", String::as_str)
}

fn parse_storage_class(name: Option<&str>) -> Result<StorageClass, ApiError> {
    match name {
        None | Some("" | "STANDARD") => Ok(StorageClass::Standard),
        Some("REDUCED_REDUNDANCY") => Ok(StorageClass::Reduced),
        Some(_) => Err(Code::InvalidStorageClass.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn metadata_is_limited() {
        let fits = map(&[("x-amz-meta-k", &"v".repeat(2047)), ("content-type", &"t".repeat(5000))]);
        assert!(stored(fits, None).is_ok());
        let too_large = map(&[("x-amz-meta-k", &"v".repeat(2048))]);
        assert_eq!(stored(too_large, None).unwrap_err().code, Code::MetadataTooLarge);
    }

    #[test]
    fn transfer_framing_is_not_stored() {
        let get = |value| stored(map(&[("content-encoding", value)]), None).unwrap().0;
        assert_eq!(get("aws-chunked"), map(&[]));
        assert_eq!(get("gzip, aws-chunked"), map(&[("content-encoding", "gzip")]));
        assert_eq!(get("gzip"), map(&[("content-encoding", "gzip")]));
        assert_eq!(get("aws-chunked, gzip, br"), map(&[("content-encoding", "gzip, br")]));
    }

    #[test]
    fn storage_classes() {
        let (headers, class) = stored(map(&[]), Some("REDUCED_REDUNDANCY")).unwrap();
        assert_eq!(
            (storage_class(&headers), class),
            ("REDUCED_REDUNDANCY", StorageClass::Reduced)
        );
        let (headers, class) = stored(map(&[]), Some("STANDARD")).unwrap();
        assert_eq!((storage_class(&headers), class), ("STANDARD", StorageClass::Standard));
        assert_eq!(
            stored(map(&[]), Some("GLACIER")).unwrap_err().code,
            Code::InvalidStorageClass
        );
    }
}
