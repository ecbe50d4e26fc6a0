//! Corrupt, truncated and missing shards, and the arithmetic of shard files (`specs/erasure.md`).

use bolero::{TypeGenerator, check};
use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::ops::Range;
use store::erasure::{Codec, Decoder, Encoder, HASH_LEN, Layout, STRIPE_LEN, ShardSet, Stripe, verify_block};

/// Damage to a frame on its drive.
#[derive(Clone, Debug, TypeGenerator)]
enum Damage {
    Missing,
    Flip { at: u16, bits: u8 },
    Overwrite { at: u16, bytes: Vec<u8> },
    Cut { len: u16 },
    Append { bytes: Vec<u8> },
    Replace { frame: Vec<u8> },
    Zeros,
}

impl Damage {
    fn befall(&self, frame: &Option<Bytes>) -> Option<Bytes> {
        let mut bytes = frame.as_ref()?.to_vec();
        let len = bytes.len().max(1);
        match self {
            Damage::Missing => return None,
            Damage::Flip { at, bits } => {
                if let Some(byte) = bytes.get_mut(usize::from(*at) % len) {
                    *byte ^= bits;
                }
            }
            Damage::Overwrite { at, bytes: new } => {
                bytes
                    .iter_mut()
                    .skip(usize::from(*at) % len)
                    .zip(new)
                    .for_each(|(byte, new)| *byte = *new);
            }
            Damage::Cut { len: to } => bytes.truncate(usize::from(*to) % len),
            Damage::Append { bytes: more } => bytes.extend_from_slice(more),
            Damage::Replace { frame } => bytes.clone_from(frame),
            Damage::Zeros => bytes.fill(0),
        }
        Some(bytes.into())
    }
}

fn codec_of((total, parity): (u8, u8)) -> Codec {
    let total = total % 16 + 1;
    let parity = parity % (total / 2 + 1);
    Codec::new(total - parity, parity).expect("a legal code")
}

/// Returns the frames of a part that is shorter than a stripe; `None` if it is empty.
fn last_stripe(codec: Codec, part: &[u8]) -> Option<Stripe> {
    let mut encoder = Encoder::with_expected_len(codec, part.len() as u64);
    assert_eq!(encoder.push(&mut &part[..]), None);
    encoder.finish()
}

/// Checks `erasure.any-k`, `erasure.direct`, `erasure.never-wrong`, `erasure.rebuild`: K intact frames give the bytes;
/// fewer give the right bytes or an error; the same holds for the frames that heal writes. The decoder may have decoded
/// other stripes before.
fn check_reads(
    (codec, decoder): (Codec, &mut Decoder),
    part: &[u8],
    range: Range<usize>,
    original: &[Bytes],
    found: &[Option<Bytes>],
) {
    let is_whole = |shard: usize| found[shard].as_ref() == Some(&original[shard]);
    let whole: ShardSet = (0..codec.total()).filter(|&shard| is_whole(shard)).collect();
    let damaged: ShardSet = (0..codec.total())
        .filter(|&shard| found[shard].is_some() && !is_whole(shard))
        .collect();

    match decoder.decode(part.len(), range.clone(), found) {
        Ok(decoded) => {
            let expected = part.get(range.start..range.end.min(part.len())).unwrap_or_default();
            assert_eq!(decoded.segments.concat(), expected, "a wrong byte was read");
            assert_eq!(decoded.corrupt, damaged);
        }
        Err(error) => {
            assert!(
                whole.len() < codec.data(),
                "{} whole shards were not enough: {error}",
                whole.len()
            );
            assert_eq!((error.valid, error.corrupt), (whole, damaged));
        }
    }

    let lost: ShardSet = (0..codec.total()).filter(|&shard| !whole.contains(shard)).collect();
    match decoder.rebuild(part.len(), lost, found) {
        Ok(rebuilt) => {
            let expected: Vec<Bytes> = lost.iter().map(|shard| original[shard].clone()).collect();
            assert_eq!(rebuilt.frames, expected, "heal would write a wrong byte");
        }
        Err(_) => assert!(whole.len() < codec.data()),
    }
}

#[test]
fn damaged_shards_read_right_or_not_at_all() {
    type Input = ((u8, u8), Vec<u8>, Vec<(u8, Damage)>, (u16, u16));
    check!()
        .with_type::<Input>()
        .for_each(|(shape, part, damages, (start, end))| {
            let codec = codec_of(*shape);
            let Some(Stripe { frames: original, .. }) = last_stripe(codec, part) else {
                return;
            };
            let mut found: Vec<Option<Bytes>> = original.iter().cloned().map(Some).collect();
            let mut decoder = Decoder::new(codec);
            check_reads((codec, &mut decoder), part, 0..part.len(), &original, &found);
            // Check after each further damage, as if it occurred in a later stripe.
            for (shard, damage) in damages.iter().take(codec.total() + 4) {
                let frame = &mut found[usize::from(*shard) % codec.total()];
                *frame = damage.befall(frame);
                check_reads((codec, &mut decoder), part, 0..part.len(), &original, &found);
                check_reads(
                    (codec, &mut decoder),
                    part,
                    usize::from(*start)..usize::from(*end),
                    &original,
                    &found,
                );
            }
        });
}

/// Canary: no reader can notice wrong bytes with a matching hash, so the check above must.
#[test]
#[should_panic(expected = "a wrong byte was read")]
fn canary_forged_frame_is_noticed_by_the_check() {
    let codec = Codec::new(2, 1).expect("a legal code");
    let original = last_stripe(codec, b"right").expect("a stripe").frames;
    let mut found: Vec<Option<Bytes>> = original.iter().cloned().map(Some).collect();
    found[0] = Some(last_stripe(codec, b"wrong").expect("a stripe").frames[0].clone());
    check_reads((codec, &mut Decoder::new(codec)), b"right", 0..5, &original, &found);
}

/// `erasure.systematic`: data and parity blocks equal those of a reference implementation.
#[test]
fn code_is_that_of_the_reference() {
    check!().with_type::<((u8, u8), Vec<u8>)>().for_each(|(shape, stripe)| {
        let codec = codec_of(*shape);
        let shards = codec.encode(stripe);
        let mut blocks: Vec<Vec<u8>> = (0..codec.total()).map(|shard| shards.block(shard).to_vec()).collect();
        let data = blocks[..codec.data()].concat();
        assert_eq!(data[..stripe.len()], stripe[..]);
        assert!(data[stripe.len()..].iter().all(|&byte| byte == 0));
        if codec.parity() > 0 && !stripe.is_empty() {
            blocks[codec.data()..].iter_mut().for_each(|block| block.fill(0));
            let reference = ReedSolomon::new(codec.data(), codec.parity()).expect("a legal code");
            reference.encode(&mut blocks).expect("blocks of one length");
            assert!((0..codec.total()).all(|shard| blocks[shard] == shards.block(shard)));
        }
    });
}

/// `bitrot.frame`: frames do not depend on how the part is split as it arrives, nor on its expected length. The part is
/// a repeated pattern of up to 3 stripes.
#[test]
fn chunks_and_expectations_do_not_matter() {
    type Input = ((u8, u8), u8, u32, Vec<u32>, Option<u64>);
    check!()
        .with_iterations(100)
        .with_type::<Input>()
        .for_each(|(shape, seed, part_len, chunks, expected_len)| {
            let codec = codec_of(*shape);
            let part_len = *part_len as usize % (2 * STRIPE_LEN + 3);
            let part: Vec<u8> = (0..part_len).map(|at| (at ^ at >> 9) as u8 ^ seed).collect();
            let mut encoder = match expected_len {
                None => Encoder::new(codec),
                Some(len) => Encoder::with_expected_len(codec, len % (2 * part_len as u64 + 2)),
            };
            let mut stripes = Vec::new();
            let mut rest = &part[..];
            for chunk_len in chunks.iter().map(|&len| len as usize).chain([usize::MAX]) {
                let (mut chunk, next) = rest.split_at(chunk_len.min(rest.len()));
                rest = next;
                stripes.extend(std::iter::from_fn(|| encoder.push(&mut chunk)));
                assert!(chunk.is_empty());
            }
            stripes.extend(encoder.finish());
            assert_eq!(stripes.len(), part_len.div_ceil(STRIPE_LEN));
            for (stripe, bytes) in stripes.iter().zip(part.chunks(STRIPE_LEN)) {
                let shards = codec.encode(bytes);
                assert_eq!((stripe.len, stripe.frames.len()), (bytes.len(), codec.total()));
                for (shard, frame) in stripe.frames.iter().enumerate() {
                    assert!(verify_block(frame) == Ok(shards.block(shard)), "shard {shard}");
                }
            }
        });
}

/// `erasure.stripe`, `erasure.file-len`: compares with a model that walks the part stripe by stripe.
#[test]
fn layout_is_that_of_a_walk() {
    check!()
        .with_type::<((u8, u8), u32, u32, u32)>()
        .for_each(|&(shape, part_len, start, end)| {
            let codec = codec_of(shape);
            let [part_len, start, end] = [part_len, start, end].map(|len| u64::from(len) % (40 << 20));
            let layout = Layout::new(codec, part_len).expect("a part of a few stripes");
            let (mut stripe, mut at, mut offset) = (0, 0, 0);
            let mut covering = Vec::new();
            while at < part_len {
                let stripe_len = (part_len - at).min(STRIPE_LEN as u64);
                let (whole, rest) = (stripe_len as usize / codec.data(), stripe_len as usize % codec.data());
                let block_len = if rest == 0 { whole } else { whole + 1 };
                assert_eq!(layout.stripe_len(stripe) as u64, stripe_len);
                assert_eq!(
                    (layout.block_len(stripe), layout.frame_len(stripe)),
                    (block_len, HASH_LEN + block_len)
                );
                assert_eq!(layout.frame_offset(stripe), offset);
                let (from, to) = (start.max(at), end.min(at + stripe_len));
                let within = layout.range_in_stripe(stripe, start..end);
                assert_eq!(within.is_empty(), from >= to);
                if from < to {
                    covering.push(stripe);
                    assert_eq!(within, (from - at) as usize..(to - at) as usize);
                }
                (stripe, at, offset) = (stripe + 1, at + stripe_len, offset + (HASH_LEN + block_len) as u64);
            }
            assert_eq!((layout.stripes(), layout.shard_file_len()), (stripe, offset));
            assert_eq!(layout.stripes_of(start..end).collect::<Vec<_>>(), covering);
        });
}

/// The same in the whole range of u64, compared in 128 bits: refused, or right without overflow.
#[test]
fn layout_never_overflows() {
    check!()
        .with_type::<((u8, u8), u64, u64, u64)>()
        .for_each(|&(shape, part_len, stripe, end)| {
            let codec = codec_of(shape);
            let stripes = u128::from(part_len).div_ceil(STRIPE_LEN as u128);
            let Ok(layout) = Layout::new(codec, part_len) else {
                assert!(u128::from(part_len) + stripes * HASH_LEN as u128 > i64::MAX as u128);
                return;
            };
            assert_eq!(u128::from(layout.stripes()), stripes);
            let full_frame_len = (HASH_LEN + codec.block_len(STRIPE_LEN)) as u128;
            let offset = u128::from(layout.frame_offset(stripe));
            match u128::from(stripe) {
                stripe if stripe < stripes => assert_eq!(offset, stripe * full_frame_len),
                _ => assert_eq!(offset, u128::from(layout.shard_file_len())),
            }
            assert!(u128::from(layout.shard_file_len()) <= stripes * full_frame_len);
            assert!(layout.stripe_len(stripe) <= STRIPE_LEN);
            let covered = layout.stripes_of(stripe..end);
            assert!(covered.end <= layout.stripes() && covered.start <= covered.end);
            assert!(layout.range_in_stripe(stripe, stripe..end).end <= layout.stripe_len(stripe));
        });
}
