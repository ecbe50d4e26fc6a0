//! The place of a drive that cannot serve: it gives no answer to anything.

use super::{
    Activity, Answer, Drive, DriveError, DriveState, DriveStatus, KeyRead, ListFrom, Page, RegisterKey, ShardReader,
    ShardWriter, Staging, Unnamed, UnnamedPage, fail,
};
use crate::runtime::BoxFuture;
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use std::{future::ready, path::PathBuf};

/// A drive that cannot be used. Unknown, never absent.
#[derive(Clone, Debug)]
pub struct OfflineDrive {
    path: PathBuf,
    reason: String,
    /// Reason found at the last attempt to reopen it, if that is another.
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

    /// Returns for operators why it went offline, and what keeps it so.
    fn text(&self) -> String {
        match &self.latest {
            None => self.reason.clone(),
            Some(latest) => format!("{}; now: {latest}", self.reason),
        }
    }

    fn offline<T: Send + 'static>(&self) -> Answer<T> {
        fail(DriveError::Offline(self.text()))
    }
}

impl Drive for OfflineDrive {
    fn register(&self, _: &RegisterKey, _: Request<Record>) -> Answer<Reply<Record>> {
        self.offline()
    }

    fn read_key(&self, _: &RegisterKey) -> Answer<KeyRead> {
        self.offline()
    }

    fn stage_small(&self, _: Staging, _: Bytes, _: &RegisterKey, _: Request<Record>) -> Answer<Reply<Record>> {
        self.offline()
    }

    fn stage_file(&self, _: Staging) -> Answer<Box<dyn ShardWriter>> {
        self.offline()
    }

    fn open_shard(&self, _: Folder, _: u16) -> Answer<Box<dyn ShardReader>> {
        self.offline()
    }

    fn abandon(&self, _: &RegisterKey, _: Folder) -> Answer<()> {
        self.offline()
    }

    fn end_upload(&self, _: &RegisterKey, _: u128, _: Ballot) -> Answer<()> {
        self.offline()
    }

    fn unnamed(&self, _: Option<Unnamed>, _: usize) -> Answer<UnnamedPage> {
        self.offline()
    }

    fn list(&self, _: &[u8], _: ListFrom, _: usize) -> Answer<Page> {
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

    fn status(&self) -> BoxFuture<DriveStatus> {
        let state = DriveState::Offline(self.text());
        Box::pin(ready(DriveStatus::without_space(self.path(), state)))
    }

    fn close(&self) -> BoxFuture<()> {
        Box::pin(ready(()))
    }
}
