//! Checks of every request before its operation runs: the caller, what the signature covers, and whether it asks for
//! something that is not built. Such a request is refused, never half done.

use super::{
    limits::{BATCH_BYTES, LIST_BYTES},
    reply::REGION,
    s3,
    service::XML_BYTES_MAX,
    signature, values,
};
use crate::{
    access::{Access, Denied},
    api::{ApiError, Code, names},
};
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use s3s::access::S3AccessContext;
use std::collections::BTreeSet;

/// The owner of all buckets and objects, as ACLs and listings show it.
pub(super) const OWNER_ID: &str = "9b5ea3a5e1d94b0f8b0e6a6c1d3c2f4e7a8d9c0b1e2f3a4d5c6b7a8f9e0d1c2b";

/// The first part of paths that are no buckets: health, admin and metrics endpoints.
pub(super) const OWN_PATHS: &str = "minio";

/// `x-amz-` headers whose meaning is served, or which ask for nothing.
const HEADERS: &[&str] = &[
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-max-parts",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-storage-class",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// `x-amz-` query parameters, in lower case, with the same property; the rest is refused.
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

/// Query parameters that make a request one of another kind. s3s routes most of them; one that it does not
/// know for a method falls through to the plain operation, and `DELETE /bucket/key?acl` must not delete.
const SUBRESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "events",
    "intelligent-tiering",
    "inventory",
    "lambdaArn",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Refuses what s3s would answer otherwise than S3, from the head of a request alone.
pub(super) fn check_head(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
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
    let length = text("content-length").and_then(|length| length.parse::<u64>().ok());
    // All that is posted is XML; forms were refused before.
    if method == Method::POST && length.is_some_and(|length| length > XML_BYTES_MAX as u64) {
        return Err(Code::MaxMessageLengthExceeded.into());
    }
    signature::check_form(uri, headers)
}

/// The memory that an operation takes for itself, in bytes; a copy takes `copy_bytes`. Streams of objects reserve
/// theirs when they begin.
pub(super) fn memory_bytes(operation: &str, headers: &HeaderMap, copy_bytes: u64) -> u64 {
    let length = || headers.get("content-length")?.to_str().ok()?.parse::<u64>().ok();
    match operation {
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListMultipartUploads" | "ListParts" => LIST_BYTES,
        // As text and parsed.
        "DeleteObjects" | "CompleteMultipartUpload" => {
            BATCH_BYTES + 4 * length().unwrap_or(u64::MAX).min(XML_BYTES_MAX as u64)
        }
        "CopyObject" | "UploadPartCopy" => copy_bytes,
        _ => 0,
    }
}

/// The head of a request as its client has sent it.
pub(super) struct Sent<'a> {
    /// Whose signature it has.
    pub(super) access_key: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) uri: &'a Uri,
}

/// Lets a request pass whose signature s3s has verified, if its sender may do it and the signature covers what it
/// must. `region` is the configured one.
pub(super) fn check_sender(
    access: &Access,
    region: Option<&str>,
    sent: &Sent<'_>,
    cx: &S3AccessContext<'_>,
) -> Result<(), ApiError> {
    access.authorize(sent.access_key, cx.s3_op().name()).map_err(denied)?;
    if cx.s3_path().get_bucket_name() == Some(OWN_PATHS) {
        return Err(Code::InvalidBucketName.into());
    }
    if let Some((_, key)) = cx.s3_path().as_object() {
        names::check_key(key)?;
    }
    let query = parse_query(sent.uri);
    check_signature_scope(sent.headers, &query)?;
    // The one question that a client has that does not know the region.
    if let Some(region) = region
        && cx.s3_op().name() != "GetBucketLocation"
    {
        check_region(region, sent.headers, &query)?;
    }
    Ok(())
}

/// Refuses what is not built, before the body is read.
pub(super) fn check_asked(sent: &Sent<'_>, cx: &S3AccessContext<'_>) -> Result<(), ApiError> {
    if !s3::is_served(cx.s3_op().name()) {
        let message = format!("The operation {} is not implemented.", cx.s3_op().name());
        return Err(ApiError::new(Code::NotImplemented, message));
    }
    let query = parse_query(sent.uri);
    check_headers(sent.headers)?;
    check_query(cx.s3_op().name(), cx.method(), &query)
}

/// Maps a denial to the S3 error.
pub(super) fn denied(denied: Denied) -> ApiError {
    ApiError::new(Code::AccessDenied, denied.to_string())
}

/// The pairs of a query, decoded.
pub(super) fn parse_query(uri: &Uri) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The value of a query parameter, by its name in any case.
pub(super) fn query_value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// A signature is only as good as what it covers: whoever holds a presigned URL must not be able to add
/// `x-amz-copy-source` to it.
pub(super) fn check_signature_scope(headers: &HeaderMap, query: &[(String, String)]) -> Result<(), ApiError> {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    if query_value(query, "Signature").is_some() {
        // Version 2 in a URL covers all `x-amz-` headers, and its own expiry.
        return Ok(());
    }
    if authorization.is_some_and(|value| value.starts_with("AWS ")) {
        // Version 2 in a header would have to be fresh, which s3s does not check: it could be sent again for ever.
        return Err(ApiError::new(
            Code::InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ));
    }
    // s3s takes it within the second in which it was made.
    if query_value(query, "X-Amz-Expires") == Some("0") {
        return Err(ApiError::new(Code::AccessDenied, "Request has expired"));
    }
    let in_header = authorization.and_then(|value| {
        let (_, rest) = value.split_once("SignedHeaders=")?;
        rest.split(',').next()
    });
    let signed = query_value(query, "X-Amz-SignedHeaders")
        .or(in_header)
        .unwrap_or_default();
    let signed: BTreeSet<&str> = signed.trim().split(';').collect();
    let must_be_signed = |name: &str| {
        (name == "host" || name.starts_with("x-amz-")) && !matches!(name, "x-amz-content-sha256" | "x-amz-user-agent")
    };
    // The signature covers this date in any case; clients that sign `date` in its place send none of this name.
    let is_covered = |name: &str| signed.contains(name) || (name == "x-amz-date" && signed.contains("date"));
    let unsigned = headers
        .keys()
        .map(http::HeaderName::as_str)
        .find(|name| must_be_signed(name) && !is_covered(name));
    match unsigned {
        None => Ok(()),
        Some(name) => Err(ApiError::new(
            Code::AccessDenied,
            format!("There were headers present in the request which were not signed: {name}"),
        )),
    }
}

/// Clients that get this error sign again, for the region that it names.
fn check_region(region: &str, headers: &HeaderMap, query: &[(String, String)]) -> Result<(), ApiError> {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let in_header = authorization
        .and_then(|value| value.split_once("Credential="))
        .map(|(_, rest)| rest);
    let in_query = query_value(query, "X-Amz-Credential");
    // Key, date, region, service, end; signatures of version 2 name none.
    let named = in_query.or(in_header).and_then(|scope| scope.split('/').nth(2));
    let Some(named) = named.filter(|named| *named != region) else {
        return Ok(());
    };
    let error = match in_query {
        None => ApiError::new(
            Code::AuthorizationHeaderMalformed,
            format!("The authorization header is malformed; the region '{named:.64}' is wrong; expecting '{region}'"),
        ),
        Some(_) => ApiError::new(
            Code::AuthorizationQueryParametersError,
            format!(
                "Error parsing the X-Amz-Credential parameter; the region '{named:.64}' is wrong; expecting '{region}'"
            ),
        ),
    };
    Err(error.with_header(REGION, region.to_owned()))
}

pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
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
                None => HEADERS.contains(&name) || name.starts_with("x-amz-meta-") || !is_extension(name),
            },
        };
        if !served {
            return Err(not_implemented("header", name));
        }
    }
    Ok(())
}

pub(super) fn check_query(operation: &str, method: &Method, query: &[(String, String)]) -> Result<(), ApiError> {
    let own: &[&str] = match operation {
        "AbortMultipartUpload" | "CompleteMultipartUpload" | "ListParts" => &["uploadId"],
        "CreateMultipartUpload" | "ListMultipartUploads" => &["uploads"],
        "DeleteObject" => &["versionId"],
        "DeleteObjects" => &["delete"],
        "GetObject" | "HeadObject" => &["versionId", "partNumber"],
        "GetObjectAttributes" => &["versionId", "attributes"],
        "UploadPart" | "UploadPartCopy" => &["uploadId", "partNumber"],
        "CopyObject" | "CreateBucket" | "DeleteBucket" | "HeadBucket" | "ListBuckets" | "ListObjects"
        | "ListObjectsV2" | "PutObject" => &[],
        // Others are what their subresource says, or not implemented at all.
        _ => SUBRESOURCES,
    };
    let mutates = !matches!(*method, Method::GET | Method::HEAD);
    for (name, value) in query {
        let name = name.as_str();
        let served = match name {
            // The one version of a key is its null version.
            "versionId" => own.contains(&name) && (value == "null" || value.is_empty()),
            "x-id" => true,
            // Signature version 2.
            "AWSAccessKeyId" | "Expires" | "Signature" => true,
            _ if is_extension(&name.to_ascii_lowercase()) => {
                let name = name.to_ascii_lowercase();
                value.is_empty() || QUERY_HEADERS.contains(&name.as_str()) || values::is_without_effect(&name, value)?
            }
            _ => own.contains(&name) || !(mutates || SUBRESOURCES.contains(&name)),
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
        let served = |operation, method, text| check_query(operation, &method, &query(text)).is_ok();
        assert!(served("DeleteObject", Method::DELETE, "x-id=DeleteObject"));
        assert!(served("DeleteObject", Method::DELETE, "versionId=null"));
        assert!(!served("DeleteObject", Method::DELETE, "versionId=7"));
        assert!(!served("DeleteObject", Method::DELETE, "acl"));
        assert!(!served("DeleteBucket", Method::DELETE, "notification"));
        assert!(!served("PutObject", Method::PUT, "uploadId=1"));
        assert!(!served("PutObject", Method::PUT, "unheard-of=1"));
        assert!(served(
            "GetObject",
            Method::GET,
            "unheard-of=1&response-content-type=a/b"
        ));
        assert!(!served("GetObject", Method::GET, "lambdaArn=x"));
        assert!(served("GetBucketVersioning", Method::GET, "versioning"));
        assert!(!served("PutObject", Method::PUT, "X-Amz-Server-Side-Encryption=AES256"));
        assert!(served("PutObject", Method::PUT, "X-Amz-Signature=1&X-Amz-Expires=5"));
        // SDKs put headers into presigned URLs.
        assert!(served("PutObject", Method::PUT, "x-amz-acl=public-read"));
        assert!(!served("PutObject", Method::PUT, "x-amz-acl=everybody"));
        assert!(!served("CopyObject", Method::PUT, "x-amz-metadata-directive=REPLACE"));
    }

    #[test]
    fn signatures_must_cover_amz_headers() {
        let code = |map: &[(&'static str, &'static str)], text: &str| {
            check_signature_scope(&headers(map), &query(text)).map_err(|error| error.code)
        };
        let presigned = "X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-amz-acl";
        assert_eq!(code(&[("host", "h"), ("x-amz-acl", "private")], presigned), Ok(()));
        assert_eq!(
            code(&[("host", "h"), ("x-amz-copy-source", "b/k")], presigned),
            Err(Code::AccessDenied)
        );
        let authorization =
            "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";
        assert_eq!(
            code(
                &[("authorization", authorization), ("host", "h"), ("x-amz-date", "d")],
                ""
            ),
            Ok(())
        );
        let by_date = authorization.replace("x-amz-date", "date");
        let mut map = headers(&[("x-amz-date", "d")]);
        map.insert("authorization", by_date.parse().unwrap());
        assert_eq!(check_signature_scope(&map, &[]), Ok(()));
        assert_eq!(
            code(&[("authorization", authorization), ("x-amz-meta-a", "b")], ""),
            Err(Code::AccessDenied)
        );
        let expired = "X-Amz-Expires=0&X-Amz-SignedHeaders=host";
        assert_eq!(code(&[], expired), Err(Code::AccessDenied));
        assert_eq!(code(&[("authorization", "AWS a:b")], ""), Err(Code::InvalidRequest));
        assert_eq!(code(&[("host", "h")], "AWSAccessKeyId=a&Expires=1&Signature=s"), Ok(()));
    }
}
