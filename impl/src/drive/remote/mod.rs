//! A drive of another node: the same contract over calls to its node.
//!
//! Calls that the contract orders go over the control connection, in the order in which they are made. Bytes of shards
//! go over bulk connections: each is borrowed for one write or read, never for a whole shard.

mod heartbeat;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use heartbeat::{Cluster, NodeStatus, RemoteNode};
pub use server::DriveService;

use super::{
    Activity, Answer, Drive, DriveError, DriveState, DriveStatus, KeyRead, ListFrom, Page, RegisterKey,
    SMALL_SHARD_BYTES, ShardReader, ShardWriter, SmallShard, Staging, Unnamed, UnnamedPage, fail, page::PageHead,
};
use crate::{
    peer::{CallError, Link, Lost, NotSent, Refusal},
    runtime::{BoxFuture, Rt, spawn},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use wire::{Call, Handle, KeyAnswer, Opened, Sane};

/// Upper bound of the time of a call. How long a request waits for a drive is decided by what waits (`set/pace.rs`);
/// this only ends what nobody waits for any more.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause until a node is told again of a handle that is used no more.
const DROP_AGAIN: Duration = Duration::from_secs(1);
/// Longest read of one call: a run of stripes.
const READ_BYTES_MAX: u64 = 8 << 20;

/// A drive of another node.
pub struct RemoteDrive {
    node: Arc<Node>,
    /// For operators: the node and the path there.
    name: String,
}

/// The way to a drive.
struct Node {
    rt: Rt,
    link: Arc<Link>,
    peer: Arc<RemoteNode>,
    /// The drive's place in the deployment: its number at its node.
    drive: u16,
    last_handle: AtomicU64,
    is_closed: AtomicBool,
}

impl RemoteDrive {
    /// The drive of this place in the deployment at another node; `name` is what operators call it.
    #[must_use]
    pub fn new(rt: &Rt, peer: Arc<RemoteNode>, drive: u16, name: String) -> RemoteDrive {
        let node = Node {
            rt: rt.clone(),
            link: peer.link().clone(),
            peer,
            drive,
            last_handle: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        };
        RemoteDrive {
            node: Arc::new(node),
            name,
        }
    }

    fn call<T: DeserializeOwned + Sane + Send + 'static>(&self, call: &Call, body: Bytes) -> Answer<T> {
        let answer = self.node.call(call, body, WAIT_MAX);
        Box::pin(async move {
            let (answer, _) = wire::answer::<T>(&answer.await?)?;
            sane(answer)
        })
    }

    /// The same, of an answer without rounds and epochs.
    fn call_plain<T: DeserializeOwned + Send + 'static>(&self, call: &Call) -> Answer<T> {
        let answer = self.node.call(call, Bytes::new(), WAIT_MAX);
        Box::pin(async move { Ok(wire::answer::<T>(&answer.await?)?.0) })
    }
}

fn sane<T: Sane>(answer: T) -> Result<T, DriveError> {
    match answer.is_sane() {
        true => Ok(answer),
        false => Err(DriveError::Offline(
            "its node speaks of a round that cannot be".to_owned(),
        )),
    }
}

impl Node {
    /// Hands over a small call, behind those before it.
    fn call(&self, call: &Call, body: Bytes, wait: Duration) -> Answer<Bytes> {
        if self.is_closed.load(Ordering::Relaxed) {
            return fail(closed());
        }
        let answer = self.link.call(self.drive, wire::encode(call, body), wait);
        Box::pin(async move { answer.await.map_err(error_of) })
    }

    /// Makes a call with, or for, bytes of a shard.
    async fn call_bulk(&self, call: &Call, body: Bytes) -> Result<Bytes, DriveError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(closed());
        }
        let answer = self.link.call_bulk(self.drive, wire::encode(call, body), WAIT_MAX);
        answer.await.map_err(error_of)
    }

    fn handle(&self) -> Handle {
        self.last_handle.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the drive's node that a handle is used no more, until it has heard it.
    fn drop_handle(self: &Arc<Self>, call: Call) {
        let node = self.clone();
        spawn(&self.rt, "drop a shard", async move {
            while !node.is_closed.load(Ordering::Relaxed) {
                let answer = node.call(&call, Bytes::new(), WAIT_MAX).await;
                if answer.and_then(|answer| wire::answer::<()>(&answer)).is_ok() {
                    return;
                }
                node.rt.sleep(DROP_AGAIN).await;
            }
        });
    }
}

/// A writer at another node. Its place there is freed when this is dropped, unless it was finished.
struct WriterHandle {
    node: Arc<Node>,
    writer: Handle,
    /// The node may know of it.
    has_begun: bool,
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        let writer = self.writer;
        if self.has_begun {
            self.node.drop_handle(Call::DropWriter { writer });
        }
    }
}

fn closed() -> DriveError {
    DriveError::Offline("closed".to_owned())
}

/// Returns the error of a drive for a failed call to its node, with the same certainty (`peer.unknown-is-not-failed`).
fn error_of(error: CallError) -> DriveError {
    match error {
        CallError::NotSent(NotSent::Busy) | CallError::Refused(Refusal::Busy) => DriveError::Busy,
        CallError::NotSent(NotSent::TooLarge(_)) => DriveError::Invalid(error.to_string()),
        CallError::Unknown(Lost::Deadline) | CallError::Refused(Refusal::Expired) => DriveError::TimedOut,
        CallError::NotSent(NotSent::Unreachable(reason)) | CallError::Unknown(Lost::Connection(reason)) => {
            DriveError::Offline(format!("its node cannot be reached: {reason}"))
        }
        CallError::Unknown(Lost::Unanswered) => DriveError::Offline("its node has no answer".to_owned()),
        CallError::Refused(Refusal::NoService) => DriveError::Offline("its node has no such drive".to_owned()),
        CallError::Refused(Refusal::Malformed) => DriveError::Offline("its node cannot read the call".to_owned()),
    }
}

impl Drive for RemoteDrive {
    fn register(&self, key: &RegisterKey, request: Request<Record>) -> Answer<Reply<Record>> {
        let key = key.clone();
        self.call(&Call::Register { key, request }, Bytes::new())
    }

    fn read_key(&self, key: &RegisterKey) -> Answer<KeyRead> {
        let answer = self
            .node
            .call(&Call::ReadKey { key: key.clone() }, Bytes::new(), WAIT_MAX);
        Box::pin(async move {
            let (KeyAnswer { snapshot, folder }, framed) = wire::answer(&answer.await?)?;
            let shard = folder.map(|folder| (folder, framed));
            sane(KeyAnswer { snapshot, folder }).map(|KeyAnswer { snapshot, .. }| KeyRead { snapshot, shard })
        })
    }

    fn stage_small(
        &self,
        staging: Staging,
        framed: Bytes,
        key: &RegisterKey,
        then: Request<Record>,
    ) -> Answer<Reply<Record>> {
        let key = key.clone();
        self.call(&Call::StageSmall { staging, key, then }, framed)
    }

    fn stage_file(&self, staging: Staging) -> Answer<Box<dyn ShardWriter>> {
        if self.node.is_closed.load(Ordering::Relaxed) {
            return fail(closed());
        }
        let handle = WriterHandle {
            node: self.node.clone(),
            writer: self.node.handle(),
            has_begun: false,
        };
        let writer = RemoteWriter {
            handle,
            begins: Some(staging),
            is_broken: false,
        };
        Box::pin(ready(Ok(Box::new(writer) as Box<dyn ShardWriter>)))
    }

    fn open_shard(&self, folder: Folder, part: u16) -> Answer<Box<dyn ShardReader>> {
        let (node, reader) = (self.node.clone(), self.node.handle());
        let inline = SMALL_SHARD_BYTES as u64;
        let call = Call::OpenShard {
            reader,
            folder,
            part,
            inline,
        };
        let answer = self.node.call(&call, Bytes::new(), WAIT_MAX);
        let mut opened = RemoteReader {
            node,
            reader,
            len: 0,
            is_open: true,
        };
        Box::pin(async move {
            let (Opened { len, is_inline }, framed) = wire::answer(&answer.await?)?;
            opened.is_open = !is_inline;
            if is_inline {
                return Ok(Box::new(SmallShard(framed)) as Box<dyn ShardReader>);
            }
            opened.len = len;
            Ok(Box::new(opened) as Box<dyn ShardReader>)
        })
    }

    fn abandon(&self, owner: &RegisterKey, folder: Folder) -> Answer<()> {
        let owner = owner.clone();
        self.call_plain(&Call::Abandon { owner, folder })
    }

    fn end_upload(&self, owner: &RegisterKey, upload: u128, ended: Ballot) -> Answer<()> {
        let owner = owner.clone();
        self.call_plain(&Call::EndUpload { owner, upload, ended })
    }

    fn unnamed(&self, after: Option<Unnamed>, limit: usize) -> Answer<UnnamedPage> {
        let limit = limit as u64;
        self.call_plain(&Call::Unnamed { after, limit })
    }

    fn list(&self, prefix: &[u8], from: ListFrom, limit: usize) -> Answer<Page> {
        let (node, prefix, limit) = (self.node.clone(), prefix.to_vec(), limit as u64);
        Box::pin(async move {
            let answer = node
                .call_bulk(&Call::List { prefix, from, limit }, Bytes::new())
                .await?;
            let (page, rows) = wire::answer::<PageHead>(&answer)?;
            Page::of_parts(sane(page)?, &rows).ok_or_else(|| {
                let reason = "its node sent a page that cannot be read";
                DriveError::Offline(reason.to_owned())
            })
        })
    }

    fn is_full(&self) -> bool {
        self.node.peer.is_full(self.node.drive)
    }

    fn silent_since(&self) -> Option<Duration> {
        self.node.link.silent_since()
    }

    fn path(&self) -> String {
        self.name.clone()
    }

    fn activity(&self) -> Option<Activity> {
        None
    }

    /// As the last heartbeat of its node said.
    fn status(&self) -> BoxFuture<DriveStatus> {
        let status = match self.node.is_closed.load(Ordering::Relaxed) {
            true => DriveStatus::without_space(self.name.clone(), DriveState::from(closed())),
            false => self.node.peer.drive(self.node.drive, &self.name),
        };
        Box::pin(ready(status))
    }

    /// Makes no more calls. The drive itself is its own node's to close.
    fn close(&self) -> BoxFuture<()> {
        self.node.is_closed.store(true, Ordering::Relaxed);
        Box::pin(ready(()))
    }
}

/// Writer of a shard at another node.
struct RemoteWriter {
    handle: WriterHandle,
    /// The shard's description, until the first call has carried it to the node.
    begins: Option<Staging>,
    /// A call has failed, or was given up: what the file has is not known.
    is_broken: bool,
}

impl RemoteWriter {
    async fn call(
        &mut self,
        call: impl FnOnce(Handle, Option<Staging>) -> Call,
        body: Bytes,
    ) -> Result<(), DriveError> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(broken());
        }
        self.handle.has_begun = true;
        let call = call(self.handle.writer, self.begins.take());
        let node = &self.handle.node;
        let answer = match body.is_empty() {
            true => node.call(&call, body, WAIT_MAX).await?,
            false => node.call_bulk(&call, body).await?,
        };
        wire::answer::<()>(&answer)?;
        self.is_broken = false;
        Ok(())
    }
}

fn broken() -> DriveError {
    DriveError::Invalid("an earlier write of this shard did not end".to_owned())
}

#[async_trait]
impl ShardWriter for RemoteWriter {
    async fn write(&mut self, framed: Bytes) -> Result<(), DriveError> {
        self.call(|writer, begins| Call::Write { writer, begins }, framed).await
    }

    async fn flush(&mut self) -> Result<(), DriveError> {
        self.call(|writer, begins| Call::Flush { writer, begins }, Bytes::new())
            .await
    }

    async fn sync(&mut self) -> Result<(), DriveError> {
        self.call(|writer, begins| Call::Sync { writer, begins }, Bytes::new())
            .await
    }

    fn finish(self: Box<Self>, key: &RegisterKey, then: Request<Record>) -> Answer<Reply<Record>> {
        if self.is_broken {
            return fail(broken());
        }
        if self.begins.is_some() {
            return fail(DriveError::Invalid("nothing was written or synced".to_owned()));
        }
        let (handle, key) = (self.handle, key.clone());
        let writer = handle.writer;
        let call = Call::Finish { writer, key, then };
        let answer = handle.node.call(&call, Bytes::new(), WAIT_MAX);
        Box::pin(async move {
            // All of it, not the field alone: it is dropped only after the answer.
            let mut handle = handle;
            let answer = answer.await?;
            // The drive has answered: its node has the writer no more.
            handle.has_begun = false;
            let (reply, _) = wire::answer::<Reply<Record>>(&answer)?;
            sane(reply)
        })
    }
}

/// Open shard at another node.
struct RemoteReader {
    node: Arc<Node>,
    reader: Handle,
    len: u64,
    is_open: bool,
}

impl RemoteReader {
    async fn read_once(&self, offset: u64, len: u64) -> Result<Bytes, DriveError> {
        let reader = self.reader;
        let call = Call::Read { reader, offset, len };
        let answer = self.node.call_bulk(&call, Bytes::new()).await?;
        let (read, framed) = wire::answer::<u64>(&answer)?;
        if read != framed.len() as u64 {
            let reason = "its node sent another number of bytes";
            return Err(DriveError::Offline(reason.to_owned()));
        }
        Ok(framed)
    }
}

#[async_trait]
impl ShardReader for RemoteReader {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes, DriveError> {
        let len = self.len.saturating_sub(offset).min(len as u64);
        if len <= READ_BYTES_MAX {
            return self.read_once(offset, len).await;
        }
        let mut all = BytesMut::new();
        while (all.len() as u64) < len {
            let done = all.len() as u64;
            let read = self.read_once(offset + done, (len - done).min(READ_BYTES_MAX)).await?;
            if read.is_empty() {
                break;
            }
            all.extend_from_slice(&read);
        }
        Ok(all.freeze())
    }
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        let reader = self.reader;
        if self.is_open {
            self.node.drop_handle(Call::DropReader { reader });
        }
    }
}

impl fmt::Debug for RemoteDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteDrive({})", self.name)
    }
}
