//! The drives of this node, as other nodes ask them.

use super::{
    READ_BYTES_MAX,
    heartbeat::{self, Beat},
    wire::{self, Call, Handle, KeyAnswer, Opened, Sane},
};
use crate::{
    drive::{Answer, Drive, DriveError, KeyRead, ShardReader, ShardWriter, Staging},
    peer::{Caller, Payload, Refusal, Request, Service},
    runtime::{BoxFuture, Rt},
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::ready,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Mutex as AsyncMutex;

/// Writers and readers that one process of a peer may have open at a drive.
const HANDLES_MAX: usize = 4096;
/// Small calls of peers that are under way at a drive, and bytes of theirs, above which further ones are refused: fewer
/// than one connection may have, so that a drive that hangs does not take its node's other drives with it. Writes and
/// reads of files are bounded by their connections.
const CALLS_MAX: usize = 1024;
const CALL_BYTES_MAX: usize = 16 << 20;

/// Answers the calls of other nodes to the drives of this one. The number of a service is a drive's place in the
/// deployment.
pub struct DriveService {
    rt: Rt,
    drives: BTreeMap<u16, Served>,
}

/// A drive, and what peers have open at it.
struct Served {
    drive: Arc<dyn Drive>,
    open: Arc<Mutex<Open>>,
    under_way: Arc<UnderWay>,
}

/// Calls that are under way at a drive.
#[derive(Default)]
struct UnderWay {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// A call that is under way until this is dropped.
struct Entered {
    under_way: Arc<UnderWay>,
    bytes: usize,
}

impl UnderWay {
    /// Counts one more call, unless there are too many.
    fn enter(self: &Arc<Self>, bytes: usize) -> Option<Entered> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let entered = Entered {
            under_way: self.clone(),
            bytes,
        };
        (calls < CALLS_MAX && before < CALL_BYTES_MAX).then_some(entered)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.under_way.calls.fetch_sub(1, Ordering::Relaxed);
        self.under_way.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Open(BTreeMap<Caller, Handles>);

/// Writers and readers that one process of a peer has open.
#[derive(Default)]
struct Handles {
    writers: BTreeMap<Handle, Writer>,
    /// Writers that were dropped before they began: what begins them may come later, on another connection.
    dropped: BTreeSet<Handle>,
    /// `None` while the shard is being opened.
    readers: BTreeMap<Handle, Option<Arc<dyn ShardReader>>>,
}

/// A writer, which one call at a time uses; `None` before it began, and once it is finished.
type Writer = Arc<AsyncMutex<Option<Box<dyn ShardWriter>>>>;

type Answered = BoxFuture<Result<Payload, Refusal>>;

impl DriveService {
    /// A service for these drives, by their numbers.
    #[must_use]
    pub fn new(rt: &Rt, drives: impl IntoIterator<Item = (u16, Arc<dyn Drive>)>) -> DriveService {
        let served = |(number, drive)| {
            let served = Served {
                drive,
                open: Arc::default(),
                under_way: Arc::default(),
            };
            (number, served)
        };
        DriveService {
            rt: rt.clone(),
            drives: drives.into_iter().map(served).collect(),
        }
    }

    /// Returns how many writers and readers other nodes have open.
    #[must_use]
    pub fn handles(&self) -> usize {
        let open = self.drives.values().map(|served| {
            let open = served.open();
            let handles = open.0.values().map(|open| open.writers.len() + open.readers.len());
            handles.sum::<usize>()
        });
        open.sum()
    }
}

impl DriveService {
    fn heartbeat(&self) -> Answered {
        let drives = self
            .drives
            .iter()
            .map(|(number, served)| (*number, served.drive.clone()));
        let calls = self
            .drives
            .values()
            .map(|served| served.under_way.calls.load(Ordering::Relaxed));
        let beat = Beat::of(self.rt.clone(), drives.collect(), calls.sum());
        Box::pin(async move { Ok(beat.await.encode().into()) })
    }
}

impl Service for DriveService {
    fn call(&self, caller: Caller, request: Request) -> Answered {
        if request.service == heartbeat::SERVICE {
            return self.heartbeat();
        }
        let Some(served) = self.drives.get(&request.service) else {
            return refuse(Refusal::NoService);
        };
        match wire::decode::<Call>(&request.payload).filter(|(call, _)| call.is_sane()) {
            Some((call, body)) if !call.is_small() => served.call(caller, call, body),
            Some((call, body)) => match served.under_way.enter(request.payload.len()) {
                None => failed(DriveError::Busy),
                Some(entered) => {
                    let answer = served.call(caller, call, body);
                    Box::pin(async move {
                        let answer = answer.await;
                        drop(entered);
                        answer
                    })
                }
            },
            None => refuse(Refusal::Malformed),
        }
    }

    fn ended(&self, caller: Caller) {
        for served in self.drives.values() {
            // Dropped after the lock: a writer's destructor calls its drive.
            let handles = served.open().0.remove(&caller);
            drop(handles);
        }
    }
}

fn refuse(refusal: Refusal) -> Answered {
    Box::pin(ready(Err(refusal)))
}

/// An answer of the drive, as bytes.
fn plain<T: Serialize + Send + 'static>(answer: Answer<T>) -> Answered {
    Box::pin(async move { Ok(wire::encode(&answer.await, Bytes::new())) })
}

fn failed(error: DriveError) -> Answered {
    Box::pin(ready(Ok(wire::encode(&Err::<(), _>(error), Bytes::new()))))
}

fn no_handle() -> DriveError {
    DriveError::Offline("its node has closed the shard, as after a restart or a long absence".to_owned())
}

impl Served {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a call over to the drive before it returns.
    fn call(&self, caller: Caller, call: Call, body: Bytes) -> Answered {
        let drive = &self.drive;
        match call {
            Call::Register { key, request } => plain(drive.register(&key, request)),
            Call::ReadKey { key } => {
                let answer = drive.read_key(&key);
                Box::pin(async move { Ok(key_answer(answer.await)) })
            }
            Call::StageSmall { staging, key, then } => plain(drive.stage_small(staging, body, &key, then)),
            Call::Write { writer, begins } => self.on_writer(caller, writer, begins, WriterCall::Write(body)),
            Call::Flush { writer, begins } => self.on_writer(caller, writer, begins, WriterCall::Flush),
            Call::Sync { writer, begins } => self.on_writer(caller, writer, begins, WriterCall::Sync),
            Call::Finish { writer, key, then } => {
                // Nothing else uses it: its caller has had the answers of all calls before.
                let writer = self.take_writer(caller, writer);
                let writer = writer.and_then(|writer| writer.try_lock().ok()?.take());
                match writer {
                    Some(writer) => plain(writer.finish(&key, then)),
                    None => failed(no_handle()),
                }
            }
            Call::DropWriter { writer } => {
                if self.take_writer(caller, writer).is_none() {
                    self.never_begin(caller, writer);
                }
                plain::<()>(Box::pin(ready(Ok(()))))
            }
            Call::OpenShard {
                reader,
                folder,
                part,
                inline,
            } => self.open_shard(caller, reader, drive.open_shard(folder, part), inline),
            Call::Read { reader, offset, len } => self.read(caller, reader, offset, len),
            Call::DropReader { reader } => {
                let reader = self
                    .open()
                    .0
                    .get_mut(&caller)
                    .and_then(|open| open.readers.remove(&reader));
                drop(reader);
                plain::<()>(Box::pin(ready(Ok(()))))
            }
            Call::Abandon { owner, folder } => plain(drive.abandon(&owner, folder)),
            Call::EndUpload { owner, upload, ended } => plain(drive.end_upload(&owner, upload, ended)),
            Call::Unnamed { after, limit } => plain(drive.unnamed(after, usize::try_from(limit).unwrap_or(usize::MAX))),
            Call::List { prefix, from, limit } => {
                let answer = drive.list(&prefix, from, usize::try_from(limit).unwrap_or(usize::MAX));
                Box::pin(async move {
                    Ok(match answer.await {
                        Ok(page) => {
                            let (page, rows) = page.into_parts();
                            wire::encode(&Ok::<_, DriveError>(page), rows)
                        }
                        Err(error) => wire::encode(&Err::<(), _>(error), Bytes::new()),
                    })
                })
            }
        }
    }

    fn take_writer(&self, caller: Caller, writer: Handle) -> Option<Writer> {
        self.open().0.get_mut(&caller)?.writers.remove(&writer)
    }

    /// Notes that a writer is dropped whose beginning has not come.
    fn never_begin(&self, caller: Caller, writer: Handle) {
        let mut open = self.open();
        let handles = open.0.entry(caller).or_default();
        if handles.dropped.len() >= HANDLES_MAX {
            handles.dropped.pop_first();
        }
        handles.dropped.insert(writer);
    }

    /// Makes the place of a writer that begins.
    fn begin(&self, caller: Caller, writer: Handle) -> Result<Writer, DriveError> {
        let mut open = self.open();
        let handles = open.0.entry(caller).or_default();
        if handles.dropped.remove(&writer) {
            return Err(no_handle());
        }
        if handles.writers.len() >= HANDLES_MAX {
            return Err(DriveError::Busy);
        }
        Ok(handles.writers.entry(writer).or_default().clone())
    }

    fn on_writer(&self, caller: Caller, writer: Handle, begins: Option<Staging>, call: WriterCall) -> Answered {
        let (slot, began) = match begins {
            None => {
                let open = self.open();
                let slot = open.0.get(&caller).and_then(|open| open.writers.get(&writer)).cloned();
                (slot.ok_or_else(no_handle), None)
            }
            Some(staging) => (self.begin(caller, writer), Some(self.drive.stage_file(staging))),
        };
        let slot = match slot {
            Ok(slot) => slot,
            Err(error) => return failed(error),
        };
        Box::pin(async move {
            let mut writer = slot.lock().await;
            let began = match began {
                None => Ok(()),
                Some(began) => began.await.map(|began| *writer = Some(began)),
            };
            let answer = match (began, writer.as_mut(), call) {
                (Err(error), ..) => Err(error),
                (Ok(()), None, _) => Err(no_handle()),
                (Ok(()), Some(writer), WriterCall::Write(framed)) => writer.write(framed).await,
                (Ok(()), Some(writer), WriterCall::Flush) => writer.flush().await,
                (Ok(()), Some(writer), WriterCall::Sync) => writer.sync().await,
            };
            Ok(wire::encode(&answer, Bytes::new()))
        })
    }

    fn open_shard(
        &self,
        caller: Caller,
        reader: Handle,
        opened: Answer<Box<dyn ShardReader>>,
        inline: u64,
    ) -> Answered {
        {
            let mut open = self.open();
            let handles = open.0.entry(caller).or_default();
            if handles.readers.len() >= HANDLES_MAX {
                return failed(DriveError::Busy);
            }
            handles.readers.insert(reader, None);
        }
        let open = self.open.clone();
        Box::pin(async move {
            let answer = match opened.await {
                Ok(opened) if opened.len() <= inline.min(READ_BYTES_MAX) => read_whole(&*opened).await,
                Ok(opened) => {
                    let len = opened.len();
                    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                    // If its place is gone, so is whoever wanted it.
                    if let Some(place) = open.0.get_mut(&caller).and_then(|open| open.readers.get_mut(&reader)) {
                        *place = Some(opened.into());
                    }
                    let opened = Opened { len, is_inline: false };
                    return Ok(wire::encode(&Ok::<_, DriveError>(opened), Bytes::new()));
                }
                Err(error) => Err(error),
            };
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = open.0.get_mut(&caller) {
                open.readers.remove(&reader);
            }
            Ok(match answer {
                Ok((opened, framed)) => wire::encode(&Ok::<_, DriveError>(opened), framed),
                Err(error) => wire::encode(&Err::<Opened, _>(error), Bytes::new()),
            })
        })
    }

    fn read(&self, caller: Caller, reader: Handle, offset: u64, len: u64) -> Answered {
        if len > READ_BYTES_MAX {
            return failed(DriveError::Invalid(format!("a read of {len} bytes")));
        }
        let open = self.open();
        let found = open
            .0
            .get(&caller)
            .and_then(|open| open.readers.get(&reader).cloned().flatten());
        drop(open);
        let Some(found) = found else { return failed(no_handle()) };
        Box::pin(async move {
            Ok(
                match found.read(offset, usize::try_from(len).unwrap_or(usize::MAX)).await {
                    Ok(framed) => wire::encode(&Ok::<_, DriveError>(framed.len() as u64), framed),
                    Err(error) => wire::encode(&Err::<u64, _>(error), Bytes::new()),
                },
            )
        })
    }
}

/// The whole of a shard that is to go with the answer.
async fn read_whole(shard: &dyn ShardReader) -> Result<(Opened, Bytes), DriveError> {
    let len = shard.len();
    let framed = shard.read(0, usize::try_from(len).unwrap_or(usize::MAX)).await?;
    Ok((Opened { len, is_inline: true }, framed))
}

enum WriterCall {
    Write(Bytes),
    Flush,
    Sync,
}

fn key_answer(read: Result<KeyRead, DriveError>) -> Payload {
    match read {
        Ok(KeyRead { snapshot, shard }) => {
            let (folder, framed) = shard.unzip();
            let answer = KeyAnswer { snapshot, folder };
            wire::encode(&Ok::<_, DriveError>(answer), framed.unwrap_or_default())
        }
        Err(error) => wire::encode(&Err::<KeyAnswer, _>(error), Bytes::new()),
    }
}

impl fmt::Debug for DriveService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriveService({} drives)", self.drives.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_bytes_under_way_are_bounded_and_counted_down() {
        let under_way = Arc::new(UnderWay::default());
        let calls: Vec<Entered> = (0..CALLS_MAX).filter_map(|_| under_way.enter(1)).collect();
        assert_eq!(calls.len(), CALLS_MAX);
        assert!(under_way.enter(0).is_none());
        drop(calls);
        let large = under_way.enter(CALL_BYTES_MAX);
        assert!(large.is_some() && under_way.enter(0).is_none());
        drop(large);
        assert!(under_way.enter(0).is_some());
        assert_eq!(under_way.calls.load(Ordering::Relaxed), 0);
        assert_eq!(under_way.bytes.load(Ordering::Relaxed), 0);
    }
}
