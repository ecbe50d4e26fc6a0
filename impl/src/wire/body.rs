//! The body of a request on its way in: a limit on how slowly it may come, the digests of small XML bodies,
//! and what is left of it when the answer is ready early.

use super::{
    chunks::{ChunkError, Chunks},
    gate::{parse_query, query_value},
    limits::{Lease, UNRESERVED_BYTES},
    observe::Progress,
    service::XML_BYTES_MAX,
    timer::IdleTimer,
};
use crate::{
    api::{
        ApiError, Code,
        checksum::{self, Hasher},
    },
    digest::Md5,
    runtime::{self, BoxFuture, Rt},
};
use bytes::Bytes;
use http::{Method, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::record::ChecksumKind;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

/// Bytes of an unread body that are drained at most, so that the client reads the answer.
const LEFTOVER_BYTES_MAX: usize = 16 << 20;

/// Time limit for draining an unread body.
const LEFTOVER_TIME_MAX: Duration = Duration::from_secs(2);

/// Message for a body whose chunk framing is malformed.
pub(super) const NOT_CHUNKED: &str = "The body is no valid aws-chunked data.";

/// Reason why a body ended early. Its text survives the layers of s3s, which its type does not: see [`classify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("RequestBody: TimedOut")]
    TimedOut,
    #[error("RequestBody: Broken")]
    Broken,
    #[error("RequestBody: WrongDigest")]
    WrongDigest,
    #[error("RequestBody: ChunkTooLarge")]
    ChunkTooLarge,
    #[error("RequestBody: NoMemory")]
    NoMemory,
    #[error("RequestBody: TooLong")]
    TooLong,
    #[error("RequestBody: NotChunked")]
    NotChunked,
    #[error("RequestBody: MalformedTrailer")]
    MalformedTrailer,
}

impl From<ChunkError> for BodyError {
    fn from(error: ChunkError) -> BodyError {
        match error {
            ChunkError::TooLarge => BodyError::ChunkTooLarge,
            ChunkError::Malformed => BodyError::NotChunked,
            ChunkError::Trailer => BodyError::MalformedTrailer,
        }
    }
}

/// Says what went wrong with a body that ended in an error, by the texts of s3s's stream errors (their
/// types are private) and of [`BodyError`].
pub(super) fn classify(error: &(dyn std::error::Error + 'static)) -> ApiError {
    let text = error.to_string();
    let is = |what: &str| text.contains(what);
    if is("Sha256Mismatch") {
        Code::ContentSha256Mismatch.into()
    } else if is("SignatureMismatch") {
        Code::SignatureDoesNotMatch.into()
    } else if is("RequestBody: TimedOut") {
        Code::RequestTimeout.into()
    } else if is("Incomplete") || is("LengthMismatch") || is("RequestBody: Broken") {
        Code::IncompleteBody.into()
    } else if is("RequestBody: NoMemory") {
        Code::SlowDown.into()
    } else if is("RequestBody: ChunkTooLarge") {
        ApiError::new(Code::InvalidRequest, "A signed chunk is larger than 16 MiB.")
    } else if is("RequestBody: NotChunked") {
        ApiError::new(Code::IncompleteBody, NOT_CHUNKED)
    } else if is("Trailer") {
        Code::MalformedTrailer.into()
    } else if is("AwsChunkedStreamError: FormatError") || is("ChunkMetaTooLarge") {
        // The trailer was looked at before s3s saw it.
        ApiError::new(Code::IncompleteBody, NOT_CHUNKED)
    } else {
        ApiError::new(Code::InvalidRequest, format!("The body cannot be read: {text:.200}"))
    }
}

/// State of a body, readable after the request was handled.
#[derive(Clone, Default)]
pub(super) struct BodyState(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    verdict: Option<Code>,
    /// The bytes that have come in, if they are kept.
    text: Option<Vec<u8>>,
    leftover: Option<Incoming>,
}

impl BodyState {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the bytes from here on, for operations that need elements which s3s drops from an XML body.
    pub(super) fn keep_text(&self) {
        self.lock().text.get_or_insert_default();
    }

    /// Returns the bytes that were kept.
    pub(super) fn text(&self) -> Vec<u8> {
        self.lock().text.clone().unwrap_or_default()
    }

    fn append(&self, data: &[u8]) {
        if let Some(text) = &mut self.lock().text {
            text.extend_from_slice(&data[..data.len().min(XML_BYTES_MAX - text.len())]);
        }
    }

    /// The digest that the body did not have.
    pub(super) fn verdict(&self) -> Option<Code> {
        self.lock().verdict
    }

    /// Returns whether the body is known to have been read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.lock().leftover.is_none()
    }

    /// Swallows what is left of the body, within limits: a client that is still writing when the connection
    /// closes would never see the answer. Whether nothing is left.
    pub(super) async fn swallow_leftover(&self, rt: &Rt) -> bool {
        let Some(mut leftover) = self.lock().leftover.take() else {
            return true;
        };
        let swallow = async {
            let mut swallowed = 0;
            while swallowed < LEFTOVER_BYTES_MAX {
                match leftover.frame().await {
                    Some(Ok(frame)) => swallowed += frame.data_ref().map_or(0, Bytes::len),
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            false
        };
        runtime::timeout(rt, LEFTOVER_TIME_MAX, swallow).await == Some(true)
    }
}

/// The body of a request.
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    idle: IdleTimer,
    digests: Option<Digests>,
    chunks: Option<Chunks>,
    /// Decoded bytes, ready for the reader.
    ready: VecDeque<Bytes>,
    memory: Memory,
    state: BodyState,
    progress: Arc<Progress>,
}

/// The memory that a body takes on its way to the drives.
enum Memory {
    /// Reserved, or not needed.
    Enough,
    /// Reserved once the body exceeds a few bytes: a client that sends one byte a second
    /// must not hold what others could use.
    Later {
        lease: Lease,
        bytes: u64,
        received: u64,
    },
    Awaited(BoxFuture<Result<(), ApiError>>),
    /// XML, bounded by its size instead.
    Text {
        left: usize,
    },
}

impl RequestBody {
    /// `incoming`, of the request with this head.
    pub(super) fn new(rt: &Rt, incoming: Incoming, limit: Duration, head: &Parts, progress: Arc<Progress>) -> Self {
        let content_sha256 = head
            .headers
            .get("x-amz-content-sha256")
            .and_then(|value| value.to_str().ok());
        RequestBody {
            incoming: Some(incoming),
            idle: IdleTimer::new(rt, limit),
            digests: Digests::announced(head),
            chunks: content_sha256.and_then(Chunks::of),
            ready: VecDeque::new(),
            memory: if head.method == Method::POST {
                Memory::Text { left: XML_BYTES_MAX }
            } else {
                Memory::Enough
            },
            state: BodyState::default(),
            progress,
        }
    }

    /// Has the body reserve at most `bytes` for itself before it hands on more than a little; less if it was
    /// `announced` to be short.
    pub(super) fn reserves(&mut self, lease: &Lease, bytes: u64, announced: Option<u64>) {
        // As it comes in, as a stripe, and as shards.
        let announced = announced.or_else(|| self.incoming.as_ref()?.size_hint().exact());
        let bytes = announced.map_or(bytes, |announced| bytes.min(announced.saturating_mul(3)));
        self.memory = Memory::Later {
            lease: lease.clone(),
            bytes,
            received: 0,
        };
    }

    /// Counts bytes that have come in.
    fn count(&mut self, len: usize) -> Result<(), BodyError> {
        if let Memory::Text { left } = &mut self.memory {
            *left = left.checked_sub(len).ok_or_else(|| {
                self.state.lock().verdict = Some(Code::MaxMessageLengthExceeded);
                BodyError::TooLong
            })?;
        }
        if let Memory::Later { lease, bytes, received } = &mut self.memory {
            *received += len as u64;
            if *received > UNRESERVED_BYTES {
                self.memory = Memory::Awaited(lease.reserve(*bytes));
            }
        }
        Ok(())
    }

    fn poll_memory(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Memory::Awaited(reserved) = &mut self.memory else {
            return Poll::Ready(Ok(()));
        };
        let reserved = ready!(reserved.as_mut().poll(cx));
        self.memory = Memory::Enough;
        // The client was not the one that waited.
        self.idle.touch();
        Poll::Ready(reserved.map_err(|error| {
            self.state.lock().verdict = Some(error.code);
            BodyError::NoMemory
        }))
    }

    /// Returns a handle to the body's state, for after the request was handled.
    pub(super) fn state(&self) -> BodyState {
        self.state.clone()
    }

    /// Checks that the body may end here, and its digests.
    fn finish(&mut self) -> Result<(), BodyError> {
        if let Some(chunks) = &self.chunks {
            chunks.finish()?;
        }
        match self.digests.take().and_then(Digests::wrong) {
            None => Ok(()),
            Some(code) => {
                self.state.lock().verdict = Some(code);
                Err(BodyError::WrongDigest)
            }
        }
    }

    /// Takes what has come in; what is to be handed on at once, if it is not in `ready`.
    fn take(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, BodyError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Ok(Some(trailers)),
        };
        self.progress.received(data.len());
        self.count(data.len())?;
        self.state.append(&data);
        if let Some(chunks) = &mut self.chunks {
            let pushed = chunks.push(data, &mut self.ready);
            return pushed.map(|()| None).map_err(BodyError::from);
        }
        if let Some(digests) = &mut self.digests {
            digests.update(&data);
        }
        // Who knows the length may not ask for the end: this frame may be the last one asked for.
        if self.incoming.as_ref().is_some_and(Incoming::is_end_stream) {
            self.finish()?;
        }
        Ok(Some(Frame::data(data)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Err(error) = ready!(this.poll_memory(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(data) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            let polled = Pin::new(incoming).poll_frame(cx);
            if polled.is_ready() {
                this.idle.touch();
            }
            match polled {
                Poll::Pending => {
                    ready!(this.idle.poll_idle(cx));
                    this.state.lock().verdict = Some(Code::RequestTimeout);
                    return Poll::Ready(Some(Err(BodyError::TimedOut)));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(BodyError::Broken))),
                Poll::Ready(None) => return Poll::Ready(this.finish().err().map(Err)),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(taken) = this.take(frame).transpose() {
                        return Poll::Ready(Some(taken));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // With digests to check, the end is not the end before it was polled.
        self.digests.is_none() && self.ready.is_empty() && self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            // Cut into pieces, a body becomes longer.
            Some(incoming) if self.chunks.is_none() => incoming.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.state.lock().leftover = self.incoming.take().filter(|incoming| !incoming.is_end_stream());
    }
}

/// The digests that a client has announced for an XML body. (Those of objects are verified where they are
/// stored.)
struct Digests {
    md5: Option<(Md5, Option<[u8; 16]>)>,
    checksum: Option<(ChecksumKind, Hasher, String)>,
    sha256: Option<(Hasher, String)>,
}

impl Digests {
    fn announced(head: &Parts) -> Option<Digests> {
        let text = |name: &str| head.headers.get(name)?.to_str().ok();
        if head.method != Method::POST {
            return None;
        }
        let content_sha256 = text("x-amz-content-sha256");
        if content_sha256.is_some_and(|value| value.starts_with("STREAMING-")) {
            return None;
        }
        let md5 = text("content-md5").map(|value| (Md5::default(), checksum::decode(value)));
        // At the completion of an upload it is the object's.
        let is_completion = query_value(&parse_query(&head.uri), "uploadId").is_some();
        let mut kinds = checksum::KINDS.iter().filter(|_| !is_completion);
        let checksum = kinds.find_map(|(kind, _)| {
            let value = text(checksum::header_name(*kind))?;
            Some((*kind, Hasher::new(*kind), value.to_owned()))
        });
        let sha256 = content_sha256
            .filter(|value| value.len() == 64)
            .map(|value| (Hasher::new(ChecksumKind::Sha256), value.to_ascii_lowercase()));
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
    fn wrong(self) -> Option<Code> {
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
        if !checksum::is_well_formed(kind, &expected) {
            return Some(Code::InvalidRequest);
        }
        (checksum::encode(&hasher.finish()) != expected).then_some(Code::BadDigest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(headers: &[(&str, &str)], body: &[u8]) -> Option<Code> {
        wrong_at("/b?delete", headers, body)
    }

    fn wrong_at(uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Code> {
        let mut request = http::Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut digests = Digests::announced(&request.body(()).unwrap().into_parts().0)?;
        digests.update(body);
        digests.wrong()
    }

    #[test]
    fn digests_of_xml_bodies() {
        let md5 = "content-md5";
        assert_eq!(wrong(&[(md5, "1B2M2Y8AsgTpgAmY7PhCfg==")], b""), None);
        assert_eq!(wrong(&[(md5, "1B2M2Y8AsgTpgAmY7PhCfg==")], b"x"), Some(Code::BadDigest));
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
        let upload = "/b/k?uploadId=1";
        assert_eq!(wrong_at(upload, &[("x-amz-checksum-crc32", "AAAAAA==")], b"x"), None);
        assert_eq!(
            wrong_at(upload, &[(md5, "1B2M2Y8AsgTpgAmY7PhCfg==")], b"x"),
            Some(Code::BadDigest)
        );
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(wrong(&[("x-amz-content-sha256", empty)], b""), None);
        assert_eq!(
            wrong(&[("x-amz-content-sha256", empty)], b"x"),
            Some(Code::ContentSha256Mismatch)
        );
    }

    #[test]
    fn errors_are_told_apart_by_their_text() {
        let code = |text: &str| classify(&std::io::Error::other(text)).code;
        assert_eq!(code("UploadStreamError: Sha256Mismatch"), Code::ContentSha256Mismatch);
        assert_eq!(
            code("AwsChunkedStreamError: SignatureMismatch"),
            Code::SignatureDoesNotMatch
        );
        assert_eq!(
            code("UploadStreamError: Underlying: RequestBody: TimedOut"),
            Code::RequestTimeout
        );
        assert_eq!(code("AwsChunkedStreamError: Incomplete"), Code::IncompleteBody);
        assert_eq!(code("AwsChunkedStreamError: FormatError"), Code::IncompleteBody);
        let ours = |error: BodyError| code(&format!("AwsChunkedStreamError: Underlying: {error}"));
        assert_eq!(ours(BodyError::NotChunked), Code::IncompleteBody);
        assert_eq!(ours(BodyError::MalformedTrailer), Code::MalformedTrailer);
        assert_eq!(
            code("AwsChunkedStreamError: TrailersTooLarge: size 9 exceeds limit 8"),
            Code::MalformedTrailer
        );
    }
}
