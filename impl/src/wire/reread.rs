//! Requests that S3 reads and s3s would refuse. They are put to s3s twice.
//!
//! s3s verifies a request's signature and parses its head in one call, and what may be signed cannot be changed before.
//! So such a request ends for the first time in a route of ours, which s3s calls once it has verified the signature,
//! and is then put to the same service again in the form that s3s reads, with who has signed it. What that may do is
//! decided in the second pass alone, as for any other request, and by what the client has sent.

use super::{
    admin::AdminApi,
    hosts::Domains,
    normalize::{self, Head},
    xml::XmlBody,
};
use http::{Extensions, HeaderMap, Method, Request, Uri, header};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders, route::S3Route};
use std::sync::{Arc, Mutex, PoisonError};

/// Slot for a request that needs a second pass. It travels with the request, as an extension.
#[derive(Clone, Default)]
pub(super) struct Again(Arc<Mutex<Option<Request<Body>>>>);

impl Again {
    /// The request as it is to be put to s3s now, if it must.
    pub fn take(&self) -> Option<Request<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Facts of a request in its second pass. It travels with the request, as an extension that nothing else
/// makes.
#[derive(Clone)]
pub(super) struct Authenticated(Arc<Sent>);

struct Sent {
    access_key: Option<String>,
    headers: HeaderMap,
    uri: Uri,
    trailers: Option<TrailingHeaders>,
}

impl Authenticated {
    /// Whose signature s3s has verified; none if there was no signature.
    pub fn access_key(&self) -> Option<&str> {
        self.0.access_key.as_deref()
    }

    /// The headers that the client has sent.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The URL that the client has asked for.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }
}

/// The headers that the client has sent.
pub(super) fn sent_headers<T>(request: &S3Request<T>) -> &HeaderMap {
    let own = request.extensions.get::<Authenticated>();
    own.map_or(&request.headers, Authenticated::headers)
}

/// The URL that the client has asked for.
pub(super) fn sent_uri<T>(request: &S3Request<T>) -> &Uri {
    request
        .extensions
        .get::<Authenticated>()
        .map_or(&request.uri, Authenticated::uri)
}

/// The trailer of the request's body, which is there when the body has ended.
pub(super) fn trailers<T>(request: &S3Request<T>) -> Option<TrailingHeaders> {
    let own = request.extensions.get::<Authenticated>();
    own.map_or_else(|| request.trailing_headers.clone(), |own| own.0.trailers.clone())
}

/// All that s3s does not serve itself.
pub(super) struct Routes {
    pub admin: AdminApi,
    pub domains: Domains,
}

impl Routes {
    /// Returns whether the body of a request is XML: every POST, and a PUT to a bucket.
    fn is_xml(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        let text = |name: header::HeaderName| headers.get(name)?.to_str().ok();
        let is_empty = text(header::CONTENT_LENGTH) == Some("0");
        match *method {
            Method::POST => true,
            Method::PUT if !is_empty => self
                .domains
                .is_of_bucket(text(header::HOST).unwrap_or_default(), uri.path()),
            _ => false,
        }
    }
}

#[async_trait::async_trait]
impl S3Route for Routes {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, extensions: &mut Extensions) -> bool {
        if extensions.get::<Authenticated>().is_some() {
            return false;
        }
        if self.admin.is_match(method, uri, headers, extensions) {
            return true;
        }
        let head = normalize::head(method, uri, headers, self.is_xml(method, uri, headers));
        head.map(|head| extensions.insert(head)).is_some()
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        match request.extensions.get::<Head>() {
            // The gate decides in the second pass.
            Some(_) => Ok(()),
            None => self.admin.check_access(request).await,
        }
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let Some(head) = request.extensions.remove::<Head>() else {
            return self.admin.call(request).await;
        };
        let Some(again) = request.extensions.get::<Again>().cloned() else {
            return Err(S3Error::new(S3ErrorCode::InternalError));
        };
        *again.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(second(request, head));
        Ok(S3Response::new(Body::empty()))
    }
}

/// A request whose signature s3s has verified, as it is put to s3s again.
fn second(request: S3Request<Body>, head: Head) -> Request<Body> {
    let body = if head.is_xml {
        Body::http_body_unsync(XmlBody::new(request.input))
    } else {
        request.input
    };
    let mut second = Request::new(body);
    *second.method_mut() = request.method;
    *second.uri_mut() = head.uri;
    *second.headers_mut() = head.headers;
    second.headers_mut().remove(header::AUTHORIZATION);
    *second.extensions_mut() = request.extensions;
    second.extensions_mut().insert(Authenticated(Arc::new(Sent {
        access_key: request.credentials.map(|own| own.access_key),
        headers: request.headers,
        uri: request.uri,
        trailers: request.trailing_headers,
    })));
    second
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use s3s::auth::Credentials;

    fn verified(method: Method, uri: &str, headers: &[(&'static str, &'static str)]) -> S3Request<Body> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        S3Request {
            input: Body::from("<a:Quiet> true </a:Quiet>".to_owned()),
            method,
            uri: uri.parse().unwrap(),
            headers,
            extensions: Extensions::new(),
            credentials: Some(Credentials {
                access_key: "key".into(),
                secret_key: "secret".to_owned().into(),
            }),
            region: None,
            service: None,
            trailing_headers: None,
        }
    }

    #[tokio::test]
    async fn the_second_pass_knows_what_was_sent_and_by_whom() {
        let sent = [("authorization", "AWS4-HMAC-SHA256 x"), ("range", "bytes=-")];
        let uri = "/b/k?max-keys=&X-Amz-Signature=f";
        let request = verified(Method::POST, uri, &sent);
        let head = normalize::head(&Method::POST, &request.uri, &request.headers, true).unwrap();
        let mut second = second(request, head);
        assert_eq!(second.uri(), "/b/k");
        assert!(!second.headers().contains_key("authorization"));
        let known = second.extensions().get::<Authenticated>().unwrap();
        assert_eq!(
            (known.access_key(), known.uri().to_string()),
            (Some("key"), uri.to_owned())
        );
        assert_eq!(known.headers().len(), sent.len());
        let xml = second.body_mut().store_all_limited(100).await.unwrap();
        assert_eq!(xml.trim_ascii(), b"<Quiet>true</Quiet>");
    }

    #[tokio::test]
    async fn other_bodies_are_none_of_its_business() {
        let request = verified(Method::PUT, "/b/k", &[("if-match", "!")]);
        let head = normalize::head(&Method::PUT, &request.uri, &request.headers, false).unwrap();
        let mut second = second(request, head);
        let body = second.body_mut().store_all_limited(100).await.unwrap();
        assert_eq!(body, "<a:Quiet> true </a:Quiet>");
    }
}
