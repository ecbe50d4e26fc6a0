//! The end of a connection that asks: calls that wait to be sent, and calls that wait for their answers. Without I/O.

use super::{
    CallError, ConnectionError, Lost, NotSent, Refusal,
    frame::{Frame, Kind, Outgoing, PAYLOAD_BYTES_MAX, Payload},
    pump::End,
};
use crate::runtime::{Mutant, Mutation};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bytes that wait to be sent, above which a call is not taken any more.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Calls without an answer, above which one is not taken any more.
const CALLS_MAX: usize = 16 << 10;
/// Silence after which a peer that owes an answer is pinged: one that runs says so, however long the call takes.
const PING_EARLY: Duration = Duration::from_millis(250);

/// Answer of a call, once it is there. A sender that is dropped is a connection that has ended.
pub(super) type Receiver = oneshot::Receiver<Result<Bytes, CallError>>;

/// The calls of a connection. Callers hand them over, the connection's task moves them; both hold it.
#[derive(Debug)]
pub(super) struct Calls {
    state: Mutex<State>,
    mutation: Mutation,
}

#[derive(Debug)]
struct State {
    /// Time at which the connection began.
    began: Duration,
    outgoing: Outgoing,
    /// Calls in `outgoing`: no byte of them was sent.
    unsent: Vec<u64>,
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Duration, u64)>,
    last_call: u64,
    /// The time at which bytes came last.
    heard: Duration,
    /// The time of the last ping.
    pinged: Duration,
    /// The time of the last call or answer.
    used: Duration,
    /// Without calls for this long, the connection ends.
    idle_max: Option<Duration>,
    waker: Option<Waker>,
    is_over: bool,
    /// Reason why the connection has ended.
    ended: Option<Arc<str>>,
    mutation: Mutation,
}

#[derive(Debug)]
struct Waiting {
    called: Duration,
    deadline: Duration,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
}

impl Calls {
    /// Calls of a connection that begins now, and ends when it has had none for `idle_max`.
    pub fn new(now: Duration, idle_max: Option<Duration>, mutation: Mutation) -> Calls {
        let state = State {
            began: now,
            outgoing: Outgoing::default(),
            unsent: Vec::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last_call: 0,
            heard: now,
            pinged: now,
            used: now,
            idle_max,
            waker: None,
            is_over: false,
            ended: None,
            mutation,
        };
        Calls {
            state: Mutex::new(state),
            mutation,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a call, behind those that were handed over before (`peer.order`). Its answer comes within `wait`.
    ///
    /// # Errors
    /// [`CallError::NotSent`].
    pub fn call(&self, now: Duration, service: u16, payload: Payload, wait: Duration) -> Result<Receiver, CallError> {
        let mut state = self.state();
        if let Some(reason) = &state.ended {
            return Err(CallError::NotSent(NotSent::Unreachable(reason.clone())));
        }
        if state.is_over {
            let reason = ConnectionError::Ended.to_string();
            return Err(CallError::NotSent(NotSent::Unreachable(reason.into())));
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(CallError::NotSent(NotSent::TooLarge(payload.len())));
        }
        if state.is_full() {
            return Err(CallError::NotSent(NotSent::Busy));
        }
        let call = state.next_call();
        let frame = Frame {
            kind: Kind::Request,
            service,
            call,
            sent_ms: millis(now.saturating_sub(state.began)),
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            payload,
        };
        state.outgoing.push(&frame);
        state.unsent.push(call);
        let (answer, receiver) = oneshot::channel();
        let deadline = now.saturating_add(wait);
        let waiting = Waiting {
            called: now,
            deadline,
            answer,
        };
        state.waiting.insert(call, waiting);
        state.deadlines.insert((deadline, call));
        state.used = now;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(receiver)
    }

    /// Asks for the connection's end.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_over = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Returns since when nothing has come from the peer although it owes an answer.
    pub fn silent_since(&self) -> Option<Duration> {
        self.state().silent_since()
    }

    /// Returns whether the connection has ended, or is about to.
    pub fn is_ending(&self) -> bool {
        let state = self.state();
        state.is_over || state.ended.is_some()
    }

    /// Answers all calls, now that the connection has ended: whether one was run is unknown if it may have left
    /// (`peer.unknown-is-not-failed`).
    pub fn end(&self, reason: &ConnectionError) {
        let reason: Arc<str> = reason.to_string().into();
        let mut state = self.state();
        state.ended = Some(reason.clone());
        state.waker = None;
        state.outgoing = Outgoing::default();
        state.deadlines.clear();
        let unsent = std::mem::take(&mut state.unsent);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (call, waiting) in waiting {
            let error = if unsent.binary_search(&call).is_ok() || self.mutation.is(Mutant::LostIsNotSent) {
                CallError::NotSent(NotSent::Unreachable(reason.clone()))
            } else {
                CallError::Unknown(Lost::Connection(reason.clone()))
            };
            waiting.answer.send(Err(error)).ok();
        }
    }
}

impl State {
    fn is_full(&self) -> bool {
        let is_full = self.outgoing.len() >= WAITING_BYTES_MAX || self.waiting.len() >= CALLS_MAX;
        is_full && !self.mutation.is(Mutant::CallsUnbounded)
    }

    fn silent_since(&self) -> Option<Duration> {
        let (_, oldest) = self.waiting.first_key_value()?;
        Some(self.heard.max(oldest.called))
    }

    /// Returns when the peer is to be pinged for its silence: once until it is heard.
    fn ping_at(&self) -> Option<Duration> {
        let silent_since = self.silent_since().filter(|since| self.pinged <= *since)?;
        Some(silent_since + PING_EARLY)
    }

    fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        if self.mutation.is(Mutant::CallNumbersReused) {
            self.last_call %= 8;
        }
        self.last_call
    }

    fn answer(&mut self, call: u64, answer: Result<Bytes, CallError>) {
        // Nobody waits any more for one whose time was over.
        if let Some(waiting) = self.waiting.remove(&call) {
            self.deadlines.remove(&(waiting.deadline, call));
            waiting.answer.send(answer).ok();
        }
    }

    /// Answers calls whose time is over. They stay where they are if they are not sent yet, so they may still be run.
    fn expire(&mut self, now: Duration) {
        while let Some((deadline, call)) = self.deadlines.first().copied()
            && deadline <= now
            && !self.mutation.is(Mutant::CallWithoutDeadline)
        {
            self.answer(call, Err(CallError::Unknown(Lost::Deadline)));
            self.deadlines.remove(&(deadline, call));
        }
    }

    fn is_idle(&self, now: Duration) -> bool {
        let is_due = |idle_max| now.saturating_sub(self.used) >= idle_max;
        self.waiting.is_empty() && self.idle_max.is_some_and(is_due)
    }
}

/// The connection's task holds one.
impl End for &Calls {
    fn take(&mut self, frame: Frame, now: Duration) -> Result<(), ConnectionError> {
        let answer = match frame.kind {
            Kind::Reply => Ok(frame.payload.head),
            Kind::Refused => Err(CallError::Refused(
                Refusal::of(frame.payload.head.first().copied().unwrap_or_default()).ok_or(
                    ConnectionError::Protocol("a refusal for no reason that this version knows"),
                )?,
            )),
            Kind::Unanswered => Err(CallError::Unknown(Lost::Unanswered)),
            Kind::Goodbye => return Err(ConnectionError::Goodbye),
            _ => return Err(ConnectionError::Protocol("a frame that is no answer")),
        };
        let mut state = self.state();
        let is_one = frame.call <= state.last_call || state.mutation.is(Mutant::CallNumbersReused);
        if !is_one || frame.call == 0 && !state.mutation.is(Mutant::CallNumbersReused) {
            return Err(ConnectionError::Protocol("an answer to no call"));
        }
        state.used = now;
        state.answer(frame.call, answer);
        Ok(())
    }

    fn heard(&mut self, now: Duration) {
        self.state().heard = now;
    }

    fn wants_ping(&self, now: Duration) -> bool {
        self.state().ping_at().is_some_and(|at| at <= now)
    }

    fn pings(&mut self, now: Duration) -> u32 {
        let mut state = self.state();
        state.pinged = now;
        millis(now.saturating_sub(state.began))
    }

    fn pinged(&mut self, _: u32, _: Duration) {}

    /// Whoever reads answers waits for nothing (`peer.replies-are-always-read`).
    fn takes_frames(&self) -> bool {
        !self.mutation.is(Mutant::AnswersNotRead) || self.state().outgoing.is_empty()
    }

    fn work(&mut self, now: Duration, cx: &mut Context<'_>) {
        let mut state = self.state();
        state.expire(now);
        state.is_over |= state.is_idle(now);
        if state.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
    }

    fn give(&mut self, outgoing: &mut Outgoing) {
        let mut state = self.state();
        std::mem::swap(&mut state.outgoing, outgoing);
        state.unsent.clear();
    }

    fn next_time(&self) -> Option<Duration> {
        let state = self.state();
        let deadline = state.deadlines.first().map(|(deadline, _)| *deadline);
        let deadline = deadline.filter(|_| !state.mutation.is(Mutant::CallWithoutDeadline));
        let idle = state.idle_max.map(|idle_max| state.used + idle_max);
        let idle = idle.filter(|_| state.waiting.is_empty() && !state.is_over);
        [deadline, idle, state.ping_at()].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.state().is_over
    }
}

/// A duration as frames have it: it wraps after 49 days, and only differences count.
#[allow(clippy::cast_possible_truncation, reason = "see above")]
pub(super) fn millis(duration: Duration) -> u32 {
    duration.as_millis() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    // `live.one-hung-node`
    #[test]
    fn a_peer_that_owes_an_answer_is_pinged_and_silent_until_bytes_come() {
        let calls = Calls::new(ms(0), None, Mutation::default());
        let mut end = &calls;
        assert_eq!(calls.silent_since(), None, "it owes nothing");
        let answer = calls.call(ms(1000), 1, Payload::default(), ms(30_000)).expect("taken");
        assert_eq!(calls.silent_since(), Some(ms(1000)));
        assert!(!end.wants_ping(ms(1249)) && end.wants_ping(ms(1250)));
        assert_eq!(end.next_time(), Some(ms(1250)));
        end.pings(ms(1250));
        assert!(!end.wants_ping(ms(9000)), "one ping for a silence");
        assert_eq!(calls.silent_since(), Some(ms(1000)));
        // The pong: it runs, and the call takes long.
        end.heard(ms(1260));
        assert_eq!(calls.silent_since(), Some(ms(1260)));
        assert!(end.wants_ping(ms(1510)));
        let reply = Frame {
            call: 1,
            ..Frame::bare(Kind::Reply, Payload::default())
        };
        end.take(reply, ms(1600)).expect("an answer");
        assert_eq!(calls.silent_since(), None);
        drop(answer);
    }
}
