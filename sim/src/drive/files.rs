//! [`Files`] of a simulated node, over its drives.

use super::{
    SimDrive,
    faults::eio,
    names::ROOT,
    state::{Below, State},
};
use crate::{
    lock,
    world::{Process, World},
};
use madsim::rand::{prelude::RngCore, thread_rng};
use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};
use store::runtime::{Entry, File, FileId, Files, Guard, Kind, OpenMode, Space};

/// All drives of a node, as one of its processes sees them.
#[derive(Clone)]
pub(crate) struct SimFiles {
    world: World,
    node: u32,
    process: Arc<Process>,
    root: Option<Root>,
}

/// An open folder, with the path that it was opened by.
#[derive(Clone)]
struct Root {
    path: PathBuf,
    drive: SimDrive,
    inode: u64,
    /// Epoch of the drive when the folder was opened.
    epoch: u64,
}

impl SimFiles {
    pub(crate) fn new(world: World, node: u32, process: Arc<Process>) -> SimFiles {
        SimFiles {
            world,
            node,
            process,
            root: None,
        }
    }

    /// Resolves a path to the drive that holds it, and the names below the drive's mount or below the root.
    fn at(&self, what: &'static str, path: &Path) -> io::Result<(SimDrive, Below)> {
        self.process.check()?;
        if !path.is_absolute() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (drive, folder) = match &self.root {
            None => (self.world.drive_of(self.node, path), ROOT),
            Some(root) => (root.drive.clone(), root.inode),
        };
        let above = self.root.as_ref().map_or(&*drive.mount, |root| &root.path);
        let below = path.strip_prefix(above).map_err(|_| io::ErrorKind::InvalidInput)?;
        drive.trace.operation(self.node, what, path);
        let names = names(below)?;
        if self
            .root
            .as_ref()
            .is_some_and(|root| drive.with(|state| state.epoch != root.epoch))
        {
            return Err(eio());
        }
        Ok((drive, Below { folder, names }))
    }
}

impl Files for SimFiles {
    fn rooted(&self, root: &Path) -> io::Result<Arc<dyn Files>> {
        let (drive, below) = self.at("rooted", root)?;
        let (inode, epoch) = drive.with(|state| Ok::<_, io::Error>((state.folder(&below)?, state.epoch)))?;
        let path = root.to_owned();
        Ok(Arc::new(SimFiles {
            root: Some(Root {
                path,
                drive,
                inode,
                epoch,
            }),
            ..self.clone()
        }))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let (drive, names) = self.at("open", path)?;
        let (inode, epoch) = drive.with(|state| {
            state
                .open(&names, mode, &mut thread_rng())
                .map(|inode| (inode, state.epoch))
        })?;
        let writable = mode != OpenMode::Read;
        let unsynced = self.world.unsynced().is_some_and(|unsynced| unsynced.is_file(path));
        Ok(Arc::new(SimFile {
            drive,
            process: self.process.clone(),
            inode,
            epoch,
            writable,
            unsynced,
        }))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let (drive, names) = self.at("kind", path)?;
        drive.with(|state| state.walk(&names).map(|inode| state.kind(inode)))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        let (drive, names) = self.at("id", path)?;
        let shared = lock(&drive.shared);
        Ok(FileId {
            device: shared.device,
            inode: shared.state.walk(&names)?,
        })
    }

    fn mount(&self, path: &Path) -> io::Result<u64> {
        let (drive, names) = self.at("mount", path)?;
        let shared = lock(&drive.shared);
        shared.state.walk(&names)?;
        // A power loss or a removal raises the epoch: it is another mount then, with an empty page cache.
        Ok((shared.device << 20) + shared.state.epoch)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let (drive, names) = self.at("create_dir_all", path)?;
        drive.with(|state| state.create_dir_all(&names, &mut thread_rng()))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let (drive, names) = self.at("read_dir", path)?;
        drive.with(|state| state.read_dir(&names, &mut thread_rng()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (drive, from) = self.at("rename from", from)?;
        let (other, to) = self.at("rename to", to)?;
        if !Arc::ptr_eq(&drive.shared, &other.shared) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        drive.with(|state| state.rename(&from, &to, &mut thread_rng()))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (drive, names) = self.at("remove_file", path)?;
        drive.with(|state| state.remove(&names, Kind::File, &mut thread_rng()))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (drive, names) = self.at("remove_dir", path)?;
        drive.with(|state| state.remove(&names, Kind::Folder, &mut thread_rng()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let (drive, names) = self.at("sync_dir", path)?;
        if self.world.unsynced().is_some_and(|unsynced| unsynced.is_folder(path)) {
            return Ok(());
        }
        drive.with(|state| state.sync_dir(&names, &mut thread_rng()))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let (drive, names) = self.at("space", path)?;
        drive.with(|state| {
            state.walk(&names)?;
            let total_bytes = state.faults.capacity_bytes;
            Ok(Space {
                total_bytes,
                free_bytes: total_bytes.saturating_sub(state.used_bytes),
                total_inodes: 0,
                free_inodes: 0,
            })
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Guard> {
        let (drive, names) = self.at("lock", path)?;
        let (inode, ticket) = drive.with(|state| {
            let inode = state.walk(&names)?;
            Ok::<_, io::Error>((inode, state.lock(inode, &self.process)?))
        })?;
        Ok(Box::new(SimLock { drive, inode, ticket }))
    }
}

/// Returns the components of a path below a mount.
pub(super) fn names(below: &Path) -> io::Result<Vec<String>> {
    let name = |component| match component {
        Component::Normal(name) => name
            .to_str()
            .map(str::to_owned)
            .ok_or(io::ErrorKind::InvalidInput.into()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    below.components().map(name).collect()
}

struct SimLock {
    drive: SimDrive,
    inode: u64,
    ticket: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.drive.with(|state| state.unlock(self.inode, self.ticket));
    }
}

/// An open file.
struct SimFile {
    drive: SimDrive,
    process: Arc<Process>,
    inode: u64,
    /// Epoch of the drive when the file was opened.
    epoch: u64,
    writable: bool,
    /// True if its syncs do nothing.
    unsynced: bool,
}

impl SimFile {
    /// Runs `f`, unless the process has been killed (destructors of a killed process must not reach the drive) or the
    /// descriptor is stale.
    fn with<T>(
        &self,
        what: &'static str,
        numbers: (u64, u64),
        f: impl FnOnce(&mut State, &mut dyn RngCore) -> io::Result<T>,
    ) -> io::Result<T> {
        self.process.check()?;
        self.drive.trace.operation(self.drive.node, what, (self.inode, numbers));
        self.drive.with(|state| {
            if state.epoch == self.epoch {
                f(state, &mut thread_rng())
            } else {
                Err(eio())
            }
        })
    }

    fn change(
        &self,
        what: &'static str,
        numbers: (u64, u64),
        f: impl FnOnce(&mut State, &mut dyn RngCore) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.with(what, numbers, f)
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let numbers = (offset, buf.len() as u64);
        self.with("read", numbers, |state, mut rng| {
            state.read(self.inode, offset, buf, &mut rng)
        })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let numbers = (offset, data.len() as u64);
        self.change("write", numbers, |state, mut rng| {
            state.write(self.inode, offset, data, &mut rng)
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with("len", (0, 0), |state, _| Ok(state.slot(self.inode)?.inode.len()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change("set_len", (len, 0), |state, mut rng| {
            state.set_len(self.inode, len, &mut rng)
        })
    }

    fn sync(&self) -> io::Result<()> {
        if self.unsynced {
            return self.with("sync in vain", (0, 0), |_, _| Ok(()));
        }
        self.with("sync", (0, 0), |state, mut rng| state.sync(self.inode, &mut rng))
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change("punch", (offset, len), |state, mut rng| {
            state.punch(self.inode, offset, len, &mut rng)
        })
    }

    fn id(&self) -> io::Result<FileId> {
        self.with("id", (0, 0), |_, _| Ok(()))?;
        Ok(FileId {
            device: lock(&self.drive.shared).device,
            inode: self.inode,
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.drive.with(|state| {
            if state.epoch == self.epoch {
                state.close(self.inode);
            }
        });
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} inode {}", self.drive, self.inode)
    }
}
