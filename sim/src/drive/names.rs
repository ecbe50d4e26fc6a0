//! Directory tree of a simulated drive, and the journal of its changes.

use super::inode::prefix;
use madsim::rand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Inode of a drive's root folder.
pub(super) const ROOT: u64 = 1;

/// Directory entry: the folder's inode, and the name within it.
pub(super) type Name = (u64, String);

/// Change of directory entries, atomic.
#[derive(Clone, Debug)]
pub(super) enum Change {
    LinkFile(Name, u64),
    LinkFolder(Name, u64),
    Unlink(Name),
    Rename(Name, Name),
}

/// Directory entries by folder.
type Folders = BTreeMap<u64, BTreeMap<String, u64>>;

/// Directory entries in the page cache and on the media.
pub(super) struct Names {
    cache: Folders,
    media: Folders,
    /// Changes in the cache that are not durable yet, in order.
    journal: Vec<Change>,
}

impl Default for Names {
    fn default() -> Self {
        let empty = Folders::from([(ROOT, BTreeMap::new())]);
        Names {
            cache: empty.clone(),
            media: empty,
            journal: Vec::new(),
        }
    }
}

impl Names {
    /// Returns the inode of a name.
    pub(super) fn get(&self, (folder, name): &Name) -> Option<u64> {
        self.cache.get(folder)?.get(name).copied()
    }

    /// Returns the entries of a folder, or `None` if the inode is not a folder.
    pub(super) fn folder(&self, inode: u64) -> Option<&BTreeMap<String, u64>> {
        self.cache.get(&inode)
    }

    /// Returns whether the inode has a name in the cache.
    pub(super) fn is_named(&self, inode: u64) -> bool {
        self.cache
            .values()
            .any(|folder| folder.values().any(|named| *named == inode))
    }

    /// Changes names in the cache, and appends the change to the journal.
    pub(super) fn change(&mut self, change: Change) {
        apply(&mut self.cache, &change);
        self.journal.push(change);
    }

    /// Makes the names in `folder` durable, with the changes that they depend on: all earlier ones in the same
    /// folders. Names elsewhere stay volatile, so that a missing sync of a folder shows.
    pub(super) fn sync(&mut self, folder: u64) {
        let mut folders = BTreeSet::from([folder]);
        let mut needed = vec![false; self.journal.len()];
        for (n, change) in self.journal.iter().enumerate().rev() {
            let touched = change.folders();
            if touched.iter().flatten().any(|f| folders.contains(f)) {
                needed[n] = true;
                folders.extend(touched.iter().flatten());
            }
        }
        let mut needed = needed.into_iter();
        let media = &mut self.media;
        self.journal.retain(|change| {
            let durable = needed.next() == Some(true);
            if durable {
                apply(media, change);
            }
            !durable
        });
    }

    /// Loses power: a prefix of the journal survives.
    pub(super) fn power_loss(&mut self, rng: &mut impl Rng) {
        let survivors = prefix(rng, self.journal.len());
        for change in self.journal.drain(..).take(survivors) {
            apply(&mut self.media, &change);
        }
        let reachable = reachable(&self.media);
        self.media.retain(|folder, _| reachable.contains(folder));
        self.cache = self.media.clone();
    }

    /// Returns every inode that has a name in the cache, on the media, or in the journal.
    pub(super) fn named(&self) -> BTreeSet<u64> {
        let names = [&self.cache, &self.media]
            .into_iter()
            .flat_map(|folders| folders.values());
        let mut named: BTreeSet<u64> = names.flat_map(|folder| folder.values().copied()).collect();
        named.extend(self.journal.iter().filter_map(|change| match change {
            Change::LinkFile(_, inode) | Change::LinkFolder(_, inode) => Some(*inode),
            Change::Unlink(_) | Change::Rename(..) => None,
        }));
        named
    }
}

impl Change {
    fn folders(&self) -> [Option<u64>; 2] {
        match self {
            Change::LinkFile((folder, _), _) | Change::LinkFolder((folder, _), _) | Change::Unlink((folder, _)) => {
                [Some(*folder), None]
            }
            Change::Rename((from, _), (to, _)) => [Some(*from), Some(*to)],
        }
    }
}

fn apply(folders: &mut Folders, change: &Change) {
    match change {
        Change::LinkFile((folder, name), inode) => {
            folders.entry(*folder).or_default().insert(name.clone(), *inode);
        }
        Change::LinkFolder((folder, name), inode) => {
            folders.entry(*inode).or_default();
            folders.entry(*folder).or_default().insert(name.clone(), *inode);
        }
        Change::Unlink((folder, name)) => {
            folders.entry(*folder).or_default().remove(name);
        }
        Change::Rename((from, old), (to, new)) => {
            if let Some(inode) = folders.entry(*from).or_default().remove(old) {
                folders.entry(*to).or_default().insert(new.clone(), inode);
            }
        }
    }
}

/// Returns the folders that are reachable from the root.
fn reachable(folders: &Folders) -> BTreeSet<u64> {
    let (mut found, mut open) = (BTreeSet::from([ROOT]), vec![ROOT]);
    while let Some(folder) = open.pop() {
        for inode in folders.get(&folder).into_iter().flat_map(BTreeMap::values) {
            if folders.contains_key(inode) && found.insert(*inode) {
                open.push(*inode);
            }
        }
    }
    found
}
