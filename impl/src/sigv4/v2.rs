//! Version 2 in a presigned URL, which older SDKs make. It covers the method, the path, the subresources, the standard
//! headers of a body and all `x-amz-` headers, and has its own expiry.

use super::{Verified, exact, presigned_payload};
use crate::api::{ApiError, Code};
use base64_simd::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use sha1::Sha1;
use std::collections::BTreeMap;

/// Query parameters that are signed.
const SUBRESOURCES: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Query parameters that ask for another operation and that this version does not sign: whoever holds a URL could add
/// them.
const UNSIGNED: [&str; 10] = [
    "attributes",
    "encryption",
    "events",
    "intelligent-tiering",
    "legal-hold",
    "ownershipControls",
    "policyStatus",
    "publicAccessBlock",
    "retention",
    "session",
];

pub(super) fn verify<'a, B>(
    request: &Request<B>,
    bucket: Option<&str>,
    query: &[(String, String)],
    secret_key: impl Fn(&str) -> Option<&'a str>,
    now: i64,
) -> Result<Verified, ApiError> {
    let parameter = |name: &str| exact(query, name).unwrap_or_default();
    let malformed = |_| ApiError::new(Code::AccessDenied, "Invalid date (should be seconds since epoch)");
    let expires: i64 = parameter("Expires").parse().map_err(malformed)?;
    if now > expires {
        return Err(ApiError::new(Code::AccessDenied, "Request has expired"));
    }
    let count = |name: &str| query.iter().filter(|(own, _)| own == name).count();
    if UNSIGNED.iter().any(|name| count(name) > 0) || SUBRESOURCES.iter().any(|name| count(name) > 1) {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    // What is signed joins the values unescaped: one that reads like two parameters could stand for them.
    let is_signed = |name: &str| SUBRESOURCES.contains(&name);
    let hides_another = |value: &str| {
        let mut further = value.split('&').skip(1);
        further.any(|pair| is_signed(pair.split('=').next().unwrap_or_default()))
    };
    if query
        .iter()
        .any(|(name, value)| is_signed(name) && hides_another(value))
    {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    // Of several values one is signed.
    let is_repeated = |name: &str| request.headers().get_all(name).iter().count() > 1;
    if is_repeated("content-type") || is_repeated("content-md5") {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    let access_key = parameter("AWSAccessKeyId");
    let secret = secret_key(access_key).ok_or(Code::InvalidAccessKeyId)?;
    let mac = Hmac::new_from_slice(secret.as_bytes());
    let mut mac: Hmac<Sha1> = mac.expect("an HMAC takes keys of every length");
    mac.update(&string_to_sign(request, bucket, query));
    let signature = STANDARD.decode_to_vec(parameter("Signature"));
    // It compares in constant time.
    let is_right = signature.is_ok_and(|signature| mac.verify_slice(&signature).is_ok());
    if !is_right {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    Ok(Verified {
        access_key: access_key.to_owned(),
        region: None,
        payload: presigned_payload(request.headers())?,
    })
}

fn string_to_sign<B>(request: &Request<B>, bucket: Option<&str>, query: &[(String, String)]) -> Vec<u8> {
    let headers = request.headers();
    let mut out = Vec::new();
    let mut line = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        out.push(b'\n');
    };
    let value = |name: &str| headers.get(name).map_or(&[][..], |value| value.as_bytes());
    line(request.method().as_str().as_bytes());
    line(value("content-md5"));
    line(value("content-type"));
    line(exact(query, "Expires").unwrap_or_default().as_bytes());
    let mut extensions: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-")) {
        let value = value.as_bytes().trim_ascii();
        match extensions.get_mut(name.as_str()) {
            Some(values) => values.extend([b",", value].concat()),
            None => drop(extensions.insert(name.as_str(), value.to_vec())),
        }
    }
    for (name, value) in extensions {
        line(&[name.as_bytes(), b":", &value].concat());
    }
    if let Some(bucket) = bucket {
        out.push(b'/');
        out.extend_from_slice(bucket.as_bytes());
    }
    out.extend_from_slice(request.uri().path().as_bytes());
    let mut separator = b'?';
    for name in SUBRESOURCES {
        let Some(value) = exact(query, name) else {
            continue;
        };
        out.push(separator);
        separator = b'&';
        out.extend_from_slice(name.as_bytes());
        if !value.is_empty() {
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
    out
}
