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

/// A drive that cannot be used. Unknown, never absent.
#[derive(Clone, Debug)]
pub struct OfflineDrive {
    path: PathBuf,
    reason: String,
    /// Why it could not be used when it was last looked for, if that is another reason.
    latest: Option<String>,
    /// The mount through which its page cache may be ahead of its media.
    stale_mount: Option<u64>,
}

impl OfflineDrive {
    /// The drive at `path`, with the reason that operators see.
    #[must_use]
    pub fn new(path: PathBuf, reason: String) -> OfflineDrive {
        OfflineDrive {
            path,
            reason,
            latest: None,
            stale_mount: None,
        }
    }

    /// The same drive, which is not to be opened through this mount (`drive.reopened-from-media`).
    pub(super) fn behind(self, stale_mount: Option<u64>) -> OfflineDrive {
        OfflineDrive { stale_mount, ..self }
    }

    pub(super) fn stale_mount(&self) -> Option<u64> {
        self.stale_mount
    }

    /// The same drive, which `latest` keeps from being used now.
    pub(super) fn still(&self, latest: String) -> OfflineDrive {
        let latest = Some(latest).filter(|latest| *latest != self.reason);
        OfflineDrive { latest, ..self.clone() }
    }

    pub(super) fn latest(&self) -> &str {
        self.latest.as_ref().unwrap_or(&self.reason)
    }

    /// For operators: why it went offline, and what keeps it so.
    fn text(&self) -> String {
        match &self.latest {
            None => self.reason.clone(),
            Some(latest) => format!("{}; now: {latest}", self.reason),
        }
    }

    fn offline<T>(&self) -> Result<T, DriveError> {
        Err(DriveError::Offline(self.text()))
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

    fn is_full(&self) -> bool {
        false
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn activity(&self) -> Option<Activity> {
        None
    }

    async fn status(&self) -> DriveStatus {
        DriveStatus::offline(self.path(), self.text())
    }

    async fn close(&self) {}
}
