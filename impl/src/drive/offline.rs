//! The place of a drive that cannot serve: it gives no answer to anything.

use super::{
    Activity, Drive, DriveError, DriveStatus, ListFrom, Page, RegisterKey, ShardReader, ShardWriter, Staging, Unnamed,
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use std::path::PathBuf;

/// A drive that was found unusable when its node started. Unknown, never absent.
#[derive(Debug)]
pub struct OfflineDrive {
    path: PathBuf,
    reason: String,
}

impl OfflineDrive {
    /// The drive at `path`, with the reason that operators see.
    #[must_use]
    pub fn new(path: PathBuf, reason: String) -> OfflineDrive {
        OfflineDrive { path, reason }
    }

    fn offline<T>(&self) -> Result<T, DriveError> {
        Err(DriveError::Offline(self.reason.clone()))
    }
}

#[async_trait]
impl Drive for OfflineDrive {
    async fn register(&self, _: &RegisterKey, _: Request<Record>) -> Result<Reply<Record>, DriveError> {
        self.offline()
    }

    async fn stage_small(
        &self,
        _: Staging,
        _: Bytes,
        _: &RegisterKey,
        _: Request<Record>,
    ) -> Result<Reply<Record>, DriveError> {
        self.offline()
    }

    async fn stage_file(&self, _: Staging) -> Result<Box<dyn ShardWriter>, DriveError> {
        self.offline()
    }

    async fn open_shard(&self, _: Folder, _: u16) -> Result<Box<dyn ShardReader>, DriveError> {
        self.offline()
    }

    async fn abandon(&self, _: &RegisterKey, _: Folder) -> Result<(), DriveError> {
        self.offline()
    }

    async fn end_upload(&self, _: &RegisterKey, _: u128, _: Ballot) -> Result<(), DriveError> {
        self.offline()
    }

    async fn unnamed(&self, _: Option<Unnamed>, _: usize) -> Result<Vec<Unnamed>, DriveError> {
        self.offline()
    }

    async fn list(&self, _: &[u8], _: ListFrom, _: usize) -> Result<Page, DriveError> {
        self.offline()
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn activity(&self) -> Option<Activity> {
        None
    }

    async fn status(&self) -> DriveStatus {
        DriveStatus {
            path: self.path(),
            offline: Some(self.reason.clone()),
            total_bytes: 0,
            free_bytes: 0,
        }
    }

    async fn close(&self) {}
}
