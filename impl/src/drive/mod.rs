//! A drive: one mounted path of an erasure set.
//!
//! [`Drive`] is what the driver in `set` talks to: a local drive, or one of another node.
//! Nothing else writes to a drive.

mod activity;
#[cfg(any(test, feature = "mutants"))]
#[doc(hidden)]
pub mod conformance;
mod error;
pub mod format;
mod index;
mod key;
mod local;
mod offline;
mod page;
mod remote;
mod slot;
mod status;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    //! Doors for the fuzz targets.
    pub use super::{format::fuzzing::*, index::fuzzing::*};
}

pub use activity::{Activity, Call};
pub use error::DriveError;
pub use index::{IndexError, RowError, decode_register};
pub use key::{PartOf, RegisterKey};
pub use local::{IndexPolicy, LocalDrive};
pub use offline::OfflineDrive;
pub use page::Page;
pub use remote::{Cluster, DriveService, NodeStatus, RemoteDrive, RemoteNode};
pub use slot::DriveSlot;
pub use status::{DriveState, DriveStatus};

use crate::runtime::BoxFuture;
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request, Snapshot},
    record::Record,
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Shards of up to this many framed bytes are kept in the index; larger ones are files.
pub const SMALL_SHARD_BYTES: usize = 16 * 1024;

/// A shard to stage: which data folder it is of, and which key's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A data folder that a drive holds and no register names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Orphaned folders among some held ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnnamedPage {
    /// The orphaned ones.
    pub found: Vec<Unnamed>,
    /// The last folder that was looked at, orphaned or not; `None` if there are no more behind it.
    pub next: Option<Unnamed>,
}

/// Answer of a drive to a call. The call was handed over when it was made: dropping the answer takes nothing back.
pub type Answer<T> = BoxFuture<Result<T, DriveError>>;

/// An answer that is an error, known at once.
fn fail<T: Send + 'static>(error: DriveError) -> Answer<T> {
    Box::pin(std::future::ready(Err(error)))
}

/// A register as a drive has it, and with it the bytes that a reader of its object wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRead {
    /// The register.
    pub snapshot: Snapshot<Record>,
    /// The drive's shard of the latest version that it voted for, if that version has a single part and the drive
    /// holds its shard in the index.
    pub shard: Option<(Folder, Bytes)>,
}

/// A shard being staged into a file, in order.
#[async_trait]
pub trait ShardWriter: Send + Sync {
    /// Appends framed blocks.
    async fn write(&mut self, framed: Bytes) -> Result<(), DriveError>;
    /// Hands what was gathered for a larger write to the file, so that no memory holds it. Not durable yet.
    async fn flush(&mut self) -> Result<(), DriveError>;
    /// Makes the file and its folder durable. Nothing is written after it.
    async fn sync(&mut self) -> Result<(), DriveError>;
    /// Makes the drive's knowledge of the synced shard durable, and answers `then` about the register `key`, in one
    /// durable step: only now is the shard staged. [`DriveError::Invalid`] unless it was synced.
    fn finish(self: Box<Self>, key: &RegisterKey, then: Request<Record>) -> Answer<Reply<Record>>;
}

/// An open shard: stays readable while its folder is dropped.
#[async_trait]
pub trait ShardReader: Send + Sync {
    /// The shard's framed length in bytes.
    fn len(&self) -> u64;
    /// Returns whether it has no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads framed bytes; fewer than asked for only at the end.
    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, DriveError>;
}

/// A shard whose framed bytes are in memory.
#[derive(Clone, Debug)]
pub struct SmallShard(pub Bytes);

#[async_trait]
impl ShardReader for SmallShard {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, DriveError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(len).min(self.0.len());
        Ok(self.0.slice(start..end))
    }
}

/// One drive of an erasure set. `drive/conformance.rs` tests what every implementation promises.
///
/// A call that changes anything ([`Drive::register`], [`Drive::stage_small`], [`ShardWriter::finish`],
/// [`Drive::abandon`], [`Drive::end_upload`]) is handed over when it is made, not when its answer is first polled: such
/// calls are applied in the order in which they were made, and whoever drops the answer takes nothing back. Each answer
/// comes after what it promises is durable. A drive in which too many calls wait refuses at once with
/// [`DriveError::Busy`].
pub trait Drive: Send + Sync + fmt::Debug + 'static {
    /// Answers one message about one register. [`Request::Install`] of a shard that is not staged here is refused with
    /// [`DriveError::NotFound`].
    fn register(&self, key: &RegisterKey, request: Request<Record>) -> Answer<Reply<Record>>;

    /// Reads a register, and the small shard that a reader of its object wants next.
    fn read_key(&self, key: &RegisterKey) -> Answer<KeyRead>;

    /// Stages a small shard in the index (at most [`SMALL_SHARD_BYTES`], else [`DriveError::Invalid`]) and answers
    /// `then` about the register `key`, in one durable step.
    fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Answer<Reply<Record>>;

    /// Begins to stage a shard as a file. Nothing is made before the first bytes are handed to the file, or synced:
    /// what keeps the file from being made, such as one that is there already ([`DriveError::Invalid`]), is told by the
    /// writer. Dropping the writer before it finished leaves no trace after the next start at the latest.
    fn stage_file(&self, staging: Staging) -> Answer<Box<dyn ShardWriter>>;

    /// Opens a shard that the drive holds, small or not.
    fn open_shard(&self, folder: Folder, part: u16) -> Answer<Box<dyn ShardReader>>;

    /// Removes a staged folder that its writer gives up before any Accept has left
    /// (`put.abandon-before-accept`): no value names it, and none ever will. [`DriveError::StillReferenced`] if one
    /// does. A folder that is not there is removed already.
    fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Answer<()>;

    /// After the value of `owner` chosen under `ended` no longer has `upload` open: removes the upload's part
    /// registers and those of its folders that the committed value does not name. [`DriveError::Behind`] while
    /// this drive has not committed a vote of `ended` or above: a drive that lags cannot tell an upload that
    /// is gone from one that it has not heard of (`multipart.end-is-known`).
    fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Answer<()>;

    /// Looks at `limit` held folders, in an order of the drive's own, after `after`, and returns those that neither the
    /// accepted nor the previous value of their owner names: staged by a write at hand, or left by one that a crash
    /// ended. Parts of uploads that the accepted value has open are not among them.
    fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Answer<UnnamedPage>;

    /// Up to `limit` registers with keys in `after..` (exclusive, or `from` inclusive) below `prefix`'s end.
    /// Every key returned starts with `prefix`.
    fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Answer<Page>;

    /// Returns whether it is known to have no room for objects. Asks nothing of the drive.
    fn is_full(&self) -> bool;

    /// Returns since when its node has been silent although it owes an answer, by the monotonic clock; `None` for a
    /// drive of this node. Asks nothing of the drive.
    fn silent_since(&self) -> Option<Duration> {
        None
    }

    /// Returns the path, for operators. Asks nothing of the drive.
    fn path(&self) -> String;

    /// Returns what it has done since it was opened; `None` if it was not. Asks nothing of the drive.
    fn activity(&self) -> Option<Activity>;

    /// Returns state and space.
    fn status(&self) -> BoxFuture<DriveStatus>;

    /// Takes no more mutations, ends those at hand, and closes the index cleanly.
    fn close(&self) -> BoxFuture<()>;
}

/// Start of a listing within its prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListFrom {
    /// The first key of the prefix.
    Start,
    /// This encoded key, if it is there.
    At(Vec<u8>),
    /// After this encoded key.
    After(Vec<u8>),
}

#[cfg(test)]
mod fixture;
