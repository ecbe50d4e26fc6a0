//! Checks of every request before its operation runs: the caller, the region, and whether it asks for something that
//! is not built. Such a request is refused, never half done.

use super::{
    body::XML_BYTES_MAX,
    operations::{self, BodyKind, Operation, State},
    reply::REGION,
    values,
};
use crate::{
    api::{ApiError, Code},
    http::admission::UNRESERVED_BYTES,
    sigv4::query_value,
};
use http::{HeaderMap, Method};

/// The owner of all buckets and objects, as ACLs and listings show it.
pub(super) const OWNER_ID: &str = "9b5ea3a5e1d94b0f8b0e6a6c1d3c2f4e7a8d9c0b1e2f3a4d5c6b7a8f9e0d1c2b";

/// Bytes that a page of a listing takes: a thousand records from each drive of a set.
const LIST_BYTES: u64 = 4 << 20;

/// Bytes that an operation on many keys or parts takes beside its XML.
const BATCH_BYTES: u64 = 4 << 20;

/// `x-amz-` query parameters, in lower case, whose meaning is served, or which ask for nothing; the rest is refused.
const QUERY_HEADERS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-user-agent",
];

/// Refuses what no operation of S3 is, from the head of a request alone.
pub(super) fn check_head(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
    ]
    .contains(method);
    if !is_known {
        return Err(ApiError::from(Code::MethodNotAllowed).with_field("Method", method));
    }
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let is_form = |kind: &str| kind.to_ascii_lowercase().starts_with("multipart/form-data");
    if method == Method::POST && text("content-type").is_some_and(is_form) {
        return Err(ApiError::new(
            Code::NotImplemented,
            "Browser uploads (POST of a form) are not implemented.",
        ));
    }
    let length = text("content-length").and_then(|length| length.parse::<u64>().ok());
    // All else that is posted is XML.
    if method == Method::POST && length.is_some_and(|length| length > XML_BYTES_MAX as u64) {
        return Err(Code::MaxMessageLengthExceeded.into());
    }
    Ok(())
}

/// The memory that an operation takes for itself, in bytes; a copy takes `copy_bytes`. Streams of objects reserve
/// theirs when they begin.
pub(super) fn memory_bytes(operation: &Operation, headers: &HeaderMap, copy_bytes: u64) -> u64 {
    let announced = headers.get("content-length").and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    let length = announced.unwrap_or(u64::MAX).min(XML_BYTES_MAX as u64);
    match operation.name {
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListMultipartUploads" | "ListParts" => LIST_BYTES,
        // As text and parsed.
        "DeleteObjects" | "CompleteMultipartUpload" => BATCH_BYTES + 4 * length,
        "CopyObject" | "UploadPartCopy" => copy_bytes,
        _ if operation.body == BodyKind::Xml && length > UNRESERVED_BYTES => 4 * length,
        _ => 0,
    }
}

/// Refuses what is not built, before the body is read.
pub(super) fn check_asked(
    operation: &Operation,
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<(), ApiError> {
    if operation.state == State::Refused {
        let message = format!("The operation {} is not implemented.", operation.name);
        return Err(ApiError::new(Code::NotImplemented, message));
    }
    check_headers(headers)?;
    check_query(operation, query)
}

/// Clients that get this error sign again, for the region that it names.
///
/// # Errors
/// [`Code::AuthorizationHeaderMalformed`] or [`Code::AuthorizationQueryParametersError`].
pub(super) fn check_region(region: &str, signed_for: &str, query: &[(String, String)]) -> Result<(), ApiError> {
    if signed_for == region {
        return Ok(());
    }
    let error = match query_value(query, "X-Amz-Credential") {
        None => ApiError::new(
            Code::AuthorizationHeaderMalformed,
            format!(
                "The authorization header is malformed; the region '{signed_for:.64}' is wrong; expecting '{region}'"
            ),
        ),
        Some(_) => ApiError::new(
            Code::AuthorizationQueryParametersError,
            format!(
                "Error parsing the X-Amz-Credential parameter; the region '{signed_for:.64}' is wrong; expecting \
                 '{region}'"
            ),
        ),
    };
    Err(error.with_header(REGION, region.to_owned()))
}

fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    for (name, value) in headers {
        let name = name.as_str();
        let served = match name {
            "x-amz-security-token" => return Err(Code::InvalidToken.into()),
            "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner" if value != OWNER_ID => {
                return Err(ApiError::new(Code::AccessDenied, "The bucket has another owner."));
            }
            "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner" => true,
            // It asks for nothing.
            _ if value.is_empty() => true,
            "x-amz-tagging" => value.is_empty(),
            // The one that there is; the AWS SDK for C++ sends it.
            "x-amz-api-version" => value == "2006-03-01",
            _ => match values::is_served(name, value)? {
                Some(is_served) => is_served,
                None => !is_extension(name) || name.starts_with("x-amz-meta-") || operations::is_header(name),
            },
        };
        if !served {
            return Err(not_implemented("header", name));
        }
    }
    Ok(())
}

fn check_query(operation: &Operation, query: &[(String, String)]) -> Result<(), ApiError> {
    let mutates = !matches!(operation.method, Method::GET | Method::HEAD);
    for (name, value) in query {
        let name = name.as_str();
        let served = match name {
            // The one version of a key is its null version.
            "versionId" => operation.takes_query(name) && (value == "null" || value.is_empty()),
            "x-id" => true,
            // Signature version 2.
            "AWSAccessKeyId" | "Expires" | "Signature" => true,
            _ if is_extension(&name.to_ascii_lowercase()) => {
                let name = name.to_ascii_lowercase();
                value.is_empty() || QUERY_HEADERS.contains(&name.as_str()) || values::is_without_effect(&name, value)?
            }
            _ => operation.takes_query(name) || !(mutates || operations::is_subresource(name)),
        };
        if !served {
            return Err(not_implemented("query parameter", name));
        }
    }
    Ok(())
}

/// Returns whether a header asks for an extension of HTTP.
fn is_extension(name: &str) -> bool {
    name.starts_with("x-amz-") || name.starts_with("x-minio-")
}

fn not_implemented(what: &str, name: &str) -> ApiError {
    ApiError::new(
        Code::NotImplemented,
        format!("The {what} {name:.64} asks for something that is not implemented."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::parse_query;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            })
            .collect()
    }

    fn query(text: &str) -> Vec<(String, String)> {
        parse_query(&format!("/b/k?{text}").parse().unwrap())
    }

    fn operation(name: &str) -> &'static Operation {
        let mut all = operations::OPERATIONS.iter();
        all.find(|operation| operation.name == name).unwrap()
    }

    #[test]
    fn what_is_not_built_is_refused() {
        let code = |name, value| check_headers(&headers(&[(name, value)])).map_err(|error| error.code);
        for (name, value) in [
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "x"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-grant-read", "id=x"),
            ("x-amz-website-redirect-location", "/"),
            ("x-amz-mfa", "x"),
            ("x-amz-write-offset-bytes", "0"),
            ("x-amz-something-of-tomorrow", "1"),
            ("x-amz-api-version", "2027-01-01"),
            ("x-minio-extract", "true"),
        ] {
            assert_eq!(code(name, value), Err(Code::NotImplemented), "{name}");
        }
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-acl", "public-read"),
            ("x-amz-bypass-governance-retention", "true"),
            ("x-amz-meta-anything", "x"),
            ("x-amz-api-version", "2006-03-01"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("content-type", "text/plain"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amz-bucket-object-lock-enabled", "False"),
            ("x-amz-acl", ""),
            ("x-amz-server-side-encryption", ""),
            ("x-amz-grant-read", ""),
            ("x-amz-website-redirect-location", ""),
            ("x-amz-expected-bucket-owner", OWNER_ID),
        ] {
            assert_eq!(code(name, value), Ok(()), "{name}");
        }
        assert_eq!(code("x-amz-expected-bucket-owner", "1"), Err(Code::AccessDenied));
        assert_eq!(code("x-amz-security-token", "t"), Err(Code::InvalidToken));
    }

    #[test]
    fn subresources_never_fall_through() {
        let served = |name, text| check_query(operation(name), &query(text)).is_ok();
        assert!(served("DeleteObject", "x-id=DeleteObject"));
        assert!(served("DeleteObject", "versionId=null"));
        assert!(!served("DeleteObject", "versionId=7"));
        assert!(!served("DeleteObject", "acl"));
        assert!(!served("DeleteBucket", "notification"));
        assert!(!served("PutObject", "uploadId=1"));
        assert!(!served("PutObject", "unheard-of=1"));
        assert!(served("GetObject", "unheard-of=1&response-content-type=a/b"));
        assert!(!served("GetObject", "lambdaArn=x"));
        assert!(served("GetBucketVersioning", "versioning"));
        assert!(!served("PutObject", "X-Amz-Server-Side-Encryption=AES256"));
        assert!(served("PutObject", "X-Amz-Signature=1&X-Amz-Expires=5"));
        // SDKs put headers into presigned URLs.
        assert!(served("PutObject", "x-amz-acl=public-read"));
        assert!(!served("PutObject", "x-amz-acl=everybody"));
        assert!(!served("CopyObject", "x-amz-metadata-directive=REPLACE"));
    }
}
