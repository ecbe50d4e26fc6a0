//! Symmetry reduction: drives are interchangeable, so states are kept with their drives sorted.
//!
//! The sort key is a digest of all that is known of a drive, which does not depend on the names of drives. Drives with
//! equal digests keep their order: at worst, a state is then kept twice.

use std::hash::Hasher;

/// Returns the old indexes of drives, sorted by digest.
pub fn order(drives: u8, digest: impl Fn(u8) -> u64) -> Vec<u8> {
    let digests: Vec<u64> = (0..drives).map(digest).collect();
    let mut order: Vec<u8> = (0..drives).collect();
    order.sort_by_key(|drive| digests[usize::from(*drive)]);
    order
}

/// Sorts drives; returns the new index of each by its old one, or `None` if all keep theirs.
pub fn sort<T: Clone>(drives: &mut Vec<T>, order: &[u8]) -> Option<Vec<u8>> {
    if order.is_sorted() {
        return None;
    }
    *drives = order.iter().map(|old| drives[usize::from(*old)].clone()).collect();
    let mut to = vec![0; order.len()];
    for (new, old) in (0u8..).zip(order) {
        to[usize::from(*old)] = new;
    }
    Some(to)
}

/// A fast hasher. A collision only means that a state is kept twice.
#[derive(Default)]
pub struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.mix(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }
}
