//! `Range` headers that name no range, which S3 ignores, or one that s3s cannot count: s3s refuses both.
//!
//! The header cannot be changed before s3s has verified the signature, which may cover it; and s3s reads it next,
//! with nothing of ours in between. So such a request is handed to s3s as it is, which verifies it, lets
//! [`super::gate`] decide, and refuses it; what has passed the gate is then served with the header as it is meant.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::{Body, dto};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What makes a query a signature.
const SIGNATURE: [&str; 9] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "AWSAccessKeyId",
    "Expires",
    "Signature",
];

/// Whether a request has passed the gate. It travels with the request, as an extension.
#[derive(Clone, Default)]
pub(super) struct Passed(Arc<AtomicBool>);

impl Passed {
    /// It has.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A read as it will be served if it passes.
pub(super) struct Reread {
    passed: Passed,
    request: Request<Body>,
}

impl Reread {
    /// What `request` asks for, if s3s does not read its `Range` as it is meant. From now on the request says whether
    /// it has passed.
    pub fn of(request: &mut Request<Body>) -> Option<Reread> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return None;
        }
        let range = reading(request.headers())?;
        let passed = Passed::default();
        request.extensions_mut().insert(passed.clone());
        let mut meant = Request::new(Body::empty());
        *meant.method_mut() = request.method().clone();
        *meant.version_mut() = request.version();
        *meant.uri_mut() = unsigned(request.uri())?;
        *meant.headers_mut() = request.headers().clone();
        *meant.extensions_mut() = request.extensions().clone();
        meant.headers_mut().remove(header::RANGE);
        meant.headers_mut().extend(range.map(|range| (header::RANGE, range)));
        meant.headers_mut().remove(header::AUTHORIZATION);
        Some(Reread { passed, request: meant })
    }

    /// The request, if it has passed.
    pub fn passed(self) -> Option<Request<Body>> {
        self.passed.get().then_some(self.request)
    }
}

/// How the `Range` of these headers is to be put to s3s, `Some(None)` if not at all; `None` if it is right as it is.
fn reading(headers: &HeaderMap) -> Option<Option<HeaderValue>> {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let text = ranges.next()?.to_str().unwrap_or_default();
    let meant = meant(text).filter(|_| ranges.next().is_none());
    match meant {
        Some(_) if dto::Range::parse(text).is_ok() => None,
        meant => Some(meant.and_then(|meant| HeaderValue::try_from(meant).ok())),
    }
}

/// The one range of bytes that a header names, with numbers that s3s can count: no object reaches larger ones. `None`
/// if it names none. To s3s no digits are 0.
fn meant(text: &str) -> Option<String> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u128::MAX))
    };
    let capped = |number: u128| number.min(i64::MAX as u128);
    match text.strip_prefix("bytes=")?.split_once('-')? {
        ("", last) => Some(format!("bytes=-{}", capped(number(last)?))),
        (first, "") => Some(format!("bytes={}-", capped(number(first)?))),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| format!("bytes={}-{}", capped(first), capped(last)))
        }
    }
}

/// A URL without the signature in its query; what is left stays as it was written.
fn unsigned(uri: &Uri) -> Option<Uri> {
    let Some(query) = uri.query() else {
        return Some(uri.clone());
    };
    let is_signature = |pair: &&str| {
        let name = percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
        SIGNATURE.iter().any(|own| own.eq_ignore_ascii_case(&name))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_signature(pair)).collect();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{}", uri.path(), kept.join("&")).parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, ranges: &[&'static str]) -> Request<Body> {
        let mut request = Request::get(uri).body(Body::empty()).unwrap();
        for range in ranges {
            request
                .headers_mut()
                .append(header::RANGE, HeaderValue::from_static(range));
        }
        let signature = HeaderValue::from_static("AWS4-HMAC-SHA256 Credential=x");
        request.headers_mut().insert(header::AUTHORIZATION, signature);
        request
    }

    #[test]
    fn which_are_ignored() {
        for range in ["bytes=0-9", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=9-9"] {
            assert!(Reread::of(&mut request("/b/k", &[range])).is_none(), "{range}");
        }
        assert!(Reread::of(&mut request("/b/k", &[])).is_none());
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=x-9",
            "bytes=0",
            "bytes=9-0",
            "bytes=0-1,5-6",
            "bytes=-x",
            "bytes=x-",
            "bytes=--5",
            "bytes=+1-2",
            "bytes=1-2x",
            "items=0-9",
            "0-9",
        ] {
            assert!(Reread::of(&mut request("/b/k", &[range])).is_some(), "{range}");
        }
        assert!(Reread::of(&mut request("/b/k", &["bytes=0-1", "bytes=0-1"])).is_some());
        let mut put = request("/b/k", &["bytes=-"]);
        *put.method_mut() = Method::PUT;
        assert!(Reread::of(&mut put).is_none());
    }

    #[test]
    fn numbers_that_no_object_reaches() {
        let huge = "9".repeat(50);
        for (asked, served) in [
            (format!("bytes=5-{huge}"), "bytes=5-9223372036854775807"),
            (format!("bytes={huge}-"), "bytes=9223372036854775807-"),
            ("bytes=0-18446744073709551615".to_owned(), "bytes=0-9223372036854775807"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, asked.parse().unwrap());
            assert_eq!(reading(&headers).flatten().unwrap(), served, "{asked}");
        }
        assert_eq!(meant(&format!("bytes={huge}-5")), None);
    }

    #[test]
    fn only_what_has_passed_is_served() {
        let mut asked = request("/b/k?partNumber=1", &["bytes=-"]);
        assert!(Reread::of(&mut asked).unwrap().passed().is_none());
        let reread = Reread::of(&mut asked).unwrap();
        asked.extensions().get::<Passed>().unwrap().set();
        let served = reread.passed().unwrap();
        assert_eq!(served.uri(), "/b/k?partNumber=1");
        assert!(served.headers().is_empty(), "{:?}", served.headers());
        assert!(asked.headers().contains_key(header::RANGE), "the signature covers it");
    }

    #[test]
    fn nothing_is_left_of_a_signature_in_the_url() {
        let left = |query: &str| {
            unsigned(&format!("/b/a%20k?{query}").parse().unwrap())
                .unwrap()
                .to_string()
        };
        let signature =
            "X-Amz-Algorithm=A&X-Amz-Credential=c%2Fd&x-amz-date=1&X-Amz-Expires=9&X-Amz-SignedHeaders=host";
        assert_eq!(left(&format!("{signature}&X-Amz-Signature=f")), "/b/a%20k?");
        assert_eq!(
            left(&format!(
                "response-content-type=a%2Fb+c%26d&{signature}&X-Amz-Signature=f"
            )),
            "/b/a%20k?response-content-type=a%2Fb+c%26d"
        );
        assert_eq!(
            left("AWSAccessKeyId=a&Expires=1&Signature=s&x-id=GetObject"),
            "/b/a%20k?x-id=GetObject"
        );
        assert_eq!(left("a=b+c"), "/b/a%20k?a=b+c");
    }
}
