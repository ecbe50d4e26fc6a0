//! Sets of shards.

use super::SHARDS_MAX;
use std::fmt;

/// A set of shard indices, 0-based.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardSet(u16);

impl ShardSet {
    /// The empty set.
    pub const EMPTY: ShardSet = ShardSet(0);

    /// Adds a shard.
    ///
    /// # Panics
    /// If `shard` is not below [`SHARDS_MAX`].
    pub const fn insert(&mut self, shard: usize) {
        assert!(shard < SHARDS_MAX);
        self.0 |= 1 << shard;
    }

    /// Returns whether the shard is in the set.
    pub const fn contains(self, shard: usize) -> bool {
        shard < SHARDS_MAX && self.0 >> shard & 1 == 1
    }

    /// The number of shards in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether the set has no shard.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The shards of this set that are not in the other.
    #[must_use]
    pub const fn minus(self, other: ShardSet) -> ShardSet {
        ShardSet(self.0 & !other.0)
    }

    /// The shards in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..SHARDS_MAX).filter(move |&shard| self.contains(shard))
    }
}

impl FromIterator<usize> for ShardSet {
    /// # Panics
    /// If a shard is not below [`SHARDS_MAX`].
    fn from_iter<I: IntoIterator<Item = usize>>(shards: I) -> ShardSet {
        let mut set = ShardSet::EMPTY;
        shards.into_iter().for_each(|shard| set.insert(shard));
        set
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_of_shards() {
        let mut set = ShardSet::EMPTY;
        assert!(set.is_empty());
        set.insert(15);
        set.insert(3);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 15]);
        assert!(set.contains(3) && !set.contains(4) && !set.contains(99));
        assert_eq!(set.minus([3].into_iter().collect()).iter().collect::<Vec<_>>(), [15]);
        assert_eq!(format!("{set:?}"), "{3, 15}");
    }
}
