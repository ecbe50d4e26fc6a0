//! Values of registers, as far as the protocol looks at them.

use super::Drives;
use std::{fmt::Debug, hash::Hash};

/// A data folder's name: 128 random bits, chosen by the writer that stages it.
pub type Folder = u128;

/// A data folder that a value names, and how many of its shards what takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderNeed {
    /// The folder.
    pub folder: Folder,
    /// K: this many shards rebuild it.
    pub data: u8,
    /// W: this many shards were staged before its value could be accepted.
    pub write: u8,
    /// The drives that the writer recorded as holders.
    pub holders: Drives,
}

/// A register's value. Equality is by the value's name: two values are equal only if they are the same
/// change of the same base.
pub trait Value: Clone + Debug + Eq + Ord + Hash {
    /// The value of a key that was never written.
    fn absent() -> Self;

    /// Returns whether it hides the key: never written, or deleted (a tombstone).
    fn is_absent(&self) -> bool;

    /// The data folders that it names.
    fn folders(&self) -> Vec<FolderNeed>;

    /// Returns whether Finalize drops the folders that the value before it named and this one does not. Parts of
    /// an open upload say no: their folders live until the upload is gone from its key's value.
    fn drops_unnamed(&self) -> bool {
        true
    }

    /// Returns whether data that it does not name is still to be named: parts of an open upload. A vote that was never
    /// chosen may have named them, so that it is no longer enough that this value does not (`multipart.parts-kept`).
    fn awaits_parts(&self) -> bool {
        false
    }
}

/// The folders that `value` names and `prev` does not: what the change from one to the other brought in.
pub(crate) fn new_folders<V: Value>(value: &V, prev: &V) -> Vec<FolderNeed> {
    let old = prev.folders();
    let mut new = value.folders();
    new.retain(|need| old.iter().all(|o| o.folder != need.folder));
    new
}
