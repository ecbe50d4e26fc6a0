//! Frames: each block of a shard file stands behind its hash, so that bitrot is seen before a byte is used.

use super::{Codec, STRIPE_LEN, StripePool};
use bytes::Bytes;
use highway::{HighwayHash, HighwayHasher, Key};
use std::sync::Arc;
use thiserror::Error;

/// Bytes of the hash in front of each block.
pub const HASH_LEN: usize = 32;

/// The key of all hashes (rule `bitrot.key`). It is MinIO's: HighwayHash-256, with a key of zeros, of the first
/// 100 decimals of pi. It keeps no secret; the hash finds rot, not forgery.
const KEY: [u64; 4] = [
    0xcd8a_238e_fa34_e74b,
    0x5285_96bb_e683_3e26,
    0x1444_9fa3_5d93_0f04,
    0xa036_de22_139d_e097,
];

/// A frame that must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Corrupt {
    /// Wrong length: shorter than a hash, or not what the stripe asks for.
    #[error("a frame of {frame_len} bytes has the wrong length")]
    Length {
        /// Bytes of the frame.
        frame_len: usize,
    },
    /// The block does not have the hash that stands in front of it.
    #[error("a block of {block_len} bytes does not match its hash")]
    Hash {
        /// Bytes of the block.
        block_len: usize,
    },
}

/// The block of a frame, if its hash vouches for it (rule `bitrot.verify`). What the hash cannot know is whether
/// this is the frame that was asked for (rule `bitrot.position`): the caller checks at least the length.
///
/// # Errors
/// [`Corrupt`] if the frame has no room for a hash, or the block does not match it.
pub fn verify_block(frame: &[u8]) -> Result<&[u8], Corrupt> {
    let (hash, block) = frame
        .split_at_checked(HASH_LEN)
        .ok_or(Corrupt::Length { frame_len: frame.len() })?;
    if hash_of(block) != hash {
        return Err(Corrupt::Hash { block_len: block.len() });
    }
    Ok(block)
}

/// The frame with the hash of whatever its block is now: never right, but for a mutant.
pub(crate) fn reseal(frame: Bytes) -> Bytes {
    let block = frame.get(HASH_LEN..).unwrap_or_default();
    Bytes::from([&hash_of(block), block].concat())
}

/// HighwayHash-256 of a block, as it stands in its frame (rule `bitrot.frame`).
pub(super) fn hash_of(block: &[u8]) -> [u8; HASH_LEN] {
    little_endian(HighwayHasher::new(Key(KEY)).hash256(block))
}

fn little_endian(words: [u64; 4]) -> [u8; HASH_LEN] {
    let mut bytes = [0; HASH_LEN];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Encoded stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// Bytes of the part in it.
    pub len: usize,
    /// The frame of each shard, N of them, all of one length. They share one allocation: it lives as long as
    /// the slowest drive keeps its frame.
    pub frames: Vec<Bytes>,
}

/// Turns the bytes of a part, as they arrive, into the frames of its shard files.
///
/// It holds at most one stripe and its parity. A byte is copied once, to its place in its frame; parity and
/// hashes are computed in place. Only when a part ends elsewhere than expected is its last stripe moved.
///
/// ```
/// use store::erasure::{Codec, Encoder};
/// let mut encoder = Encoder::new(Codec::new(2, 1).unwrap());
/// let mut files = vec![Vec::new(); 3];
/// let mut stripes = Vec::new();
/// for chunk in [&b"some"[..], b" bytes"] {
///     let mut input = chunk;
///     while let Some(stripe) = encoder.push(&mut input) {
///         stripes.push(stripe);
///     }
/// }
/// stripes.extend(encoder.finish());
/// for stripe in stripes {
///     for (file, frame) in files.iter_mut().zip(stripe.frames) {
///         file.extend_from_slice(&frame);
///     }
/// }
/// assert_eq!(files[0].len(), 32 + 5);
/// assert_eq!(files[0][32..], *b"some ");
/// ```
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    /// Bytes of the part still to come, as far as the caller knows.
    expected_len: Option<u64>,
    /// The stripe's data frames, without their hashes, for a stripe of `planned_len` bytes; then room for parity. Out
    /// of the pool it has bytes of another stripe, all of which are overwritten.
    buffer: Vec<u8>,
    planned_len: usize,
    /// Bytes of the part in the buffer.
    filled_len: usize,
    /// Pool of stripe buffers.
    pool: Option<Arc<StripePool>>,
}

impl Encoder {
    /// An encoder for a part of unknown length.
    pub fn new(codec: Codec) -> Encoder {
        Encoder {
            codec,
            expected_len: None,
            buffer: Vec::new(),
            planned_len: 0,
            filled_len: 0,
            pool: None,
        }
    }

    /// An encoder for a part that is expected to have `part_len` bytes. This saves memory and a copy for the last
    /// stripe, which is all of a small object; the frames are the same, whether or not the part keeps to it.
    pub fn with_expected_len(codec: Codec, part_len: u64) -> Encoder {
        Encoder {
            expected_len: Some(part_len),
            ..Encoder::new(codec)
        }
    }

    /// The same encoder, with the buffers of full stripes out of `pool`.
    #[must_use]
    pub fn with_pool(self, pool: Arc<StripePool>) -> Encoder {
        Encoder {
            pool: Some(pool),
            ..self
        }
    }

    /// Takes bytes off the front of `input`, up to the end of the stripe, and returns the stripe if it is
    /// complete. Call it until it returns `None`: then `input` is empty.
    pub fn push(&mut self, input: &mut &[u8]) -> Option<Stripe> {
        while !input.is_empty() {
            if self.filled_len == self.planned_len {
                self.plan_more();
            }
            self.fill(input);
            if self.filled_len == STRIPE_LEN {
                return Some(self.seal());
            }
        }
        None
    }

    /// The last stripe, if the part does not end with a full one. An empty part has none, and its shard files
    /// are empty (rule `erasure.empty`).
    pub fn finish(mut self) -> Option<Stripe> {
        if self.filled_len == 0 {
            return None;
        }
        self.plan(self.filled_len);
        Some(self.seal())
    }

    /// Makes room for the stripe's next bytes: what is expected, or a full stripe if that was wrong or unknown.
    fn plan_more(&mut self) {
        let is_new = self.filled_len == 0;
        let expected_len = self.expected_len.filter(|&len| is_new && len > 0).unwrap_or(u64::MAX);
        self.plan(expected_len.min(STRIPE_LEN as u64) as usize);
    }

    /// Arranges the buffer for a stripe of `stripe_len` bytes, no fewer than are in it.
    fn plan(&mut self, stripe_len: usize) {
        let (old_len, new_len) = (self.codec.block_len(self.planned_len), self.codec.block_len(stripe_len));
        let was_full = self.planned_len == STRIPE_LEN;
        self.planned_len = stripe_len;
        if old_len == new_len {
            return;
        }
        let capacity = self.codec.total() * (HASH_LEN + new_len);
        let new = match &self.pool {
            Some(pool) if stripe_len == STRIPE_LEN => pool.take(capacity),
            _ => Vec::with_capacity(capacity),
        };
        let old = std::mem::replace(&mut self.buffer, new);
        let filled_len = std::mem::take(&mut self.filled_len);
        for start in (0..filled_len).step_by(old_len.max(1)) {
            let frame = &old[start / old_len * (HASH_LEN + old_len)..];
            self.fill(&mut &frame[HASH_LEN..][..old_len.min(filled_len - start)]);
        }
        if let Some(pool) = self.pool.as_ref().filter(|_| was_full) {
            pool.give(old);
        }
    }

    /// Copies input to the frames that it belongs to, until it ends or the planned stripe is full.
    fn fill(&mut self, input: &mut &[u8]) {
        let block_len = self.codec.block_len(self.planned_len);
        while self.filled_len < self.planned_len && !input.is_empty() {
            let (shard, at) = (self.filled_len / block_len, self.filled_len % block_len);
            let room = (block_len - at).min(self.planned_len - self.filled_len);
            let (taken, rest) = input.split_at(room.min(input.len()));
            write_at(&mut self.buffer, shard * (HASH_LEN + block_len) + HASH_LEN + at, taken);
            self.filled_len += taken.len();
            *input = rest;
        }
    }

    /// Pads the stripe, adds parity and hashes, and hands it over.
    fn seal(&mut self) -> Stripe {
        debug_assert_eq!(self.filled_len, self.planned_len);
        let len = std::mem::take(&mut self.filled_len);
        let block_len = self.codec.block_len(std::mem::take(&mut self.planned_len));
        self.expected_len = self.expected_len.map(|expected| expected.saturating_sub(len as u64));

        let frame_len = HASH_LEN + block_len;
        let mut buffer = std::mem::take(&mut self.buffer);
        // Parity and hashes are overwritten: only memory that is new has to be zeroed for them.
        buffer.resize(self.codec.total() * frame_len, 0);
        for (shard, frame) in buffer.chunks_exact_mut(frame_len).take(self.codec.data()).enumerate() {
            let padding_start = len.saturating_sub(shard * block_len).min(block_len);
            frame[HASH_LEN + padding_start..].fill(0);
        }
        let (data, parity) = buffer.split_at_mut(self.codec.data() * frame_len);
        let data: Vec<&[u8]> = data.chunks_exact(frame_len).map(|frame| &frame[HASH_LEN..]).collect();
        let mut parity: Vec<&mut [u8]> = parity
            .chunks_exact_mut(frame_len)
            .map(|frame| &mut frame[HASH_LEN..])
            .collect();
        self.codec.encode_parity(&data, &mut parity);
        seal_hashes(&mut buffer, frame_len);
        let buffer = match &self.pool {
            Some(pool) if len == STRIPE_LEN => pool.share(buffer),
            _ => Bytes::from(buffer),
        };
        Stripe {
            len,
            frames: cut(&buffer, frame_len),
        }
    }
}

/// Writes `bytes` at offset `at`, over what is there or beyond the end; a gap before them is zeroed.
fn write_at(buffer: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if buffer.len() < at {
        buffer.resize(at, 0);
    }
    let overlap = bytes.len().min(buffer.len() - at);
    buffer[at..][..overlap].copy_from_slice(&bytes[..overlap]);
    buffer.extend_from_slice(&bytes[overlap..]);
}

/// Writes the hash of each block in front of it, and cuts the buffer into its frames.
pub(super) fn seal_frames(mut buffer: Vec<u8>, frame_len: usize) -> Vec<Bytes> {
    seal_hashes(&mut buffer, frame_len);
    cut(&Bytes::from(buffer), frame_len)
}

fn seal_hashes(buffer: &mut [u8], frame_len: usize) {
    for frame in buffer.chunks_exact_mut(frame_len) {
        let (hash, block) = frame.split_at_mut(HASH_LEN);
        hash.copy_from_slice(&hash_of(block));
    }
}

fn cut(buffer: &Bytes, frame_len: usize) -> Vec<Bytes> {
    (0..buffer.len())
        .step_by(frame_len)
        .map(|start| buffer.slice(start..start + frame_len))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever another part has left in the buffers, also where a code pads.
    #[test]
    fn stripes_out_of_a_pool_are_the_same() {
        let pool = StripePool::new(2);
        for (round, (data, parity)) in [(2, 2), (3, 2), (12, 4), (3, 2), (5, 0)].into_iter().enumerate() {
            let codec = Codec::new(data, parity).unwrap();
            let part: Vec<u8> = (0..2 * STRIPE_LEN + 7).map(|at| (at % 251 + round) as u8 | 1).collect();
            for part in [&part[..], &part[..STRIPE_LEN + 7], &part[..100]] {
                let expected = stripes_of(Encoder::new(codec), part, usize::MAX);
                for _ in 0..3 {
                    let encoder = Encoder::new(codec).with_pool(pool.clone());
                    assert!(stripes_of(encoder, part, 1 << 16) == expected, "{codec:?}");
                }
            }
        }
    }

    /// `bitrot.key`
    #[test]
    fn key_is_hash_of_pi() {
        let digits =
            b"1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679";
        assert_eq!(digits.len(), 100);
        assert_eq!(HighwayHasher::new(Key([0; 4])).hash256(digits), KEY);
    }

    #[test]
    fn key_in_bytes() {
        let hex: String = little_endian(KEY).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4be734fa8e238acd263e83e6bb968552040f935da39f441497e09d1322de36a0");
    }

    #[test]
    fn frames_that_must_not_be_used() {
        assert_eq!(verify_block(&[]), Err(Corrupt::Length { frame_len: 0 }));
        assert_eq!(verify_block(&[0; 31]), Err(Corrupt::Length { frame_len: 31 }));
        assert_eq!(
            verify_block(&[0; 32]),
            Err(Corrupt::Hash { block_len: 0 }),
            "zeros are not the hash of nothing"
        );
        let mut frame = hash_of(b"block").to_vec();
        frame.extend_from_slice(b"block");
        assert_eq!(verify_block(&frame), Ok(&b"block"[..]));
        for bit in 0..frame.len() * 8 {
            let mut rotten = frame.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify_block(&rotten), Err(Corrupt::Hash { block_len: 5 }), "bit {bit}");
        }
        assert_eq!(verify_block(&frame[..36]), Err(Corrupt::Hash { block_len: 4 }));
    }

    /// All stripes of a part that arrives in chunks of `chunk_len`.
    fn stripes_of(mut encoder: Encoder, part: &[u8], chunk_len: usize) -> Vec<Stripe> {
        let mut stripes = Vec::new();
        for mut chunk in part.chunks(chunk_len) {
            while let Some(stripe) = encoder.push(&mut chunk) {
                stripes.push(stripe);
            }
            assert!(chunk.is_empty());
        }
        stripes.extend(encoder.finish());
        stripes
    }

    /// The frames depend on the bytes alone: not on the chunks, nor on what was expected.
    #[test]
    fn chunks_and_expectations_do_not_matter() {
        let codec = Codec::new(3, 2).unwrap();
        for part_len in [
            0,
            1,
            2,
            3,
            100,
            STRIPE_LEN - 1,
            STRIPE_LEN,
            STRIPE_LEN + 1,
            2 * STRIPE_LEN + 77,
        ] {
            let part: Vec<u8> = (0..part_len).map(|at| (at % 253) as u8).collect();
            let expected = stripes_of(Encoder::new(codec), &part, usize::MAX);
            assert_eq!(expected.len(), part_len.div_ceil(STRIPE_LEN));
            for (stripe, bytes) in expected.iter().zip(part.chunks(STRIPE_LEN)) {
                assert_eq!(stripe.len, bytes.len());
                let shards = codec.encode(bytes);
                for (shard, frame) in stripe.frames.iter().enumerate() {
                    assert_eq!(
                        verify_block(frame),
                        Ok(shards.block(shard)),
                        "shard {shard} of {part_len} bytes"
                    );
                }
            }
            for chunk_len in [1021, 65_536, STRIPE_LEN] {
                for hint in [0, 1, 50, part_len as u64, part_len as u64 + 1, 1 << 20, u64::MAX] {
                    let encoder = Encoder::with_expected_len(codec, hint);
                    assert!(
                        stripes_of(encoder, &part, chunk_len) == expected,
                        "{part_len}, {chunk_len}, {hint}"
                    );
                }
            }
        }
    }

    /// A small object that says its length costs its own bytes, not a stripe's.
    #[test]
    fn memory_is_bounded() {
        let codec = Codec::new(4, 2).unwrap();
        let mut encoder = Encoder::with_expected_len(codec, 4096);
        assert_eq!(encoder.push(&mut &[7; 4096][..]), None);
        assert_eq!(encoder.buffer.capacity(), 6 * (HASH_LEN + 1024));
        let mut encoder = Encoder::new(codec);
        let part = vec![7; 3 * STRIPE_LEN];
        let mut input = &part[..];
        while let Some(stripe) = encoder.push(&mut input) {
            assert_eq!(stripe.len, STRIPE_LEN);
            assert!(encoder.buffer.capacity() <= 6 * (HASH_LEN + STRIPE_LEN / 4));
        }
        assert_eq!(encoder.finish(), None);
    }
}
