//! Decoder: verifies frames, and computes the missing ones.

use super::{Codec, Corrupt, HASH_LEN, SHARDS_MAX, ShardSet, codec::Reconstruction, frame::seal_frames, verify_block};
use bytes::Bytes;
use std::ops::Range;
use thiserror::Error;

/// Reads the stripes of a part back, and rebuilds lost frames.
///
/// It keeps the last inverted matrix, as the losses of one stripe are mostly those of the next: keep a decoder
/// for a whole part.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    /// The last computed reconstruction, and the valid shards that it was computed for.
    last: Option<(ShardSet, Reconstruction)>,
}

/// Bytes of a stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The bytes asked for, in order. Those of valid data shards are slices of the frames given.
    pub segments: Vec<Bytes>,
    /// The shards whose frame was given but did not hold: to be healed.
    pub corrupt: ShardSet,
}

/// Frames computed from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// A frame for each shard asked for, in ascending order of shards.
    pub frames: Vec<Bytes>,
    /// The shards whose frame was given but did not hold.
    pub corrupt: ShardSet,
}

/// The frames given are not enough to say what the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{} of {needed} shards are valid, {} are corrupt", valid.len(), corrupt.len())]
pub struct TooFewShards {
    /// The shards whose frame held.
    pub valid: ShardSet,
    /// The shards whose frame was given but did not hold.
    pub corrupt: ShardSet,
    /// Shards that are needed: K.
    pub needed: usize,
}

impl Decoder {
    /// A decoder for parts that were encoded with the same K and M.
    pub fn new(codec: Codec) -> Decoder {
        Decoder { codec, last: None }
    }

    /// The bytes `range` of a stripe of `stripe_len` bytes, from a frame, or `None` where it is missing, per shard
    /// index. A range that ends beyond the stripe is cut.
    ///
    /// Any K valid frames will do (rule `erasure.any-k`); fewer, if the data shards that hold the range are among
    /// them (rule `erasure.direct`). Every byte returned comes out of frames whose hash held
    /// (rule `erasure.never-wrong`). Each frame given costs its hash: to be frugal give K, and more after an error.
    ///
    /// # Errors
    /// [`TooFewShards`] if the frames that hold are not enough.
    pub fn decode(
        &mut self,
        stripe_len: usize,
        range: Range<usize>,
        frames: &[Option<Bytes>],
    ) -> Result<Decoded, TooFewShards> {
        let block_len = self.codec.block_len(stripe_len);
        let blocks = Blocks::verify(&self.codec, block_len, frames);
        let range = range.start..range.end.min(stripe_len);
        if range.is_empty() {
            return Ok(Decoded {
                segments: Vec::new(),
                corrupt: blocks.corrupt,
            });
        }
        let shards = range.start / block_len..range.end.div_ceil(block_len);
        let missing: ShardSet = shards.clone().filter(|&shard| !blocks.valid.contains(shard)).collect();
        let computed = Bytes::from(self.compute(&blocks, missing, 0)?);

        let mut computed_at = (0..computed.len()).step_by(block_len);
        let segments = shards.map(|shard| {
            let start = shard * block_len;
            let within = range.start.max(start) - start..range.end.min(start + block_len) - start;
            match &blocks.by_shard[shard] {
                Some(block) => block.slice(within),
                None => {
                    let at = computed_at.next().expect("a block is computed for each missing shard");
                    computed.slice(at + within.start..at + within.end)
                }
            }
        });
        let segments: Vec<Bytes> = segments.collect();
        assert_len(&segments, range.len());
        Ok(Decoded {
            segments,
            corrupt: blocks.corrupt,
        })
    }

    /// The frames of the shards `wanted` of a stripe of `stripe_len` bytes, for heal (rule `erasure.rebuild`).
    ///
    /// # Errors
    /// [`TooFewShards`] if fewer than K of the frames given hold.
    pub fn rebuild(
        &mut self,
        stripe_len: usize,
        wanted: ShardSet,
        frames: &[Option<Bytes>],
    ) -> Result<Rebuilt, TooFewShards> {
        let block_len = self.codec.block_len(stripe_len);
        let blocks = Blocks::verify(&self.codec, block_len, frames);
        let buffer = self.compute(&blocks, wanted, HASH_LEN)?;
        Ok(Rebuilt {
            frames: seal_frames(buffer, HASH_LEN + block_len),
            corrupt: blocks.corrupt,
        })
    }

    /// The blocks of the shards `wanted`, in ascending order, each behind `gap_len` zero bytes. It needs K valid
    /// blocks unless nothing is wanted.
    fn compute(&mut self, blocks: &Blocks, wanted: ShardSet, gap_len: usize) -> Result<Vec<u8>, TooFewShards> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let too_few = TooFewShards {
            valid: blocks.valid,
            corrupt: blocks.corrupt,
            needed: self.codec.data(),
        };
        let plan = self.plan(blocks.valid, wanted).ok_or(too_few)?;
        let sources: Vec<&[u8]> = plan
            .sources()
            .filter_map(|shard| blocks.by_shard[shard].as_deref())
            .collect();
        let mut buffer = vec![0; plan.wanted().len() * (gap_len + blocks.block_len)];
        let mut outputs: Vec<&mut [u8]> = buffer
            .chunks_exact_mut(gap_len + blocks.block_len)
            .map(|frame| &mut frame[gap_len..])
            .collect();
        plan.run(&sources, &mut outputs);
        Ok(buffer)
    }

    /// Returns how to compute `wanted` from `valid`: the last answer if the question is the last one, too.
    fn plan(&mut self, valid: ShardSet, wanted: ShardSet) -> Option<&Reconstruction> {
        let is_last = self
            .last
            .as_ref()
            .is_some_and(|(last, plan)| *last == valid && plan.wanted() == wanted);
        if !is_last {
            self.last = Some((valid, self.codec.reconstruction(valid, wanted)?));
        }
        self.last.as_ref().map(|(_, plan)| plan)
    }
}

/// The frames given for a stripe, each verified.
struct Blocks {
    block_len: usize,
    by_shard: [Option<Bytes>; SHARDS_MAX],
    valid: ShardSet,
    corrupt: ShardSet,
}

impl Blocks {
    /// A frame that is too long or too short is corrupt, whatever its hash says (rule `bitrot.length`).
    fn verify(codec: &Codec, block_len: usize, frames: &[Option<Bytes>]) -> Blocks {
        let by_shard = [const { None }; SHARDS_MAX];
        let mut blocks = Blocks {
            block_len,
            by_shard,
            valid: ShardSet::EMPTY,
            corrupt: ShardSet::EMPTY,
        };
        for (shard, frame) in frames.iter().enumerate().take(codec.total()) {
            let Some(frame) = frame else { continue };
            match verify_frame(frame, block_len) {
                Ok(()) => {
                    blocks.by_shard[shard] = Some(frame.slice(HASH_LEN..));
                    blocks.valid.insert(shard);
                }
                Err(_) => blocks.corrupt.insert(shard),
            }
        }
        blocks
    }
}

/// Panics unless the segments have as many bytes as were asked for.
fn assert_len(segments: &[Bytes], len: usize) {
    let found: usize = segments.iter().map(Bytes::len).sum();
    assert!(found == len, "erasure.never-wrong: {found} bytes in place of {len}");
}

fn verify_frame(frame: &[u8], block_len: usize) -> Result<(), Corrupt> {
    if frame.len() != HASH_LEN + block_len {
        return Err(Corrupt::Length { frame_len: frame.len() });
    }
    verify_block(frame).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erasure::Encoder;

    const STRIPE: &[u8] = b"erasure";

    /// The frames of [`STRIPE`] at 3+3; blocks of 3 bytes: "era", "sur", "e", and parity.
    fn frames() -> Vec<Option<Bytes>> {
        let mut encoder = Encoder::new(Codec::new(3, 3).unwrap());
        assert_eq!(encoder.push(&mut &STRIPE[..]), None);
        encoder.finish().unwrap().frames.into_iter().map(Some).collect()
    }

    fn decoder() -> Decoder {
        Decoder::new(Codec::new(3, 3).unwrap())
    }

    fn set(shards: &[usize]) -> ShardSet {
        shards.iter().copied().collect()
    }

    fn flip(frame: &mut Option<Bytes>, at: usize) {
        let mut bytes = frame.take().unwrap().to_vec();
        bytes[at] ^= 0x10;
        *frame = Some(Bytes::from(bytes));
    }

    #[test]
    fn valid_data_is_not_copied() {
        let frames = frames();
        let decoded = decoder().decode(7, 0..7, &frames).unwrap();
        assert_eq!(decoded.segments, [&b"era"[..], b"sur", b"e"]);
        for (segment, frame) in decoded.segments.iter().zip(frames.iter().flatten()) {
            assert_eq!(segment.as_ptr(), frame[HASH_LEN..].as_ptr());
        }
    }

    #[test]
    fn ranges() {
        let mut frames = frames();
        frames[1] = None;
        for start in 0..9 {
            for end in 0..9 {
                let decoded = decoder().decode(7, start..end, &frames).unwrap();
                let expected = STRIPE.get(start..end.min(7)).unwrap_or_default();
                assert_eq!(decoded.segments.concat(), expected, "{start}..{end}");
                assert!(decoded.segments.iter().all(|segment| !segment.is_empty()));
            }
        }
    }

    #[test]
    #[should_panic(expected = "erasure.never-wrong")]
    fn segments_of_another_length_are_not_returned() {
        assert_len(&[Bytes::from_static(b"ab"), Bytes::from_static(b"c")], 4);
    }

    /// `erasure.any-k`, and what a corrupt frame is told as.
    #[test]
    fn corrupt_frames_are_named() {
        let mut frames = frames();
        flip(&mut frames[0], 0);
        flip(&mut frames[2], HASH_LEN);
        frames[4] = None;
        let decoded = decoder().decode(7, 0..7, &frames).unwrap();
        assert_eq!(
            (decoded.segments.concat().as_slice(), decoded.corrupt),
            (STRIPE, set(&[0, 2]))
        );
        flip(&mut frames[5], 34);
        let too_few = TooFewShards {
            valid: set(&[1, 3]),
            corrupt: set(&[0, 2, 5]),
            needed: 3,
        };
        assert_eq!(decoder().decode(7, 0..7, &frames), Err(too_few));
        assert_eq!(too_few.to_string(), "2 of 3 shards are valid, 3 are corrupt");
        assert_eq!(decoder().rebuild(7, set(&[4]), &frames), Err(too_few));
    }

    /// The frames of [`STRIPE`] that are left, for every pattern of losses. Those of parity change fastest, so that
    /// the same data shards are missing from one pattern to the next.
    fn patterns() -> impl Iterator<Item = (ShardSet, Vec<Option<Bytes>>)> {
        (0..1u8 << 6).map(|bits| {
            let valid: ShardSet = (0..6).filter(|shard| bits >> (5 - shard) & 1 == 1).collect();
            let mut frames = frames();
            (0..6)
                .filter(|&shard| !valid.contains(shard))
                .for_each(|shard| frames[shard] = None);
            (valid, frames)
        })
    }

    /// `erasure.never-wrong`: one decoder, while losses and ranges change. A matrix kept too long would show.
    #[test]
    fn decoder_is_reused_while_losses_change() {
        let mut decoder = decoder();
        for (range, holders) in [
            (0..7, set(&[0, 1, 2])),
            (0..3, set(&[0])),
            (6..7, set(&[2])),
            (2..5, set(&[0, 1])),
        ] {
            for (valid, frames) in patterns() {
                let is_enough = valid.len() >= 3 || holders.minus(valid).is_empty();
                let read = decoder
                    .decode(7, range.clone(), &frames)
                    .map(|decoded| decoded.segments.concat());
                assert_eq!(
                    read.ok().as_deref(),
                    is_enough.then_some(&STRIPE[range.clone()]),
                    "{range:?}, {valid:?}"
                );
            }
        }
        for (valid, frames) in patterns() {
            for wanted in [set(&[0]), set(&[1]), set(&[3, 5])] {
                let expected: Vec<Bytes> = wanted.iter().filter_map(|shard| self::frames()[shard].take()).collect();
                let rebuilt = decoder.rebuild(7, wanted, &frames).map(|rebuilt| rebuilt.frames);
                assert_eq!(
                    rebuilt.ok(),
                    (valid.len() >= 3).then_some(expected),
                    "{wanted:?}, {valid:?}"
                );
            }
        }
    }

    /// `erasure.direct`
    #[test]
    fn one_shard_is_enough_for_its_own_range() {
        let mut frames = frames();
        frames
            .iter_mut()
            .enumerate()
            .filter(|(shard, _)| *shard != 1)
            .for_each(|(_, frame)| *frame = None);
        assert_eq!(decoder().decode(7, 3..6, &frames).unwrap().segments.concat(), b"sur");
        assert!(decoder().decode(7, 2..6, &frames).is_err());
    }

    /// `bitrot.length`: the hash holds, but it is the frame of another stripe.
    #[test]
    fn frame_of_another_length_is_corrupt() {
        let mut frames = frames();
        let mut encoder = Encoder::new(Codec::new(3, 3).unwrap());
        assert_eq!(encoder.push(&mut &b"erasurecode!"[..]), None);
        frames[0] = Some(encoder.finish().unwrap().frames[0].clone());
        assert!(verify_block(frames[0].as_ref().unwrap()).is_ok());
        frames[3] = Some(frames[3].as_ref().unwrap().slice(..20));
        let decoded = decoder().decode(7, 0..7, &frames).unwrap();
        assert_eq!(
            (decoded.segments.concat().as_slice(), decoded.corrupt),
            (STRIPE, set(&[0, 3]))
        );
    }

    /// `erasure.rebuild`: byte for byte what the encoder wrote.
    #[test]
    fn rebuilt_frames_are_the_original_ones() {
        let original = frames();
        let mut decoder = decoder();
        for lost in 0..6 {
            for rotten in (0..6).filter(|&rotten| rotten != lost) {
                let mut frames = frames();
                frames[lost] = None;
                flip(&mut frames[rotten], 33);
                let rebuilt = decoder.rebuild(7, set(&[lost, rotten]), &frames).unwrap();
                let (first, second) = (lost.min(rotten), lost.max(rotten));
                let expected = [original[first].clone().unwrap(), original[second].clone().unwrap()];
                assert_eq!(
                    (rebuilt.frames.as_slice(), rebuilt.corrupt),
                    (&expected[..], set(&[rotten]))
                );
            }
        }
        assert!(decoder.rebuild(7, ShardSet::EMPTY, &[]).unwrap().frames.is_empty());
    }

    #[test]
    fn frames_beyond_n_and_too_few_entries_are_no_harm() {
        let mut frames = frames();
        frames.extend([Some(Bytes::from_static(b"junk")), None]);
        assert_eq!(decoder().decode(7, 0..7, &frames).unwrap().segments.concat(), STRIPE);
        assert!(decoder().decode(7, 0..7, &frames[..2]).is_err());
        assert_eq!(decoder().decode(0, 0..7, &[]).unwrap().segments.len(), 0);
    }
}
