//! A drive: one mounted path of an erasure set.
//!
//! [`Drive`] is what the driver in `object` talks to; a local drive implements it here, a remote one will.
//! Nothing else writes to a drive.

mod activity;
pub mod format;
mod index;
mod key;
mod local;
mod offline;
mod page;
mod slot;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    //! Doors for the fuzz targets.
    pub use super::{format::fuzzing::*, index::fuzzing::*};
}

pub use activity::{Activity, Call};
pub use index::{IndexError, RowError, decode_register};
pub use key::{PartOf, RegisterKey};
pub use local::LocalDrive;
pub use offline::OfflineDrive;
pub use page::Page;
pub use slot::DriveSlot;

use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use std::fmt;

/// Shards of up to this many framed bytes are kept in the index; larger ones are files.
pub const SMALL_SHARD_BYTES: usize = 16 * 1024;

/// A shard to stage: which data folder it is of, and which key's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    /// The object key (never a part's register) that owns the folder.
    pub owner: RegisterKey,
    /// The data folder.
    pub folder: Folder,
    /// The open upload that the folder is a part of, if it is one.
    pub upload: Option<u128>,
    /// The part's number; 1 for a plain put.
    pub part: u16,
}

/// Space and state of a drive, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveStatus {
    /// Its path.
    pub path: String,
    /// Why it is offline; `None` while it serves.
    pub offline: Option<String>,
    /// Size of its file system, 0 while offline.
    pub total_bytes: u64,
    /// Free space, 0 while offline.
    pub free_bytes: u64,
    /// Inodes of its file system, 0 while offline and where there is no limit.
    pub total_inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// It takes no more objects, only deletes.
    pub full: bool,
    /// The device of its file system, `None` while offline. Drives on one device share its space, and its fate.
    pub device: Option<u64>,
}

impl DriveStatus {
    /// Of a drive that does not serve.
    #[must_use]
    pub fn offline(path: String, reason: String) -> DriveStatus {
        DriveStatus {
            path,
            offline: Some(reason),
            total_bytes: 0,
            free_bytes: 0,
            total_inodes: 0,
            free_inodes: 0,
            full: false,
            device: None,
        }
    }
}

/// A data folder that a drive holds and no register names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unnamed {
    /// The object key that it belongs to.
    pub owner: RegisterKey,
    /// The folder.
    pub folder: Folder,
    /// The upload that it is a part of, if it is one.
    pub upload: Option<u128>,
    /// The part's number; 1 for a plain put.
    pub part: u16,
}

/// Why a drive gave no answer. *Unknown*, never *absent* (`read.not-found-is-known`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// The drive is offline, with the reason that operators see.
    #[error("drive offline: {0}")]
    Offline(String),
    /// The drive has no room for this; reads, deletes and finalizes go on.
    #[error("drive full")]
    Full,
    /// The drive does not hold this folder.
    #[error("no such data folder")]
    NoFolder,
}

/// A shard being staged into a file, in order.
#[async_trait]
pub trait ShardWriter: Send + Sync {
    /// Appends framed blocks.
    async fn write(&mut self, framed: Bytes) -> Result<(), DriveError>;
    /// Hands what was gathered for a larger write to the file, so that no memory holds it. Not durable yet.
    async fn flush(&mut self) -> Result<(), DriveError>;
    /// Makes file, folder and the drive's knowledge of it durable: only now is the shard staged.
    async fn finish(self: Box<Self>) -> Result<(), DriveError>;
}

/// An open shard: stays readable while its folder is dropped.
#[async_trait]
pub trait ShardReader: Send + Sync {
    /// The shard's framed length in bytes.
    fn len(&self) -> u64;
    /// Whether it has no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads framed bytes; fewer than asked for only at the end.
    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, DriveError>;
}

/// One drive of an erasure set.
#[async_trait]
pub trait Drive: Send + Sync + fmt::Debug + 'static {
    /// One message about one register. Messages from one caller that are handed over in order (the call
    /// polled once) are applied in that order. The reply comes after what it promises is durable.
    async fn register(&self, key: &RegisterKey, request: Request<Record>) -> Result<Reply<Record>, DriveError>;

    /// Stages a small shard in the index (at most [`SMALL_SHARD_BYTES`]) and answers `then` about the
    /// register `key`, in one durable step.
    async fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Result<Reply<Record>, DriveError>;

    /// Begins to stage a shard as a file. Dropping the writer before it finished leaves no trace after
    /// the next start at the latest.
    async fn stage_file(&self, staging: Staging) -> Result<Box<dyn ShardWriter>, DriveError>;

    /// Opens a shard that the drive holds, small or not.
    async fn open_shard(&self, folder: Folder, part: u16) -> Result<Box<dyn ShardReader>, DriveError>;

    /// Removes a staged folder that its writer gives up before any Accept has left
    /// (`put.abandon-before-accept`): no value names it, and none ever will.
    async fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Result<(), DriveError>;

    /// After the value of `owner` chosen under `ended` no longer has `upload` open: removes the upload's part
    /// registers and those of its folders that the committed value does not name. Refused (`NoFolder`) while
    /// this drive has not committed a vote of `ended` or above: a drive that lags cannot tell an upload that
    /// is gone from one that it has not heard of (`multipart.end-is-known`).
    async fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Result<(), DriveError>;

    /// Folders that neither the accepted nor the previous value of their owner names, in an order of the
    /// drive's own, after `after`, at most `limit`: staged by a write at hand, or left by one that a
    /// crash ended. Parts of uploads that the accepted value has open are not among them.
    async fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Result<Vec<Unnamed>, DriveError>;

    /// Up to `limit` registers with keys in `after..` (exclusive, or `from` inclusive) below `prefix`'s end.
    /// Every key returned starts with `prefix`.
    async fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Result<Page, DriveError>;

    /// Whether it is known to have no room for objects. Asks nothing of the drive.
    fn is_full(&self) -> bool;

    /// Its path, for operators. Asks nothing of the drive.
    fn path(&self) -> String;

    /// What it has done since it was opened; `None` if it was not. Asks nothing of the drive.
    fn activity(&self) -> Option<Activity>;

    /// Its state.
    async fn status(&self) -> DriveStatus;

    /// Takes no more mutations, ends those at hand, and closes the index cleanly.
    async fn close(&self);
}

/// Where a listing begins, within its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFrom {
    /// At the prefix's first key.
    Start,
    /// At this encoded key, if it is there.
    At(Vec<u8>),
    /// After this encoded key.
    After(Vec<u8>),
}

#[cfg(test)]
mod fixture;
