//! Simulated drive: files and folders with a volatile page cache, durable media, and fault injection.
//!
//! `specs/simulation.md` says what survives a power loss.

mod content;
mod faults;
mod files;
mod inode;
mod names;
mod state;
mod unsynced;

pub use faults::Faults;
pub(crate) use files::SimFiles;
pub use unsynced::Unsynced;

use crate::{lock, trace::Trace};
use madsim::rand::{Rng, thread_rng};
use state::{Below, State};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use store::runtime::{Kind, OpenMode};
use tokio::sync::Notify;

/// A node's drive, as the scenario controls it. The server accesses it through [`store::runtime::Files`].
#[derive(Clone)]
pub struct SimDrive {
    node: u32,
    mount: Arc<Path>,
    trace: Arc<Trace>,
    shared: Arc<Mutex<Shared>>,
    /// Notified of every change after which a hung drive may work again.
    woken: Arc<Notify>,
}

struct Shared {
    device: u64,
    state: State,
}

/// Position of an injected bit flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Bit of that byte, 0 being the lowest.
    pub bit: u32,
}

impl SimDrive {
    pub(crate) fn new(node: u32, mount: PathBuf, device: u64, trace: Arc<Trace>) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            device,
            state: State::default(),
        }));
        SimDrive {
            node,
            mount: mount.into(),
            trace,
            shared,
            woken: Arc::default(),
        }
    }

    /// Returns the path at which the drive is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Returns the current fault switches.
    pub fn faults(&self) -> Faults {
        self.with(|state| state.faults.clone())
    }

    /// Changes the fault switches.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let faults = self.with(|state| {
            change(&mut state.faults);
            state.faults.clone()
        });
        self.woken.notify_waiters();
        self.event(&format!("{faults:?}"));
    }

    /// Waits while the drive hangs.
    pub(crate) async fn until_it_works(&self) {
        loop {
            let woken = self.woken.notified();
            if !self.with(|state| state.faults.hung) {
                return;
            }
            woken.await;
        }
    }

    /// Loses power: synced bytes and names stay; of the others an arbitrary part survives, sector by sector.
    /// Descriptors become stale, locks are released. Kill the node first, or use [`crate::World::power_off`].
    pub fn power_loss(&self) {
        self.with(|state| state.power_loss(&mut thread_rng()));
        self.event("power loss");
    }

    /// Lets `writes` more writes and syncs succeed. From then on each of them fails, the first one perhaps after it
    /// took effect. Ends with [`SimDrive::power_loss`], so that the media is cut in the middle of a commit.
    pub fn cut_after(&self, writes: u64) {
        self.with(|state| state.cut_after(writes));
        self.event(&format!("will be cut off after {writes} writes"));
    }

    /// Returns whether the limit of [`SimDrive::cut_after`] has been reached.
    pub fn is_cut(&self) -> bool {
        self.with(|state| state.cut)
    }

    /// Number of index compactions, each of which has replaced the index file.
    pub fn compactions(&self) -> u64 {
        self.with(|state| state.compactions)
    }

    /// Waits until the limit of [`SimDrive::cut_after`] is reached.
    pub async fn until_cut(&self) {
        while !self.is_cut() {
            madsim::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Removes the drive: paths on it are `NotFound`, open files fail with EIO. The media is kept.
    pub fn remove(&self) {
        self.with(|state| {
            state.removed = true;
            state.epoch += 1;
        });
        self.event("removed");
    }

    /// Reinserts a removed drive. Its page cache is lost as in a power loss.
    pub fn insert(&self) {
        self.with(|state| {
            state.power_loss(&mut thread_rng());
            state.removed = false;
        });
        self.event("inserted");
    }

    /// Replaces the drive with a new, empty one.
    pub fn replace(&self) {
        {
            let mut shared = lock(&self.shared);
            let old = std::mem::take(&mut shared.state);
            shared.state.epoch = old.epoch + 1;
            // Must not collide with the device numbers that the world assigns.
            shared.device += 1 << 32;
        }
        self.woken.notify_waiters();
        self.event("replaced by an empty drive");
    }

    /// Swaps the media of two drives, as when cables or mounts are mixed up. Their nodes must be down.
    pub fn swap(&self, other: &SimDrive) {
        if Arc::ptr_eq(&self.shared, &other.shared) {
            return;
        }
        let (mut ours, mut theirs) = (lock(&self.shared), lock(&other.shared));
        std::mem::swap(&mut *ours, &mut *theirs);
        // A descriptor that a killed process has not dropped yet is valid on neither.
        let epoch = ours.state.epoch.max(theirs.state.epoch) + 1;
        ours.state.forget_descriptors(epoch);
        theirs.state.forget_descriptors(epoch);
        drop((ours, theirs));
        self.woken.notify_waiters();
        other.woken.notify_waiters();
        self.event(&format!("swapped with {}", other.mount.display()));
    }

    /// Injects bitrot at rest: inverts `bits` random bits of the file at `path` below the mount. Returns their
    /// positions; none if there is no such file, or if it has no byte on the media.
    pub fn rot(&self, path: impl AsRef<Path>, bits: usize) -> Vec<Rot> {
        self.rot_within(path, 0..u64::MAX, bits)
    }

    /// Injects bitrot at rest into a range of a file's bytes, as [`SimDrive::rot`] does into all of them.
    pub fn rot_within(&self, path: impl AsRef<Path>, range: Range<u64>, bits: usize) -> Vec<Rot> {
        let path = path.as_ref();
        let below = from_mount(path);
        let rotten = self.with(|state| {
            state
                .walk(&below)
                .map(|inode| rot(state, inode, range, bits))
                .unwrap_or_default()
        });
        self.event(&format!("bitrot in {}: {rotten:?}", path.display()));
        rotten
    }

    /// Injects bitrot at rest into a random byte of the drive. Returns whether there was one.
    pub fn rot_anywhere(&self) -> bool {
        self.rot_below("")
    }

    /// Injects bitrot at rest into a random byte of the files below a folder. Returns whether there was one.
    pub fn rot_below(&self, folder: impl AsRef<Path>) -> bool {
        let below = from_mount(folder.as_ref());
        let struck = self.with(|state| {
            let inodes = state.files_below(&below);
            let total: u64 = inodes.iter().map(|inode| state.slots[inode].inode.media_len()).sum();
            if total == 0 {
                return None;
            }
            // Every byte is equally likely to rot.
            let mut left = thread_rng().gen_range(0..total);
            let inode = inodes.into_iter().find(|inode| {
                let len = state.slots[inode].inode.media_len();
                let here = left < len;
                if !here {
                    left -= len;
                }
                here
            })?;
            let bit = thread_rng().gen_range(0..8);
            state.slots.get_mut(&inode)?.inode.rot(left, bit);
            Some((inode, Rot { offset: left, bit }))
        });
        self.event(&format!("bitrot: {struck:?}"));
        struck.is_some()
    }

    /// Returns the bytes of the file at `path` below the mount as they are on the media; empty if there is none.
    pub fn media_of(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let below = from_mount(path.as_ref());
        self.with(|state| {
            let inode = state.walk(&below)?;
            Ok(state.slot(inode)?.inode.media_bytes())
        })
        .unwrap_or_else(|_: io::Error| Vec::new())
    }

    /// Returns the bytes of the file at `path` below the mount as a process reads them, whatever faults are injected;
    /// `None` if there is no such file.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let below = from_mount(path.as_ref());
        self.with(|state| {
            let inode = state.walk(&below)?;
            state.bytes(inode)
        })
        .ok()
    }

    /// Returns all that is on the drive as a process sees it: names of files with their bytes, and of folders.
    pub fn content(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let below = from_mount(Path::new(""));
        self.with(|state| {
            let names = state.names_below(&below).into_iter();
            names.map(|(name, inode)| (name, state.bytes(inode).ok())).collect()
        })
    }

    /// Writes a file, durably and whatever faults are injected, as somebody else would.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put_file(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = path.as_ref();
        let (file, folder) = (from_mount(path), from_mount(path.parent().unwrap_or(Path::new(""))));
        self.without_faults(|state| {
            let rng = &mut thread_rng();
            state.create_dir_all(&folder, rng)?;
            let inode = state.open(&file, OpenMode::Create, rng)?;
            state.write(inode, 0, bytes, rng)?;
            state.sync(inode, rng)?;
            state.close(inode);
            state.sync_dir(&folder, rng)
        });
        self.event(&format!("{} is put there", path.display()));
    }

    /// Removes a file, durably and whatever faults are injected, as somebody else would.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn remove_file(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        let (file, folder) = (from_mount(path), from_mount(path.parent().unwrap_or(Path::new(""))));
        self.without_faults(|state| {
            let rng = &mut thread_rng();
            state.remove(&file, Kind::File, rng)?;
            state.sync_dir(&folder, rng)
        });
        self.event(&format!("{} is taken away", path.display()));
    }

    /// Removes an empty folder, as [`SimDrive::remove_file`] does a file.
    ///
    /// # Panics
    /// If there is no such folder, or it is not empty.
    pub fn remove_folder(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        let (folder, parent) = (from_mount(path), from_mount(path.parent().unwrap_or(Path::new(""))));
        self.without_faults(|state| {
            let rng = &mut thread_rng();
            state.remove(&folder, Kind::Folder, rng)?;
            state.sync_dir(&parent, rng)
        });
    }

    /// Returns whether there is a file or folder at `path` below the mount.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        let below = from_mount(path.as_ref());
        self.with(|state| state.walk(&below)).is_ok()
    }

    fn without_faults(&self, change: impl FnOnce(&mut State) -> io::Result<()>) {
        let done = self.with(|state| {
            let faults = std::mem::take(&mut state.faults);
            let done = change(state);
            state.faults = faults;
            done
        });
        done.expect("a drive without faults takes it");
    }

    /// Returns the inodes of the files below a folder of the mount.
    pub fn files_below(&self, folder: impl AsRef<Path>) -> BTreeSet<u64> {
        let below = from_mount(folder.as_ref());
        self.with(|state| state.files_below(&below).into_iter().collect())
    }

    /// Returns the space taken by files, in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.with(|state| state.used_bytes)
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut lock(&self.shared).state)
    }

    fn event(&self, what: &str) {
        self.trace
            .event(self.node, &format!("drive {} {what}", self.mount.display()));
    }
}

impl fmt::Debug for SimDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}:{}", self.node, self.mount.display())
    }
}

fn rot(state: &mut State, inode: u64, range: Range<u64>, bits: usize) -> Vec<Rot> {
    let mut rng = thread_rng();
    let Ok(slot) = state.slot(inode) else { return Vec::new() };
    let range = range.start..range.end.min(slot.inode.media_len());
    let bits = if range.is_empty() { 0 } else { bits };
    let strike = |_| {
        let struck = Rot {
            offset: rng.gen_range(range.clone()),
            bit: rng.gen_range(0..8),
        };
        slot.inode.rot(struck.offset, struck.bit);
        struck
    };
    (0..bits).map(strike).collect()
}

/// Resolves a path within the mount.
fn from_mount(path: &Path) -> Below {
    Below {
        folder: names::ROOT,
        names: files::names(path).unwrap_or_default(),
    }
}
