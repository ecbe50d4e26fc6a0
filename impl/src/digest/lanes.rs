//! The compression function of MD5, on several bodies at once.
//!
//! Every lane is a body: the arithmetic is written for arrays with an element for each lane, which a compiler turns
//! into vector instructions wherever it may use them, and the same code is for one lane. With AVX2 it does that badly:
//! there, [`super::avx2`] takes its place.

#[cfg(target_arch = "x86_64")]
use super::avx2;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// The state before the first block.
pub(super) const IV: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Rotations of the steps of each round, four by turns.
pub(super) const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The whole part of 2³² · |sin i|, i = 1..=64.
pub(super) const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The most lanes of a kernel.
pub(super) const LANES_MAX: usize = 16;

/// A kernel: takes whole blocks, as many of each lane, into its states.
type Kernel<const L: usize> = fn(&mut [[u32; L]; 4], &[&[u8]; L]);

/// The kernels of this processor, and from how many lanes on each is worth it.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    eight: Option<Kernel<8>>,
    sixteen: Kernel<16>,
    /// Fewer lanes are faster one by one.
    pub(super) lanes_min: usize,
}

impl Kernels {
    /// Returns the kernels that suit this processor.
    pub(super) fn detect() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl") {
                return Kernels {
                    // SAFETY: both need only the features just detected.
                    eight: Some(|states, data| unsafe { avx512(states, data) }),
                    // SAFETY: as above.
                    sixteen: |states, data| unsafe { avx512(states, data) },
                    lanes_min: 3,
                };
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                return Kernels {
                    // SAFETY: both need only the feature just detected.
                    eight: Some(|states, data| unsafe { avx2::compress::<8, 1>(states, data) }),
                    // SAFETY: as above.
                    sixteen: |states, data| unsafe { avx2::compress::<16, 2>(states, data) },
                    lanes_min: 2,
                };
            }
        }
        // Four lanes a register at best: only many bodies are worth it.
        Kernels {
            eight: None,
            sixteen: compress,
            lanes_min: 9,
        }
    }

    /// Takes as many whole blocks of each body into its state. At least one body, at most [`LANES_MAX`].
    pub(super) fn compress(&self, states: &mut [[u32; 4]], data: &[&[u8]]) {
        match self.eight {
            Some(eight) if data.len() <= 8 => spread(states, data, eight),
            _ => spread(states, data, self.sixteen),
        }
    }
}

/// Puts the bodies into lanes; in those that are left over the first body is worked on again, in vain.
fn spread<const L: usize>(states: &mut [[u32; 4]], data: &[&[u8]], kernel: Kernel<L>) {
    let Some(first) = data.first() else { return };
    let of_lane: [&[u8]; L] = std::array::from_fn(|lane| data.get(lane).copied().unwrap_or(first));
    let mut lanes = [[0; L]; 4];
    for (word, lanes) in lanes.iter_mut().enumerate() {
        for (state, lane) in states.iter().zip(lanes) {
            *lane = state[word];
        }
    }
    kernel(&mut lanes, &of_lane);
    for (word, lanes) in lanes.iter().enumerate() {
        for (state, lane) in states.iter_mut().zip(lanes) {
            state[word] = *lane;
        }
    }
}

/// Takes whole blocks of one body into its state.
pub(super) fn one(state: &mut [u32; 4], data: &[u8]) {
    let mut lanes = state.map(|word| [word]);
    compress(&mut lanes, &[data]);
    *state = lanes.map(|[word]| word);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn avx512<const L: usize>(states: &mut [[u32; L]; 4], data: &[&[u8]; L]) {
    compress(states, data);
}

/// RFC 1321, 3.4, block after block. Inlined, so that it is compiled for the features of its caller.
#[inline(always)]
fn compress<const L: usize>(states: &mut [[u32; L]; 4], data: &[&[u8]; L]) {
    let blocks = data.iter().map(|body| body.len() / BLOCK).min().unwrap_or(0);
    for block in 0..blocks {
        let mut words = [[0; L]; 16];
        for (lane, body) in data.iter().enumerate() {
            let block = &body[block * BLOCK..][..BLOCK];
            for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                word[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
        let mut working = *states;
        // The second's `or` of disjoint bits is a sum, which need not wait for `b`.
        round::<L, 0>(&mut working, &words, |step| step, |b, c, d| d ^ (b & (c ^ d)));
        round::<L, 1>(
            &mut working,
            &words,
            |step| 5 * step + 1,
            |b, c, d| (b & d).wrapping_add(c & !d),
        );
        round::<L, 2>(&mut working, &words, |step| 3 * step + 5, |b, c, d| b ^ c ^ d);
        round::<L, 3>(&mut working, &words, |step| 7 * step, |b, c, d| c ^ (b | !d));
        for (state, working) in states.iter_mut().flatten().zip(working.iter().flatten()) {
            *state = state.wrapping_add(*working);
        }
    }
}

#[inline(always)]
fn round<const L: usize, const R: usize>(
    working: &mut [[u32; L]; 4],
    words: &[[u32; L]; 16],
    word_of: impl Fn(usize) -> usize,
    mix: impl Fn(u32, u32, u32) -> u32,
) {
    let [mut a, mut b, mut c, mut d] = *working;
    for step in 0..16 {
        let word = &words[word_of(step) % 16];
        let mut next = [0; L];
        for lane in 0..L {
            let sum = a[lane]
                .wrapping_add(mix(b[lane], c[lane], d[lane]))
                .wrapping_add(SINES[16 * R + step])
                .wrapping_add(word[lane]);
            next[lane] = b[lane].wrapping_add(sum.rotate_left(ROTATIONS[R][step % 4]));
        }
        (a, b, c, d) = (d, next, b, c);
    }
    *working = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_of_sines() {
        let sine = |i: u32| (f64::from(i).sin().abs() * 4_294_967_296.0) as u32;
        let sines: Vec<u32> = (1..=64).map(sine).collect();
        assert_eq!(SINES[..], sines);
    }

    /// Every kernel that this processor has, at every number of bodies, against one body at a time.
    #[test]
    fn lanes_do_not_meet() {
        let body = |n: usize| -> Vec<u8> { (0..5 * BLOCK).map(|i| (i * 31 + n * 7 + i / 9) as u8).collect() };
        let bodies: Vec<Vec<u8>> = (0..LANES_MAX).map(body).collect();
        let plain = Kernels {
            eight: Some(compress),
            sixteen: compress,
            lanes_min: 1,
        };
        for kernels in [Kernels::detect(), plain] {
            for count in 1..=LANES_MAX {
                let mut states = vec![IV; count];
                let data: Vec<&[u8]> = bodies[..count].iter().map(Vec::as_slice).collect();
                kernels.compress(&mut states, &data);
                for (state, body) in states.iter().zip(data) {
                    let mut alone = IV;
                    one(&mut alone, body);
                    assert_eq!(*state, alone, "of {count}");
                }
            }
        }
    }
}
