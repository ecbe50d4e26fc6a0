//! The compression function of MD5 with AVX2: eight bodies in a register, one group of them or two.
//!
//! Each step waits for the one before, which leaves half of the processor idle with one group: two in turn take hardly
//! longer. The steps are written out, for the rotations of AVX2 take constants only, and so that the working state
//! stays in registers.

use super::lanes::{BLOCK, ROTATIONS, SINES};
use std::arch::x86_64::*;

/// Bodies of a group: words of 32 bits in a register.
const GROUP: usize = 8;

/// Bytes of half a block, as many as a register has.
const HALF: usize = BLOCK / 2;

/// Takes as many whole blocks of each body as all have into the states of `L` = 8 · `G` bodies.
#[target_feature(enable = "avx2")]
pub(super) fn compress<const L: usize, const G: usize>(states: &mut [[u32; L]; 4], data: &[&[u8]; L]) {
    const { assert!(L == G * GROUP, "whole groups") };
    let bodies = data.map(|body| body.as_chunks::<BLOCK>().0);
    let blocks = bodies.iter().map(|body| body.len()).min().unwrap_or(0);
    let mut groups = [[_mm256_setzero_si256(); 4]; G];
    for (words, word) in states.iter().zip(0..) {
        for (state, words) in groups.iter_mut().zip(words.as_chunks::<GROUP>().0) {
            state[word] = load_words(words);
        }
    }
    for block in 0..blocks {
        let mut words = [[_mm256_setzero_si256(); 16]; G];
        for (words, bodies) in words.iter_mut().zip(bodies.as_chunks::<GROUP>().0) {
            *words = words_of(bodies.map(|body| &body[block]));
        }
        let before = groups;
        steps(&mut groups, &words);
        for (state, before) in groups.iter_mut().flatten().zip(before.iter().flatten()) {
            *state = _mm256_add_epi32(*state, *before);
        }
    }
    for (words, word) in states.iter_mut().zip(0..) {
        for (state, words) in groups.iter().zip(words.as_chunks_mut::<GROUP>().0) {
            store_words(words, state[word]);
        }
    }
}

/// RFC 1321, 3.4, for one block of each body.
#[inline]
#[target_feature(enable = "avx2")]
fn steps<const G: usize>(groups: &mut [[__m256i; 4]; G], words: &[[__m256i; 16]; G]) {
    let ones = _mm256_set1_epi32(-1);
    macro_rules! steps {
        ($($step:literal)*) => {$({
            let word = const {
                match $step / 16 {
                    0 => $step,
                    1 => (5 * $step + 1) % 16,
                    2 => (3 * $step + 5) % 16,
                    _ => 7 * $step % 16,
                }
            };
            let sine = _mm256_set1_epi32(SINES[$step] as i32);
            for (state, words) in groups.iter_mut().zip(words) {
                let [a, b, c, d] = *state;
                let mix = match $step / 16 {
                    0 => _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))),
                    1 => _mm256_xor_si256(c, _mm256_and_si256(d, _mm256_xor_si256(b, c))),
                    2 => _mm256_xor_si256(b, _mm256_xor_si256(c, d)),
                    _ => _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, ones))),
                };
                // What does not wait for the step before is added first.
                let sum = _mm256_add_epi32(mix, _mm256_add_epi32(a, _mm256_add_epi32(sine, words[word])));
                const LEFT: i32 = ROTATIONS[$step / 16][$step % 4] as i32;
                let rotated = _mm256_or_si256(_mm256_slli_epi32::<LEFT>(sum), _mm256_srli_epi32::<{ 32 - LEFT }>(sum));
                *state = [d, _mm256_add_epi32(b, rotated), b, c];
            }
        })*};
    }
    steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    steps!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    steps!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
    steps!(48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
}

/// The sixteen words of a block, each of all bodies.
#[inline]
#[target_feature(enable = "avx2")]
fn words_of(blocks: [&[u8; BLOCK]; GROUP]) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    for (half, words) in words.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
        let mut rows = [_mm256_setzero_si256(); GROUP];
        for (row, block) in rows.iter_mut().zip(blocks) {
            *row = load_bytes(&block.as_chunks::<HALF>().0[half]);
        }
        *words = transpose(rows);
    }
    words
}

/// Turns eight rows of eight words into columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; GROUP]) -> [__m256i; GROUP] {
    let (mut pairs, mut fours, mut columns) = (rows, rows, rows);
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for half in [0, 4] {
        fours[half] = _mm256_unpacklo_epi64(pairs[half], pairs[half + 2]);
        fours[half + 1] = _mm256_unpackhi_epi64(pairs[half], pairs[half + 2]);
        fours[half + 2] = _mm256_unpacklo_epi64(pairs[half + 1], pairs[half + 3]);
        fours[half + 3] = _mm256_unpackhi_epi64(pairs[half + 1], pairs[half + 3]);
    }
    for i in 0..4 {
        columns[i] = _mm256_permute2x128_si256::<0x20>(fours[i], fours[4 + i]);
        columns[4 + i] = _mm256_permute2x128_si256::<0x31>(fours[i], fours[4 + i]);
    }
    columns
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(bytes: &[u8; HALF]) -> __m256i {
    // SAFETY: it reads the 32 bytes of the array, at any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(words: &[u32; GROUP]) -> __m256i {
    // SAFETY: it reads the 32 bytes of the array, at any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_words(words: &mut [u32; GROUP], value: __m256i) {
    // SAFETY: it writes the 32 bytes of the array, at any alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}
