//! Elements of an error document beside its code and message, such as the `Key` of a `NoSuchKey`.

use super::reply::RequestHead;
use crate::sigv4::{SKEW_SECONDS_MAX, parse_query, query_value};
use std::fmt::Write as _;
use time::OffsetDateTime;

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

/// Returns the fields that an error with this code takes from its request.
pub(super) fn implied(code: &str, asked: &RequestHead) -> Vec<(&'static str, String)> {
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
                ("ServerTime", iso8601(asked.now)),
                ("MaxAllowedSkewMilliseconds", (SKEW_SECONDS_MAX * 1000).to_string()),
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

    fn asked(uri: &str, headers: &[(&str, &str)], virtual_bucket: Option<&str>) -> RequestHead {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
        RequestHead::test(&request.body(()).unwrap(), virtual_bucket)
    }

    fn fields(code: &str, asked: &RequestHead) -> Vec<(&'static str, String)> {
        implied(code, asked)
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
