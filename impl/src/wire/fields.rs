//! Elements of an error document beside its code and message, such as the `Key` of a `NoSuchKey`.

use super::{
    gate::{parse_query, query_value},
    reply::Asked,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write as _;
use time::OffsetDateTime;

/// Carries fields through s3s, whose errors have none of their own: `Name=value`, percent-encoded. It is taken out
/// before the answer leaves.
const FIELD: HeaderName = HeaderName::from_static("x-error-field");

/// Maximum clock skew of a request.
const SKEW_MILLISECONDS_MAX: u32 = 15 * 60 * 1000;

/// Codes about a bucket: their documents name it.
const OF_BUCKETS: &[&str] = &[
    "BucketAlreadyOwnedByYou",
    "BucketNotEmpty",
    "InvalidBucketName",
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchCORSConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchTagSet",
    "NoSuchWebsiteConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "OwnershipControlsNotFoundError",
    "ReplicationConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
];

/// Puts fields among the headers of an answer that is to be an error.
pub(super) fn attach(headers: &mut HeaderMap, fields: &[(&'static str, String)]) {
    for (name, value) in fields {
        let field = format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        if let Ok(field) = HeaderValue::from_str(&field) {
            headers.append(FIELD, field);
        }
    }
}

/// Takes them out again.
pub(super) fn take(headers: &mut HeaderMap) -> Vec<(String, String)> {
    let parse = |field: &HeaderValue| {
        let (name, value) = field.to_str().ok()?.split_once('=')?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        Some((name.to_owned(), value.into_owned()))
    };
    let fields = headers.get_all(FIELD).iter().filter_map(parse).collect();
    headers.remove(FIELD);
    fields
}

/// Returns the fields that an error with this code takes from its request. `wall_nanos` is the current time.
pub(super) fn implied(code: &str, asked: &Asked, wall_nanos: impl FnOnce() -> u64) -> Vec<(&'static str, String)> {
    let query = parse_query(&asked.uri);
    let parameter = |name: &str| query_value(&query, name).map(str::to_owned);
    match code {
        "NoSuchKey" => asked.key().map(|key| ("Key", key)).into_iter().collect(),
        "NoSuchUpload" => parameter("uploadId").map(|id| ("UploadId", id)).into_iter().collect(),
        "InvalidAccessKeyId" => {
            let header = asked.authorization.as_ref().and_then(|value| value.to_str().ok());
            let in_header = header
                .and_then(|value| value.split_once("Credential="))
                .map(|(_, rest)| rest.to_owned());
            let credential = parameter("X-Amz-Credential")
                .or(parameter("AWSAccessKeyId"))
                .or(in_header);
            let key = credential.and_then(|text| text.split('/').next().map(str::to_owned));
            key.map(|key| ("AWSAccessKeyId", key)).into_iter().collect()
        }
        "InvalidRange" => {
            let range = asked.range.as_ref().and_then(|value| value.to_str().ok());
            range
                .map(|range| ("RangeRequested", range.to_owned()))
                .into_iter()
                .collect()
        }
        "RequestTimeTooSkewed" => {
            let header = asked.date.as_ref().and_then(|date| date.to_str().ok());
            let date = parameter("X-Amz-Date").or(header.map(str::to_owned));
            vec![
                ("RequestTime", date.unwrap_or_default()),
                ("ServerTime", iso8601(wall_nanos())),
                ("MaxAllowedSkewMilliseconds", SKEW_MILLISECONDS_MAX.to_string()),
            ]
        }
        _ if OF_BUCKETS.contains(&code) => vec![("BucketName", asked.bucket())],
        _ => Vec::new(),
    }
}

/// A time since 1970 as `2026-11-29T10:11:12Z`.
fn iso8601(nanos: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z",
        u8::from(month)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn asked(uri: &str, headers: &[(&str, &str)], virtual_bucket: Option<&str>) -> Asked {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
        Asked::of(
            &request.body(()).unwrap(),
            String::new(),
            virtual_bucket.map(str::to_owned),
        )
    }

    fn fields(code: &str, asked: &Asked) -> Vec<(&'static str, String)> {
        implied(code, asked, || 1_764_411_072_999_999_999)
    }

    #[test]
    fn fields_travel_among_headers() {
        let mut headers = HeaderMap::new();
        let own = [("Key", "a=b c/ä\n".to_owned()), ("ETag", String::new())];
        attach(&mut headers, &own);
        let back = take(&mut headers);
        assert_eq!(back, own.map(|(name, value)| (name.to_owned(), value)));
        assert!(headers.is_empty());
    }

    #[test]
    fn errors_name_what_they_are_about() {
        let path_style = asked("/bucket/a%20b/c?uploadId=7", &[], None);
        assert_eq!(fields("NoSuchKey", &path_style), [("Key", "a b/c".to_owned())]);
        assert_eq!(
            fields("NoSuchBucket", &path_style),
            [("BucketName", "bucket".to_owned())]
        );
        assert_eq!(fields("NoSuchUpload", &path_style), [("UploadId", "7".to_owned())]);
        assert_eq!(fields("InternalError", &path_style), []);
        let virtual_host = asked("/a/b", &[], Some("bucket"));
        assert_eq!(fields("NoSuchKey", &virtual_host), [("Key", "a/b".to_owned())]);
        assert_eq!(
            fields("NoSuchTagSet", &virtual_host),
            [("BucketName", "bucket".to_owned())]
        );
        let signed = [(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=me/20261129/r/s3/aws4_request, x",
        )];
        let id = ("AWSAccessKeyId", "me".to_owned());
        assert_eq!(fields("InvalidAccessKeyId", &asked("/", &signed, None)), [id]);
        let presigned = asked("/b?X-Amz-Credential=you%2F2026", &[], None);
        assert_eq!(
            fields("InvalidAccessKeyId", &presigned),
            [("AWSAccessKeyId", "you".to_owned())]
        );
        let ranged = asked("/b/k", &[("range", "bytes=9-")], None);
        assert_eq!(
            fields("InvalidRange", &ranged),
            [("RangeRequested", "bytes=9-".to_owned())]
        );
    }

    #[test]
    fn a_skewed_clock_is_told_the_right_time() {
        let skewed = asked("/b", &[("x-amz-date", "20201129T101112Z")], None);
        let expected = [
            ("RequestTime", "20201129T101112Z".to_owned()),
            ("ServerTime", "2025-11-29T10:11:12Z".to_owned()),
            ("MaxAllowedSkewMilliseconds", "900000".to_owned()),
        ];
        assert_eq!(fields("RequestTimeTooSkewed", &skewed), expected);
    }
}
