//! Bounds the memory that an aws-chunked body takes. s3s gathers each chunk whole before it hands it on, and
//! some SDKs send an object of any size as one chunk.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// The largest signed chunk, in bytes. SDKs sign chunks of 64 KiB to 1 MiB.
const SIGNED_CHUNK_BYTES_MAX: u64 = 16 << 20;

/// Ends the line before a chunk, and the chunk.
const LINE_END: &[u8] = b"\r\n";

/// The longest line before a chunk, in bytes: its size and its signature.
const LINE_BYTES_MAX: usize = 1024;

/// The field of a trailer that signs the others.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Error of the framing, found before s3s has seen the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// A signed chunk is too large to be held until its signature is verified.
    TooLarge,
    /// Not aws-chunked, or truncated before the last chunk.
    Malformed,
    /// Malformed trailer.
    Trailer,
}

/// The longest trailer that is looked at, in bytes; s3s refuses longer ones.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// Watches the framing of an aws-chunked body on its way to s3s. Unsigned chunks are cut into the pieces in
/// which they come. What is not such framing is refused here: s3s reads a size up to the first letter that is no
/// digit, and would hold the 4 GiB of a chunk of `ffffffffx` bytes.
pub(super) struct Chunks {
    signed: bool,
    /// A trailer was announced.
    has_trailer: bool,
    at: At,
    /// The line before a chunk; behind the last one the trailer.
    line: Vec<u8>,
    is_begun: bool,
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
    /// Creates the decoder for a value of `x-amz-content-sha256`; `None` if that is not aws-chunked.
    pub(super) fn of(content_sha256: &str) -> Option<Chunks> {
        content_sha256.starts_with("STREAMING-").then(|| Chunks {
            signed: !content_sha256.starts_with("STREAMING-UNSIGNED-"),
            has_trailer: content_sha256.ends_with("-TRAILER"),
            at: At::Line,
            line: Vec::new(),
            is_begun: false,
        })
    }

    /// Takes the next bytes of the body, and appends what s3s is to see to `out`.
    pub(super) fn push(&mut self, mut data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        self.is_begun |= !data.is_empty();
        while !data.is_empty() {
            match self.at {
                At::Line => self.line(&mut data, out)?,
                At::Data(left) => {
                    let piece = data.split_to(data.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    let left = left - piece.len() as u64;
                    self.at = if left == 0 {
                        At::LineEnd(LINE_END.len())
                    } else {
                        At::Data(left)
                    };
                    self.emit(piece, out);
                }
                At::LineEnd(left) => {
                    let end = data.split_to(data.len().min(left));
                    if end != LINE_END[LINE_END.len() - left..][..end.len()] {
                        return Err(ChunkError::Malformed);
                    }
                    let left = left - end.len();
                    self.at = if left == 0 { At::Line } else { At::LineEnd(left) };
                    if self.signed {
                        out.push_back(end);
                    }
                }
                At::Rest => {
                    let room = TRAILER_BYTES_MAX.saturating_sub(self.line.len());
                    self.line.extend_from_slice(&data[..data.len().min(room)]);
                    out.push_back(std::mem::take(&mut data));
                }
            }
        }
        Ok(())
    }

    /// Checks that the body may end here. (s3s takes a body without its last chunk for whole, and
    /// has one error for a broken frame and a broken trailer.)
    pub(super) fn finish(&self) -> Result<(), ChunkError> {
        if self.at != At::Rest {
            return if self.is_begun {
                Err(ChunkError::Malformed)
            } else {
                Ok(())
            };
        }
        let lines = || self.line.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut fields = lines().filter(|line| !line.is_empty()).peekable();
        if fields.peek().is_none() {
            return Ok(());
        }
        if !self.has_trailer {
            return Err(ChunkError::Malformed);
        }
        let name_of = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            http::HeaderName::from_bytes(&line[..colon]).ok()
        };
        let names: Option<Vec<_>> = fields.map(name_of).collect();
        let has_signature = |names: &[http::HeaderName]| names.iter().any(|name| name == TRAILER_SIGNATURE);
        match names {
            Some(names) if !self.signed || has_signature(&names) => Ok(()),
            _ => Err(ChunkError::Trailer),
        }
    }

    fn emit(&self, piece: Bytes, out: &mut VecDeque<Bytes>) {
        if self.signed {
            out.push_back(piece);
        } else {
            out.push_back(format!("{:x}\r\n", piece.len()).into());
            out.push_back(piece);
            out.push_back(Bytes::from_static(LINE_END));
        }
    }

    fn line(&mut self, data: &mut Bytes, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(data.len(), |end| end + 1);
        self.line.extend_from_slice(&data[..taken]);
        data.advance(taken);
        if self.line.len() > LINE_BYTES_MAX {
            return Err(ChunkError::Malformed);
        }
        if end.is_none() {
            return Ok(());
        }
        let line = Bytes::from(std::mem::take(&mut self.line));
        let size = chunk_size(&line).ok_or(ChunkError::Malformed)?;
        self.at = if size == 0 { At::Rest } else { At::Data(size) };
        if self.signed && size > SIGNED_CHUNK_BYTES_MAX {
            return Err(ChunkError::TooLarge);
        }
        if self.signed || size == 0 {
            out.push_back(line);
        }
        Ok(())
    }
}

/// The size of a chunk by the line before it: hexadecimal digits, then its signature, if any, and a line end.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line.strip_suffix(LINE_END)?).ok()?;
    let size = text.split(';').next()?;
    // `from_str_radix` alone would let a sign through.
    let digits = size.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(size, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `body` in pieces of `size`; all that comes out, and the largest chunk in it.
    fn pass(content_sha256: &str, body: &[u8], size: usize) -> Result<Vec<u8>, ChunkError> {
        let mut chunks = Chunks::of(content_sha256).unwrap();
        let mut out = VecDeque::new();
        for piece in body.chunks(size) {
            chunks.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        Ok(out.into_iter().flatten().collect())
    }

    /// The data and the trailer of an aws-chunked body, and its largest chunk.
    fn decode(mut body: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
        let (mut data, mut largest) = (Vec::new(), 0);
        loop {
            let end = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let size = usize::try_from(chunk_size(&body[..end]).unwrap()).unwrap();
            body = &body[end..];
            if size == 0 {
                return (data, body.to_vec(), largest);
            }
            data.extend_from_slice(&body[..size]);
            assert_eq!(&body[size..size + 2], b"\r\n");
            body = &body[size + 2..];
            largest = largest.max(size);
        }
    }

    proptest! {
        #[test]
        fn unsigned_chunks_are_cut_into_pieces(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..5),
            size in 1..50_usize,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            let trailer = b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n";
            body.extend_from_slice(b"0\r\n");
            body.extend_from_slice(trailer);
            let passed = pass("STREAMING-UNSIGNED-PAYLOAD-TRAILER", &body, size).unwrap();
            let (data, rest, largest) = decode(&passed);
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(rest, trailer);
            prop_assert!(largest <= size);
            prop_assert_eq!(pass("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &body, size).unwrap(), body);
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
            for signed in [
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            ] {
                for size in [1, 2, 3000] {
                    assert_eq!(pass(signed, body, size), Err(ChunkError::Malformed), "{body:?}");
                }
            }
        }
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_its_trailer() {
        let finish = |content_sha256: &str, body: &str| {
            let mut chunks = Chunks::of(content_sha256).unwrap();
            chunks
                .push(Bytes::copy_from_slice(body.as_bytes()), &mut VecDeque::new())
                .unwrap();
            chunks.finish()
        };
        let (unsigned, signed) = (
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        );
        let plain = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        for mode in [unsigned, signed, plain] {
            assert_eq!(finish(mode, ""), Ok(()));
            assert_eq!(finish(mode, "0\r\n"), Ok(()));
            assert_eq!(finish(mode, "0\r\n\r\n"), Ok(()));
            for early in ["1", "1\r\n", "1\r\nx", "1\r\nx\r\n", "0\r"] {
                assert_eq!(finish(mode, early), Err(ChunkError::Malformed), "{early:?}");
            }
        }
        let trailer = "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n";
        assert_eq!(finish(unsigned, &format!("{trailer}\r\n")), Ok(()));
        assert_eq!(finish(signed, trailer), Err(ChunkError::Trailer));
        assert_eq!(
            finish(signed, &format!("{trailer}x-amz-trailer-signature:0\r\n")),
            Ok(())
        );
        assert_eq!(finish(plain, trailer), Err(ChunkError::Malformed));
        for broken in ["0\r\nx-amz-checksum-crc32\r\n", "0\r\n:x\r\n", "0\r\na b:c\r\n"] {
            assert_eq!(finish(unsigned, broken), Err(ChunkError::Trailer), "{broken:?}");
        }
    }

    #[test]
    fn signed_chunks_are_limited() {
        let signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
        assert!(pass(signed, b"1000000;chunk-signature=0\r\n", 7).is_ok());
        assert_eq!(
            pass(signed, b"1000001;chunk-signature=0\r\n", 7),
            Err(ChunkError::TooLarge)
        );
        assert!(pass("STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"FFFFFFFFF\r\nx", 7).is_ok());
        assert!(Chunks::of("UNSIGNED-PAYLOAD").is_none());
    }
}
