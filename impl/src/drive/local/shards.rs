//! Shards of a local drive: writers of files, readers of files and of small ones.

use super::{
    queue::{Message, Queue},
    staged::Staged,
    state::{Shared, subfolder_of},
};
use crate::{
    drive::{Answer, DriveError, RegisterKey, ShardReader, ShardWriter, SmallShard, Staging, fail, index::Shard},
    runtime::{File, OpenMode},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use model::{
    protocol::{Folder, Reply, Request},
    record::Record,
};
use std::{
    fmt, io, mem,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

/// Bytes that are written at once at least, but for the last.
const WRITE_BYTES_MIN: usize = 1 << 20;

/// Frames of at least this many bytes wait for their write as they are. Shorter ones are copied: a frame keeps the
/// buffer of its whole stripe in memory, and on a drive that hangs the frames of many stripes wait.
const KEPT_BYTES_MIN: usize = 512 << 10;

/// Opens a shard.
pub(super) async fn open(shared: Arc<Shared>, folder: Folder, part: u16) -> Result<Box<dyn ShardReader>, DriveError> {
    let found = shared.run(move |shared| open_blocking(shared, folder, part)).await?;
    Ok(match found {
        Found::Small(framed) => Box::new(SmallShard(framed)),
        Found::File(file, len) => Box::new(FileReader {
            shared,
            file,
            len,
            folder,
            part,
        }),
    })
}

enum Found {
    Small(Bytes),
    File(Arc<dyn File>, u64),
}

fn open_blocking(shared: &Shared, folder: Folder, part: u16) -> Result<Found, DriveError> {
    shared.health.check()?;
    let view = shared.index.view().map_err(|error| shared.index_failed(&error))?;
    match view.shard(folder, part).map_err(|error| shared.index_failed(&error))? {
        None => Err(DriveError::NotFound),
        Some(Shard::Small(framed)) => Ok(Found::Small(framed)),
        Some(Shard::File) => {
            let open = || {
                let file = shared.files.open(&shared.shard_path(folder, part), OpenMode::Read)?;
                let len = file.len()?;
                Ok(Found::File(file, len))
            };
            open().map_err(|error| read_failed(shared, folder, part, &error))
        }
    }
}

/// Maps an error of a read: damage of this shard alone, unless the whole drive is gone.
fn read_failed(shared: &Shared, folder: Folder, part: u16, error: &io::Error) -> DriveError {
    if let Err(offline) = shared.check_still_there() {
        return offline;
    }
    if error.kind() == io::ErrorKind::NotFound {
        return DriveError::NotFound;
    }
    let path = shared.shard_path(folder, part);
    tracing::warn!(path = %path.display(), %error, "cannot read a shard");
    DriveError::Damaged(format!("cannot read {}: {error}", path.display()))
}

struct FileReader {
    shared: Arc<Shared>,
    file: Arc<dyn File>,
    len: u64,
    folder: Folder,
    part: u16,
}

#[async_trait]
impl ShardReader for FileReader {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, DriveError> {
        let left = self.len.saturating_sub(offset);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let (file, folder, part) = (self.file.clone(), self.folder, self.part);
        let job = move |shared: &Shared| {
            let read = file.read_vec(offset, len);
            let framed = read.map_err(|error| read_failed(shared, folder, part, &error))?;
            Ok(Bytes::from(framed))
        };
        self.shared.run(job).await
    }
}

/// Creates the writer of a shard in a file (`drive.staged-is-durable`).
///
/// # Errors
/// The drive has failed or is full.
pub(super) fn stage(shared: Arc<Shared>, queue: Queue, staging: Staging) -> Result<Box<dyn ShardWriter>, DriveError> {
    shared.check_room()?;
    Ok(Box::new(FileWriter {
        queue,
        // Before the file exists: from here on the sweep leaves it alone.
        shard: Staged::new(shared, &staging),
        staging,
        file: None,
        gathered: Gathered::default(),
        offset: 0,
        broken: false,
        synced: false,
    }))
}

struct FileWriter {
    queue: Queue,
    staging: Staging,
    shard: Arc<Staged>,
    /// `None` before the first write: what fits in one write then costs one job.
    file: Option<Arc<dyn File>>,
    /// Frames that wait for a larger write.
    gathered: Gathered,
    offset: u64,
    /// A write has failed, or was given up before it ended: the file may have a hole.
    broken: bool,
    /// The file is durable, with its name and all that was written.
    synced: bool,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter")
            .field("staging", &self.staging)
            .finish_non_exhaustive()
    }
}

impl FileWriter {
    /// Makes the file unless it is there, hands it what was gathered, and then makes it durable if `sync` says so.
    ///
    /// # Errors
    /// [`DriveError::Invalid`] if another writer has made the file; full, offline, or an earlier call has failed.
    async fn write_out(&mut self, sync: bool) -> Result<(), DriveError> {
        self.check()?;
        let (file, gathered, mut offset) = (self.file.take(), mem::take(&mut self.gathered), self.offset);
        self.offset += gathered.bytes as u64;
        let (folder, part) = (self.staging.folder, self.staging.part);
        if file.is_none() {
            self.shard.begin();
        }
        let held = self.shard.hold();
        let job = move |shared: &Shared| {
            let path = shared.shard_path(folder, part);
            let file = match file {
                Some(file) => file,
                None => create(shared, subfolder_of(folder), &path).inspect_err(|error| {
                    if matches!(error, DriveError::Invalid(_)) {
                        // Not ours to remove.
                        held.iter().for_each(|shard| shard.keep());
                    }
                })?,
            };
            let write = || {
                for piece in gathered.pieces() {
                    file.write_at(offset, &piece)?;
                    offset += piece.len() as u64;
                }
                if sync {
                    sync_blocking(shared, &*file, folder)?;
                }
                Ok(file)
            };
            write().map_err(|error| shared.staging_failed(&path, &error))
        };
        self.broken = true;
        self.file = Some(self.shard.shared.run(job).await?);
        (self.broken, self.synced) = (false, sync);
        Ok(())
    }

    fn check(&self) -> Result<(), DriveError> {
        if self.broken {
            return Err(DriveError::Damaged(
                "an earlier write of this shard did not end".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Frames that wait for a larger write, in order.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    /// Short frames behind the pieces, one after the other.
    copied: BytesMut,
    /// Total length in bytes.
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, framed: Bytes) {
        self.bytes += framed.len();
        if framed.len() < KEPT_BYTES_MIN {
            self.copied.extend_from_slice(&framed);
            return;
        }
        self.end_copied();
        self.pieces.push(framed);
    }

    fn end_copied(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push(self.copied.split().freeze());
        }
    }

    fn pieces(mut self) -> Vec<Bytes> {
        self.end_copied();
        self.pieces
    }
}

/// Makes a shard's file, which is new, and the subfolder that it is in.
fn create(shared: &Shared, subfolder: u8, path: &Path) -> Result<Arc<dyn File>, DriveError> {
    let known = &shared.subfolders[usize::from(subfolder)];
    let create = || {
        if !known.load(Ordering::Acquire) {
            shared.files.create_dir_all(&shared.subfolder_path(subfolder))?;
            known.store(true, Ordering::Release);
        }
        shared.files.open(path, OpenMode::CreateNew)
    };
    let created = create().or_else(|error| match error.kind() {
        // Somebody has tidied up empty folders.
        io::ErrorKind::NotFound if known.swap(false, Ordering::AcqRel) => create(),
        _ => Err(error),
    });
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => DriveError::Invalid(format!("{} is staged already", path.display())),
        _ => shared.staging_failed(path, &error),
    })
}

/// Makes a shard's file and its name durable.
fn sync_blocking(shared: &Shared, file: &dyn File, folder: Folder) -> io::Result<()> {
    let began = shared.rt.mono();
    file.sync()?;
    shared.files.sync_dir(&shared.subfolder_path(subfolder_of(folder)))?;
    shared.meter.synced(shared.rt.mono().saturating_sub(began));
    Ok(())
}

#[async_trait]
impl ShardWriter for FileWriter {
    async fn write(&mut self, framed: Bytes) -> Result<(), DriveError> {
        self.synced = false;
        self.gathered.push(framed);
        if self.gathered.bytes < WRITE_BYTES_MIN {
            return Ok(());
        }
        self.write_out(false).await
    }

    async fn flush(&mut self) -> Result<(), DriveError> {
        if self.gathered.bytes == 0 {
            return self.check();
        }
        self.write_out(false).await
    }

    async fn sync(&mut self) -> Result<(), DriveError> {
        self.write_out(true).await
    }

    fn finish(self: Box<Self>, key: &RegisterKey, then: Request<Record>) -> Answer<Reply<Record>> {
        if !self.synced {
            return fail(DriveError::Invalid(
                "a shard is finished that was not synced".to_owned(),
            ));
        }
        let FileWriter {
            queue,
            staging,
            shard: guard,
            ..
        } = *self;
        let key = key.clone();
        queue.ask(|answer| Message::StagedFile {
            staging,
            guard,
            key,
            then,
            answer,
        })
    }
}
