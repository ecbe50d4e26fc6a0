//! The MD5 of one body.

use super::lanes::{self, BLOCK, IV};

/// A running MD5 (RFC 1321).
#[derive(Clone, Debug)]
pub struct Md5 {
    pub(super) state: [u32; 4],
    /// The bytes after the last whole block.
    tail: [u8; BLOCK],
    tail_len: usize,
    /// All bytes so far.
    len: u64,
}

impl Default for Md5 {
    fn default() -> Md5 {
        Md5 {
            state: IV,
            tail: [0; BLOCK],
            tail_len: 0,
            len: 0,
        }
    }
}

impl Md5 {
    /// The MD5 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> [u8; 16] {
        let mut md5 = Md5::default();
        md5.update(data);
        md5.finish()
    }

    /// Takes bytes in.
    pub fn update(&mut self, data: &[u8]) {
        let data = self.fill_tail(data);
        let whole = data.len() / BLOCK * BLOCK;
        lanes::one(&mut self.state, &data[..whole]);
        self.took(whole);
        let rest = self.fill_tail(&data[whole..]);
        debug_assert!(rest.is_empty(), "less than a block fits into the tail");
    }

    /// The MD5 of all bytes taken in.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.len.wrapping_mul(8);
        // One bit, then zeroes up to the length in the last eight bytes of a block.
        let zeroes = (2 * BLOCK - 9 - self.tail_len) % BLOCK;
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        padding[1 + zeroes..9 + zeroes].copy_from_slice(&bits.to_le_bytes());
        self.update(&padding[..9 + zeroes]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Takes in what completes the block that was begun, or all of less than a block; what is left of `data`.
    pub(super) fn fill_tail<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        if self.tail_len == 0 && data.len() >= BLOCK {
            return data;
        }
        let (fill, rest) = data.split_at(data.len().min(BLOCK - self.tail_len));
        self.tail[self.tail_len..][..fill.len()].copy_from_slice(fill);
        self.tail_len += fill.len();
        self.len += fill.len() as u64;
        if self.tail_len == BLOCK {
            lanes::one(&mut self.state, &self.tail);
            self.tail_len = 0;
        }
        rest
    }

    /// Notes that this many bytes of whole blocks have gone into `state`.
    pub(super) fn took(&mut self, bytes: usize) {
        self.len += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // RFC 1321, A.5.
    #[test]
    fn the_digests_of_the_rfc() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            let hex: String = Md5::of(text.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, digest, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(
            data in prop::collection::vec(any::<u8>(), 0..400),
            cuts in prop::collection::vec(0usize..400, 0..6),
        ) {
            let mut md5 = Md5::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
            cuts.sort_unstable();
            let mut start = 0;
            for cut in cuts.into_iter().chain([data.len()]) {
                md5.update(&data[start..cut]);
                start = cut;
            }
            let reference: [u8; 16] = <md5_reference::Md5 as md5_reference::Digest>::digest(&data).into();
            prop_assert_eq!(md5.finish(), reference);
        }
    }
}
