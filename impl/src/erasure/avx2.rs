//! The multiplication of blocks with AVX2: up to four outputs in one pass over the inputs.
//!
//! A product in GF(2^8) is the sum of those of the two halves of a byte, and each half has sixteen values: a shuffle
//! looks 32 of them up at once. The sums stay in registers until all inputs are in them.

use super::matrix::product;
use std::arch::x86_64::*;

/// Outputs of a pass: with more, the sums do not fit into the registers.
const OUTPUTS: usize = 4;

/// Bytes of each block that are computed at once.
pub(super) const CHUNK_LEN: usize = 64;

/// The most inputs of a pass.
const INPUTS_MAX: usize = super::SHARDS_MAX;

/// Products of a factor with 0..16, then with 0, 16, 32 and so on.
type Table = [u8; 32];

/// Tables of all factors, each at its index. Computed by the compiler.
static TABLES: [Table; 256] = {
    let mut tables = [[0; 32]; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut half = 0;
        while half < 16 {
            tables[factor][half] = product(factor as u8, half as u8);
            tables[factor][16 + half] = product(factor as u8, (half as u8) << 4);
            half += 1;
        }
        factor += 1;
    }
    tables
};

/// Output o = Σ cells(o, i) · input i, for at most 16 inputs. All blocks have the same length, at least [`CHUNK_LEN`].
#[target_feature(enable = "avx2")]
pub(super) fn multiply(cells: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let rows = cells.chunks(OUTPUTS * inputs.len());
    for (rows, outputs) in rows.zip(outputs.chunks_mut(OUTPUTS)) {
        match outputs.len() {
            1 => pass::<1>(rows, inputs, outputs),
            2 => pass::<2>(rows, inputs, outputs),
            3 => pass::<3>(rows, inputs, outputs),
            _ => pass::<OUTPUTS>(rows, inputs, outputs),
        }
    }
}

#[target_feature(enable = "avx2")]
fn pass<const R: usize>(rows: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let len = inputs[0].len();
    assert!(len >= CHUNK_LEN && inputs.len() <= INPUTS_MAX && outputs.len() == R);
    assert!(inputs.iter().all(|input| input.len() == len));
    assert!(outputs.iter().all(|output| output.len() == len));
    // In the order in which they are read.
    let mut tables = [[[0; 32]; R]; INPUTS_MAX];
    for (input, tables) in tables.iter_mut().take(inputs.len()).enumerate() {
        for (table, row) in tables.iter_mut().zip(rows.chunks_exact(inputs.len())) {
            *table = TABLES[usize::from(row[input])];
        }
    }
    let low_bits = _mm256_set1_epi8(0x0F);
    let mut at = 0;
    while at < len {
        // The last chunk begins earlier where the length is not a multiple: the same again for some bytes.
        at = at.min(len - CHUNK_LEN);
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        for (input, tables) in inputs.iter().zip(&tables) {
            // SAFETY: all inputs have `len` bytes, and at + CHUNK_LEN <= len.
            let bytes = unsafe { [load(input, at), load(input, at + 32)] };
            let low = [
                _mm256_and_si256(bytes[0], low_bits),
                _mm256_and_si256(bytes[1], low_bits),
            ];
            let high = [
                _mm256_and_si256(_mm256_srli_epi64::<4>(bytes[0]), low_bits),
                _mm256_and_si256(_mm256_srli_epi64::<4>(bytes[1]), low_bits),
            ];
            for (sums, table) in sums.iter_mut().zip(tables) {
                let [of_low, of_high] = load_table(table);
                for (half, sum) in sums.iter_mut().enumerate() {
                    let low = _mm256_shuffle_epi8(of_low, low[half]);
                    let high = _mm256_shuffle_epi8(of_high, high[half]);
                    *sum = _mm256_xor_si256(*sum, _mm256_xor_si256(low, high));
                }
            }
        }
        for (output, [first, second]) in outputs.iter_mut().zip(sums) {
            // SAFETY: as above.
            unsafe {
                store(output, at, first);
                store(output, at + 32, second);
            }
        }
        at += CHUNK_LEN;
    }
}

/// # Safety
/// `at` + 32 ≤ the length.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(bytes: &[u8], at: usize) -> __m256i {
    debug_assert!(at + 32 <= bytes.len());
    // SAFETY: the caller's. It needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().add(at).cast()) }
}

/// # Safety
/// `at` + 32 ≤ the length.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(bytes: &mut [u8], at: usize, value: __m256i) {
    debug_assert!(at + 32 <= bytes.len());
    // SAFETY: the caller's. It needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().add(at).cast(), value) }
}

/// The halves of a table, each twice in a register.
#[inline]
#[target_feature(enable = "avx2")]
fn load_table(table: &Table) -> [__m256i; 2] {
    // SAFETY: the two read 16 bytes each, the 32 of the table.
    let halves = unsafe {
        [
            _mm_loadu_si128(table.as_ptr().cast()),
            _mm_loadu_si128(table.as_ptr().add(16).cast()),
        ]
    };
    [
        _mm256_broadcastsi128_si256(halves[0]),
        _mm256_broadcastsi128_si256(halves[1]),
    ]
}
