//! Blocking file access as a drive uses it. Called from a drive's executor, never from a connection.

use super::Guard;
use std::{fmt::Debug, io, path::Path, sync::Arc};

/// Mode of opening a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; it must exist.
    Read,
    /// Read and write; it must exist.
    Write,
    /// Read and write; it must not exist and is made.
    CreateNew,
    /// Read and write; made if missing, its content kept.
    Create,
}

/// Kind of what a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// Entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Name within the folder.
    pub name: String,
    /// Kind of the entry.
    pub kind: Kind,
}

/// Tells two files apart even when they have had the same path (device and inode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The file within it.
    pub inode: u64,
}

/// Space of the file system that holds a path, in bytes, and in inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Total number of inodes; 0 where there is no such limit.
    pub total_inodes: u64,
    /// Number of free inodes.
    pub free_inodes: u64,
}

/// The host's file system. Every call may block. Paths are absolute.
///
/// Nothing is durable before it is synced: a file's bytes by [`File::sync`], the names in a folder by
/// [`Files::sync_dir`] of that folder.
pub trait Files: Send + Sync + 'static {
    /// The files of the folder `root`, through a descriptor of it that is opened now. They are asked for by the same
    /// paths, which go on naming what was opened: when the folder is moved, unmounted or removed, nothing is found or
    /// made at its old path. Paths outside `root` are `InvalidInput`.
    fn rooted(&self, root: &Path) -> io::Result<Arc<dyn Files>>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Returns what `path` names; `NotFound` when nothing.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// The identity of what `path` names now.
    fn id(&self, path: &Path) -> io::Result<FileId>;
    /// Returns which mount `path` is reached through: another number after its file system was unmounted and mounted
    /// again.
    fn mount(&self, path: &Path) -> io::Result<u64>;
    /// Makes a folder and those above it that are missing. The new names are durable when this returns.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// A folder's entries, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Renames a file or folder, replacing a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Open descriptors stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Space of the file system at `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes the exclusive lock of a folder or file for this process; `WouldBlock` when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Guard>;
}

/// An open file.
pub trait File: Send + Sync + Debug + 'static {
    /// Fills `buf` from `offset`; the number of bytes read is less than asked for only at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Reads `len` bytes from `offset` on; fewer only at the end. An implementation may spare itself the zeroes that
    /// this one overwrites.
    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let n = self.read_at(offset, &mut bytes)?;
        bytes.truncate(n);
        Ok(bytes)
    }
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Returns whether it holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Bytes that the file system keeps for it; less than its length when it has holes.
    fn allocated(&self) -> io::Result<u64> {
        self.len()
    }
    /// Cuts or extends it (with zeroes).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes its bytes and its length durable.
    fn sync(&self) -> io::Result<()>;
    /// Gives the range's space back to the file system; it reads as zeroes. Optional: may do nothing.
    fn punch(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Returns the identity.
    fn id(&self) -> io::Result<FileId>;
}
