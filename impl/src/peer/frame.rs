//! Frames: what two nodes send each other. Encoding and decoding, without I/O.
//!
//! ```text
//! length of the payload  u32      kind  u8       zero  u8       service  u16
//! call                   u64      sent  u32      wait  u32      payload
//! ```
//!
//! Numbers are little-endian. `sent` is when the sender wrote it, in milliseconds of its own clock since the connection
//! began; `wait`, of a request, is how long its caller waits from then on. The stream below is TLS: no frame has a
//! checksum of its own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{collections::VecDeque, io::IoSlice};

/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 24;
/// The largest payload: a record of 10,000 parts is about 1 MB, and a snapshot of its register has several of them.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// The largest payload before the peer has proven itself.
pub const UNPROVEN_PAYLOAD_BYTES_MAX: usize = 256;

/// Payloads of up to this size are copied behind the frames before them; larger ones are sent from where they are.
const COPIED_BYTES_MAX: usize = 8 << 10;
/// Room for the next read, at least.
const READ_BYTES: usize = 32 << 10;
/// Largest buffer that is used again.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// Pieces of a write.
const SLICES: usize = 16;

/// Kind of a frame. Its numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First frame of each side.
    Hello = 1,
    /// Proof that the sender knows the secret.
    Proof = 2,
    /// What the sender is, after the proofs.
    Identity = 3,
    /// A call.
    Request = 4,
    /// Its answer.
    Reply = 5,
    /// It was not run; the payload is the number of a [`super::Refusal`].
    Refused = 6,
    /// Asks for a [`Kind::Pong`].
    Ping = 7,
    /// Answers a [`Kind::Ping`].
    Pong = 8,
    /// The call was run, and has no answer.
    Unanswered = 9,
    /// The sender stops: it ends the connection behind this, and answers no call that it has not answered.
    Goodbye = 10,
}

impl Kind {
    fn of(number: u8) -> Option<Kind> {
        use Kind::*;
        [
            Hello, Proof, Identity, Request, Reply, Refused, Ping, Pong, Unanswered, Goodbye,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// What a call or its answer says: two pieces that are sent one behind the other, so that large bytes need not be
/// copied behind what is said of them. It comes in one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The first bytes.
    pub head: Bytes,
    /// Those behind them.
    pub body: Bytes,
}

impl Payload {
    /// Returns how many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B: Into<Bytes>> From<B> for Payload {
    fn from(head: B) -> Payload {
        Payload {
            head: head.into(),
            body: Bytes::new(),
        }
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// What a request is for: the number of a drive, for example.
    pub service: u16,
    /// Number of the call in its connection.
    pub call: u64,
    /// When it was sent, in milliseconds of the sender's clock since the connection began.
    pub sent_ms: u32,
    /// How long the caller of a request waits.
    pub wait_ms: u32,
    /// What it carries.
    pub payload: Payload,
}

impl Frame {
    /// A frame that belongs to no call.
    #[must_use]
    pub fn bare(kind: Kind, payload: impl Into<Payload>) -> Frame {
        Frame {
            kind,
            service: 0,
            call: 0,
            sent_ms: 0,
            wait_ms: 0,
            payload: payload.into(),
        }
    }

    fn put_header(&self, to: &mut BytesMut) {
        // No payload is larger than a u32 counts: both ends refuse those above the maximum.
        to.put_u32_le(u32::try_from(self.payload.len()).unwrap_or(u32::MAX));
        to.put_u8(self.kind as u8);
        to.put_u8(0);
        to.put_u16_le(self.service);
        to.put_u64_le(self.call);
        to.put_u32_le(self.sent_ms);
        to.put_u32_le(self.wait_ms);
    }
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub struct Outgoing {
    chunks: VecDeque<Bytes>,
    /// What comes behind `chunks`.
    tail: BytesMut,
    len: usize,
}

impl Outgoing {
    /// Adds a frame behind the others.
    pub fn push(&mut self, frame: &Frame) {
        self.len += HEADER_BYTES + frame.payload.len();
        frame.put_header(&mut self.tail);
        for piece in [&frame.payload.head, &frame.payload.body] {
            if piece.len() <= COPIED_BYTES_MAX {
                self.tail.put_slice(piece);
            } else {
                self.chunks.push_back(self.tail.split().freeze());
                self.chunks.push_back(piece.clone());
            }
        }
    }

    /// Returns how many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the first bytes that wait, in pieces; call [`Outgoing::written`] with how many of them were written.
    pub fn slices(&self) -> ([IoSlice<'_>; SLICES], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let pieces = self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[..]]);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        (slices, count)
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> Vec<u8> {
        let waiting = std::mem::take(self);
        let mut all: Vec<u8> = waiting.chunks.into_iter().flatten().collect();
        all.extend_from_slice(&waiting.tail);
        all
    }

    /// Takes off bytes that were written.
    pub fn written(&mut self, mut bytes: usize) {
        self.len -= bytes;
        while let Some(first) = self.chunks.front_mut() {
            if bytes < first.len() {
                return first.advance(bytes);
            }
            bytes -= first.len();
            self.chunks.pop_front();
        }
        self.tail.advance(bytes);
    }
}

/// Takes frames out of the bytes that come.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    payload_bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses payloads of more than `payload_bytes_max` bytes.
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Decoder {
        Decoder {
            buffer: BytesMut::new(),
            payload_bytes_max,
        }
    }

    /// Takes payloads of up to this size from now on.
    pub fn set_payload_bytes_max(&mut self, payload_bytes_max: usize) {
        self.payload_bytes_max = payload_bytes_max;
    }

    /// Returns the buffer that the next bytes are to be appended to, with room for the rest of the frame at hand.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let missing = match self.peek() {
            Ok(Some(frame_bytes)) => frame_bytes.saturating_sub(self.buffer.len()),
            _ => 0,
        };
        // A payload keeps the whole buffer that it came in: small ones must not keep that of a large one.
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        if self.buffer.capacity() - self.buffer.len() < missing.max(1) {
            self.buffer.reserve(missing.max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// Length of the next frame, once its header is there.
    fn peek(&self) -> Result<Option<usize>, &'static str> {
        let Some(length) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let payload = u32::from_le_bytes(*length) as usize;
        if payload > self.payload_bytes_max {
            return Err("a frame is larger than a frame may be");
        }
        Ok(Some(HEADER_BYTES + payload))
    }

    /// Returns the next frame, once all of it is there.
    ///
    /// # Errors
    /// What comes is no frame; nothing behind it can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, &'static str> {
        let frame_bytes = match self.peek()? {
            Some(frame_bytes) if frame_bytes <= self.buffer.len() => frame_bytes,
            _ => return Ok(None),
        };
        let mut frame = self.buffer.split_to(frame_bytes);
        frame.advance(4);
        let kind = Kind::of(frame.get_u8()).ok_or("a frame is of no kind that this version knows")?;
        if frame.get_u8() != 0 {
            return Err("a frame has a byte that should be zero");
        }
        Ok(Some(Frame {
            kind,
            service: frame.get_u16_le(),
            call: frame.get_u64_le(),
            sent_ms: frame.get_u32_le(),
            wait_ms: frame.get_u32_le(),
            payload: frame.freeze().into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, payload: usize) -> Frame {
        Frame {
            service: 0x0102,
            call: 0x0304_0506_0708_090a,
            sent_ms: 7,
            wait_ms: 8,
            ..Frame::bare(kind, Bytes::from(vec![9; payload]))
        }
    }

    /// Writes all that waits, `step` bytes at a time.
    fn written(outgoing: &mut Outgoing, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outgoing.is_empty() {
            let (slices, count) = outgoing.slices();
            let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            let bytes = joined.len().min(step);
            all.extend_from_slice(&joined[..bytes]);
            outgoing.written(bytes);
        }
        all
    }

    #[test]
    fn a_frame_has_the_layout_of_the_specification() {
        let mut outgoing = Outgoing::default();
        outgoing.push(&frame(Kind::Request, 2));
        let expected = [
            2, 0, 0, 0, 4, 0, 2, 1, 10, 9, 8, 7, 6, 5, 4, 3, 7, 0, 0, 0, 8, 0, 0, 0, 9, 9,
        ];
        assert_eq!(written(&mut outgoing, 100), expected);
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let kinds = [Kind::Request, Kind::Reply, Kind::Ping, Kind::Refused];
        let sizes = [0, 1, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 100_000, 3];
        for step in [1, 7, 4096, 1 << 20] {
            let mut outgoing = Outgoing::default();
            let frames: Vec<Frame> = kinds.iter().zip(sizes).map(|(kind, size)| frame(*kind, size)).collect();
            frames.iter().for_each(|frame| outgoing.push(frame));
            let mut decoder = Decoder::new(PAYLOAD_BYTES_MAX);
            let mut decoded = Vec::new();
            for piece in written(&mut outgoing, step).chunks(step) {
                decoder.buffer().put_slice(piece);
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    decoded.push(frame);
                }
            }
            assert_eq!(decoded, frames);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_kept() {
        let mut decoder = Decoder::new(UNPROVEN_PAYLOAD_BYTES_MAX);
        decoder.buffer().put_u32_le(257);
        assert!(decoder.next_frame().is_err());
        for (kind, zero) in [(0, 0), (11, 0), (4, 1)] {
            let mut decoder = Decoder::new(UNPROVEN_PAYLOAD_BYTES_MAX);
            decoder.buffer().put_slice(&[0, 0, 0, 0, kind, zero]);
            decoder.buffer().put_bytes(0, HEADER_BYTES - 6);
            assert!(decoder.next_frame().is_err());
        }
    }
}
