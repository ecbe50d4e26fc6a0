//! A reader's choice of shards, once it knows which value to read.

use super::mutant::{Mutant, Mutation};
use super::{Drives, Folder};

/// The shards of one data folder: a reader opens K of them before its first byte leaves, and takes others for those
/// that turn out to be bad (`read.one-data-folder`). A shard that is open stays readable when its folder is dropped.
///
/// Shards are numbered by their place in the stripe, data shards first; a set of them is a [`Drives`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    folder: Folder,
    data: u8,
    untried: Drives,
    /// Members of `untried` that are tried last.
    slow: Drives,
    open: Drives,
    mutation: Mutation,
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It opens these.
    Open(Drives),
    /// It reads those that are open: K of them.
    Read,
    /// Fewer than K are left. Before the first byte has left the key is read again, since an overwrite may have
    /// dropped the folder; after it the response is broken off.
    TooFew,
}

impl Fetch {
    /// Begins on a folder of which `data` shards of `shards` rebuild the bytes.
    #[must_use]
    pub fn new(folder: Folder, data: u8, shards: u8) -> Self {
        Fetch {
            folder,
            data,
            untried: Drives::all(shards),
            slow: Drives::NONE,
            open: Drives::NONE,
            mutation: Mutation::NONE,
        }
    }

    /// With the protocol broken in one way.
    #[must_use]
    pub fn with_mutation(self, mutation: Mutation) -> Self {
        Fetch { mutation, ..self }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> Folder {
        self.folder
    }

    /// The shards that it may open yet.
    #[must_use]
    pub fn untried(&self) -> Drives {
        self.untried
    }

    /// The shards that are open.
    #[must_use]
    pub fn open(&self) -> Drives {
        self.open
    }

    /// Returns the next step: data shards first, as they need no decoding, and slow ones last.
    #[must_use]
    pub fn next(&self) -> Next {
        let missing = usize::from(self.data).saturating_sub(self.open.count());
        match missing {
            0 => Next::Read,
            _ if self.untried.count() < missing => Next::TooFew,
            _ => {
                let quick = self.untried.without(self.slow);
                Next::Open(quick.iter().chain(self.slow.iter()).take(missing).collect())
            }
        }
    }

    /// A shard was opened.
    pub fn opened(&mut self, shard: u8) {
        self.untried.remove(shard);
        self.slow.remove(shard);
        self.open.insert(shard);
    }

    /// A shard's drive does not answer for now: others come first. It is closed if it was open, and can be opened
    /// again.
    pub fn slow(&mut self, shard: u8) {
        if self.open.contains(shard) || self.untried.contains(shard) {
            self.open.remove(shard);
            self.untried.insert(shard);
            self.slow.insert(shard);
        }
    }

    /// A shard is missing, unreachable, of another length, or rotten.
    pub fn bad(&mut self, shard: u8) {
        self.untried.remove(shard);
        self.slow.remove(shard);
        self.open.remove(shard);
    }

    /// Returns what is numbered by shard.
    #[cfg(feature = "mutants")]
    pub(crate) fn numbers(&mut self) -> (&mut Drives, &mut Drives) {
        (&mut self.untried, &mut self.open)
    }

    /// The key was read again: nothing that is open is of use any more.
    #[must_use]
    pub fn again(&self, folder: Folder, data: u8, shards: u8) -> Self {
        let mut again = Fetch::new(folder, data, shards);
        again.mutation = self.mutation;
        if self.mutation.is(Mutant::OpenedKept) {
            again.open = self.open;
            again.untried = again.untried.without(self.open);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_shards_come_first_and_others_replace_bad_ones() {
        let mut fetch = Fetch::new(7, 2, 4);
        assert_eq!(fetch.next(), Next::Open([0, 1].into_iter().collect()));
        fetch.opened(0);
        fetch.bad(1);
        assert_eq!(fetch.next(), Next::Open(Drives::one(2)));
        fetch.opened(2);
        assert_eq!(fetch.next(), Next::Read);
        fetch.bad(0);
        assert_eq!(fetch.next(), Next::Open(Drives::one(3)));
        fetch.bad(3);
        assert_eq!(fetch.next(), Next::TooFew);
    }

    #[test]
    fn slow_shards_come_last_and_are_not_given_up() {
        let mut fetch = Fetch::new(7, 2, 4);
        fetch.slow(0);
        assert_eq!(fetch.next(), Next::Open([1, 2].into_iter().collect()));
        fetch.opened(1);
        fetch.opened(2);
        fetch.slow(1);
        assert_eq!(fetch.next(), Next::Open(Drives::one(3)));
        fetch.bad(3);
        assert_eq!(fetch.next(), Next::Open(Drives::one(0)));
        fetch.bad(0);
        fetch.slow(0);
        assert_eq!(fetch.next(), Next::Open(Drives::one(1)));
        fetch.bad(1);
        assert_eq!(fetch.next(), Next::TooFew);
    }
}
