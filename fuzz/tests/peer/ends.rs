//! The two ends of a connection, joined by bytes that come late, in pieces, or altered.

use bolero::{TypeGenerator, check};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{
    peer::{
        CallError, Caller, Payload, Refusal, Request, Service,
        fuzzing::{AnsweringEnd, AskingEnd},
    },
    runtime::BoxFuture,
};
use tokio::sync::oneshot;

/// Most steps of a run.
const STEPS_MAX: usize = 200;
/// Bytes that an end may hold and not take: what it was given at once, and the parts of one frame. No test sends more.
const HELD_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Call {
        service: u8,
        bytes: u8,
        wait_ms: u16,
    },
    Carry {
        way: bool,
        bytes: u16,
    },
    Pass {
        ms: u16,
    },
    /// One of the calls that are under way is answered.
    Answer {
        which: u8,
    },
    Damage {
        way: bool,
        at: u16,
        how: Damage,
    },
}

#[derive(Clone, Debug, TypeGenerator)]
enum Damage {
    Flip(u8),
    Twice(u8),
    Swap(u16),
    Lose(u8),
}

impl Damage {
    fn befall(&self, at: usize, bytes: &mut VecDeque<u8>) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        let at = at % len;
        match self {
            Damage::Flip(bits) => bytes[at] ^= bits,
            Damage::Twice(count) => {
                let part: Vec<u8> = bytes.iter().copied().skip(at).take(usize::from(*count)).collect();
                bytes.extend(part);
            }
            Damage::Swap(other) => bytes.swap(at, usize::from(*other) % len),
            Damage::Lose(count) => drop(bytes.drain(at..(at + usize::from(*count)).min(len))),
        }
    }
}

type Answer = Result<Payload, Refusal>;

/// Calls that were run, and those that have no answer yet.
#[derive(Default)]
struct Ran {
    calls: Vec<u64>,
    open: Vec<(u64, oneshot::Sender<Answer>)>,
}

/// Service 0 answers at once, 1 when it is told to, 2 refuses.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Ran>>);

impl Service for Answers {
    fn call(&self, _: Caller, request: Request) -> BoxFuture<Answer> {
        let number = number_of(&request.payload);
        let mut ran = self.0.lock().expect("no panic");
        match request.service {
            0 => {
                ran.calls.push(number);
                Box::pin(std::future::ready(Ok(request.payload.into())))
            }
            1 => {
                let (answer, answered) = oneshot::channel();
                ran.calls.push(number);
                ran.open.push((number, answer));
                Box::pin(async move { answered.await.unwrap_or(Err(Refusal::Busy)) })
            }
            _ => Box::pin(std::future::ready(Err(Refusal::NoService))),
        }
    }
}

fn number_of(payload: &[u8]) -> u64 {
    payload
        .first_chunk()
        .map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// A call, until its caller knows how it ended.
struct Call {
    payload: Bytes,
    answer: Option<oneshot::Receiver<Result<Bytes, CallError>>>,
    end: Option<Result<Bytes, CallError>>,
}

struct Pair {
    now: Duration,
    asking: AskingEnd,
    answering: AnsweringEnd,
    answers: Answers,
    /// Bytes on their way to the end that answers, and back.
    there: VecDeque<u8>,
    back: VecDeque<u8>,
    calls: Vec<Call>,
    /// An end has refused what came.
    is_ended: bool,
    is_damaged: bool,
}

impl Pair {
    fn new() -> Pair {
        let answers = Answers::default();
        let now = Duration::from_secs(1000);
        let caller = Caller { node: 0, boot: 1 };
        Pair {
            now,
            asking: AskingEnd::new(now),
            answering: AnsweringEnd::new(now, caller, Arc::new(answers.clone())),
            answers,
            there: VecDeque::new(),
            back: VecDeque::new(),
            calls: Vec::new(),
            is_ended: false,
            is_damaged: false,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call {
                service,
                bytes,
                wait_ms,
            } => self.call(*service, *bytes, *wait_ms),
            Step::Carry { way: true, bytes } => {
                let bytes = take(&mut self.there, *bytes);
                self.is_ended |= self.answering.receive(&bytes, self.now).is_err();
                assert!(self.answering.held_bytes() < HELD_BYTES_MAX, "peer.bounded");
            }
            Step::Carry { way: false, bytes } => {
                let bytes = take(&mut self.back, *bytes);
                self.is_ended |= self.asking.receive(&bytes, self.now).is_err();
                assert!(self.asking.held_bytes() < HELD_BYTES_MAX, "peer.bounded");
            }
            Step::Pass { ms } => self.now += Duration::from_millis(u64::from(*ms)),
            Step::Answer { which } => self.answer(*which),
            Step::Damage { way, at, how } => {
                self.is_damaged = true;
                let bytes = if *way { &mut self.there } else { &mut self.back };
                how.befall(usize::from(*at), bytes);
            }
        }
        self.there.extend(self.asking.send(self.now));
        self.back.extend(self.answering.send(self.now));
    }

    fn call(&mut self, service: u8, bytes: u8, wait_ms: u16) {
        let mut payload = (self.calls.len() as u64).to_le_bytes().to_vec();
        payload.resize(8 + usize::from(bytes), self.calls.len() as u8);
        let payload = Bytes::from(payload);
        let wait = Duration::from_millis(u64::from(wait_ms));
        let called = self
            .asking
            .call(self.now, u16::from(service % 3), payload.clone(), wait);
        let (answer, end) = match called {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(Err(error))),
        };
        self.calls.push(Call { payload, answer, end });
    }

    fn answer(&mut self, which: u8) {
        let mut ran = self.answers.0.lock().expect("no panic");
        if ran.open.is_empty() {
            return;
        }
        let at = usize::from(which) % ran.open.len();
        let (number, answer) = ran.open.swap_remove(at);
        let payload = self.calls.get(number as usize).map(|call| call.payload.clone());
        answer.send(payload.map(Payload::from).ok_or(Refusal::Malformed)).ok();
    }

    fn listen(&mut self) {
        for call in &mut self.calls {
            if let Some(answer) = &mut call.answer
                && let Ok(end) = answer.try_recv()
            {
                (call.end, call.answer) = (Some(end), None);
            }
        }
    }

    /// Ends the connection. Returns the rule that was broken, if any.
    fn end(mut self) -> Result<(), &'static str> {
        self.listen();
        self.asking.end();
        self.listen();
        let ran = self.answers.0.lock().expect("no panic");
        if !ran.calls.is_sorted() {
            return Err("peer.order");
        }
        for (number, call) in self.calls.iter().enumerate() {
            let runs = ran.calls.iter().filter(|ran| **ran == number as u64).count();
            match &call.end {
                None => return Err("peer.deadline"),
                Some(Ok(answer)) if *answer != call.payload || runs != 1 => return Err("peer.own-answer"),
                Some(Err(CallError::NotSent(_) | CallError::Refused(_))) if runs > 0 => {
                    return Err("peer.unknown-is-not-failed");
                }
                Some(_) if runs > 1 => return Err("peer.once"),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn take(bytes: &mut VecDeque<u8>, count: u16) -> Vec<u8> {
    let count = usize::from(count).min(bytes.len());
    bytes.drain(..count).collect()
}

/// Plays the steps until an end refuses what comes.
fn play(steps: &[Step]) -> Pair {
    let mut pair = Pair::new();
    for step in steps.iter().take(STEPS_MAX) {
        if pair.is_ended {
            break;
        }
        pair.step(step);
    }
    pair
}

/// Bytes that come late and in pieces break no rule and are never refused. Bytes that are altered, which the session
/// below excludes, do no more than that: nothing panics, and what is held is bounded.
#[test]
fn answers_belong_to_their_calls() {
    check!().with_type::<Vec<Step>>().for_each(|steps| {
        let pair = play(steps);
        let is_whole = !pair.is_damaged;
        assert!(!(is_whole && pair.is_ended), "an end refuses what the other says");
        let end = pair.end();
        assert!(!is_whole || end.is_ok(), "{end:?}");
    });
}

fn called_and_carried(times: usize, damage: Option<Step>) -> Pair {
    let (service, bytes, wait_ms) = (0, 10, 1000);
    let mut steps = vec![
        Step::Call {
            service,
            bytes,
            wait_ms
        };
        times
    ];
    steps.extend(damage);
    steps.extend([true, false].map(|way| Step::Carry { way, bytes: u16::MAX }));
    play(&steps)
}

#[test]
fn calls_are_answered() {
    let mut pair = called_and_carried(3, None);
    pair.listen();
    assert!(pair.calls.iter().all(|call| call.end == Some(Ok(call.payload.clone()))));
    assert_eq!(pair.end(), Ok(()));
}

/// Canary: a call that comes twice, and one whose number is another's, are noticed.
#[test]
fn canary_altered_calls_are_noticed() {
    let damage = |at, how| Some(Step::Damage { way: true, at, how });
    // A frame is its header and these; its number follows its length, kind, zero and service.
    const FRAME_BYTES: u16 = 24 + 8 + 10;
    let twice = called_and_carried(1, damage(0, Damage::Twice(FRAME_BYTES as u8)));
    assert_eq!(twice.end(), Err("peer.own-answer"));
    let mixed = called_and_carried(2, damage(8, Damage::Flip(3)));
    assert_eq!(mixed.end(), Err("peer.own-answer"));
}
