//! Normalization of request heads that S3 accepts and s3s does not.

use crate::{
    api::headers::{METADATA_PREFIX, STORED},
    http::dates,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};

/// Query parameters that are numbers or true or false. Empty ones count as absent.
const BLANKABLE: &[&str] = &[
    "fetch-owner",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
];

/// Query parameters that s3s takes for a signature. It has been verified.
const SIGNATURES: &[&str] = &["Signature", "X-Amz-Signature"];

/// Characters that must be escaped in a copy source that is escaped already, beside non-ASCII bytes.
const UNESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'+');

/// The head of a request as s3s is to read it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub headers: HeaderMap,
    /// The URI without parameters that s3s takes for a signature.
    pub uri: Uri,
}

/// Normalization of a header.
enum Reading {
    AsItIs,
    As(HeaderValue),
    /// S3 ignores it, or it is read from what the client has sent.
    Without,
}

/// The head of a request as it is put to s3s after its signature was verified; `None` if s3s reads it as S3 does.
pub(super) fn head(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Head> {
    let changes: Vec<(HeaderName, Option<HeaderValue>)> = headers
        .keys()
        .filter_map(|name| match reading(method, name, headers) {
            Reading::AsItIs => None,
            Reading::As(value) => Some((name.clone(), Some(value))),
            Reading::Without => Some((name.clone(), None)),
        })
        .collect();
    if changes.is_empty() && !parameters(uri).any(is_left_out) {
        return None;
    }
    let mut headers = headers.clone();
    for (name, value) in changes {
        headers.remove(&name);
        headers.extend(value.map(|value| (name, value)));
    }
    let uri = without(uri, is_left_out)?;
    Some(Head { headers, uri })
}

fn reading(method: &Method, name: &HeaderName, headers: &HeaderMap) -> Reading {
    let name = name.as_str();
    let mut values = headers.get_all(name).iter();
    // Repeated ones are none.
    let only = values.next().filter(|_| values.next().is_none());
    match name {
        "range" if [Method::GET, Method::HEAD].contains(method) => range(only),
        "if-modified-since"
        | "if-unmodified-since"
        | "x-amz-copy-source-if-modified-since"
        | "x-amz-copy-source-if-unmodified-since" => date(only),
        "if-match" | "if-none-match" | "x-amz-copy-source-if-match" | "x-amz-copy-source-if-none-match" => {
            etags(only, headers, name)
        }
        "x-amz-copy-source" => copy_source(only),
        "expires" if only.is_some_and(|value| parses_as_date(value) || value.is_empty()) => Reading::AsItIs,
        "expires" => Reading::Without,
        _ if STORED.contains(&name) => stored(only),
        _ if name.starts_with(METADATA_PREFIX) => metadata(only),
        _ => Reading::AsItIs,
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

fn range(value: Option<&HeaderValue>) -> Reading {
    let Some(meant) = text(value).and_then(parse_range) else {
        return Reading::Without;
    };
    if value.is_some_and(|value| value == meant.as_str()) {
        return Reading::AsItIs;
    }
    HeaderValue::try_from(meant).map_or(Reading::Without, Reading::As)
}

/// The one range of bytes that a header names, with numbers that s3s can count: no object reaches larger ones. `None`
/// if it names none. To s3s no digits are 0.
fn parse_range(text: &str) -> Option<String> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u128::MAX))
    };
    let capped = |number: u128| number.min(i64::MAX as u128);
    let (unit, range) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    match range.trim().split_once('-')? {
        ("", last) => Some(format!("bytes=-{}", capped(number(last)?))),
        (first, "") => Some(format!("bytes={}-", capped(number(first)?))),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| format!("bytes={}-{}", capped(first), capped(last)))
        }
    }
}

fn parses_as_date(value: &HeaderValue) -> bool {
    text(Some(value)).is_some_and(|text| Timestamp::parse(TimestampFormat::HttpDate, text).is_ok())
}

fn date(value: Option<&HeaderValue>) -> Reading {
    if value.is_some_and(parses_as_date) {
        return Reading::AsItIs;
    }
    let date = text(value).and_then(dates::parse_http).map(dates::format_http);
    let date = date.and_then(|date| HeaderValue::try_from(date).ok());
    date.map_or(Reading::Without, Reading::As)
}

/// A list of ETags: one with commas and quotes in it to s3s.
fn etags(only: Option<&HeaderValue>, headers: &HeaderMap, name: &str) -> Reading {
    if only.is_some_and(|value| value.is_empty() || ETagCondition::parse_http_header(value.as_bytes()).is_ok()) {
        return Reading::AsItIs;
    }
    // What no ETag holds equals none.
    let listed = joined(headers, name).into_iter().map(|byte| match byte {
        b' '..=b'~' => byte,
        _ => b'?',
    });
    let quoted: Vec<u8> = b"\"".iter().copied().chain(listed).chain(*b"\"").collect();
    HeaderValue::try_from(quoted).map_or(Reading::Without, Reading::As)
}

/// S3 reads a plus as the space that forms write so.
fn copy_source(value: Option<&HeaderValue>) -> Reading {
    let Some(value) = value else {
        return Reading::AsItIs;
    };
    if value.to_str().is_ok_and(|text| !text.contains('+')) {
        return Reading::AsItIs;
    }
    let spaces: Vec<u8> = value
        .as_bytes()
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let escaped = percent_encode(&spaces, UNESCAPED).to_string();
    HeaderValue::try_from(escaped).map_or(Reading::AsItIs, Reading::As)
}

fn stored(value: Option<&HeaderValue>) -> Reading {
    match text(value) {
        Some(_) => Reading::AsItIs,
        None => Reading::Without,
    }
}

/// s3s decodes what looks like the encoding of mail (RFC 2047).
fn metadata(value: Option<&HeaderValue>) -> Reading {
    match text(value) {
        Some(text) if !text.contains("=?") => Reading::AsItIs,
        _ => Reading::Without,
    }
}

/// The values of a header, with commas between them.
pub(super) fn joined(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    values.join(&b","[..])
}

/// The parameters of a query as they are written.
fn parameters(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&')
}

/// Returns whether a parameter is hidden from s3s.
fn is_left_out(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    if SIGNATURES.contains(&name) {
        return true;
    }
    // The answer takes it from what the client has sent.
    (value.is_empty() && BLANKABLE.contains(&name)) || name == "response-expires"
}

/// A URL without some parameters; what is left stays as it was written.
fn without(uri: &Uri, left_out: impl Fn(&str) -> bool) -> Option<Uri> {
    let kept: Vec<&str> = parameters(uri).filter(|parameter| !left_out(parameter)).collect();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = match &kept[..] {
        [] | [""] => Some(uri.path().parse().ok()?),
        kept => Some(format!("{}?{}", uri.path(), kept.join("&")).parse().ok()?),
    };
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::dto;

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        values
            .iter()
            .map(|value| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    /// Returns the value of a header as s3s reads it; `None` if it cannot.
    fn read(name: &'static str, values: &[&[u8]]) -> Option<String> {
        let sent = headers(name, values);
        let read = head(&Method::GET, &"/b/k".parse().unwrap(), &sent).map_or(sent, |head| head.headers);
        let mut read = read.get_all(name).iter();
        let value = read.next()?;
        assert_eq!(read.next(), None, "{name}");
        Some(value.to_str().unwrap().to_owned())
    }

    fn check(name: &'static str, cases: &[(&str, Option<&str>)]) {
        for (sent, expected) in cases {
            assert_eq!(read(name, &[sent.as_bytes()]).as_deref(), *expected, "{name}: {sent}");
        }
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for range in ["bytes=0-9", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=9-9"] {
            check("range", &[(range, Some(range))]);
            assert!(dto::Range::parse(range).is_ok(), "{range}");
        }
        let none = "|bytes|bytes=|bytes=-|bytes=x-9|bytes=0|bytes=9-0|bytes=0-1,5-6|bytes=-x|bytes=x-|bytes=--5|\
                    bytes=+1-2|bytes=1-2x|items=0-9|0-9|bytes 0-9";
        for range in none.split('|') {
            check("range", &[(range, None)]);
        }
        assert_eq!(read("range", &[b"bytes=0-1", b"bytes=0-1"]), None);
        let huge = "9".repeat(50);
        check(
            "range",
            &[
                ("Bytes= 0-9", Some("bytes=0-9")),
                (&format!("bytes=5-{huge}"), Some("bytes=5-9223372036854775807")),
                (&format!("bytes={huge}-"), Some("bytes=9223372036854775807-")),
                (&format!("bytes=-{huge}"), Some("bytes=-9223372036854775807")),
                (&format!("bytes={huge}-5"), None),
                ("bytes=0-18446744073709551615", Some("bytes=0-9223372036854775807")),
            ],
        );
        let sent = headers("range", &[b"bytes=-"]);
        assert!(head(&Method::PUT, &"/b/k".parse().unwrap(), &sent).is_none());
    }

    #[test]
    fn dates_of_conditions() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for name in ["if-modified-since", "x-amz-copy-source-if-unmodified-since"] {
            check(
                name,
                &[
                    (date, Some(date)),
                    ("Sunday, 06-Nov-94 08:49:37 GMT", Some(date)),
                    ("Sun Nov  6 08:49:37 1994", Some(date)),
                    ("yesterday", None),
                    ("1994-11-06T08:49:37Z", None),
                ],
            );
            assert_eq!(read(name, &[date.as_bytes(), date.as_bytes()]), None);
        }
    }

    #[test]
    fn etags_in_any_form() {
        for name in ["if-match", "x-amz-copy-source-if-none-match"] {
            check(
                name,
                &[
                    ("*", Some("*")),
                    ("\"a\"", Some("\"a\"")),
                    ("abc", Some("abc")),
                    ("not-an-md5!", Some("\"not-an-md5!\"")),
                    ("\"half", Some("\"\"half\"")),
                    ("\"a\", b", Some("\"\"a\", b\"")),
                    ("ä", Some("\"??\"")),
                ],
            );
            assert_eq!(read(name, &[b"\"a\"", b"\"b\""]).as_deref(), Some("\"\"a\",\"b\"\""));
        }
    }

    #[test]
    fn copy_sources() {
        check(
            "x-amz-copy-source",
            &[
                ("b/a%2Bb%20c", Some("b/a%2Bb%20c")),
                ("b/a+b?versionId=null", Some("b/a%20b?versionId=null")),
                ("b/ä%2B", Some("b/%C3%A4%2B")),
            ],
        );
    }

    #[test]
    fn stored_headers_that_s3s_would_refuse_or_change() {
        check(
            "content-disposition",
            &[("attachment", Some("attachment")), ("filename=ä", None)],
        );
        check(
            "expires",
            &[
                ("Sun, 06 Nov 1994 08:49:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
                ("0", None),
            ],
        );
        check(
            "x-amz-meta-a",
            &[("a", Some("a")), ("ä", None), ("=?UTF-8?B?w6Q=?=", None)],
        );
        assert_eq!(read("x-amz-meta-a", &[b"a", b"b"]), None);
        assert_eq!(read("cache-control", &[b"a", b"b"]), None);
        assert_eq!(
            joined(&headers("x-amz-meta-a", &[b"a", b"", b"b"]), "x-amz-meta-a"),
            b"a,,b"
        );
    }

    #[test]
    fn queries() {
        let left = |query: &str| {
            let uri: Uri = format!("/b/a%20k?{query}").parse().unwrap();
            let head = head(&Method::GET, &uri, &HeaderMap::new());
            head.map_or(uri, |head| head.uri).to_string()
        };
        assert_eq!(
            left("list-type=2&prefix=&max-keys=&X-Amz-Signature=f"),
            "/b/a%20k?list-type=2&prefix="
        );
        assert_eq!(left("max-keys&fetch-owner="), "/b/a%20k");
        assert_eq!(left("max-keys=1&a=b+c&X-Amz-Signature=f"), "/b/a%20k?max-keys=1&a=b+c");
        assert_eq!(left("response-expires=0&a"), "/b/a%20k?a");
        assert_eq!(left("delete&Signature=f"), "/b/a%20k?delete");
    }
}
