//! Decodes aws-chunked bodies: chunks with a line before each that has its size and, if they are signed, its signature,
//! and behind the last one a trailer.
//!
//! Data is handed on as it comes. A wrong signature ends the body in an error, and nothing of such a body is used.

use crate::sigv4::ChunkVerifier;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};

/// Ends the line before a chunk, and the chunk.
const LINE_END: &[u8] = b"\r\n";

/// The longest line before a chunk, in bytes: its size and its signature.
const LINE_BYTES_MAX: usize = 1024;

/// The longest trailer, in bytes.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// Chunks up to this size, in bytes, are copied together: each alone would hold all that came with it.
const SMALL_BYTES: usize = 1024;

/// The field of a trailer that signs the others.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Error of a body's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// Not aws-chunked, or truncated before the last chunk.
    Malformed,
    /// More data than announced.
    TooLong,
    /// Malformed trailer.
    Trailer,
    /// Wrong signature of a chunk or of the trailer.
    Signature,
}

/// Decoder of one body.
pub(super) struct Chunks {
    /// Verifies chunks; `None` if they are not signed.
    verifier: Option<ChunkVerifier>,
    /// A trailer was announced.
    has_trailer: bool,
    /// Data that may still come, in bytes.
    left: u64,
    at: At,
    /// The line before a chunk; behind the last one the trailer.
    line: Vec<u8>,
    is_begun: bool,
    /// Announced signature of the chunk at hand, and the hash of what has come of it.
    signature: String,
    hash: Sha256,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the header line of a chunk.
    Line,
    /// In a chunk, with this many bytes left.
    Data(u64),
    /// In the line end after a chunk, with this many bytes left.
    LineEnd(usize),
    /// Behind the last chunk.
    Rest,
}

impl Chunks {
    /// Decodes a body with `announced` bytes of data at most.
    pub(super) fn new(verifier: Option<ChunkVerifier>, has_trailer: bool, announced: u64) -> Chunks {
        Chunks {
            verifier,
            has_trailer,
            left: announced,
            at: At::Line,
            line: Vec::new(),
            is_begun: false,
            signature: String::new(),
            hash: Sha256::new(),
        }
    }

    /// Takes the next bytes of the body, and appends the data among them to `out`.
    pub(super) fn push(&mut self, mut data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        self.is_begun |= !data.is_empty();
        let mut small = BytesMut::new();
        while !data.is_empty() {
            match self.at {
                At::Line => self.line(&mut data)?,
                At::Data(left) => {
                    let piece = data.split_to(data.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    let left = left - piece.len() as u64;
                    if self.verifier.is_some() {
                        self.hash.update(&piece);
                    }
                    if piece.len() <= SMALL_BYTES {
                        small.extend_from_slice(&piece);
                    } else {
                        out.extend((!small.is_empty()).then(|| small.split().freeze()));
                        out.push_back(piece);
                    }
                    if left == 0 {
                        self.verify()?;
                        self.at = At::LineEnd(LINE_END.len());
                    } else {
                        self.at = At::Data(left);
                    }
                }
                At::LineEnd(left) => {
                    let end = data.split_to(data.len().min(left));
                    if end != LINE_END[LINE_END.len() - left..][..end.len()] {
                        return Err(ChunkError::Malformed);
                    }
                    let left = left - end.len();
                    self.at = if left == 0 { At::Line } else { At::LineEnd(left) };
                }
                At::Rest => {
                    if self.line.len() + data.len() > TRAILER_BYTES_MAX {
                        return Err(ChunkError::Trailer);
                    }
                    self.line.extend_from_slice(&std::mem::take(&mut data));
                }
            }
        }
        out.extend((!small.is_empty()).then(|| small.freeze()));
        Ok(())
    }

    /// Checks that the body may end here; the fields of its trailer.
    pub(super) fn finish(&self) -> Result<HeaderMap, ChunkError> {
        if self.at != At::Rest {
            return if self.is_begun {
                Err(ChunkError::Malformed)
            } else {
                Ok(HeaderMap::new())
            };
        }
        let lines = self.line.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut lines = lines.filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_none() {
            return Ok(HeaderMap::new());
        }
        if !self.has_trailer {
            return Err(ChunkError::Malformed);
        }
        let fields: Option<Vec<_>> = lines.map(field).collect();
        let mut fields: HeaderMap = fields.ok_or(ChunkError::Trailer)?.into_iter().collect();
        let signature = fields.remove(TRAILER_SIGNATURE);
        if let Some(verifier) = &self.verifier {
            let signature = signature.as_ref().and_then(|value| value.to_str().ok());
            let signature = signature.ok_or(ChunkError::Trailer)?;
            if !verifier.trailer(signature, &canonical(&fields)) {
                return Err(ChunkError::Signature);
            }
        }
        Ok(fields)
    }

    fn line(&mut self, data: &mut Bytes) -> Result<(), ChunkError> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(data.len(), |end| end + 1);
        if self.line.len() + taken > LINE_BYTES_MAX {
            return Err(ChunkError::Malformed);
        }
        self.line.extend_from_slice(&data[..taken]);
        data.advance(taken);
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let (size, signature) = parse_line(&line).ok_or(ChunkError::Malformed)?;
        if self.verifier.is_some() {
            signature.ok_or(ChunkError::Malformed)?.clone_into(&mut self.signature);
        }
        self.left = self.left.checked_sub(size).ok_or(ChunkError::TooLong)?;
        if size > 0 {
            self.at = At::Data(size);
            return Ok(());
        }
        self.at = At::Rest;
        self.verify()
    }

    /// Verifies the chunk that has come to its end.
    fn verify(&mut self) -> Result<(), ChunkError> {
        let Some(verifier) = &mut self.verifier else {
            return Ok(());
        };
        let hash = self.hash.finalize_reset();
        if verifier.chunk(&self.signature, &hash.into()) {
            Ok(())
        } else {
            Err(ChunkError::Signature)
        }
    }
}

/// Size and signature of a chunk, by the line before it: hexadecimal digits, then extensions, if any, and a line end.
fn parse_line(line: &[u8]) -> Option<(u64, Option<&str>)> {
    let text = std::str::from_utf8(line.strip_suffix(LINE_END)?).ok()?;
    let mut parts = text.split(';');
    let size = parts.next()?;
    // `from_str_radix` alone would let a sign through.
    let digits = size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = digits.then(|| u64::from_str_radix(size, 16).ok())??;
    let signature = parts.find_map(|part| part.strip_prefix("chunk-signature="));
    Some((size, signature))
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// The fields of a trailer as they are signed: `name:value\n` of each, in the order of their names.
fn canonical(fields: &HeaderMap) -> Vec<u8> {
    let sorted: BTreeMap<&str, &HeaderName> = fields.keys().map(|name| (name.as_str(), name)).collect();
    let mut out = Vec::new();
    for name in sorted.into_values() {
        for value in fields.get_all(name) {
            out.extend([name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes a body that is not signed and comes in pieces of `size`.
    fn decode(body: &[u8], size: usize, has_trailer: bool) -> Result<(Vec<u8>, HeaderMap), ChunkError> {
        let mut chunks = Chunks::new(None, has_trailer, 1 << 30);
        let mut out = VecDeque::new();
        for piece in body.chunks(size) {
            chunks.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        let trailer = chunks.finish()?;
        Ok((out.into_iter().flatten().collect(), trailer))
    }

    proptest! {
        #[test]
        fn chunks_are_joined(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..5),
            size in 1..50_usize,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nX-Amz-Checksum-CRC32: AAAAAA== \r\n\r\n");
            let (data, trailer) = decode(&body, size, true).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(&trailer["x-amz-checksum-crc32"], "AAAAAA==");
            prop_assert_eq!(decode(&body, size, false), Err(ChunkError::Malformed));
        }
    }

    #[test]
    fn what_is_no_framing_is_refused() {
        let long = [&b"5;"[..], &[b'x'; LINE_BYTES_MAX], b"\r\n"].concat();
        for body in [
            &b"ffffffffx;chunk-signature=0\r\n"[..],
            b"5x\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello!!",
            b"5\r\nhello\r!",
            b"5\r\nhello5\r\nhello\r\n",
            b"10000000000000000\r\n",
            b"\xff\r\n",
            &long,
        ] {
            for size in [1, 2, 3000] {
                assert_eq!(decode(body, size, true), Err(ChunkError::Malformed), "{body:?}");
            }
        }
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_its_trailer() {
        for has_trailer in [false, true] {
            let finish = |body: &str| decode(body.as_bytes(), 5, has_trailer).map(drop);
            for whole in ["", "0\r\n", "0\r\n\r\n"] {
                assert_eq!(finish(whole), Ok(()), "{whole:?}");
            }
            for early in ["1", "1\r\n", "1\r\nx", "1\r\nx\r\n", "0\r"] {
                assert_eq!(finish(early), Err(ChunkError::Malformed), "{early:?}");
            }
        }
        for broken in ["0\r\nx-amz-checksum-crc32\r\n", "0\r\n:x\r\n", "0\r\na b:c\r\n"] {
            assert_eq!(
                decode(broken.as_bytes(), 5, true),
                Err(ChunkError::Trailer),
                "{broken:?}"
            );
        }
        let long = format!("0\r\na:{}\r\n", "x".repeat(TRAILER_BYTES_MAX));
        assert_eq!(decode(long.as_bytes(), 999, true), Err(ChunkError::Trailer));
    }

    #[test]
    fn no_more_than_was_announced() {
        let decode = |announced, body: &'static [u8]| {
            let mut out = VecDeque::new();
            let mut chunks = Chunks::new(None, false, announced);
            chunks.push(Bytes::from_static(body), &mut out).map(|()| out)
        };
        let body = b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
        assert_eq!(decode(1, body), Err(ChunkError::TooLong));
        // Small chunks are one piece of memory, whose framing is not kept.
        assert_eq!(decode(2, body), Ok(VecDeque::from([Bytes::from_static(b"ab")])));
        assert_eq!(decode(9, b"ffffffffffffffff\r\n"), Err(ChunkError::TooLong));
    }

    /// The example of "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" in
    /// the S3 API reference: 64 KiB and 1 KiB of the letter a.
    #[test]
    fn signed_chunks() {
        let signatures = [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ];
        let frame = |data: &[usize]| {
            let mut body = Vec::new();
            for (len, signature) in data.iter().zip(signatures) {
                body.extend(format!("{len:x};chunk-signature={signature}\r\n").into_bytes());
                body.extend(vec![b'a'; *len]);
                body.extend(b"\r\n");
            }
            body
        };
        let decode = |body: &[u8]| {
            let mut chunks = Chunks::new(Some(crate::sigv4::example_chunks()), false, 66560);
            let mut out = VecDeque::new();
            for piece in body.chunks(1000) {
                chunks.push(Bytes::copy_from_slice(piece), &mut out)?;
            }
            chunks.finish()?;
            Ok(out.iter().map(Bytes::len).sum::<usize>())
        };
        let good = frame(&[65536, 1024, 0]);
        assert_eq!(decode(&good), Ok(66560));
        let mut flipped = good.clone();
        flipped[70] ^= 1;
        assert_eq!(decode(&flipped), Err(ChunkError::Signature));
        // The last byte of the second chunk, which its signature still covers.
        flipped.clone_from(&good);
        let at = good.len() - 2 - 86 - 2 - 1;
        flipped[at - 10] ^= 1;
        assert_eq!(decode(&flipped), Err(ChunkError::Signature));
        assert_eq!(decode(&frame(&[1024, 65536, 0])), Err(ChunkError::Signature));
        assert_eq!(decode(&frame(&[65536, 1024])), Err(ChunkError::Malformed));
        let unsigned = [b"400\r\n".to_vec(), vec![b'a'; 1024], b"\r\n0\r\n".to_vec()].concat();
        assert_eq!(decode(&unsigned), Err(ChunkError::Malformed));
    }
}
