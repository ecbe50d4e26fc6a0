//! A drive's folder while the drive serves: all its descriptors, and the calls that are under way in it.
//!
//! Everything that a drive does with files goes through a [`Root`]. So a drive that has failed can give up every
//! descriptor whoever holds a reader or a writer of it, and can then be unmounted; and a call that the kernel does
//! not return from can be named.

use super::state::lock;
use crate::{
    drive::Call,
    runtime::{Entry, File, FileId, Files, Guard, Kind, OpenMode, Rt, Space},
};
use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The files of an open drive, until it is closed.
#[derive(Clone)]
pub(super) struct Root(Arc<Inner>);

struct Inner {
    rt: Rt,
    /// `None` once closed.
    files: Mutex<Option<Arc<dyn Files>>>,
    /// Open files by number; `None` once closed.
    open: Mutex<Option<BTreeMap<u64, Weak<Slot>>>>,
    /// Calls under way by number.
    calls: Mutex<BTreeMap<u64, UnderWay>>,
    next: AtomicU64,
    /// A write or a sync has failed.
    write_failed: AtomicBool,
}

/// Guard of an open descriptor: counted until it is dropped.
type Slot = Mutex<Option<Arc<dyn File>>>;

struct UnderWay {
    what: &'static str,
    path: Arc<Path>,
    since: Duration,
}

impl Root {
    pub(super) fn new(rt: &Rt, files: Arc<dyn Files>) -> Root {
        Root(Arc::new(Inner {
            rt: rt.clone(),
            files: Mutex::new(Some(files)),
            open: Mutex::new(Some(BTreeMap::new())),
            calls: Mutex::default(),
            next: AtomicU64::new(0),
            write_failed: AtomicBool::new(false),
        }))
    }

    /// Gives up every descriptor. One that a call under way uses goes when the call returns.
    pub(super) fn close(&self) {
        lock(&self.0.files).take();
        let open = lock(&self.0.open).take();
        for file in open.into_iter().flatten().filter_map(|(_, file)| file.upgrade()) {
            lock(&file).take();
        }
    }

    /// Returns whether a write or a sync has failed for another reason than a full file system: the page cache may be
    /// ahead of the media for good (`drive.reopened-from-media`).
    pub(super) fn write_failed(&self) -> bool {
        self.0.write_failed.load(Ordering::Acquire)
    }

    /// The call that has been under way for longest.
    pub(super) fn longest_call(&self) -> Option<Call> {
        let now = self.0.rt.mono();
        let calls = lock(&self.0.calls);
        let longest = calls.values().min_by_key(|call| call.since)?;
        Some(Call {
            what: longest.what.into(),
            path: longest.path.display().to_string(),
            time: now.saturating_sub(longest.since),
        })
    }

    fn call<T>(
        &self,
        what: &'static str,
        path: &Path,
        call: impl FnOnce(&dyn Files) -> io::Result<T>,
    ) -> io::Result<T> {
        let files = lock(&self.0.files).clone().ok_or_else(closed)?;
        let _under_way = self.0.begin(what, path.into());
        call(&*files)
    }
}

fn closed() -> io::Error {
    io::Error::other("the drive is closed")
}

impl Inner {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, what: &'static str, path: Arc<Path>) -> Ended<'_> {
        let (number, since) = (self.number(), self.rt.mono());
        lock(&self.calls).insert(number, UnderWay { what, path, since });
        Ended { root: self, number }
    }
}

/// Ends a call when it is dropped.
struct Ended<'a> {
    root: &'a Inner,
    number: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        lock(&self.root.calls).remove(&self.number);
    }
}

impl Files for Root {
    fn rooted(&self, root: &Path) -> io::Result<Arc<dyn Files>> {
        self.call("open", root, |files| files.rooted(root))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.call("open", path, |files| files.open(path, mode))?;
        let slot = Arc::new(Mutex::new(Some(file)));
        let number = self.0.number();
        let mut open = lock(&self.0.open);
        open.as_mut().ok_or_else(closed)?.insert(number, Arc::downgrade(&slot));
        let (root, path) = (self.0.clone(), path.into());
        Ok(Arc::new(OpenFile {
            root,
            number,
            path,
            slot,
        }))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.call("stat", path, |files| files.kind(path))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        self.call("stat", path, |files| files.id(path))
    }

    fn mount(&self, path: &Path) -> io::Result<u64> {
        self.call("stat", path, |files| files.mount(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call("mkdir", path, |files| files.create_dir_all(path))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call("readdir", path, |files| files.read_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", from, |files| files.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call("unlink", path, |files| files.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call("rmdir", path, |files| files.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let synced = self.call("fsync", path, |files| files.sync_dir(path));
        if synced.is_err() && lock(&self.0.files).is_some() {
            self.0.write_failed.store(true, Ordering::Release);
        }
        synced
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.call("statfs", path, |files| files.space(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Guard> {
        self.call("flock", path, |files| files.lock(path))
    }
}

/// An open file of the drive.
struct OpenFile {
    root: Arc<Inner>,
    number: u64,
    path: Arc<Path>,
    slot: Arc<Slot>,
}

impl OpenFile {
    fn call<T>(&self, what: &'static str, call: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        let file = lock(&self.slot).clone().ok_or_else(closed)?;
        let _under_way = self.root.begin(what, self.path.clone());
        call(&*file)
    }

    /// A call after whose failure nobody knows what is on the media. A write that finds no room has changed nothing;
    /// a sync that finds none has lost pages.
    fn change(&self, what: &'static str, call: impl FnOnce(&dyn File) -> io::Result<()>) -> io::Result<()> {
        let file = lock(&self.slot).clone().ok_or_else(closed)?;
        let _under_way = self.root.begin(what, self.path.clone());
        let done = call(&*file);
        if let Err(error) = &done
            && (what == SYNC || !crate::drive::index::is_full(error))
        {
            self.root.write_failed.store(true, Ordering::Release);
        }
        done
    }
}

const SYNC: &str = "fdatasync";

impl File for OpenFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.call("read", |file| file.read_at(offset, buf))
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.call("read", |file| file.read_vec(offset, len))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change("write", |file| file.write_at(offset, data))
    }

    fn len(&self) -> io::Result<u64> {
        self.call("stat", File::len)
    }

    fn allocated(&self) -> io::Result<u64> {
        self.call("stat", File::allocated)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change("truncate", |file| file.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.change(SYNC, File::sync)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change("fallocate", |file| file.punch(offset, len))
    }

    fn id(&self) -> io::Result<FileId> {
        self.call("stat", File::id)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(open) = &mut *lock(&self.root.open) {
            open.remove(&self.number);
        }
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;

    #[tokio::test]
    async fn a_closed_root_holds_no_descriptor_whoever_has_files_of_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let rt = RealRuntime::new();
        let root = Root::new(&rt, rt.files().rooted(dir.path()).expect("opens"));
        let path = dir.path().join("f");
        let file = root.open(&path, OpenMode::CreateNew).expect("makes");
        file.write_at(0, b"x").expect("writes");
        assert_eq!(root.longest_call(), None);
        assert_eq!(descriptors_below(dir.path()), 2);
        root.close();
        assert_eq!(descriptors_below(dir.path()), 0);
        for refused in [
            file.sync(),
            root.sync_dir(dir.path()),
            root.open(&path, OpenMode::Read).map(drop),
        ] {
            assert_eq!(refused.expect_err("closed").to_string(), "the drive is closed");
        }
        assert!(!root.write_failed());
    }

    #[tokio::test]
    async fn calls_under_way_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let rt = RealRuntime::new();
        let root = Root::new(&rt, rt.files().rooted(dir.path()).expect("opens"));
        let call = root.call("fsync", dir.path(), |_| Ok(root.longest_call()));
        let call = call.expect("runs").expect("one is under way");
        assert_eq!(
            (&*call.what, &*call.path),
            ("fsync", &*dir.path().display().to_string())
        );
        assert_eq!(root.longest_call(), None);
    }

    /// Counts this process's descriptors of files in `folder`, and of the folder itself.
    #[allow(clippy::disallowed_methods, reason = "tests look from outside")]
    fn descriptors_below(folder: &Path) -> usize {
        let links = std::fs::read_dir("/proc/self/fd").expect("lists");
        let paths = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
        paths.filter(|path| path.starts_with(folder)).count()
    }
}
