//! The body of a request on its way in: a limit on how slowly it may come, its framing and digests, and what is left of
//! it when the answer is ready early.

use super::{
    chunks::{ChunkError, Chunks},
    convert,
    operations::{BodyKind, Operation},
};
use crate::{
    api::{
        ApiError, Code,
        checksum::{self, Hasher},
    },
    digest::Md5,
    http::{AdmissionPermit, Incoming, admission::UNRESERVED_BYTES, drain, timer::IdleTimer},
    monitor::requests::Progress,
    runtime::{BoxFuture, Rt},
    sigv4::Payload,
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http_body::{Body, Frame};
use model::record::ChecksumKind;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

/// The largest XML body, in bytes: room for 1,000 keys to delete or 10,000 parts to complete.
pub(super) const XML_BYTES_MAX: usize = 8 << 20;

impl From<ChunkError> for ApiError {
    fn from(error: ChunkError) -> ApiError {
        match error {
            ChunkError::TooLong => ApiError::new(Code::IncompleteBody, "The body is longer than its declared length."),
            ChunkError::Malformed => ApiError::new(Code::IncompleteBody, "The body is no valid aws-chunked data."),
            ChunkError::Trailer => Code::MalformedTrailer.into(),
            ChunkError::Signature => Code::SignatureDoesNotMatch.into(),
        }
    }
}

/// Slot for the unread rest of a body: while a [`RequestBody`] lives, it holds it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rest(Arc<Mutex<Option<Incoming>>>);

impl Rest {
    pub(super) fn new(incoming: Incoming) -> Rest {
        Rest(Arc::new(Mutex::new(Some(incoming))))
    }

    fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, incoming: Option<Incoming>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = incoming;
    }

    /// Returns whether the body is known to have been read to its end.
    pub(super) fn is_read(&self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rest.as_ref().is_none_or(Body::is_end_stream)
    }

    /// Reads what is left, within limits; whether nothing is left. See [`drain`].
    pub(super) async fn drain(&self, rt: &Rt) -> bool {
        match self.take() {
            None => true,
            Some(incoming) => drain(rt, incoming).await,
        }
    }
}

/// The fields of a body's trailer, once it was read. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Trailer(Arc<OnceLock<HeaderMap>>);

impl Trailer {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get()?.get(name)?;
        value.to_str().ok().map(str::to_owned)
    }
}

/// The body of a request, decoded. Its error ends it.
pub(super) struct RequestBody {
    /// None once it has ended.
    incoming: Option<Incoming>,
    rest: Rest,
    idle: IdleTimer,
    digests: Option<Digests>,
    chunks: Option<Chunks>,
    /// Decoded bytes, ready for the reader.
    ready: VecDeque<Bytes>,
    memory: Memory,
    trailer: Trailer,
    progress: Arc<Progress>,
}

/// The memory that a body takes on its way to the drives.
enum Memory {
    /// Reserved, or not needed.
    Enough,
    /// Reserved once the body exceeds a few bytes: a client that sends one byte a second
    /// must not hold what others could use.
    Later {
        permit: AdmissionPermit,
        bytes: u64,
        received: u64,
    },
    Awaited(BoxFuture<Result<(), ApiError>>),
    /// A document, bounded by its size instead.
    Document {
        left: usize,
    },
}

impl RequestBody {
    /// Reads the rest of a request with these headers, for `operation`. A pause of `limit` ends it.
    pub(super) fn new(
        rt: &Rt,
        rest: &Rest,
        limit: Duration,
        operation: &Operation,
        headers: &HeaderMap,
        payload: Payload,
        progress: Arc<Progress>,
    ) -> RequestBody {
        let digests = Digests::announced(operation, headers, &payload);
        let chunks = match payload {
            Payload::Chunked { verifier, has_trailer } => {
                let announced = convert::body_length(headers).unwrap_or_default();
                Some(Chunks::new(verifier, has_trailer, announced))
            }
            Payload::Unsigned | Payload::Sha256(_) => None,
        };
        RequestBody {
            incoming: rest.take(),
            rest: rest.clone(),
            idle: IdleTimer::new(rt, limit),
            digests,
            chunks,
            ready: VecDeque::new(),
            memory: match operation.body {
                BodyKind::Xml => Memory::Document { left: XML_BYTES_MAX },
                BodyKind::None | BodyKind::Stream => Memory::Enough,
            },
            trailer: Trailer::default(),
            progress,
        }
    }

    /// Has the body reserve at most `bytes` for itself before it hands on more than a little; less if it was
    /// `announced` to be short.
    pub(super) fn reserves(&mut self, permit: &AdmissionPermit, bytes: u64, announced: Option<u64>) {
        // As it comes in, as a stripe, and as shards.
        let announced = announced.or_else(|| self.incoming.as_ref()?.size_hint().exact());
        let bytes = announced.map_or(bytes, |announced| bytes.min(announced.saturating_mul(3)));
        self.memory = Memory::Later {
            permit: permit.clone(),
            bytes,
            received: 0,
        };
    }

    /// The trailer, for after the body's end.
    pub(super) fn trailer(&self) -> Trailer {
        self.trailer.clone()
    }

    /// Reads a document to its end.
    ///
    /// # Errors
    /// The error that ended the body; [`Code::MaxMessageLengthExceeded`].
    pub(super) async fn read(mut self) -> Result<Bytes, ApiError> {
        let mut document = BytesMut::new();
        while let Some(data) = self.next().await {
            document.extend_from_slice(&data?);
        }
        Ok(document.freeze())
    }

    /// Counts bytes that have come in.
    fn count(&mut self, len: usize) -> Result<(), ApiError> {
        if let Memory::Document { left } = &mut self.memory {
            *left = left.checked_sub(len).ok_or(Code::MaxMessageLengthExceeded)?;
        }
        if let Memory::Later {
            permit,
            bytes,
            received,
        } = &mut self.memory
        {
            *received += len as u64;
            if *received > UNRESERVED_BYTES {
                let reserved = permit.reserve(*bytes);
                self.memory = Memory::Awaited(Box::pin(async { reserved.await.map_err(ApiError::from) }));
            }
        }
        Ok(())
    }

    fn poll_memory(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        let Memory::Awaited(reserved) = &mut self.memory else {
            return Poll::Ready(Ok(()));
        };
        let reserved = ready!(reserved.as_mut().poll(cx));
        self.memory = Memory::Enough;
        // The client was not the one that waited.
        self.idle.touch();
        Poll::Ready(reserved)
    }

    /// Takes what has come in.
    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), ApiError> {
        // Trailers of HTTP ask for nothing.
        let Ok(data) = frame.into_data() else { return Ok(()) };
        self.progress.received(data.len());
        self.count(data.len())?;
        if let Some(chunks) = &mut self.chunks {
            return Ok(chunks.push(data, &mut self.ready)?);
        }
        self.ready.push_back(data);
        Ok(())
    }

    /// Checks that the body may end here, and its digests.
    fn finish(&mut self) -> Result<(), ApiError> {
        self.incoming = None;
        if let Some(chunks) = &self.chunks {
            // It is set once: nothing is left to end.
            let _ = self.trailer.0.set(chunks.finish()?);
        }
        let trailer = self.trailer.0.get();
        match self.digests.take().and_then(|digests| digests.wrong(trailer)) {
            None => Ok(()),
            Some(code) => Err(code.into()),
        }
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let this = &mut *self;
        loop {
            if let Err(error) = ready!(this.poll_memory(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(data) = this.ready.pop_front() {
                if let Some(digests) = &mut this.digests {
                    digests.update(&data);
                }
                return Poll::Ready(Some(Ok(data)));
            }
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            let polled = Pin::new(incoming).poll_frame(cx);
            if polled.is_ready() {
                this.idle.touch();
            }
            let taken = match polled {
                Poll::Pending => {
                    ready!(this.idle.poll_idle(cx));
                    Err(Code::RequestTimeout.into())
                }
                Poll::Ready(Some(Err(_))) => Err(Code::IncompleteBody.into()),
                Poll::Ready(None) => this.finish(),
                Poll::Ready(Some(Ok(frame))) => this.take(frame),
            };
            if let Err(error) = taken {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.rest.put_back(self.incoming.take());
    }
}

/// The digests that a client has announced: the hash that its signature covers, and those of a document. (Others of
/// objects are verified where they are stored.)
struct Digests {
    md5: Option<(Md5, Option<[u8; 16]>)>,
    /// The value is in the trailer if it is not here.
    checksum: Option<(ChecksumKind, Hasher, Option<String>)>,
    sha256: Option<(Hasher, String)>,
}

impl Digests {
    fn announced(operation: &Operation, headers: &HeaderMap, payload: &Payload) -> Option<Digests> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let sha256 = match payload {
            Payload::Sha256(hash) => Some((Hasher::new(ChecksumKind::Sha256), hash.clone())),
            Payload::Unsigned | Payload::Chunked { .. } => None,
        };
        let is_document = operation.body == BodyKind::Xml;
        let md5 = text("content-md5").filter(|_| is_document);
        let md5 = md5.map(|value| (Md5::default(), checksum::decode(value)));
        // At the completion of an upload it is the object's.
        let has_own = is_document && operation.name != "CompleteMultipartUpload";
        let mut kinds = checksum::KINDS.iter().filter(|_| has_own);
        let in_trailer = text("x-amz-trailer")
            .filter(|_| payload.is_chunked())
            .unwrap_or_default();
        let checksum = kinds.find_map(|(kind, _)| {
            let name = checksum::header_name(*kind);
            let value = text(name).map(str::to_owned);
            let is_announced = in_trailer.split(',').any(|own| own.trim().eq_ignore_ascii_case(name));
            (value.is_some() || is_announced).then(|| (*kind, Hasher::new(*kind), value))
        });
        Some(Digests { md5, checksum, sha256 })
    }

    fn update(&mut self, data: &[u8]) {
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(data);
        }
        if let Some((_, hasher, _)) = &mut self.checksum {
            hasher.update(data);
        }
        if let Some((hasher, _)) = &mut self.sha256 {
            hasher.update(data);
        }
    }

    /// Returns the S3 error for a digest that does not match.
    fn wrong(self, trailer: Option<&HeaderMap>) -> Option<Code> {
        if let Some((hasher, expected)) = self.sha256
            && crate::api::hex(&hasher.finish()) != expected
        {
            return Some(Code::ContentSha256Mismatch);
        }
        if let Some((md5, expected)) = self.md5 {
            match expected {
                None => return Some(Code::InvalidDigest),
                Some(expected) if expected != md5.finish() => return Some(Code::BadDigest),
                Some(_) => {}
            }
        }
        let (kind, hasher, expected) = self.checksum?;
        let in_trailer = || {
            let value = trailer?.get(checksum::header_name(kind))?;
            value.to_str().ok().map(str::to_owned)
        };
        let Some(expected) = expected.or_else(in_trailer) else {
            return Some(Code::MalformedTrailer);
        };
        if !checksum::is_well_formed(kind, &expected) {
            return Some(Code::InvalidRequest);
        }
        (checksum::encode(&hasher.finish()) != expected).then_some(Code::BadDigest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::operations::OPERATIONS;
    use http::{HeaderName, HeaderValue};

    fn wrong_for(operation: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Option<Code> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let operation = OPERATIONS.iter().find(|own| own.name == operation).unwrap();
        let payload = match headers.get("x-amz-content-sha256") {
            Some(hash) => Payload::Sha256(hash.to_str().unwrap().to_owned()),
            None => Payload::Unsigned,
        };
        let mut digests = Digests::announced(operation, &headers, &payload)?;
        digests.update(body);
        digests.wrong(None)
    }

    fn wrong(headers: &[(&'static str, &str)], body: &[u8]) -> Option<Code> {
        wrong_for("DeleteObjects", headers, body)
    }

    #[test]
    fn digests_of_documents() {
        let md5 = "content-md5";
        let right = "1B2M2Y8AsgTpgAmY7PhCfg==";
        assert_eq!(wrong(&[(md5, right)], b""), None);
        assert_eq!(wrong(&[(md5, right)], b"x"), Some(Code::BadDigest));
        assert_eq!(
            wrong_for("PutBucketTagging", &[(md5, right)], b"x"),
            Some(Code::BadDigest)
        );
        assert_eq!(wrong(&[(md5, "short")], b""), Some(Code::InvalidDigest));
        assert_eq!(wrong(&[("x-amz-checksum-crc32", "AAAAAA==")], b""), None);
        assert_eq!(
            wrong(&[("x-amz-checksum-crc32", "AAAAAA==")], b"x"),
            Some(Code::BadDigest)
        );
        assert_eq!(
            wrong(&[("x-amz-checksum-crc32", "!!")], b""),
            Some(Code::InvalidRequest)
        );
        assert_eq!(wrong(&[(md5, "")], b""), Some(Code::InvalidDigest));
        let complete = "CompleteMultipartUpload";
        assert_eq!(wrong_for(complete, &[("x-amz-checksum-crc32", "AAAAAA==")], b"x"), None);
        assert_eq!(wrong_for(complete, &[(md5, right)], b"x"), Some(Code::BadDigest));
    }

    #[test]
    fn a_checksum_in_the_trailer_of_a_document() {
        let operation = OPERATIONS.iter().find(|own| own.name == "DeleteObjects").unwrap();
        let headers: HeaderMap = [(
            HeaderName::from_static("x-amz-trailer"),
            HeaderValue::from_static("X-Amz-Checksum-CRC32"),
        )]
        .into_iter()
        .collect();
        let payload = Payload::Chunked {
            verifier: None,
            has_trailer: true,
        };
        let wrong = |value: Option<&'static str>, body: &[u8]| {
            let name = HeaderName::from_static("x-amz-checksum-crc32");
            let trailer = value.map(|value| (name, HeaderValue::from_static(value)));
            let mut digests = Digests::announced(operation, &headers, &payload).unwrap();
            digests.update(body);
            digests.wrong(Some(&trailer.into_iter().collect()))
        };
        assert_eq!(wrong(Some("AAAAAA=="), b""), None);
        assert_eq!(wrong(Some("AAAAAA=="), b"x"), Some(Code::BadDigest));
        assert_eq!(wrong(None, b""), Some(Code::MalformedTrailer));
    }

    #[test]
    fn the_signed_hash_of_any_body() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for operation in ["DeleteObjects", "PutObject"] {
            assert_eq!(wrong_for(operation, &[("x-amz-content-sha256", empty)], b""), None);
            assert_eq!(
                wrong_for(operation, &[("x-amz-content-sha256", empty)], b"x"),
                Some(Code::ContentSha256Mismatch)
            );
        }
        // Those of an object are the store's to verify.
        assert_eq!(wrong_for("PutObject", &[("content-md5", "short")], b""), None);
    }
}
