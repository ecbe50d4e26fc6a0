//! A drive that could not be opened: it answers everything with the reason.

use super::{Drive, DriveError, DriveStatus, ListFrom, Page, RegisterKey, ShardReader, ShardWriter, Staging};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Folder, Reply, Request},
    record::Record,
};

/// A drive that is unknown from the start until the process ends.
#[derive(Clone, Debug)]
pub struct OfflineDrive {
    /// Its path.
    pub path: String,
    /// Why, for operators.
    pub reason: String,
}

impl OfflineDrive {
    fn error<T>(&self) -> Result<T, DriveError> {
        Err(DriveError::Offline(self.reason.clone()))
    }
}

#[async_trait]
impl Drive for OfflineDrive {
    async fn register(&self, _: &RegisterKey, _: Request<Record>) -> Result<Reply<Record>, DriveError> {
        self.error()
    }

    async fn stage_small(
        &self,
        _: Staging,
        _: Bytes,
        _: &RegisterKey,
        _: Request<Record>,
    ) -> Result<Reply<Record>, DriveError> {
        self.error()
    }

    async fn stage_file(&self, _: Staging) -> Result<Box<dyn ShardWriter>, DriveError> {
        self.error()
    }

    async fn open_shard(&self, _: Folder, _: u16) -> Result<Box<dyn ShardReader>, DriveError> {
        self.error()
    }

    async fn abandon(&self, _: &RegisterKey, _: Folder) -> Result<(), DriveError> {
        self.error()
    }

    async fn end_upload(&self, _: &RegisterKey, _: u128) -> Result<(), DriveError> {
        self.error()
    }

    async fn list(&self, _: &[u8], _: ListFrom, _: usize) -> Result<Page, DriveError> {
        self.error()
    }

    async fn status(&self) -> DriveStatus {
        let (path, offline) = (self.path.clone(), Some(self.reason.clone()));
        let (total_bytes, free_bytes) = (0, 0);
        DriveStatus {
            path,
            offline,
            total_bytes,
            free_bytes,
        }
    }

    async fn close(&self) {}
}
