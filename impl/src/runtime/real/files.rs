//! The host's file system.

use crate::runtime::{Entry, File, FileId, Files, Guard, Kind, OpenMode, Space};
use rustix::{
    buffer::spare_capacity,
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat, StatxFlags},
    fs::{fallocate, flock, fstatvfs, fsync, mkdirat, openat, renameat, statat, statx, unlinkat},
    io::{Errno, pread, retry_on_intr},
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Component, Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// [`Files`] on system calls that are relative to an open folder.
#[derive(Default)]
pub(super) struct HostFiles {
    root: Option<Root>,
    /// Folders that exist or are about to, and whose names are not yet durable.
    making: Mutex<BTreeSet<PathBuf>>,
    made: Condvar,
}

/// A folder, and the path that it had when it was opened.
struct Root {
    path: PathBuf,
    folder: OwnedFd,
}

/// A path as a system call takes it: relative to an open folder, unless it is absolute.
type At<'a> = (BorrowedFd<'a>, &'a Path);

impl Files for HostFiles {
    fn rooted(&self, root: &Path) -> io::Result<Arc<dyn Files>> {
        let folder = open_at(self.at(root)?, OFlags::PATH | OFlags::DIRECTORY)?;
        let path = root.to_owned();
        Ok(Arc::new(HostFiles {
            root: Some(Root { path, folder }),
            ..HostFiles::default()
        }))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::Write => OFlags::RDWR,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            OpenMode::Create => OFlags::RDWR | OFlags::CREATE,
        };
        Ok(Arc::new(HostFile(open_at(self.at(path)?, flags)?.into())))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(kind_of(FileType::from_raw_mode(self.stat(path)?.st_mode)))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        let stat = self.stat(path)?;
        Ok(FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }

    fn mount(&self, path: &Path) -> io::Result<u64> {
        // Since Linux 6.8; before, the kernel gives the number of an ended mount out again, and never one in use.
        let unique = StatxFlags::from_bits_retain(0x4000);
        let (folder, path) = self.at(path)?;
        let found = statx(folder, path, AtFlags::empty(), StatxFlags::MNT_ID | unique)?;
        if found.stx_mask & (StatxFlags::MNT_ID | unique).bits() == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(found.stx_mnt_id)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match self.kind(path) {
            Ok(Kind::Folder) => {
                self.wait_until_durable(path);
                return Ok(());
            }
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.create_dir_all(parent)?;
        self.make_dir(path, parent)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let folder = open_at(self.at(path)?, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            entries.push(match name.to_str() {
                Ok(text) => Entry {
                    name: text.to_owned(),
                    kind: match entry.file_type() {
                        // Not every file system tells it with the name.
                        FileType::Unknown => {
                            let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                            kind_of(FileType::from_raw_mode(stat.st_mode))
                        }
                        known => kind_of(known),
                    },
                },
                // No name of ours. Shown so that the folder does not look empty; not to be opened.
                Err(_) => Entry {
                    name: name.to_string_lossy().into_owned(),
                    kind: Kind::Other,
                },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.at(from)?, self.at(to)?);
        Ok(renameat(old, from, new, to)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (folder, path) = self.at(path)?;
        Ok(unlinkat(folder, path, AtFlags::empty())?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (folder, path) = self.at(path)?;
        Ok(unlinkat(folder, path, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let folder = open_at(self.at(path)?, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(retry_on_intr(|| fsync(&folder))?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = fstatvfs(open_at(self.at(path)?, OFlags::PATH)?)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_inodes: stat.f_files,
            free_inodes: stat.f_favail,
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Guard> {
        let file = open_at(self.at(path)?, OFlags::RDONLY)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Closing the descriptor releases the lock; so does the end of the process.
        Ok(Box::new(file))
    }
}

impl HostFiles {
    /// `path` for a system call. Below a root it names what is in the opened folder, whatever has become of the
    /// folder's own path.
    fn at<'a>(&'a self, path: &'a Path) -> io::Result<At<'a>> {
        let Some(root) = &self.root else {
            return Ok((CWD, path));
        };
        let below = path.strip_prefix(&root.path).map_err(|_| io::ErrorKind::InvalidInput)?;
        let stays = |component| matches!(component, Component::Normal(_));
        match below.components().next() {
            None => Ok((root.folder.as_fd(), Path::new("."))),
            Some(_) if below.components().all(stays) => Ok((root.folder.as_fd(), below)),
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Returns the metadata of what `path` names, following symbolic links.
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let (folder, path) = self.at(path)?;
        Ok(statat(folder, path, AtFlags::empty())?)
    }

    /// Makes the folder `path` in `parent`, which exists, and its name durable. Meanwhile whoever finds
    /// the folder waits: they too promise their caller a durable name.
    fn make_dir(&self, path: &Path, parent: &Path) -> io::Result<()> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        while !making.insert(path.to_owned()) {
            making = self.made.wait(making).unwrap_or_else(PoisonError::into_inner);
        }
        drop(making);
        let make = || {
            let (folder, path) = self.at(path)?;
            Ok::<(), io::Error>(mkdirat(folder, path, Mode::from_raw_mode(0o777))?)
        };
        let made = match make() {
            // Another process was faster, or the name is that of a link to nowhere.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_folder(path) => Ok(()),
            other => other,
        };
        let synced = made.and_then(|()| self.sync_dir(parent));
        self.making.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.made.notify_all();
        synced
    }

    fn is_folder(&self, path: &Path) -> bool {
        matches!(self.kind(path), Ok(Kind::Folder))
    }

    /// Waits while `path` or a folder above it is being made by another thread.
    fn wait_until_durable(&self, path: &Path) {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        while path.ancestors().any(|folder| making.contains(folder)) {
            making = self.made.wait(making).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn open_at((folder, path): At<'_>, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o666);
    Ok(retry_on_intr(|| openat(folder, path, flags | OFlags::CLOEXEC, mode))?)
}

#[derive(Debug)]
struct HostFile(fs::File);

impl File for HostFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            if retry_on_intr(|| pread(&self.0, spare_capacity(&mut bytes), at))? == 0 {
                break;
            }
        }
        // The vector may have come with more room than was asked for.
        bytes.truncate(len);
        Ok(bytes)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.blocks() * 512)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the bytes, and of the metadata what is needed to read them, the length among it.
        self.0.sync_data()
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match fallocate(
            &self.0,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            offset,
            len,
        ) {
            // The file system cannot; the space comes back when the file goes.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(id_of(&self.0.metadata()?))
    }
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    }
}

fn id_of(metadata: &fs::Metadata) -> FileId {
    FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, HostFiles) {
        (tempfile::tempdir().expect("temp folder"), HostFiles::default())
    }

    #[test]
    fn open_modes_make_or_refuse() {
        let (dir, files) = folder();
        let path = dir.path().join("f");
        for mode in [OpenMode::Read, OpenMode::Write] {
            assert_eq!(
                files.open(&path, mode).expect_err("missing").kind(),
                io::ErrorKind::NotFound
            );
        }
        files
            .open(&path, OpenMode::CreateNew)
            .expect("made")
            .write_at(0, b"kept")
            .expect("write");
        let again = files.open(&path, OpenMode::CreateNew).expect_err("exists").kind();
        assert_eq!(again, io::ErrorKind::AlreadyExists);
        for mode in [OpenMode::Create, OpenMode::Write, OpenMode::Read] {
            let file = files.open(&path, mode).expect("opens");
            let mut buf = [0u8; 8];
            assert_eq!(file.read_at(0, &mut buf).expect("read"), 4);
            assert_eq!(&buf[..4], b"kept");
            assert_eq!(file.write_at(0, b"k").is_ok(), mode != OpenMode::Read);
        }
    }

    #[test]
    fn a_file_grows_shrinks_and_reads_zeroes_between() -> io::Result<()> {
        let (dir, files) = folder();
        let file = files.open(&dir.path().join("f"), OpenMode::CreateNew)?;
        assert!(file.is_empty()?);
        file.write_at(5, b"xyz")?;
        file.set_len(7)?;
        file.set_len(10)?;
        file.sync()?;
        let mut buf = [9u8; 16];
        assert_eq!(file.read_at(0, &mut buf)?, 10);
        assert_eq!(&buf[..10], b"\0\0\0\0\0xy\0\0\0");
        assert_eq!(file.read_at(99, &mut buf)?, 0);
        Ok(())
    }

    #[test]
    fn a_punched_range_reads_as_zeroes_and_keeps_the_length() -> io::Result<()> {
        let (dir, files) = folder();
        let file = files.open(&dir.path().join("f"), OpenMode::CreateNew)?;
        file.write_at(0, &[7u8; 3 * 4096])?;
        file.punch(4096, 4096)?;
        file.punch(0, 0)?;
        let mut buf = [1u8; 3 * 4096];
        assert_eq!(file.read_at(0, &mut buf)?, buf.len());
        assert!(buf[..4096].iter().chain(&buf[8192..]).all(|b| *b == 7));
        // A file system without holes keeps the bytes; both are allowed.
        assert!(buf[4096..8192].iter().all(|b| *b == 0) || buf[4096..8192].iter().all(|b| *b == 7));
        assert_eq!(file.len()?, 3 * 4096);
        Ok(())
    }

    #[test]
    fn folders_list_sorted_and_names_move() -> io::Result<()> {
        let (dir, files) = folder();
        let deep = dir.path().join("a/b/c");
        files.create_dir_all(&deep)?;
        files.create_dir_all(&deep)?;
        assert_eq!(files.kind(&deep)?, Kind::Folder);
        for name in ["z", "m"] {
            files.open(&deep.join(name), OpenMode::CreateNew)?;
        }
        files.create_dir_all(&deep.join("n"))?;
        let names = |entries: Vec<Entry>| entries.into_iter().map(|e| (e.name, e.kind)).collect::<Vec<_>>();
        let expected = [("m", Kind::File), ("n", Kind::Folder), ("z", Kind::File)].map(|(n, k)| (n.to_owned(), k));
        assert_eq!(names(files.read_dir(&deep)?), expected);

        let moved = files.id(&deep.join("m"))?;
        files.rename(&deep.join("m"), &deep.join("z"))?;
        assert_eq!(files.id(&deep.join("z"))?, moved);
        assert_eq!(
            files.kind(&deep.join("m")).expect_err("moved").kind(),
            io::ErrorKind::NotFound
        );
        files.sync_dir(&deep)?;
        assert_eq!(
            files.remove_dir(&deep).expect_err("full").kind(),
            io::ErrorKind::DirectoryNotEmpty
        );
        files.remove_file(&deep.join("z"))?;
        files.remove_dir(&deep.join("n"))?;
        files.remove_dir(&deep)
    }

    #[test]
    fn paths_below_a_root_go_on_naming_what_was_opened() -> io::Result<()> {
        let (dir, files) = folder();
        let drive = dir.path().join("drive");
        files.create_dir_all(&drive.join("data"))?;
        let rooted = files.rooted(&drive)?;
        assert_eq!(rooted.id(&drive)?, files.id(&drive)?);
        assert_eq!(rooted.mount(&drive)?, files.mount(&drive)?);
        assert_eq!(rooted.space(&drive)?.total_bytes, files.space(&drive)?.total_bytes);
        let held = rooted.lock(&drive.join("data"))?;

        // The folder is renamed away, and another comes to its path.
        files.rename(&drive, &dir.path().join("away"))?;
        files.create_dir_all(&drive)?;
        rooted.create_dir_all(&drive.join("data/ab"))?;
        let file = rooted.open(&drive.join("data/ab/f"), OpenMode::CreateNew)?;
        file.write_at(0, b"x")?;
        rooted.rename(&drive.join("data/ab/f"), &drive.join("data/ab/g"))?;
        rooted.sync_dir(&drive)?;
        assert_eq!(files.read_dir(&drive)?, []);
        let moved = dir.path().join("away/data/ab/g");
        assert_eq!(files.id(&moved)?, rooted.id(&drive.join("data/ab/g"))?);
        assert_eq!(rooted.read_dir(&drive)?, files.read_dir(&dir.path().join("away"))?);
        rooted.remove_file(&drive.join("data/ab/g"))?;
        rooted.remove_dir(&drive.join("data/ab"))?;

        // No path leads out of it.
        for path in [dir.path().to_owned(), drive.join("../x"), "data".into(), moved] {
            let refused = rooted.kind(&path).expect_err("outside").kind();
            assert_eq!(refused, io::ErrorKind::InvalidInput, "{}", path.display());
        }
        // Removed, it takes nothing any more.
        drop(held);
        files.remove_dir(&dir.path().join("away/data"))?;
        files.remove_dir(&dir.path().join("away"))?;
        for made in [
            rooted.create_dir_all(&drive.join("data")),
            rooted.open(&drive.join("f"), OpenMode::Create).map(drop),
        ] {
            assert_eq!(made.expect_err("gone").kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(files.read_dir(&drive)?, []);
        Ok(())
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_an_error() -> io::Result<()> {
        let (dir, files) = folder();
        files.open(&dir.path().join("f"), OpenMode::CreateNew)?;
        std::os::unix::fs::symlink("nowhere", dir.path().join("link"))?;
        for path in ["f", "f/g", "link", "link/g"] {
            assert!(files.create_dir_all(&dir.path().join(path)).is_err(), "{path}");
        }
        Ok(())
    }

    #[test]
    fn folders_made_by_many_threads_at_once_all_exist() {
        let (dir, files) = folder();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (dir, files) = (dir.path(), &files);
                scope.spawn(move || {
                    for m in 0..10 {
                        files.create_dir_all(&dir.join(format!("x{m}/y/{n}"))).expect("made");
                    }
                });
            }
        });
        for m in 0..10 {
            assert_eq!(
                files
                    .read_dir(&dir.path().join(format!("x{m}/y")))
                    .expect("listed")
                    .len(),
                8
            );
        }
        assert!(files.making.lock().expect("lock").is_empty());
    }

    #[test]
    fn a_removed_file_stays_readable_through_its_descriptor() -> io::Result<()> {
        let (dir, files) = folder();
        let path = dir.path().join("f");
        let file = files.open(&path, OpenMode::CreateNew)?;
        file.write_at(0, b"still")?;
        files.remove_file(&path)?;
        let mut buf = [0u8; 5];
        assert_eq!(file.read_at(0, &mut buf)?, 5);
        assert_eq!(&buf, b"still");
        files.open(&path, OpenMode::CreateNew)?;
        assert_ne!(files.id(&path)?, file.id()?);
        Ok(())
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped() -> io::Result<()> {
        let (dir, files) = folder();
        let held = files.lock(dir.path())?;
        let refused = files.lock(dir.path()).expect_err("held").kind();
        assert_eq!(refused, io::ErrorKind::WouldBlock);
        drop(held);
        files.lock(dir.path())?;
        Ok(())
    }

    #[test]
    fn space_is_that_of_the_file_system() -> io::Result<()> {
        let (dir, files) = folder();
        let space = files.space(dir.path())?;
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
        Ok(())
    }
}
