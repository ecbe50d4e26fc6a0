//! The queue in front of a drive's commit task: bounded, in the order of the calls.

use super::{staged::Staged, state::Shared};
use crate::drive::{Answer, DriveError, RegisterKey, Staging, fail};
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request},
    record::Record,
};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// Messages that may wait for the commit task. A drive that hangs fills its queue in seconds; from then on it costs
/// neither memory nor time.
const MESSAGES_MAX: usize = 4096;
/// Bytes of small shards that may wait with them.
const BYTES_MAX: usize = 32 << 20;

/// Sending side of the answer to a message.
pub(super) type AnswerTo<T> = oneshot::Sender<Result<T, DriveError>>;

/// A message to the commit task.
pub(super) enum Message {
    Register {
        key: RegisterKey,
        request: Request<Record>,
        answer: AnswerTo<Reply<Record>>,
    },
    StageSmall {
        staging: Staging,
        framed: Bytes,
        key: RegisterKey,
        then: Request<Record>,
        answer: AnswerTo<Reply<Record>>,
    },
    /// A file and its folder are durable. The guard keeps the sweep away until its row is.
    StagedFile {
        staging: Staging,
        guard: Arc<Staged>,
        key: RegisterKey,
        then: Request<Record>,
        answer: AnswerTo<Reply<Record>>,
    },
    Abandon {
        owner: RegisterKey,
        folder: Folder,
        answer: AnswerTo<()>,
    },
    EndUpload {
        owner: RegisterKey,
        upload: u128,
        ended: Ballot,
        answer: AnswerTo<()>,
    },
    Close {
        answer: AnswerTo<()>,
    },
}

impl Message {
    /// Bytes of the shard that it carries.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Message::StageSmall { framed, .. } => framed.len(),
            _ => 0,
        }
    }
}

/// Sending side of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
}

impl Queue {
    /// The queue of a drive, and its receiving side.
    pub(super) fn new(shared: Arc<Shared>) -> (Queue, mpsc::Receiver<Message>) {
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        (Queue { shared, messages }, received)
    }

    /// Hands a message over at once. The answer is [`DriveError::Busy`] if the queue is full.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, DriveError>>) -> Message,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        if let Err(busy) = self.send(message(answer)) {
            return fail(busy);
        }
        let shared = self.shared.clone();
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(shared.health.error_or("closed"))) })
    }

    /// Drops the message if the queue is full or the drive has ended; whoever waits is told of the latter.
    fn send(&self, message: Message) -> Result<(), DriveError> {
        let bytes = message.bytes();
        let waiting = &self.shared.waiting_bytes;
        if bytes > 0 && waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(DriveError::Busy);
        }
        match self.messages.try_send(message) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => {
                waiting.fetch_sub(bytes, Ordering::Relaxed);
                Err(DriveError::Busy)
            }
        }
    }

    /// Hands a message over once there is room for it.
    pub(super) async fn wait(&self, message: Message) {
        // The drive has ended: it drops the message.
        self.messages.send(message).await.ok();
    }
}
