//! Doors for the fuzz targets: what looks at a request before and after s3s.

use super::{chunks::Chunks, gate, signature};
use crate::api::ApiError;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use std::collections::VecDeque;

/// Decodes an aws-chunked body that comes in `pieces`; `None` once it is refused. Also returns the most
/// bytes that were ready at once, beyond those of the piece that had just come.
pub fn pass_chunks(content_sha256: &str, pieces: &[Bytes]) -> Option<(Vec<Bytes>, usize)> {
    let mut chunks = Chunks::of(content_sha256)?;
    let (mut passed, mut held_max) = (Vec::new(), 0);
    for piece in pieces {
        let mut out = VecDeque::new();
        chunks.push(piece.clone(), &mut out).ok()?;
        let ready: usize = out.iter().map(Bytes::len).sum();
        held_max = held_max.max(ready.saturating_sub(piece.len()));
        passed.extend(out);
    }
    Some((passed, held_max))
}

/// Runs the gate for a correctly signed request to `operation`.
///
/// # Errors
/// The refusal.
pub fn gate(operation: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let query = gate::parse_query(uri);
    gate::check_signature_scope(headers, &query)?;
    gate::check_headers(headers)?;
    gate::check_query(operation, method, &query)
}

/// Checks the form of a request's signature.
///
/// # Errors
/// The refusal.
pub fn form(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    signature::check_form(uri, headers)
}
