//! Entry points of the fuzz targets into what looks at a request before s3s does.

use super::{chunks::Chunks, gate, operations};
use crate::{
    api::{ApiError, Code},
    sigv4,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use std::collections::VecDeque;

/// Decodes an aws-chunked body that comes in `pieces` and is not signed; `None` once it is refused. Also returns the
/// most bytes that were ready at once, beyond those of the piece that had just come.
pub fn decode_chunks(has_trailer: bool, pieces: &[Bytes]) -> Option<(Vec<u8>, HeaderMap, usize)> {
    let mut chunks = Chunks::new(None, has_trailer, u64::MAX);
    let (mut data, mut held_max) = (Vec::new(), 0);
    for piece in pieces {
        let mut out = VecDeque::new();
        chunks.push(piece.clone(), &mut out).ok()?;
        let ready: usize = out.iter().map(Bytes::len).sum();
        held_max = held_max.max(ready.saturating_sub(piece.len()));
        data.extend(out.into_iter().flatten());
    }
    Some((data, chunks.finish().ok()?, held_max))
}

/// Runs the gate for a correctly signed request to an object; the name of its operation.
///
/// # Errors
/// The refusal.
pub fn gate(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<&'static str, ApiError> {
    let query = sigv4::parse_query(uri);
    let operation = operations::find(method, operations::Target::Object, &query, headers);
    let operation = operation.ok_or(Code::NotImplemented)?;
    gate::check_asked(operation, headers, &query)?;
    Ok(operation.name)
}
