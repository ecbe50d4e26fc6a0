//! The head of a request as its client has sent it. s3s sees another one: see [`super::normalize`].

use super::{body::RequestBody, body::Trailer, operations::Operation};
use crate::api::{ApiError, Context};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use s3s::S3Request;
use std::sync::{Arc, Mutex, PoisonError};

/// Facts of a request that its operation needs beside what s3s has read. It travels with the request, as an extension.
#[derive(Clone)]
pub(super) struct Sent(pub(super) Arc<Facts>);

pub(super) struct Facts {
    pub operation: &'static Operation,
    pub context: Context,
    /// None where s3s sees the same.
    pub headers: Option<HeaderMap>,
    pub uri: Uri,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// A document that came as the body, as it was sent.
    pub document: Bytes,
    /// The body of an object or part, until it is taken.
    pub body: Mutex<Option<RequestBody>>,
    pub trailer: Trailer,
    /// Error of the operation: s3s's own error type would lose parts of it.
    pub error: Mutex<Option<ApiError>>,
}

impl Facts {
    pub fn take_body(&self) -> Option<RequestBody> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn set_error(&self, error: ApiError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub fn take_error(&self) -> Option<ApiError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The facts of a request. [`super::S3`] gives every request its own.
pub(super) fn facts<T>(request: &S3Request<T>) -> Arc<Facts> {
    let sent = request.extensions.get::<Sent>();
    sent.expect("every request carries its facts").0.clone()
}

/// The headers that the client has sent.
pub(super) fn sent_headers<T>(request: &S3Request<T>) -> &HeaderMap {
    let sent = request.extensions.get::<Sent>();
    sent.and_then(|sent| sent.0.headers.as_ref())
        .unwrap_or(&request.headers)
}

/// The URL that the client has asked for.
pub(super) fn sent_uri<T>(request: &S3Request<T>) -> &Uri {
    let sent = request.extensions.get::<Sent>();
    sent.map_or(&request.uri, |sent| &sent.0.uri)
}
