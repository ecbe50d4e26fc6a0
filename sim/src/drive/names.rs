//! The folders of a simulated drive, and the journal of their changes.

use super::inode::prefix;
use madsim::rand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The inode of a drive's topmost folder.
pub(super) const ROOT: u64 = 1;

/// A name: the folder's inode, and the name within it.
pub(super) type Name = (u64, String);

/// One change of names. It takes effect as a whole or not at all.
#[derive(Clone, Debug)]
pub(super) enum Change {
    LinkFile(Name, u64),
    LinkFolder(Name, u64),
    Unlink(Name),
    Rename(Name, Name),
}

/// Names by folder.
type Folders = BTreeMap<u64, BTreeMap<String, u64>>;

/// The names as processes see them, and as they are on the media.
pub(super) struct Names {
    cache: Folders,
    media: Folders,
    /// What the cache has and the media lacks, in order.
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
    /// The inode that has this name.
    pub(super) fn get(&self, (folder, name): &Name) -> Option<u64> {
        self.cache.get(folder)?.get(name).copied()
    }

    /// A folder's names; `None` when the inode is not a folder.
    pub(super) fn folder(&self, inode: u64) -> Option<&BTreeMap<String, u64>> {
        self.cache.get(&inode)
    }

    /// Returns whether processes see a name of this inode.
    pub(super) fn is_named(&self, inode: u64) -> bool {
        self.cache
            .values()
            .any(|folder| folder.values().any(|named| *named == inode))
    }

    /// Changes the names that processes see. Durable later.
    pub(super) fn change(&mut self, change: Change) {
        apply(&mut self.cache, &change);
        self.journal.push(change);
    }

    /// Makes the names in `folder` durable, and the changes that those depend on: what came before in
    /// the same folders. Names elsewhere stay as they are, so that a missing sync of a folder shows.
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

    /// The power goes: a prefix of the journal survives.
    pub(super) fn power_loss(&mut self, rng: &mut impl Rng) {
        let survivors = prefix(rng, self.journal.len());
        for change in self.journal.drain(..).take(survivors) {
            apply(&mut self.media, &change);
        }
        let reachable = reachable(&self.media);
        self.media.retain(|folder, _| reachable.contains(folder));
        self.cache = self.media.clone();
    }

    /// Every inode that has a name, for processes or on the media, or may get one back.
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

/// The folders that a walk from the top comes to.
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
