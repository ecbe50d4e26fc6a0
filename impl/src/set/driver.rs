//! Driver of `model`'s coordinator: carries its effects out against the drives of a set and feeds it events.
//!
//! The machine decides; this file only moves messages and watches the clock.

use super::{
    ErasureSet, StoreError,
    pace::{AGAIN, Alarm, Paced, Round, Work},
};
use crate::{
    drive::{Answer, Drive, DriveError, RegisterKey, ShardWriter, Staging},
    runtime::{self, Mutant, Recorder},
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use model::{
    protocol::{Ballot, Coordinator, Drives, Effect, Event, Outcome, Reply, Request, Unavailable},
    record::{Op, Record, Refusal},
    trace,
};
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::oneshot;

/// Shards that are staged with the first Prepare, by drive index.
pub(crate) enum Shards {
    /// Small ones: the index takes them.
    Small {
        /// Data folder and part that they belong to.
        staging: Staging,
        /// Their framed bytes.
        framed: Vec<Bytes>,
    },
    /// Files that are synced; `None` where a drive has none.
    Files(Vec<Option<Box<dyn ShardWriter>>>),
}

/// Result of an operation on a register.
#[derive(Debug)]
pub(crate) struct Ended {
    pub outcome: Outcome<Record, Refusal>,
    /// The operation failed only because drives had no room for it.
    pub full: bool,
    /// The last round's ballot: of the vote, if the outcome is [`Outcome::Written`].
    pub ballot: Ballot,
}

/// Runs `op` on the register `key` to its end, in a task of its own: a client that goes away leaves no
/// operation half-driven.
pub(crate) async fn execute(set: &Arc<ErasureSet>, key: RegisterKey, op: Op, shards: Option<Shards>) -> Ended {
    let (tx, rx) = oneshot::channel();
    let task_set = set.clone();
    runtime::spawn(&set.rt, "operation", async move {
        let guard = task_set
            .locks
            .lock(&task_set.rt, &key, task_set.timeouts.operation)
            .await;
        let run = Run::new(&task_set, &key, op, shards);
        run.drive(|outcome| {
            drop(guard);
            drop(tx.send(outcome));
        })
        .await;
    });
    rx.await.unwrap_or(Ended {
        outcome: Outcome::Ambiguous(Unavailable::Deadline),
        full: false,
        ballot: Ballot::ZERO,
    })
}

/// Maps the outcome of an operation to the record that it ended with.
pub(crate) fn settled(outcome: Outcome<Record, Refusal>) -> Result<Record, StoreError> {
    match outcome {
        Outcome::Written(record) | Outcome::Kept(record) => Ok(record),
        Outcome::Refused { refusal, .. } => Err(refused(refusal)),
        Outcome::Unavailable(why) => Err(unavailable(why)),
        Outcome::Ambiguous(why) => Err(StoreError::Ambiguous(why)),
    }
}

/// Maps a refused precondition to an error.
fn refused(refusal: Refusal) -> StoreError {
    match refusal {
        Refusal::PreconditionFailed => StoreError::PreconditionFailed,
        Refusal::NoSuchKey => StoreError::NoSuchKey,
        Refusal::NoSuchUpload => StoreError::NoSuchUpload,
        Refusal::BucketExists => StoreError::BucketExists,
        Refusal::NoSuchBucket => StoreError::NoSuchBucket,
    }
}

/// Maps an operation that was certainly not done to an error.
fn unavailable(why: Unavailable) -> StoreError {
    match why {
        Unavailable::PrepareQuorum => StoreError::Unwritable("too few drives answer".into()),
        Unavailable::StagedQuorum => StoreError::Unwritable("too few drives hold the new data".into()),
        Unavailable::Stuck => StoreError::Unreadable("an unfinished write has lost too many shards".into()),
        Unavailable::Deadline => StoreError::Unwritable("drives did not answer in time".into()),
    }
}

/// A call to a drive that is under way.
struct Call {
    ballot: Ballot,
    answer: Paced<Result<Reply<Record>, DriveError>>,
}

type Answered = (u8, Ballot, Result<Reply<Record>, DriveError>);

impl Future for Call {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        let Call { ballot, answer } = self.get_mut();
        let polled = Pin::new(answer).poll(context);
        polled.map(|(drive, answer)| (drive as u8, *ballot, answer))
    }
}

struct Run<'a> {
    set: &'a ErasureSet,
    key: &'a RegisterKey,
    machine: Coordinator<Record, Op>,
    recorder: Option<Arc<dyn Recorder>>,
    /// Identifier of the operation in the recorded trace.
    operation: u128,
    shards: Option<Shards>,
    calls: FuturesUnordered<Call>,
    todo: Vec<Effect<Record>>,
    /// Drives that had no room, and those that failed otherwise.
    full: Drives,
    failed: Drives,
}

impl<'a> Run<'a> {
    fn new(set: &'a ErasureSet, key: &'a RegisterKey, op: Op, shards: Option<Shards>) -> Run<'a> {
        let recorder = set.recorder.clone();
        let recorded = recorder.as_ref().map(|_| op.clone());
        let operation = op.change;
        let settled = set.settled.load(Ordering::Relaxed);
        let (machine, todo) = Coordinator::new(set.quorums, op);
        let machine = machine.with_settled(settled);
        if let (Some(recorder), Some(op)) = (&recorder, recorded) {
            recorder.record(trace::Event::Began {
                set: set.index,
                key: trace::Key(key.as_bytes().to_vec()),
                quorums: set.quorums,
                settled,
                op,
                effects: todo.clone(),
            });
        }
        let machine = machine.with_mutation(runtime::of_protocol(set.rt.mutation()));
        Run {
            set,
            key,
            machine,
            recorder,
            operation,
            shards,
            calls: FuturesUnordered::new(),
            todo,
            full: Drives::NONE,
            failed: Drives::NONE,
        }
    }

    /// Drives the machine; calls `ended` with its outcome, then lets messages that are on their way arrive.
    async fn drive(mut self, ended: impl FnOnce(Ended)) {
        let timeouts = self.set.timeouts;
        let patient = self.set.rt.mutation().is(Mutant::NoDeadline);
        let limit = if patient { Duration::MAX } else { timeouts.operation };
        let mut deadline = self.set.rt.sleep(limit);
        let mut round = Round::new(self.set.rt.mono());
        let mut hurry = Alarm::new(&self.set.rt);
        let mut ended = Some(ended);
        loop {
            if self.apply_effects().await {
                round = Round::new(self.set.rt.mono());
            }
            if let Some(outcome) = self.machine.outcome()
                && let Some(ended) = ended.take()
            {
                self.set.settled.fetch_max(self.machine.settled(), Ordering::Relaxed);
                ended(Ended {
                    outcome: outcome.clone(),
                    full: self.lacks_room(),
                    ballot: self.machine.ballot(),
                });
            }
            if ended.is_none() && self.calls.is_empty() {
                return;
            }
            let event = tokio::select! {
                biased;
                Some(answer) = self.calls.next(), if !self.calls.is_empty() => {
                    round.answered(self.set.rt.mono());
                    hurry.reset(|| self.give_up_at(&round));
                    self.event(answer)
                }
                () = hurry.rings(), if ended.is_some() => {
                    let (now, give_up) = (self.set.rt.mono(), self.give_up_at(&round));
                    if give_up > now {
                        hurry.set(give_up);
                        continue;
                    }
                    hurry.set(now + AGAIN);
                    Event::StragglerTimeout
                }
                () = &mut deadline => {
                    if ended.is_none() {
                        return;
                    }
                    deadline = self.set.rt.sleep(timeouts.operation);
                    Event::Deadline
                }
            };
            if ended.is_some() {
                self.todo = self.tell(event);
            }
        }
    }

    /// Time up to which the drives that have not answered in this round are waited for.
    fn give_up_at(&self, round: &Round) -> Duration {
        let ballot = self.machine.ballot();
        let stragglers = self.calls.iter().filter(|call| call.ballot == ballot);
        let stragglers = stragglers.map(|call| call.answer.drive);
        self.set.pace.give_up_at(round, stragglers, Work::Commit)
    }

    /// Feeds an event to the machine and returns its effects.
    fn tell(&mut self, event: Event<Record>) -> Vec<Effect<Record>> {
        let Some(recorder) = &self.recorder else {
            return self.machine.on(event);
        };
        let effects = self.machine.on(event.clone());
        recorder.record(trace::Event::Reacted {
            operation: self.operation,
            event,
            effects: effects.clone(),
        });
        effects
    }

    /// Carries out the pending effects. Returns whether a new round has begun.
    async fn apply_effects(&mut self) -> bool {
        let mut begun = false;
        while !self.todo.is_empty() {
            for effect in std::mem::take(&mut self.todo) {
                match effect {
                    Effect::Send { to, request } => self.send(to, &request),
                    Effect::Begin { epoch, round, pause } => {
                        begun = true;
                        if pause {
                            let pause = random_below(&self.set.rt, self.set.timeouts.pause_max);
                            self.set.rt.sleep(pause).await;
                        }
                        // Below an epoch that is settled, drives would refuse.
                        let epoch = epoch.max(self.set.settled.load(Ordering::Relaxed));
                        let ballot = self.set.ballots.issue(epoch, round);
                        let effects = self.tell(Event::Begin(ballot));
                        self.todo.extend(effects);
                    }
                }
            }
        }
        begun
    }

    /// Hands `request` to drives; the first Prepare with the shards that are to be staged.
    fn send(&mut self, to: Drives, request: &Request<Record>) {
        let ballot = request.ballot().unwrap_or(Ballot::ZERO);
        let mut shards = matches!(request, Request::Prepare { .. })
            .then(|| self.shards.take())
            .flatten();
        for index in to.iter() {
            let Some(drive) = self.set.drives.get(usize::from(index)) else {
                continue;
            };
            let answer = match stage(drive, usize::from(index), &mut shards, self.key, request) {
                Some(staged) => staged,
                None => drive.register(self.key, request.clone()),
            };
            let answer = self.set.pace.call(usize::from(index), Work::Commit, answer);
            self.calls.push(Call { ballot, answer });
        }
    }

    /// Tells whether the full drives would have made a quorum together with those that did not fail.
    fn lacks_room(&self) -> bool {
        let quorums = self.set.quorums;
        let left = quorums.drives.saturating_sub(self.failed.count() as u8);
        !self.full.is_empty() && left >= quorums.accept.max(quorums.prepare)
    }

    fn event(&mut self, (from, ballot, reply): Answered) -> Event<Record> {
        match reply {
            Ok(reply) => {
                self.set.ballots.heard(&reply);
                Event::Reply { from, ballot, reply }
            }
            Err(error) => {
                let drives = match error {
                    DriveError::Full => &mut self.full,
                    _ => &mut self.failed,
                };
                drives.insert(from);
                Event::Failed { from, ballot }
            }
        }
    }
}

/// Stages the shard of the drive at `index`, if it has one, and hands it `then` in the same step.
fn stage(
    drive: &Arc<dyn Drive>,
    index: usize,
    shards: &mut Option<Shards>,
    key: &RegisterKey,
    then: &Request<Record>,
) -> Option<Answer<Reply<Record>>> {
    match shards.as_mut()? {
        Shards::Small { staging, framed } => {
            let framed = framed.get(index)?.clone();
            Some(drive.stage_small(staging.clone(), framed, key, then.clone()))
        }
        Shards::Files(writers) => {
            let writer = writers.get_mut(index)?.take()?;
            Some(writer.finish(key, then.clone()))
        }
    }
}

/// A random duration below `limit`.
fn random_below(rt: &runtime::Rt, limit: Duration) -> Duration {
    let mut bytes = [0u8; 4];
    rt.fill_random(&mut bytes);
    limit.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
