//! Which drive is called which makes no difference: states are kept in an order of their drives.
//!
//! The order is by a digest of all that is known of a drive, which does not depend on the names of the drives. Two
//! drives with the same digest stay as they are: at worst a state is then kept twice.

use std::hash::Hasher;

/// So many drives in the order of their digests, each by its name before.
pub fn order(drives: u8, digest: impl Fn(u8) -> u64) -> Vec<u8> {
    let digests: Vec<u64> = (0..drives).map(digest).collect();
    let mut order: Vec<u8> = (0..drives).collect();
    order.sort_by_key(|drive| digests[usize::from(*drive)]);
    order
}

/// Brings drives into an order; returns the new name of each by its name before, unless all keep theirs.
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

/// A quick hasher: a collision costs a state that is kept twice, no more.
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
