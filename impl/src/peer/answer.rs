//! The end of a connection that answers: takes calls in order, and sends back what the service makes of them. Without
//! I/O.

use super::{
    ConnectionError, Refusal,
    ask::millis,
    frame::{Frame, Kind, Outgoing, PAYLOAD_BYTES_MAX, Payload},
    lateness::Lateness,
    pump::End,
};
use crate::runtime::{BoxFuture, Mutant, Mutation};
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Bytes of answers that wait to be sent, above which no call is taken any more.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Calls under way, and bytes of theirs, above which further ones are refused.
const CALLS_MAX: usize = 4096;
const CALL_BYTES_MAX: usize = 32 << 20;
/// Bytes of answers that wait to be sent, above which no further answer is kept: those of calls that were under way
/// when the first bound was reached.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// A process of a node that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    /// Index of the node.
    pub node: u16,
    /// Random number of the process.
    pub boot: u64,
}

/// A call of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is for.
    pub service: u16,
    /// What it says.
    pub payload: Bytes,
    /// Time of this node's monotonic clock after which nobody waits for the answer.
    pub deadline: Duration,
}

/// Runs the calls of peers.
pub trait Service: Send + Sync + 'static {
    /// Takes a call. Calls of a connection are taken in the order in which they were made (`peer.order`); what has to
    /// keep that order is done before this returns. It must not wait: the calls behind it wait for it to return. Its
    /// answer is dropped at the deadline, and with the connection: what was begun goes on all the same.
    ///
    /// An answer of more than [`PAYLOAD_BYTES_MAX`] bytes is not sent.
    fn call(&self, caller: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>>;

    /// Takes note that a process has ended, or has not been connected for a minute: what it had begun, it will not go
    /// on with.
    fn ended(&self, _: Caller) {}
}

/// A call that has ended.
struct Ended {
    call: u64,
    deadline: Duration,
    bytes: usize,
    /// `None` if it was given up; an answer of `None` is that of one that panicked.
    answer: Option<Option<Result<Payload, Refusal>>>,
}

/// The calls of a connection that are under way here.
pub(super) struct Answering {
    caller: Caller,
    service: Arc<dyn Service>,
    began: Duration,
    lateness: Lateness,
    running: FuturesUnordered<BoxFuture<Ended>>,
    /// Bytes of the calls that are running.
    running_bytes: usize,
    /// The calls that are running, by when nobody waits for them any more.
    deadlines: BTreeMap<(Duration, u64), AbortHandle>,
    outgoing: Outgoing,
    /// Completes when this node stops.
    stops: BoxFuture<()>,
    has_said_goodbye: bool,
    mutation: Mutation,
}

impl Answering {
    /// Answers `caller` on a connection that begins now, until this node stops.
    pub fn new(
        now: Duration,
        caller: Caller,
        service: Arc<dyn Service>,
        stops: BoxFuture<()>,
        mutation: Mutation,
    ) -> Answering {
        Answering {
            caller,
            service,
            began: now,
            lateness: Lateness::default(),
            running: FuturesUnordered::new(),
            running_bytes: 0,
            deadlines: BTreeMap::new(),
            outgoing: Outgoing::default(),
            stops,
            has_said_goodbye: false,
            mutation,
        }
    }

    fn answer(&mut self, call: u64, answer: Option<Result<Payload, Refusal>>) {
        let (kind, payload) = match answer {
            Some(Ok(payload)) if payload.len() <= PAYLOAD_BYTES_MAX && self.keeps_answers() => (Kind::Reply, payload),
            Some(Err(refusal)) => (Kind::Refused, Bytes::copy_from_slice(&[refusal as u8]).into()),
            // It was run: to refuse it now would be wrong.
            Some(Ok(_)) | None => (Kind::Unanswered, Payload::default()),
        };
        let frame = Frame {
            call,
            ..Frame::bare(kind, payload)
        };
        self.outgoing.push(&frame);
    }

    fn keeps_answers(&self) -> bool {
        self.outgoing.len() < KEPT_BYTES_MAX || self.mutation.is(Mutant::AnswersAllKept)
    }

    /// Returns whether as many calls are under way as may be. Calls are refused then, and not left unread: answers and
    /// pings have to go on, whatever hangs here.
    fn is_busy(&self) -> bool {
        let is_busy = self.running.len() >= CALLS_MAX || self.running_bytes >= CALL_BYTES_MAX;
        is_busy && !self.mutation.is(Mutant::CallsUnderWayUnbounded)
    }

    fn run(&mut self, call: u64, request: Request) {
        let (bytes, deadline) = (request.payload.len(), request.deadline);
        // One that panics has been run, as far as anybody knows.
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| self.service.call(self.caller, request))) else {
            return self.answer(call, None);
        };
        let (handle, registration) = AbortHandle::new_pair();
        let answer = Abortable::new(AssertUnwindSafe(answer).catch_unwind(), registration);
        self.running_bytes += bytes;
        self.deadlines.insert((deadline, call), handle);
        self.running.push(Box::pin(async move {
            Ended {
                call,
                deadline,
                bytes,
                answer: answer.await.ok().map(Result::ok),
            }
        }));
    }

    /// Gives up the answers that nobody waits for any more, as those of a drive that hangs.
    fn expire(&mut self, now: Duration) {
        while let Some(first) = self.deadlines.first_entry()
            && first.key().0 <= now
        {
            first.remove().abort();
        }
    }
}

impl End for Answering {
    fn take(&mut self, frame: Frame, now: Duration) -> Result<(), ConnectionError> {
        if frame.kind != Kind::Request {
            return Err(ConnectionError::Protocol("a frame that is no call"));
        }
        let wait = Duration::from_millis(u64::from(frame.wait_ms));
        let late = self.lateness.of(now.saturating_sub(self.began), frame.sent_ms);
        let late = if self.mutation.is(Mutant::ExpiredIsRun) {
            Duration::ZERO
        } else {
            late
        };
        let Some(left) = wait.checked_sub(late).filter(|left| !left.is_zero()) else {
            self.answer(frame.call, Some(Err(Refusal::Expired)));
            return Ok(());
        };
        if self.is_busy() {
            self.answer(frame.call, Some(Err(Refusal::Busy)));
            return Ok(());
        }
        let request = Request {
            service: frame.service,
            payload: frame.payload.head,
            deadline: now + left,
        };
        self.run(frame.call, request);
        Ok(())
    }

    fn heard(&mut self, _: Duration) {}

    fn wants_ping(&self, _: Duration) -> bool {
        false
    }

    fn pings(&mut self, now: Duration) -> u32 {
        millis(now.saturating_sub(self.began))
    }

    /// A ping is compared as a call is: without calls the clocks would drift apart unnoticed.
    fn pinged(&mut self, sent_ms: u32, now: Duration) {
        if !self.mutation.is(Mutant::PingsNotCompared) {
            self.lateness.of(now.saturating_sub(self.began), sent_ms);
        }
    }

    fn takes_frames(&self) -> bool {
        self.outgoing.len() < WAITING_BYTES_MAX || self.mutation.is(Mutant::AnswersUnbounded)
    }

    fn work(&mut self, now: Duration, cx: &mut Context<'_>) {
        self.expire(now);
        while let Poll::Ready(Some(ended)) = self.running.poll_next_unpin(cx) {
            self.running_bytes -= ended.bytes;
            self.deadlines.remove(&(ended.deadline, ended.call));
            if let Some(answer) = ended.answer {
                self.answer(ended.call, answer);
            }
        }
        if !self.has_said_goodbye && self.stops.poll_unpin(cx).is_ready() {
            self.has_said_goodbye = true;
            self.outgoing.push(&Frame::bare(Kind::Goodbye, Bytes::new()));
        }
    }

    fn give(&mut self, outgoing: &mut Outgoing) {
        std::mem::swap(&mut self.outgoing, outgoing);
    }

    fn next_time(&self) -> Option<Duration> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    fn is_over(&self) -> bool {
        self.has_said_goodbye && self.outgoing.is_empty()
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("caller", &self.caller)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
