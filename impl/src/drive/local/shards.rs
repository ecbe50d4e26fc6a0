//! Shards of a local drive: writers of files, readers of files and of small ones.

use super::{
    queue::{Message, Queue},
    staged::Staged,
    state::Shared,
};
use crate::{
    drive::{Answer, DriveError, RegisterKey, ShardReader, ShardWriter, SmallShard, Staging, fail, index::Shard},
    runtime::{File, Mutant, OpenMode},
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Folder, Reply, Request},
    record::Record,
};
use std::{fmt, io, sync::Arc};

/// Writes are at least this long, but for the last.
const WRITE_BYTES_MIN: usize = 1 << 20;

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
                let file = shared.files.open(&shared.part_path(folder, part), OpenMode::Read)?;
                let len = file.len()?;
                Ok(Found::File(file, len))
            };
            open().map_err(|error| read_failed(shared, folder, part, &error))
        }
    }
}

/// One shard that cannot be read is that shard's damage, unless the whole drive is gone.
fn read_failed(shared: &Shared, folder: Folder, part: u16, error: &io::Error) -> DriveError {
    if let Err(offline) = shared.check_still_there() {
        return offline;
    }
    if error.kind() == io::ErrorKind::NotFound {
        return DriveError::NotFound;
    }
    let path = shared.part_path(folder, part);
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
            let mut buf = vec![0; len];
            let n = file
                .read_at(offset, &mut buf)
                .map_err(|error| read_failed(shared, folder, part, &error))?;
            buf.truncate(n);
            Ok(Bytes::from(buf))
        };
        self.shared.run(job).await
    }
}

/// Begins a shard in a file (`drive.staged-is-durable`).
pub(super) async fn stage(
    shared: Arc<Shared>,
    queue: Queue,
    staging: Staging,
) -> Result<Box<dyn ShardWriter>, DriveError> {
    shared.check_room()?;
    // Before the folder exists: from here on the sweep leaves it alone.
    let shard = Staged::new(shared.clone(), &staging);
    let (folder, part) = (staging.folder, staging.part);
    let held = shard.hold();
    let job = move |shared: &Shared| {
        let held = held;
        let path = shared.part_path(folder, part);
        let made = shared.files.create_dir_all(&shared.folder_path(folder));
        let opened = made.and_then(|()| shared.files.open(&path, OpenMode::CreateNew));
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                // Not ours to remove.
                held.iter().for_each(|shard| shard.keep());
                DriveError::Invalid(format!("{} is staged already", path.display()))
            }
            _ => shared.staging_failed(&path, &error),
        })
    };
    let file = shared.run(job).await?;
    Ok(Box::new(FileWriter {
        queue,
        staging,
        shard,
        file,
        buffer: Vec::new(),
        offset: 0,
        broken: false,
        synced: false,
    }))
}

struct FileWriter {
    queue: Queue,
    staging: Staging,
    shard: Arc<Staged>,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    offset: u64,
    /// A write has failed, or was given up before it ended: the file may have a hole.
    broken: bool,
    /// File and folder are durable, with all that was written.
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
    async fn write_out(&mut self, framed: Bytes) -> Result<(), DriveError> {
        self.check()?;
        let (file, offset) = (self.file.clone(), self.offset);
        self.offset += framed.len() as u64;
        let (folder, part) = (self.staging.folder, self.staging.part);
        let held = self.shard.hold();
        let job = move |shared: &Shared| {
            let _held = held;
            let written = file.write_at(offset, &framed);
            written.map_err(|error| shared.staging_failed(&shared.part_path(folder, part), &error))
        };
        self.broken = true;
        self.shard.shared.run(job).await?;
        self.broken = false;
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

#[async_trait]
impl ShardWriter for FileWriter {
    async fn write(&mut self, framed: Bytes) -> Result<(), DriveError> {
        self.synced = false;
        if self.buffer.is_empty() && framed.len() >= WRITE_BYTES_MIN {
            return self.write_out(framed).await;
        }
        self.buffer.extend_from_slice(&framed);
        if self.buffer.len() < WRITE_BYTES_MIN {
            return Ok(());
        }
        let full = std::mem::take(&mut self.buffer);
        self.write_out(full.into()).await
    }

    async fn flush(&mut self) -> Result<(), DriveError> {
        let gathered = std::mem::take(&mut self.buffer);
        if gathered.is_empty() {
            return self.check();
        }
        self.write_out(gathered.into()).await
    }

    async fn sync(&mut self) -> Result<(), DriveError> {
        self.check()?;
        let (file, offset) = (self.file.clone(), self.offset);
        let rest = std::mem::take(&mut self.buffer);
        let (folder, part) = (self.staging.folder, self.staging.part);
        let held = self.shard.hold();
        let job = move |shared: &Shared| {
            let _held = held;
            let write = || {
                if !rest.is_empty() {
                    file.write_at(offset, &rest)?;
                }
                let began = shared.rt.mono();
                if !shared.mutation.is(Mutant::ShardFileNotSynced) {
                    file.sync()?;
                }
                if !shared.mutation.is(Mutant::ShardFolderNotSynced) {
                    shared.files.sync_dir(&shared.folder_path(folder))?;
                }
                shared.meter.synced(shared.rt.mono().saturating_sub(began));
                Ok(())
            };
            write().map_err(|error| shared.staging_failed(&shared.part_path(folder, part), &error))
        };
        self.broken = true;
        self.shard.shared.run(job).await?;
        (self.broken, self.synced) = (false, true);
        Ok(())
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
