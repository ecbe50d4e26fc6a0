//! Cross-origin requests: what lets scripts of web pages use presigned URLs.
//!
//! Nothing here gives a right. Requests are allowed by their signatures, which no browser adds by itself, so that
//! any page may be let read the answers to its own.

use crate::{
    api::{ApiError, Code},
    http::Body,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use std::{borrow::Cow, str::FromStr};

/// The methods of S3.
const METHODS: HeaderValue = HeaderValue::from_static("GET, PUT, POST, HEAD, DELETE");

/// Time for which browsers may cache the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// Headers that scripts may read, beside those that they may anyway and the `x-amz-` ones.
const EXPOSED: &str =
    "ETag, Accept-Ranges, Content-Range, Content-Encoding, Content-Disposition, Content-Length, Date, Retry-After";

/// Request headers that a preflight's answer depends on.
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const VARY: HeaderValue = HeaderValue::from_static("Origin");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The origins whose pages may read answers: patterns in lower case, in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<String>);

/// An origin that no browser would name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: expected origins such as https://app.example.com or https://*.example.com, with commas, or * for any")]
pub struct OriginError(String);

impl Default for Origins {
    fn default() -> Origins {
        Origins(vec!["*".to_owned()])
    }
}

impl FromStr for Origins {
    type Err = OriginError;

    /// A list with commas; an empty one is any.
    fn from_str(text: &str) -> Result<Origins, OriginError> {
        let mut patterns = Vec::new();
        for pattern in text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let after_scheme = pattern.split_once("://").map(|(_, host)| host);
            let is_origin = after_scheme.is_some_and(|host| !host.is_empty() && !host.contains('/'));
            let is_pattern = after_scheme.is_none() && pattern.contains('*') && !pattern.contains('/');
            if !(is_origin || is_pattern || pattern == "null") {
                return Err(OriginError(pattern.to_owned()));
            }
            patterns.push(pattern.to_ascii_lowercase());
        }
        Ok(if patterns.is_empty() {
            Origins::default()
        } else {
            Origins(patterns)
        })
    }
}

impl Origins {
    fn allow(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        self.0.iter().any(|pattern| matches(pattern, &origin))
    }

    /// Answers what a browser asks before a request of a page of another origin; `None` if it does not ask. Whether
    /// the request will succeed is not known here: it is not signed yet.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Result<Response<Body>, ApiError>> {
        if request.method() != Method::OPTIONS {
            return None;
        }
        let Some(origin) = request.headers().get(header::ORIGIN) else {
            let message = "Insufficient information. Origin request header needed.";
            return Some(Err(ApiError::new(Code::BadRequest, message)));
        };
        if !self.allow(origin) {
            let message =
                "CORSResponse: This CORS request is not allowed: MINIO_API_CORS_ALLOW_ORIGIN has no such origin.";
            return Some(Err(ApiError::new(Code::AccessForbidden, message)));
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        headers.insert(header::VARY, VARY_PREFLIGHT);
        if let Some(names) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        Some(Ok(response))
    }

    /// Lets pages of the origin that a request came from read its answer.
    pub(super) fn expose(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        // Caches must know even if no origin was named this time.
        if !headers.contains_key(header::VARY) {
            headers.insert(header::VARY, VARY);
        }
        let Some(origin) = origin.filter(|origin| self.allow(origin)) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        let of_amazon = |name: &&HeaderName| name.as_str().starts_with("x-amz-");
        let names = headers.keys().filter(of_amazon).map(HeaderName::as_str);
        let exposed = names.fold(Cow::Borrowed(EXPOSED), |names, name| format!("{names}, {name}").into());
        if let Ok(exposed) = HeaderValue::from_str(&exposed) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Returns whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    // What stands before the next star is taken where it comes first; the last piece must be the end.
    match rest.split_once('*') {
        None => text.ends_with(rest),
        Some((piece, _)) => text
            .find(piece)
            .is_some_and(|at| matches(&rest[piece.len()..], &text[at + piece.len()..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, origin: &'static str) -> bool {
        list.parse::<Origins>()
            .unwrap()
            .allow(&HeaderValue::from_static(origin))
    }

    #[test]
    fn origins_are_matched_whole() {
        assert!(allows("", "http://anybody"));
        assert!(allows("*", "null"));
        assert!(allows("https://a.test, HTTPS://B.test:8443", "https://b.test:8443"));
        for other in ["https://a.test.evil", "http://a.test", "https://a.test:1", "null"] {
            assert!(!allows("https://a.test", other), "{other}");
        }
        assert!(allows("https://*.a.test", "https://x.y.a.test"));
        assert!(!allows("https://*.a.test", "https://a.test"));
        assert!(allows("http*://*.a.test:*", "https://x.a.test:8443"));
        assert!(!allows("http*://*.a.test:*", "https://x.b.test:8443"));
        assert!(allows("*.a.test", "https://x.a.test"));
        assert!(allows("null", "null"));
        assert!(!allows("*x*x", "x"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in ["a.test", "https://", "https://a.test/", "https://a.test,b.test", "none"] {
            assert!(bad.parse::<Origins>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_preflight_is_answered_without_a_signature() {
        let ask = |headers: &[(HeaderName, &str)]| {
            let request = Request::builder().method(Method::OPTIONS).uri("/b/k");
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(name, *value));
            let origins: Origins = "https://a.test".parse().unwrap();
            origins.preflight(&request.body(()).unwrap()).unwrap()
        };
        let wanted = [
            (header::ORIGIN, "https://a.test"),
            (header::ACCESS_CONTROL_REQUEST_METHOD, "PUT"),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type,x-amz-meta-a"),
        ];
        let response = ask(&wanted).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            response.headers()["access-control-allow-headers"],
            "content-type,x-amz-meta-a"
        );
        assert_eq!(
            response.headers()["access-control-allow-methods"],
            "GET, PUT, POST, HEAD, DELETE"
        );
        assert!(response.headers()["vary"].to_str().unwrap().starts_with("Origin,"));
        assert_eq!(ask(&wanted[1..]).unwrap_err().code, Code::BadRequest);
        let other = [(header::ORIGIN, "https://b.test")];
        assert_eq!(ask(&other).unwrap_err().code, Code::AccessForbidden);
        let get = Request::get("/b/k")
            .header(header::ORIGIN, "https://a.test")
            .body(())
            .unwrap();
        assert!(Origins::default().preflight(&get).is_none());
    }

    #[test]
    fn answers_are_readable_for_their_origin() {
        let origins: Origins = "https://a.test".parse().unwrap();
        let expose = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-request-id", HeaderValue::from_static("1"));
            origins.expose(origin.map(HeaderValue::from_static).as_ref(), &mut headers);
            headers
        };
        let headers = expose(Some("https://a.test"));
        assert_eq!(headers["access-control-allow-origin"], "https://a.test");
        assert_eq!(headers["vary"], "Origin");
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        assert!(
            exposed.starts_with("ETag, ") && exposed.ends_with(", x-amz-request-id"),
            "{exposed}"
        );
        for origin in [None, Some("https://b.test")] {
            let headers = expose(origin);
            assert!(!headers.contains_key("access-control-allow-origin"));
            assert_eq!(headers["vary"], "Origin");
        }
    }
}
