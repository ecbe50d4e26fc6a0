//! The Reed–Solomon code: K data and M parity blocks of a stripe, any K of which give it back.
//!
//! The matrix is the systematic Vandermonde matrix over GF(2^8), polynomial 0x11D: V·(top K rows of V)⁻¹ with
//! V(r, c) = r^c. Only `multiply` touches the bytes of blocks: with the kernel of [`super::avx2`] where it can, and
//! with the multiplication of `reed-solomon-erasure` (`specs/decisions/0002-reed-solomon.md`).

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::{SHARDS_MAX, ShardSet, matrix::Matrix};
use reed_solomon_erasure::galois_8::{mul_slice, mul_slice_xor};
use std::{fmt, sync::OnceLock};
use thiserror::Error;

/// Cells of the largest parity part of a matrix: K = M = 8.
const PARITY_CELLS_MAX: usize = SHARDS_MAX * SHARDS_MAX / 4;

/// Bytes of each block that are multiplied before the next piece: the pieces of all outputs stay in the
/// first-level cache. Between 2 and 16 KiB the speed is the same within noise.
const PIECE_LEN: usize = 4096;

/// A Reed–Solomon code with K data and M parity shards (rule `erasure.systematic`). Small, and cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Codec {
    data: u8,
    parity: u8,
    /// The parity part of the matrix: M rows of K cells. The rows of data shards are those of the identity.
    cells: [u8; PARITY_CELLS_MAX],
}

/// Error of a code's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// K is 0, N is above 16, or M is above N/2.
    #[error("{data} data and {parity} parity shards: at least 1 data shard, at most 16 shards, at most half of parity")]
    Shape {
        /// K as asked for.
        data: u8,
        /// M as asked for.
        parity: u8,
    },
    /// The multiplication is compiled for instructions that this CPU does not have.
    #[error("this CPU lacks AVX2, BMI or FMA, for which the erasure code is built")]
    Cpu,
}

impl Codec {
    /// The code with K = `data` and M = `parity`. M = 0 is legal (no redundancy), and so is K = 1.
    ///
    /// # Errors
    /// [`CodecError::Shape`] unless K ≥ 1, M ≤ N/2 and N ≤ 16; [`CodecError::Cpu`] on a CPU that the
    /// multiplication was not compiled for.
    pub fn new(data: u8, parity: u8) -> Result<Codec, CodecError> {
        let shape_is_legal = data >= 1 && parity <= data && usize::from(data) + usize::from(parity) <= SHARDS_MAX;
        if !shape_is_legal {
            return Err(CodecError::Shape { data, parity });
        }
        if !cpu_can_multiply() {
            return Err(CodecError::Cpu);
        }
        let (k, m) = (usize::from(data), usize::from(parity));
        let vandermonde = Matrix::vandermonde(k + m, k);
        let top = Matrix::from_rows(k, (0..k).map(|row| vandermonde.row(row)));
        let top_inverse = top
            .inverse()
            .expect("rows of a Vandermonde matrix over distinct points are independent");
        let mut cells = [0; PARITY_CELLS_MAX];
        let parity_cells = (k..k + m).flat_map(|row| top_inverse.left_multiply(vandermonde.row(row)));
        for (cell, value) in cells.iter_mut().zip(parity_cells) {
            *cell = value;
        }
        Ok(Codec { data, parity, cells })
    }

    /// K, the number of data shards. Shards 0..K are data.
    pub const fn data(&self) -> usize {
        self.data as usize
    }

    /// M, the number of parity shards. Shards K..N are parity.
    pub const fn parity(&self) -> usize {
        self.parity as usize
    }

    /// N = K + M.
    pub const fn total(&self) -> usize {
        self.data() + self.parity()
    }

    /// Bytes of each of the N blocks of a stripe of `stripe_len` bytes: ⌈stripe_len / K⌉ (rule
    /// `erasure.block-len`).
    pub const fn block_len(&self, stripe_len: usize) -> usize {
        stripe_len.div_ceil(self.data())
    }

    /// All N blocks of a stripe, unframed: its bytes padded with zeros and cut into K, then M of parity.
    /// The write path uses [`super::Encoder`], which frames as it goes.
    pub fn encode(&self, stripe: &[u8]) -> Shards {
        let block_len = self.block_len(stripe.len());
        let mut bytes = Vec::with_capacity(block_len * self.total());
        bytes.extend_from_slice(stripe);
        bytes.resize(block_len * self.total(), 0);
        if block_len > 0 {
            let (data, parity) = bytes.split_at_mut(block_len * self.data());
            let data: Vec<&[u8]> = data.chunks_exact(block_len).collect();
            let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(block_len).collect();
            self.encode_parity(&data, &mut parity);
        }
        Shards { block_len, bytes }
    }

    /// Computes the M parity blocks of K data blocks. What `parity` held before does not matter.
    ///
    /// # Panics
    /// If there are not K data and M parity blocks, all of one length.
    pub fn encode_parity(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) {
        assert_eq!(
            (data.len(), parity.len()),
            (self.data(), self.parity()),
            "a block per shard"
        );
        multiply(&self.cells[..data.len() * parity.len()], data, parity);
    }

    /// Returns how to compute the blocks of `wanted` from K blocks of `valid`, or `None` if `valid` has fewer than K.
    /// It depends on the shards alone: compute it once for all stripes with the same losses.
    pub fn reconstruction(&self, valid: ShardSet, wanted: ShardSet) -> Option<Reconstruction> {
        let k = self.data();
        let sources: Vec<u8> = valid
            .iter()
            .filter(|&shard| shard < self.total())
            .take(k)
            .map(|s| s as u8)
            .collect();
        if sources.len() < k {
            return None;
        }
        let rows: Vec<Vec<u8>> = sources.iter().map(|&shard| self.row(usize::from(shard))).collect();
        let inverse = Matrix::from_rows(k, rows.iter().map(Vec::as_slice))
            .inverse()
            .expect("any K rows of the systematic Vandermonde matrix are independent");
        let wanted: ShardSet = wanted.iter().filter(|&shard| shard < self.total()).collect();
        let cells = wanted
            .iter()
            .flat_map(|s| inverse.left_multiply(&self.row(s)).collect::<Vec<u8>>())
            .collect();
        Some(Reconstruction { sources, wanted, cells })
    }

    /// The row of the whole matrix that gives the block of `shard` from the data blocks.
    fn row(&self, shard: usize) -> Vec<u8> {
        let k = self.data();
        match shard.checked_sub(k) {
            None => (0..k).map(|column| u8::from(column == shard)).collect(),
            Some(parity) => self.cells[parity * k..][..k].to_vec(),
        }
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec({}+{})", self.data, self.parity)
    }
}

/// Codes by K and M, each computed when it is first asked for: that inverts a matrix, too much for every request.
#[derive(Debug, Default)]
pub struct Codecs {
    by_shape: [[OnceLock<Codec>; SHARDS_MAX / 2 + 1]; SHARDS_MAX + 1],
}

impl Codecs {
    /// The code with K = `data` and M = `parity`.
    ///
    /// # Errors
    /// As [`Codec::new`].
    pub fn get(&self, data: u8, parity: u8) -> Result<Codec, CodecError> {
        let kept = self
            .by_shape
            .get(usize::from(data))
            .and_then(|by_parity| by_parity.get(usize::from(parity)));
        if let Some(codec) = kept.and_then(OnceLock::get) {
            return Ok(*codec);
        }
        let codec = Codec::new(data, parity)?;
        // Another request may have been first, with the same code.
        kept.map(|kept| kept.set(codec));
        Ok(codec)
    }
}

/// The N blocks of one stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    block_len: usize,
    bytes: Vec<u8>,
}

impl Shards {
    /// Bytes of each block.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// The block of a shard; empty for an empty stripe.
    ///
    /// # Panics
    /// If `shard` is not below N.
    pub fn block(&self, shard: usize) -> &[u8] {
        &self.bytes[shard * self.block_len..][..self.block_len]
    }
}

/// Matrix by which the blocks of some shards follow from those of K others: see [`Codec::reconstruction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconstruction {
    sources: Vec<u8>,
    wanted: ShardSet,
    /// A row of K cells per wanted shard.
    cells: Vec<u8>,
}

impl Reconstruction {
    /// The K shards whose blocks are read, in the order in which [`Self::run`] takes them.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.sources.iter().map(|&shard| usize::from(shard))
    }

    /// The shards whose blocks are computed, in ascending order.
    pub fn wanted(&self) -> ShardSet {
        self.wanted
    }

    /// Computes the wanted blocks, in ascending order of shards, from those of the sources, in their order.
    /// Computes the wanted blocks, whatever `wanted` held before.
    ///
    /// # Panics
    /// If there is not a block per source and per wanted shard, all of one length.
    pub fn run(&self, sources: &[&[u8]], wanted: &mut [&mut [u8]]) {
        assert_eq!(
            (sources.len(), wanted.len()),
            (self.sources.len(), self.wanted.len()),
            "a block per shard"
        );
        multiply(&self.cells, sources, wanted);
    }
}

/// The kernel: output o = Σ cells(o, i) · input i, for blocks of one length. Overwrites the outputs.
fn multiply(cells: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    debug_assert_eq!(cells.len(), inputs.len() * outputs.len());
    let block_len = inputs.first().map_or(0, |input| input.len());
    assert!(
        inputs.iter().all(|input| input.len() == block_len),
        "blocks of one length"
    );
    assert!(
        outputs.iter().all(|output| output.len() == block_len),
        "blocks of one length"
    );
    for start in (0..block_len).step_by(PIECE_LEN) {
        let piece = start..block_len.min(start + PIECE_LEN);
        let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[piece.clone()]).collect();
        let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(|output| &mut output[piece.clone()]).collect();
        multiply_piece(cells, &inputs, &mut outputs);
    }
}

/// [`multiply`] for a piece, which is not empty.
fn multiply_piece(cells: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    #[cfg(target_arch = "x86_64")]
    if inputs[0].len() >= avx2::CHUNK_LEN && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: it needs only the feature just detected.
        return unsafe { avx2::multiply(cells, inputs, outputs) };
    }
    multiply_plainly(cells, inputs, outputs);
}

/// [`multiply`] with the multiplication of the crate, which does not take empty blocks.
fn multiply_plainly(cells: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    for (output, row) in outputs.iter_mut().zip(cells.chunks_exact(inputs.len())) {
        mul_slice(row[0], inputs[0], output);
        for (input, &factor) in inputs.iter().zip(row).skip(1) {
            mul_slice_xor(factor, input, output);
        }
    }
}

/// Returns whether this CPU has what the feature `simd-accel` was compiled with, `-march=haswell` on x86-64. An error
/// at start is better than a process that is killed by its first object.
fn cpu_can_multiply() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("lzcnt") && has!("movbe") && has!("f16c")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every legal K and M.
    fn shapes() -> impl Iterator<Item = (u8, u8)> {
        (1..=16u8).flat_map(|n| (0..=n / 2).map(move |m| (n - m, m)))
    }

    #[test]
    fn shapes_outside_are_refused() {
        let legal: Vec<(u8, u8)> = shapes().collect();
        for data in 0..=20 {
            for parity in (0..=20).chain([255]) {
                assert_eq!(
                    Codec::new(data, parity).is_ok(),
                    legal.contains(&(data, parity)),
                    "{data}+{parity}"
                );
            }
        }
        assert_eq!(Codec::new(255, 255), Err(CodecError::Shape { data: 255, parity: 255 }));
    }

    #[test]
    fn kept_codes_are_those_asked_for() {
        let codecs = Codecs::default();
        for _ in 0..2 {
            for data in 0..=20 {
                for parity in (0..=20).chain([255]) {
                    assert_eq!(codecs.get(data, parity), Codec::new(data, parity), "{data}+{parity}");
                }
            }
        }
    }

    #[test]
    fn every_pattern_of_losses_is_reconstructed() {
        for (data, parity) in shapes().filter(|(data, parity)| data + parity <= 10) {
            let codec = Codec::new(data, parity).unwrap();
            let stripe: Vec<u8> = (0..codec.data() * 3).map(|at| (at * 41 + 7) as u8).collect();
            let shards = codec.encode(&stripe);
            let all: ShardSet = (0..codec.total()).collect();
            for bits in 0..1u16 << codec.total() {
                let valid: ShardSet = (0..codec.total()).filter(|shard| bits >> shard & 1 == 1).collect();
                let plan = codec.reconstruction(valid, all);
                assert_eq!(plan.is_some(), valid.len() >= codec.data());
                let Some(plan) = plan else { continue };
                let sources: Vec<&[u8]> = plan.sources().map(|shard| shards.block(shard)).collect();
                assert!(plan.sources().all(|shard| valid.contains(shard)));
                let mut blocks = vec![vec![0xEE; shards.block_len()]; codec.total()];
                plan.run(
                    &sources,
                    &mut blocks.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                );
                for (shard, block) in blocks.iter().enumerate() {
                    assert_eq!(block, shards.block(shard), "{codec:?}, valid {valid:?}, shard {shard}");
                }
            }
        }
    }

    #[test]
    fn blocks_longer_than_a_piece() {
        let codec = Codec::new(3, 2).unwrap();
        let stripe: Vec<u8> = (0..3 * PIECE_LEN + 100).map(|at| (at % 251) as u8).collect();
        let shards = codec.encode(&stripe);
        for at in [0, PIECE_LEN - 1, PIECE_LEN, shards.block_len() - 1] {
            let column: Vec<u8> = (0..3).map(|shard| shards.block(shard)[at]).collect();
            let alone = codec.encode(&column);
            for shard in 0..5 {
                assert_eq!(
                    shards.block(shard)[at],
                    alone.block(shard)[0],
                    "shard {shard}, byte {at}"
                );
            }
        }
    }

    /// The kernel of this processor against the plain multiplication, at every number of inputs and outputs, also for
    /// lengths that are no multiple of what it takes at once.
    #[test]
    fn kernel_is_plain_multiplication() {
        let lens = (1..200)
            .step_by(7)
            .chain([64, 128, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, 2 * PIECE_LEN + 70]);
        for len in lens {
            let blocks: Vec<Vec<u8>> = (0..SHARDS_MAX)
                .map(|block| (0..len).map(|at| (at * 31 + block * 7 + at / 5) as u8).collect())
                .collect();
            let shapes =
                (1..=SHARDS_MAX).flat_map(|inputs| (1..=SHARDS_MAX - inputs).map(move |outputs| (inputs, outputs)));
            for (inputs, outputs) in shapes {
                let cells: Vec<u8> = (0..inputs * outputs).map(|cell| (cell * 89 + len) as u8).collect();
                let sources: Vec<&[u8]> = blocks[..inputs].iter().map(Vec::as_slice).collect();
                let [computed, expected] = [multiply, multiply_plainly].map(|multiply| {
                    let mut products = vec![vec![0xEE; len]; outputs];
                    multiply(
                        &cells,
                        &sources,
                        &mut products.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                    );
                    products
                });
                assert!(computed == expected, "{inputs} inputs, {outputs} outputs, {len} bytes");
            }
        }
    }

    #[test]
    fn empty_stripe_has_empty_blocks() {
        let shards = Codec::new(4, 2).unwrap().encode(&[]);
        assert_eq!((shards.block_len(), shards.block(5)), (0, &[][..]));
    }
}
