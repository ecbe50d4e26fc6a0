//! Any bytes as frames.

use bolero::{TypeGenerator, check};
use store::peer::fuzzing::{Decoder, Frame, HEADER_BYTES, Outgoing};

/// Largest payload in these tests.
const PAYLOAD_BYTES_MAX: usize = 1000;

/// Bytes that are a frame, or nearly one.
#[derive(Clone, Debug, TypeGenerator)]
enum Piece {
    Frame {
        kind: u8,
        zero: bool,
        rest: [u8; 18],
        payload: Vec<u8>,
    },
    Length(u32),
    Bytes(Vec<u8>),
}

impl Piece {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Piece::Frame {
                kind,
                zero,
                rest,
                payload,
            } => {
                to.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                to.extend_from_slice(&[kind % 11, u8::from(*zero)]);
                to.extend_from_slice(rest);
                to.extend_from_slice(payload);
            }
            Piece::Length(length) => to.extend_from_slice(&length.to_le_bytes()),
            Piece::Bytes(bytes) => to.extend_from_slice(bytes),
        }
    }
}

/// Decodes bytes that come in pieces; returns the frames, and whether what is left is no frame.
fn decode(bytes: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut decoder = Decoder::new(PAYLOAD_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        let held = decoder.buffer().len();
        assert!(
            held < HEADER_BYTES + PAYLOAD_BYTES_MAX,
            "peer.bounded: {held} bytes are held"
        );
    }
    (frames, false)
}

fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut outgoing = Outgoing::default();
    frames.iter().for_each(|frame| outgoing.push(frame));
    outgoing.take()
}

/// Frames that are decoded encode to the same bytes, however they came; other bytes are refused, and nothing is kept
/// but a part of one.
#[test]
fn frames_are_the_bytes_that_came() {
    check!().with_type::<(Vec<Piece>, u8)>().for_each(|(pieces, step)| {
        let mut bytes = Vec::new();
        pieces.iter().for_each(|piece| piece.put(&mut bytes));
        let (frames, is_refused) = decode(&bytes, usize::from(*step));
        let encoded = encode(&frames);
        assert!(bytes.starts_with(&encoded), "{} frames are other bytes", frames.len());
        assert!(is_refused || bytes.len() - encoded.len() < HEADER_BYTES + PAYLOAD_BYTES_MAX);
        assert_eq!((frames, is_refused), decode(&bytes, bytes.len()));
    });
}

/// Canary: a frame of which a byte that counts for nothing were not checked would be encoded otherwise.
#[test]
fn canary_a_frame_that_is_taken_with_any_zero_byte_is_noticed() {
    let frame = |zero| {
        let mut bytes = Vec::new();
        let (kind, rest, payload) = (4, [7; 18], vec![1, 2, 3]);
        Piece::Frame {
            kind,
            zero,
            rest,
            payload,
        }
        .put(&mut bytes);
        bytes
    };
    let (frames, is_refused) = decode(&frame(false), 5);
    assert!(frames.len() == 1 && !is_refused);
    assert!(encode(&frames) == frame(false) && encode(&frames) != frame(true));
    assert_eq!(decode(&frame(true), 5), (Vec::new(), true));
}
