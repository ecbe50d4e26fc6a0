//! Runtime that injects faults into file operations, and counts them.

use crate::runtime::{
    BoxFuture, Entry, Executor, File, FileId, Files, Guard, Job, Kind, Listener, Mutation, OpenMode, Rt, Runtime,
    Space, Stream, Task, real::RealRuntime,
};
use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Counts of file operations, and faults to inject.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Number of syncs of files whose path contains `index`.
    pub(crate) index_syncs: usize,
    /// Lengths of the writes to shard files.
    pub(crate) shard_writes: Vec<usize>,
    /// Path fragment and error: writes, resizes and syncs of files whose path contains the fragment fail with it.
    pub(crate) fail: Option<(&'static str, io::ErrorKind)>,
    /// While true, writes, resizes and syncs of any file fail with `StorageFull`; removing the reserve clears it.
    pub(crate) full_until_released: bool,
    /// Path fragment and delay of syncs of files whose path contains it.
    pub(crate) slow_sync: Option<(&'static str, Duration)>,
    /// Total and free inodes to report.
    pub(crate) inodes: Option<(u64, u64)>,
    /// Number of remounts of the drive.
    pub(crate) mounts: u64,
    /// Free bytes to report.
    pub(crate) free_bytes: Option<u64>,
    /// Mutant of the drive at the next open.
    pub(crate) mutation: Option<Mutation>,
}

pub(crate) type Shared = Arc<Mutex<Faults>>;

pub(crate) struct FaultyRuntime {
    rt: Rt,
    faults: Shared,
}

pub(crate) fn runtime() -> (Rt, Shared) {
    let faults = Shared::default();
    let rt = FaultyRuntime {
        rt: RealRuntime::new(),
        faults: faults.clone(),
    };
    (Arc::new(rt), faults)
}

impl Runtime for FaultyRuntime {
    fn wall_nanos(&self) -> u64 {
        self.rt.wall_nanos()
    }
    fn mono(&self) -> Duration {
        self.rt.mono()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        self.rt.sleep(duration)
    }
    fn spawn_boxed(&self, what: &'static str, future: BoxFuture<()>) -> Arc<dyn Task> {
        self.rt.spawn_boxed(what, future)
    }
    fn cpu_boxed(&self, job: Job) -> BoxFuture<()> {
        self.rt.cpu_boxed(job)
    }
    fn fill_random(&self, buf: &mut [u8]) {
        self.rt.fill_random(buf);
    }
    fn listen(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.rt.listen(addr)
    }
    fn resolve(&self, host: String, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        self.rt.resolve(host, port)
    }
    fn connect(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Stream>>> {
        self.rt.connect(addr)
    }
    fn files(&self) -> Arc<dyn Files> {
        let (files, faults) = (self.rt.files(), self.faults.clone());
        Arc::new(FaultyFiles { files, faults })
    }
    fn executor(&self, drive: &str) -> Arc<dyn Executor> {
        self.rt.executor(drive)
    }
    fn mutation(&self) -> Mutation {
        self.faults.lock().expect("lock").mutation.unwrap_or(Mutation::NONE)
    }
}

struct FaultyFiles {
    files: Arc<dyn Files>,
    faults: Shared,
}

impl Files for FaultyFiles {
    fn rooted(&self, root: &Path) -> io::Result<Arc<dyn Files>> {
        let (files, faults) = (self.files.rooted(root)?, self.faults.clone());
        Ok(Arc::new(FaultyFiles { files, faults }))
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.files.open(path, mode)?;
        let (path, faults) = (path.display().to_string(), self.faults.clone());
        Ok(Arc::new(FaultyFile { file, path, faults }))
    }
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.files.kind(path)
    }
    fn id(&self, path: &Path) -> io::Result<FileId> {
        self.files.id(path)
    }
    fn mount(&self, path: &Path) -> io::Result<u64> {
        let new = self.faults.lock().expect("lock").mounts;
        Ok(self.files.mount(path)?.wrapping_add(new))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.files.read_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)?;
        if path.ends_with("reserve") {
            self.faults.lock().expect("lock").full_until_released = false;
        }
        Ok(())
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.files.sync_dir(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        let space = self.files.space(path)?;
        let free_bytes = self.faults.lock().expect("lock").free_bytes.unwrap_or(space.free_bytes);
        let inodes = self.faults.lock().expect("lock").inodes;
        let (total_inodes, free_inodes) = inodes.unwrap_or((space.total_inodes, space.free_inodes));
        Ok(Space {
            free_bytes,
            total_inodes,
            free_inodes,
            ..space
        })
    }
    fn lock(&self, path: &Path) -> io::Result<Guard> {
        self.files.lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn File>,
    path: String,
    faults: Shared,
}

impl FaultyFile {
    fn check(&self) -> io::Result<()> {
        let faults = self.faults.lock().expect("lock");
        match faults.fail {
            Some((name, kind)) if self.path.contains(name) => Err(kind.into()),
            _ if faults.full_until_released => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl File for FaultyFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        if self.path.contains("/data/") {
            self.faults.lock().expect("lock").shard_writes.push(data.len());
        }
        self.file.write_at(offset, data)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn allocated(&self) -> io::Result<u64> {
        self.file.allocated()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.check()?;
        let slow_sync = self.faults.lock().expect("lock").slow_sync;
        if let Some((_, time)) = slow_sync.filter(|(name, _)| self.path.contains(name)) {
            std::thread::sleep(time);
        }
        if self.path.contains("index") {
            self.faults.lock().expect("lock").index_syncs += 1;
        }
        self.file.sync()
    }
    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }
}
