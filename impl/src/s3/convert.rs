//! Between s3s's types and the api's.

use super::{
    gate::OWNER_ID,
    normalize::joined,
    sent::{facts, sent_headers, sent_uri},
};
use crate::{
    api::{
        ApiError, Code, Expected, Incoming,
        checksum::{self, KINDS},
        conditions::{ReadConditions, parse_etags},
        headers::{METADATA_PREFIX, STORED},
        read::{Found, IfRange, Section},
    },
    http::dates,
    sigv4::{parse_query, query_value},
    store::ObjectInfo,
};
use http::{HeaderMap, HeaderValue};
use model::record::{Checksum, ChecksumKind, EtagMatch, Precondition};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3Request,
    dto::{self, ETag, ETagCondition, Timestamp},
};
use std::collections::BTreeMap;

/// Characters that `encoding-type=url` leaves as they are.
const KEY_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Sets the five checksum fields that many of s3s's structs have.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr) => {
        for checksum in $checksums {
            let value = Some(checksum.value.clone());
            match checksum.kind {
                ChecksumKind::Crc32 => $output.checksum_crc32 = value,
                ChecksumKind::Crc32c => $output.checksum_crc32c = value,
                ChecksumKind::Crc64Nvme => $output.checksum_crc64nvme = value,
                ChecksumKind::Sha1 => $output.checksum_sha1 = value,
                ChecksumKind::Sha256 => $output.checksum_sha256 = value,
            }
        }
    };
}
pub(super) use set_checksums;

/// The checksums that a struct's five fields hold.
macro_rules! get_checksums {
    ($input:expr) => {
        [
            (ChecksumKind::Crc32, $input.checksum_crc32.clone()),
            (ChecksumKind::Crc32c, $input.checksum_crc32c.clone()),
            (ChecksumKind::Crc64Nvme, $input.checksum_crc64nvme.clone()),
            (ChecksumKind::Sha1, $input.checksum_sha1.clone()),
            (ChecksumKind::Sha256, $input.checksum_sha256.clone()),
        ]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)))
    };
}
pub(super) use get_checksums;

pub(super) fn etag(bare: &str) -> ETag {
    ETag::Strong(bare.to_owned())
}

pub(super) fn timestamp(nanos: u64) -> Timestamp {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos));
    Timestamp::from(time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH))
}

pub(super) fn unix_seconds(timestamp: Timestamp) -> i64 {
    time::OffsetDateTime::from(timestamp).unix_timestamp()
}

pub(super) fn checksum_type(checksum: &Checksum) -> dto::ChecksumType {
    type_name(checksum.full_object)
}

pub(super) fn type_name(full_object: bool) -> dto::ChecksumType {
    dto::ChecksumType::from_static(if full_object {
        dto::ChecksumType::FULL_OBJECT
    } else {
        dto::ChecksumType::COMPOSITE
    })
}

pub(super) fn algorithm(kind: ChecksumKind) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(checksum::kind_name(kind))
}

pub(super) fn owner() -> dto::Owner {
    dto::Owner {
        display_name: Some("root".into()),
        id: Some(OWNER_ID.into()),
    }
}

/// Encodes a key, prefix, marker or delimiter for `encoding-type=url`.
pub(super) fn encode(text: &str, url: bool) -> String {
    if url {
        utf8_percent_encode(text, KEY_CHARACTERS).to_string()
    } else {
        text.to_owned()
    }
}

pub(super) fn common_prefixes(prefixes: &[String], url: bool) -> Vec<dto::CommonPrefix> {
    let entry = |prefix: &String| dto::CommonPrefix {
        prefix: Some(encode(prefix, url)),
    };
    prefixes.iter().map(entry).collect()
}

/// The checksum algorithm that a request names.
///
/// # Errors
/// `InvalidRequest` for one that S3 does not know.
pub(super) fn parse_algorithm(name: Option<&dto::ChecksumAlgorithm>) -> Result<Option<ChecksumKind>, ApiError> {
    name.map(|name| checksum::parse_kind(name.as_str())).transpose()
}

/// Bucket and key of a copy's source.
///
/// # Errors
/// `NotImplemented` for versions and access points.
pub(super) fn copy_source(source: dto::CopySource) -> Result<(String, String), ApiError> {
    match source {
        dto::CopySource::Bucket {
            version_id: Some(id), ..
        } if &*id != "null" => Err(ApiError::new(Code::NotImplemented, "Versions are not implemented.")),
        dto::CopySource::Bucket { bucket, key, .. } => Ok((bucket.into(), key.into())),
        _ => Err(ApiError::new(
            Code::NotImplemented,
            "Access points are not implemented.",
        )),
    }
}

/// Returns whether `encoding-type` asks for URL encoding.
///
/// # Errors
/// `InvalidArgument` for an encoding that S3 does not know.
pub(super) fn wants_url(encoding: Option<&dto::EncodingType>) -> Result<bool, ApiError> {
    match encoding.map(dto::EncodingType::as_str) {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(_) => Err(ApiError::new(
            Code::InvalidArgument,
            "Invalid Encoding Method specified in Request",
        )),
    }
}

fn etag_match(condition: &ETagCondition) -> EtagMatch {
    match condition {
        ETagCondition::Any => EtagMatch::Any,
        // s3s takes a list for one ETag with commas and quotes in it.
        ETagCondition::ETag(etag) => parse_etags(etag.value()),
    }
}

pub(super) fn precondition(if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> Precondition {
    Precondition {
        if_match: if_match.map(etag_match),
        if_none_match: if_none_match.map(etag_match),
    }
}

/// The condition on the destination of a copy, which s3s does not parse.
pub(super) fn precondition_of(headers: &HeaderMap) -> Precondition {
    let parse = |name: &str| Some(parse_etags(headers.get(name)?.to_str().ok()?));
    Precondition {
        if_match: parse("if-match"),
        if_none_match: parse("if-none-match"),
    }
}

pub(super) fn read_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.map(etag_match),
        if_none_match: if_none_match.map(etag_match),
        if_modified_since: if_modified_since.map(unix_seconds),
        if_unmodified_since: if_unmodified_since.map(unix_seconds),
    }
}

pub(super) fn section(range: Option<dto::Range>, part_number: Option<i32>) -> Result<Section, ApiError> {
    match (range, part_number) {
        (Some(_), Some(_)) => Err(ApiError::new(
            Code::InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter",
        )),
        (None, None) => Ok(Section::Whole),
        (None, Some(number)) => crate::api::multipart::check_part_number(number).map(Section::Part),
        (Some(dto::Range::Int { first, last }), None) => Ok(Section::Span { first, last }),
        (Some(dto::Range::Suffix { length }), None) => Ok(Section::Suffix(length)),
    }
}

pub(super) fn if_range(headers: &HeaderMap) -> Option<IfRange> {
    let value = headers.get("if-range")?.to_str().ok()?;
    match dates::parse_http(value) {
        Some(date) => Some(IfRange::Date(date.unix_timestamp())),
        None => Some(IfRange::Etag(value.trim().trim_matches('"').to_owned())),
    }
}

/// `Content-Range`, if a part of the object is sent.
pub(super) fn content_range(found: &Found) -> Option<String> {
    let range = &found.range;
    let size = found.info.data.size;
    (found.partial && !range.is_empty()).then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1))
}

/// The headers that a client wants stored with an object, by lower-case name. Their values are taken as they were
/// sent, repeated ones with commas between them.
///
/// # Errors
/// `InvalidArgument` for a value that is not text.
pub(super) fn headers_to_store(sent: &HeaderMap) -> Result<BTreeMap<String, String>, ApiError> {
    let is_metadata = |name: &str| name.len() > METADATA_PREFIX.len() && name.starts_with(METADATA_PREFIX);
    let mut stored = BTreeMap::new();
    for name in sent.keys().map(http::HeaderName::as_str) {
        if !STORED.contains(&name) && !is_metadata(name) {
            continue;
        }
        let text = String::from_utf8(joined(sent, name))
            .map_err(|_| ApiError::new(Code::InvalidArgument, format!("The header {name:.64} is not UTF-8.")))?;
        // A standard header without a value is none.
        if is_metadata(name) || !text.is_empty() {
            stored.insert(name.to_owned(), text);
        }
    }
    Ok(stored)
}

/// The headers that were stored with an object, with the overrides of the query that the client has sent. s3s would
/// encode the user metadata among them as mail does.
pub(super) fn stored_headers(info: &ObjectInfo, uri: &http::Uri) -> HeaderMap {
    let query = parse_query(uri);
    let value_of = |name: &str| {
        let default = (name == "content-type").then_some(crate::api::headers::DEFAULT_CONTENT_TYPE);
        let stored = info.data.headers.get(name).map(String::as_str).or(default);
        // By its exact name: signatures of version 2 cover no other.
        let wanted = format!("response-{name}");
        let overriding = query.iter().find(|(own, value)| *own == wanted && !value.is_empty());
        overriding
            .map(|(_, value)| value.as_str())
            .or(stored)
            .map(str::to_owned)
    };
    let standard = STORED.iter().filter_map(|name| Some((*name, value_of(name)?)));
    let own = info.data.headers.iter();
    let metadata = own.filter(|(name, _)| name.starts_with(METADATA_PREFIX));
    standard
        .chain(metadata.map(|(name, value)| (name.as_str(), value.clone())))
        .filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?)))
        .collect()
}

/// The body of an upload, with what the client says about it. An empty Content-MD5, which s3s takes for none, is
/// one that is wrong.
///
/// # Errors
/// `MissingContentLength`, `InvalidDigest`, `InvalidRequest` for more than one checksum.
pub(super) fn incoming<T>(request: &S3Request<T>, default_kind: ChecksumKind) -> Result<Incoming, ApiError> {
    let headers = sent_headers(request);
    let size = body_length(headers).ok_or(Code::MissingContentLength)?;
    let md5 = match headers.get("content-md5") {
        None => None,
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            let invalid = || ApiError::from(Code::InvalidDigest).with_field("Content-MD5", text);
            Some(checksum::decode::<16>(text).ok_or_else(invalid)?)
        }
    };
    let checksum = expected_checksum(request, default_kind)?;
    let body = facts(request).take_body().ok_or(Code::InternalError)?;
    Ok(Incoming {
        body: Box::pin(body),
        size,
        md5,
        checksum,
        also: None,
    })
}

/// Returns whether a body is framed as aws-chunked.
fn is_chunked(headers: &HeaderMap) -> bool {
    let payload = headers.get("x-amz-content-sha256");
    payload.is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

/// The length of a body in bytes, as it is announced: that of the data of an aws-chunked one, whose framing may itself
/// come in chunks of HTTP, without Content-Length.
pub(super) fn body_length(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let length = if is_chunked(headers) {
        "x-amz-decoded-content-length"
    } else {
        "content-length"
    };
    text(length)?.parse().ok()
}

/// The checksum of an upload: from a header, a query parameter of a presigned URL, or the trailer.
fn expected_checksum<T>(request: &S3Request<T>, default_kind: ChecksumKind) -> Result<Expected, ApiError> {
    let query = parse_query(&request.uri);
    let headers = sent_headers(request);
    let text = |name: &str| {
        let header = headers.get(name).and_then(|value| value.to_str().ok());
        header.or_else(|| query_value(&query, name)).map(str::to_owned)
    };
    let mut announced: Vec<Expected> = KINDS
        .iter()
        .filter_map(|(kind, _)| Some(Expected::Is(*kind, text(checksum::header_name(*kind))?)))
        .collect();
    for name in text("x-amz-trailer")
        .iter()
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let is_named = |kind: ChecksumKind| checksum::header_name(kind).eq_ignore_ascii_case(name);
        let Some((kind, _)) = KINDS.iter().find(|(kind, _)| is_named(*kind)) else {
            return Err(ApiError::new(
                Code::InvalidRequest,
                format!("The trailer {name:.64} is not known."),
            ));
        };
        if !is_chunked(headers) {
            return Err(Code::MalformedTrailer.into());
        }
        let trailer = facts(request).trailer.clone();
        let header = checksum::header_name(*kind);
        let read = move || trailer.get(header);
        announced.push(Expected::InTrailer(*kind, Box::new(read)));
    }
    if announced.len() > 1 {
        return Err(ApiError::new(
            Code::InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let named = text("x-amz-sdk-checksum-algorithm").filter(|name| !name.is_empty());
    let named = named.map(|name| checksum::parse_kind(&name)).transpose()?;
    match (announced.pop(), named) {
        (Some(expected), Some(named)) if expected.kind() != named => Err(contradiction()),
        (Some(expected), _) => Ok(expected),
        // An SDK that names an algorithm and sends no value wants it computed.
        (None, named) => Ok(Expected::Compute(named.unwrap_or(default_kind))),
    }
}

/// Checks that the algorithm which an SDK names is that of the checksum of its XML.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn check_algorithm(headers: &HeaderMap) -> Result<(), ApiError> {
    let named = headers
        .get("x-amz-sdk-checksum-algorithm")
        .filter(|name| !name.is_empty());
    let Some(named) = named.and_then(|name| name.to_str().ok()) else {
        return Ok(());
    };
    let named = checksum::parse_kind(named)?;
    let mut others = KINDS.iter().filter(|(kind, _)| *kind != named);
    if others.any(|(kind, _)| headers.contains_key(checksum::header_name(*kind))) {
        return Err(contradiction());
    }
    Ok(())
}

fn contradiction() -> ApiError {
    ApiError::new(
        Code::InvalidRequest,
        "The header x-amz-sdk-checksum-algorithm names another algorithm than the checksum has.",
    )
}

/// The URL of a request's bucket or key, in the style that the client uses. Its scheme is the one that a proxy which
/// ends TLS says it was asked with.
pub(super) fn location<T>(request: &S3Request<T>) -> String {
    let text = |name: &str| sent_headers(request).get(name)?.to_str().ok();
    let uri = sent_uri(request);
    let path = uri.path();
    // HTTP/2 has the host in its URL.
    let Some(host) = text("host").or(uri.authority().map(|authority| authority.as_str())) else {
        return path.to_owned();
    };
    let is_tls = facts(request).is_tls;
    let is_https = is_tls || text("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let scheme = if is_https { "https" } else { "http" };
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_url_encoding() {
        assert_eq!(encode("a b/ä+%", true), "a%20b/%C3%A4%2B%25");
        assert_eq!(encode("a b", false), "a b");
    }

    #[test]
    fn times() {
        assert_eq!(unix_seconds(timestamp(1_700_000_000_999_999_999)), 1_700_000_000);
    }

    #[test]
    fn headers_are_stored_as_they_were_sent() {
        let headers = |pairs: &[(&'static str, &[u8])]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &[u8])| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_bytes(value).unwrap(),
                )
            };
            pairs.iter().map(pair).collect()
        };
        let sent = headers(&[
            ("content-disposition", "filename=\"ä\"".as_bytes()),
            ("expires", b"0"),
            ("content-language", b""),
            ("x-amz-meta-a", b"1"),
            ("x-amz-meta-a", b" 2"),
            ("x-amz-meta-mail", b"=?UTF-8?B?w6Q=?="),
            ("x-amz-meta-empty", b""),
            ("x-amz-meta-", b"nameless"),
            ("x-amz-acl", b"private"),
        ]);
        let stored = headers_to_store(&sent).unwrap();
        let stored: Vec<(&str, &str)> = stored
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            stored,
            [
                ("content-disposition", "filename=\"ä\""),
                ("expires", "0"),
                ("x-amz-meta-a", "1, 2"),
                ("x-amz-meta-empty", ""),
                ("x-amz-meta-mail", "=?UTF-8?B?w6Q=?="),
            ]
        );
        let no_text = headers(&[("x-amz-meta-a", b"\xe4")]);
        assert_eq!(headers_to_store(&no_text).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn range_validators() {
        let parse = |value: &'static str| {
            if_range(
                &[(http::header::IF_RANGE, HeaderValue::from_static(value))]
                    .into_iter()
                    .collect(),
            )
        };
        assert_eq!(parse("\"abc\""), Some(IfRange::Etag("abc".into())));
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:07 GMT"), Some(IfRange::Date(7)));
        assert_eq!(parse("Thu Jan  1 00:00:07 1970"), Some(IfRange::Date(7)));
        assert_eq!(if_range(&HeaderMap::new()), None);
    }
}
