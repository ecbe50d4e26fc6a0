//! Layout of a part's bytes in its shard files: pure arithmetic.

use super::{Codec, HASH_LEN, STRIPE_LEN};
use std::ops::Range;
use thiserror::Error;

/// The longest shard file, in bytes: file offsets are signed.
const SHARD_FILE_LEN_MAX: u64 = i64::MAX as u64;

/// The arithmetic of one part of an object: stripes, and their frames in the N shard files, which all have the
/// same layout (rules `erasure.stripe`, `erasure.file-len`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    codec: Codec,
    part_len: u64,
}

/// The part's shard files would be longer than a file can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a part of {part_len} bytes is too long for a file")]
pub struct TooLong {
    /// Bytes of the part.
    pub part_len: u64,
}

impl Layout {
    /// The layout of a part of `part_len` bytes, 0 included.
    ///
    /// # Errors
    /// [`TooLong`] if an offset in a shard file would not fit into 63 bits. No other method can overflow then.
    pub fn new(codec: Codec, part_len: u64) -> Result<Layout, TooLong> {
        let layout = Layout { codec, part_len };
        // A shard file is never longer than the part and a hash per stripe, and never more than a block shorter
        // than its share: so this bound is tight for K = 1 and generous for none.
        let file_len = u128::from(layout.stripes()) * HASH_LEN as u128 + u128::from(part_len);
        if file_len > u128::from(SHARD_FILE_LEN_MAX) {
            return Err(TooLong { part_len });
        }
        Ok(layout)
    }

    /// Bytes of the part.
    pub fn part_len(&self) -> u64 {
        self.part_len
    }

    /// The number of stripes; none for an empty part.
    pub fn stripes(&self) -> u64 {
        self.part_len.div_ceil(STRIPE_LEN as u64)
    }

    /// Bytes of the part in a stripe: [`STRIPE_LEN`], the rest in the last one, 0 beyond.
    pub fn stripe_len(&self, stripe: u64) -> usize {
        let start = stripe.saturating_mul(STRIPE_LEN as u64);
        self.part_len.saturating_sub(start).min(STRIPE_LEN as u64) as usize
    }

    /// Bytes of a stripe's block in each shard, its hash not counted.
    pub fn block_len(&self, stripe: u64) -> usize {
        self.codec.block_len(self.stripe_len(stripe))
    }

    /// Bytes of a stripe's frame in each shard file: hash and block; 0 beyond the last stripe.
    pub fn frame_len(&self, stripe: u64) -> usize {
        match self.block_len(stripe) {
            0 => 0,
            block_len => HASH_LEN + block_len,
        }
    }

    /// Returns where a stripe's frame begins in each shard file, in bytes. The end of the file beyond the last stripe.
    pub fn frame_offset(&self, stripe: u64) -> u64 {
        let full_frame_len = (HASH_LEN + self.codec.block_len(STRIPE_LEN)) as u64;
        match self.stripes() {
            0 => 0,
            stripes if stripe < stripes => stripe * full_frame_len,
            stripes => (stripes - 1) * full_frame_len + self.frame_len(stripes - 1) as u64,
        }
    }

    /// Bytes of each shard file.
    pub fn shard_file_len(&self) -> u64 {
        self.frame_offset(self.stripes())
    }

    /// The stripes that hold the bytes `range` of the part, which is cut at the part's end.
    pub fn stripes_of(&self, range: Range<u64>) -> Range<u64> {
        let end = range.end.min(self.part_len);
        if range.start >= end {
            return 0..0;
        }
        range.start / STRIPE_LEN as u64..end.div_ceil(STRIPE_LEN as u64)
    }

    /// Returns where the frames of consecutive stripes are in each shard file, in bytes.
    pub fn frames_range(&self, stripes: Range<u64>) -> Range<u64> {
        self.frame_offset(stripes.start)..self.frame_offset(stripes.end)
    }

    /// Returns which bytes of a stripe belong to the bytes `range` of the part; empty if none does.
    pub fn range_in_stripe(&self, stripe: u64, range: Range<u64>) -> Range<usize> {
        let start = stripe.saturating_mul(STRIPE_LEN as u64);
        let stripe_len = self.stripe_len(stripe) as u64;
        let from = range.start.saturating_sub(start).min(stripe_len) as usize;
        let to = range.end.saturating_sub(start).min(stripe_len) as usize;
        from..to.max(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn layout(data: u8, part_len: u64) -> Layout {
        Layout::new(Codec::new(data, 0).unwrap(), part_len).unwrap()
    }

    /// `erasure.file-len`: K, part length → stripes, length of the last stripe, shard file length. By hand:
    /// a full frame is 32 + ⌈1048576/K⌉ bytes, which for K = 12 is 32 + 87382.
    #[test]
    fn table() {
        let rows: &[(u8, u64, u64, usize, u64)] = &[
            (1, 0, 0, 0, 0),
            (1, 1, 1, 1, 33),
            (1, MIB, 1, 1 << 20, 1_048_608),
            (1, MIB + 1, 2, 1, 1_048_608 + 33),
            (2, MIB - 1, 1, (1 << 20) - 1, 32 + 524_288),
            (3, 1, 1, 1, 33),
            (3, 4, 1, 4, 34),
            (12, 0, 0, 0, 0),
            (12, MIB, 1, 1 << 20, 87_414),
            (12, 3 * MIB + 12, 4, 12, 3 * 87_414 + 33),
            (12, 3 * MIB + 13, 4, 13, 3 * 87_414 + 34),
            (16, 5 << 40, 5 << 20, 1 << 20, (5 << 20) * (32 + 65_536)),
        ];
        for &(data, part_len, stripes, last_len, file_len) in rows {
            let layout = layout(data, part_len);
            let last = stripes.saturating_sub(1);
            assert_eq!(layout.stripes(), stripes, "K = {data}, {part_len} bytes");
            assert_eq!(layout.stripe_len(last), last_len, "K = {data}, {part_len} bytes");
            assert_eq!(layout.shard_file_len(), file_len, "K = {data}, {part_len} bytes");
            assert_eq!(layout.stripe_len(stripes), 0);
            assert_eq!(layout.frame_len(stripes), 0);
            assert_eq!(layout.frame_offset(u64::MAX), file_len);
        }
    }

    /// The second worked example of `specs/erasure.md`, among others.
    #[test]
    fn ranges() {
        let layout = layout(12, 3 * MIB + 13);
        let rows: &[(Range<u64>, Range<u64>)] = &[
            (0..0, 0..0),
            (5..5, 0..0),
            (0..1, 0..1),
            (0..MIB, 0..1),
            (MIB - 1..MIB + 1, 0..2),
            (MIB..2 * MIB, 1..2),
            (3 * MIB + 12..3 * MIB + 13, 3..4),
            (3 * MIB + 13..u64::MAX, 0..0),
            (1..u64::MAX, 0..4),
        ];
        for (range, stripes) in rows {
            assert_eq!(layout.stripes_of(range.clone()), *stripes, "{range:?}");
        }
        assert_eq!(layout.frames_range(1..4), 87_414..3 * 87_414 + 34);
        let range = 1_048_570..1_048_590;
        assert_eq!(layout.stripes_of(range.clone()), 0..2);
        assert_eq!(layout.frames_range(0..2), 0..174_828);
        let shards = |stripe| {
            let within = layout.range_in_stripe(stripe, range.clone());
            within.start / layout.block_len(stripe)..within.end.div_ceil(layout.block_len(stripe))
        };
        assert_eq!((shards(0), shards(1)), (11..12, 0..1));
        assert_eq!(layout.range_in_stripe(0, MIB - 1..MIB + 1), (1 << 20) - 1..1 << 20);
        assert_eq!(layout.range_in_stripe(1, MIB - 1..MIB + 1), 0..1);
        assert_eq!(layout.range_in_stripe(2, MIB - 1..MIB + 1), 0..0);
        assert_eq!(layout.range_in_stripe(3, 0..u64::MAX), 0..13);
        assert_eq!(layout.range_in_stripe(u64::MAX, 0..u64::MAX), 0..0);
    }

    #[test]
    fn what_no_file_can_hold_is_refused() {
        let codec = Codec::new(1, 0).unwrap();
        assert_eq!(Layout::new(codec, u64::MAX), Err(TooLong { part_len: u64::MAX }));
        assert!(Layout::new(codec, i64::MAX as u64).is_err(), "the hashes do not fit");
        let longest = i64::MAX as u64 / (MIB + 32) * MIB;
        let layout = Layout::new(codec, longest).unwrap();
        assert_eq!(layout.shard_file_len(), longest / MIB * (MIB + 32));
        assert_eq!(
            layout.stripes_of(longest - 1..u64::MAX),
            longest / MIB - 1..longest / MIB
        );
    }
}
