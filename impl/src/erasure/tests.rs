//! Erasure code compared with independent computations and with the crate's encoder, and round trips.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use reed_solomon_erasure::galois_8::ReedSolomon;

/// Multiplies in GF(2^8) by shifting and adding, polynomial 0x11D; shares nothing with the tables of the crate.
fn mul(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1D };
        b >>= 1;
    }
    product
}

fn pow(a: u8, n: usize) -> u8 {
    (0..n).fold(1, |power, _| mul(power, a))
}

/// Evaluates at `point` the unique polynomial of degree below K with value `data[i]` at i, in Lagrange's form. The
/// Vandermonde code is the same: row r of V·(top of V)⁻¹ maps values at 0..K to the value at r.
fn interpolate(data: &[u8], point: u8) -> u8 {
    let k = data.len() as u8;
    (0..k).fold(0, |sum, i| {
        let others = || (0..k).filter(|&j| j != i);
        let numerator = others().fold(1, |product, j| mul(product, point ^ j));
        let denominator = others().fold(1, |product, j| mul(product, i ^ j));
        // a^254 is the inverse of a, as a^255 = 1.
        sum ^ mul(data[usize::from(i)], mul(numerator, pow(denominator, 254)))
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// `erasure.systematic`, `erasure.block-len`: the blocks were computed by a Python script that multiplies by
/// shifting, builds V·(top of V)⁻¹ by Gauss–Jordan and shares no code with this crate.
#[test]
fn vectors() {
    let rows: &[(u8, u8, &[u8], &[&str])] = &[
        (1, 0, b"a", &["61"]),
        (1, 1, b"a", &["61", "61"]),
        (2, 2, b"hello", &["68656c", "6c6f00", "6071b4", "647bd8"]),
        (
            3,
            3,
            b"erasure",
            &["657261", "737572", "650000", "730713", "d57ba2", "c37cb1"],
        ),
        (
            4,
            2,
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            &["000102", "030405", "060708", "090000", "fc15ca", "d71cef"],
        ),
        (
            8,
            8,
            b"0123456789abcdef",
            &[
                "3031", "3233", "3435", "3637", "3839", "6162", "6364", "6566", "f736", "79e8", "8384", "4b68", "32fb",
                "54a2", "a58b", "dab9",
            ],
        ),
        (
            12,
            4,
            &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
            ],
            &[
                "0102", "0304", "0506", "0708", "090a", "0b0c", "0d0e", "0f10", "1112", "1314", "1516", "1718", "1921",
                "1bfa", "1d02", "1fc1",
            ],
        ),
    ];
    for (data, parity, stripe, blocks) in rows {
        let shards = Codec::new(*data, *parity).unwrap().encode(stripe);
        for (shard, block) in blocks.iter().enumerate() {
            assert_eq!(shards.block(shard), unhex(block), "{data}+{parity}, shard {shard}");
        }
    }
}

/// Compares with the definition and with the crate's own encoder, for every legal K and M.
#[test]
fn code_is_interpolation_and_that_of_the_crate() {
    for total in 1..=16u8 {
        for parity in 0..=total / 2 {
            let codec = Codec::new(total - parity, parity).unwrap();
            let (k, n) = (codec.data(), codec.total());
            let stripe: Vec<u8> = (0..k * 40).map(|at| (at * at + 3 * at + 1) as u8).collect();
            let shards = codec.encode(&stripe);
            for at in 0..40 {
                let column: Vec<u8> = (0..k).map(|shard| shards.block(shard)[at]).collect();
                for shard in 0..n {
                    assert_eq!(
                        shards.block(shard)[at],
                        interpolate(&column, shard as u8),
                        "{codec:?}, shard {shard}"
                    );
                }
            }
            if parity > 0 {
                let mut blocks: Vec<Vec<u8>> = (0..n).map(|shard| shards.block(shard).to_vec()).collect();
                blocks[k..].iter_mut().for_each(|block| block.fill(0));
                ReedSolomon::new(k, n - k).unwrap().encode(&mut blocks).unwrap();
                assert!((0..n).all(|shard| blocks[shard] == shards.block(shard)), "{codec:?}");
            }
        }
    }
}

/// `bitrot.frame`: the worked example of `specs/erasure.md`. The hashes were computed by a HighwayHash-256 written in
/// Python, which gives `bitrot.key` for the decimals of pi.
#[test]
fn shard_file_of_the_specification() {
    let mut encoder = Encoder::with_expected_len(Codec::new(2, 1).unwrap(), 5);
    assert_eq!(encoder.push(&mut &b"hello"[..]), None);
    let frames = encoder.finish().unwrap().frames;
    let expected = [
        "e8d34db55e43ee8c5e8d537c85c48592abc525dd7c80811628467f385c24453768656c",
        "b3688a39a43023c524defea3786150d86286c59ee5943ed33a0140517cf7f6fb6c6f00",
        "61ca3c77f7cb32ae77487fdbb05e0cc7c1e71de4bf237a21d02c8fe96ddcd8c46071b4",
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>(), expected);
}

/// Case with a part of up to 3 stripes, and the damage to each shard's frame in every stripe.
#[derive(Clone, Debug)]
struct Case {
    data: u8,
    parity: u8,
    part_len: usize,
    seed: u8,
    damage: Vec<Damage>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    None,
    Missing,
    Flip(usize, u8),
    Cut(usize),
}

fn cases() -> impl Strategy<Value = Case> {
    let damage = prop_oneof![
        Just(Damage::None),
        Just(Damage::Missing),
        (any::<usize>(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        any::<usize>().prop_map(Damage::Cut),
    ];
    let shape = (1u8..=16).prop_flat_map(|total| (Just(total), 0..=total / 2));
    let part_len = prop_oneof![8 => 0..5000usize, 1 => STRIPE_LEN - 40..STRIPE_LEN + 40, 1 => 0..2 * STRIPE_LEN + 9];
    (shape, part_len, any::<u8>()).prop_flat_map(move |((total, parity), part_len, seed)| {
        let damage = prop::collection::vec(damage.clone(), usize::from(parity));
        (
            damage,
            Just(()).prop_perturb(move |(), mut rng| rotated(total, rng.random())),
        )
            .prop_map(move |(damage, order)| {
                // Up to M damaged shards, at random positions.
                let mut by_shard = vec![Damage::None; usize::from(total)];
                for (shard, damage) in order.into_iter().zip(damage) {
                    by_shard[shard] = damage;
                }
                Case {
                    data: total - parity,
                    parity,
                    part_len,
                    seed,
                    damage: by_shard,
                }
            })
    })
}

/// Returns the shards of a set in an order that follows from `random`.
fn rotated(total: u8, random: u64) -> Vec<usize> {
    let mut shards: Vec<usize> = (0..usize::from(total)).collect();
    shards.sort_by_key(|&shard| (random >> (shard * 4) & 0xF, shard));
    shards
}

fn damaged(frame: &Bytes, damage: Damage) -> Option<Bytes> {
    let mut bytes = frame.to_vec();
    match damage {
        Damage::None => {}
        Damage::Missing => return None,
        Damage::Flip(at, bits) => {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        Damage::Cut(len) => bytes.truncate(len % bytes.len()),
    }
    Some(bytes.into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// `erasure.any-k`, `erasure.rebuild`, `bitrot.verify`: with up to M damaged shards the bytes come back, the
    /// corrupt shards are reported, and heal writes what the encoder wrote.
    #[test]
    fn any_m_losses_are_survived(case in cases()) {
        let codec = Codec::new(case.data, case.parity).unwrap();
        let part: Vec<u8> = (0..case.part_len).map(|at| (at ^ at >> 7) as u8 ^ case.seed).collect();
        let layout = Layout::new(codec, part.len() as u64).unwrap();
        let mut encoder = Encoder::new(codec);
        let mut input = &part[..];
        let mut stripes: Vec<Stripe> = std::iter::from_fn(|| encoder.push(&mut input)).collect();
        stripes.extend(encoder.finish());
        prop_assert_eq!(stripes.len() as u64, layout.stripes());

        let mut decoder = Decoder::new(codec);
        let mut read = Vec::new();
        let mut file_len = 0;
        for (index, stripe) in (0..).zip(&stripes) {
            prop_assert_eq!(stripe.len, layout.stripe_len(index));
            prop_assert_eq!(layout.frame_offset(index), file_len);
            file_len += stripe.frames[0].len() as u64;
            let pairs = stripe.frames.iter().zip(&case.damage);
            let frames: Vec<_> = pairs.map(|(frame, &damage)| damaged(frame, damage)).collect();
            let decoded = decoder.decode(stripe.len, 0..stripe.len, &frames).unwrap();
            decoded.segments.iter().for_each(|segment| read.extend_from_slice(segment));
            for (shard, &damage) in case.damage.iter().enumerate() {
                let is_rotten = !matches!(damage, Damage::None | Damage::Missing);
                prop_assert_eq!(decoded.corrupt.contains(shard), is_rotten);
            }
            let lost: ShardSet = (0..codec.total()).filter(|&shard| case.damage[shard] != Damage::None).collect();
            let rebuilt = decoder.rebuild(stripe.len, lost, &frames).unwrap();
            for (shard, frame) in lost.iter().zip(&rebuilt.frames) {
                prop_assert_eq!(frame, &stripe.frames[shard]);
            }
        }
        prop_assert_eq!(file_len, layout.shard_file_len());
        prop_assert!(read == part);
    }
}
