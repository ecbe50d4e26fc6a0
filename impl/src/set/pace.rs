//! Measured pace of a set's drives: how long their calls take, and which drives are suspected to hang.
//!
//! Every call to a drive goes through [`Pace::call`]. A drive is suspected while a call to it has been under way for
//! much longer than its calls usually take, whether or not a request still waits for that call, and while its node owes
//! answers and nothing comes from it. Suspicion is no evidence: it orders and shortens waits, and decides nothing
//! (`live.one-hung-drive`, `live.one-hung-node`).

use super::ErasureSet;
use crate::{
    drive::{Drive, DriveError},
    runtime::{self, BoxFuture, Mutant, Rt},
};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// Shortest wait for a straggler. Below it, noise of the scheduler would count as slowness.
const WAIT_MIN: Duration = Duration::from_millis(5);
/// Shortest time in which an alarm rings.
const RING_MIN: Duration = Duration::from_millis(1);
/// Wait for a straggler as a multiple of the median time of the answers.
const MEDIANS: u32 = 3;
/// Wait for a first answer as a multiple of what the slowest of the drives takes as a rule.
const TYPICALS: u32 = 4;
/// A call is suspect after this multiple of the time that its drive's calls usually take, within these bounds.
const SUSPECT_TYPICALS: u32 = 8;
const SUSPECT_MIN: Duration = Duration::from_millis(250);
const SUSPECT_MAX: Duration = Duration::from_secs(1);
/// Silence of a node that makes all of its drives suspected. A ping is under way for most of it: a node that runs is
/// not silent, whatever hangs there.
const SILENCE_MAX: Duration = Duration::from_millis(750);
/// Weight of a new answer in the usual time is one in so many.
const SMOOTHING: u32 = 8;

/// Kind of a call. A drive may hang in its writes and answer reads, and a kind has a pace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A message to the commit task.
    Commit,
    /// A write to a shard's file.
    Write,
    /// A look into the index.
    Look,
    /// A read of a shard.
    Read,
}

impl Work {
    /// The kinds that hang together: those that change something, and those that do not.
    fn together(self) -> [Work; 2] {
        match self {
            Work::Commit | Work::Write => [Work::Commit, Work::Write],
            Work::Look | Work::Read => [Work::Look, Work::Read],
        }
    }
}

/// Pace of the drives of a set.
pub(super) struct Pace {
    rt: Rt,
    drives: Vec<Arc<dyn Drive>>,
    /// By drive index, then by kind.
    calls: Vec<[Mutex<Calls>; 4]>,
    /// Longest time until a call is suspect; longer for mutants.
    suspect_max: Duration,
}

/// Calls of one kind to one drive.
#[derive(Default)]
struct Calls {
    /// Starts of those under way, in their order.
    under_way: BTreeMap<u64, Duration>,
    started: u64,
    /// A call whose caller has gone is waited for in the background, to know when the drive answers again.
    watched: bool,
    /// Smoothed time of an answer.
    typical: Duration,
}

impl Calls {
    /// Returns when the oldest call under way becomes suspect.
    fn suspect_at(&self, max: Duration) -> Option<Duration> {
        let (_, oldest) = self.under_way.first_key_value()?;
        let limit = match max > SUSPECT_MAX {
            true => max,
            false => (self.typical * SUSPECT_TYPICALS).clamp(SUSPECT_MIN, max),
        };
        Some(oldest.saturating_add(limit))
    }
}

impl Pace {
    pub(super) fn new(rt: Rt, drives: Vec<Arc<dyn Drive>>) -> Arc<Pace> {
        let calls = drives.iter().map(|_| Default::default()).collect();
        let mutation = rt.mutation();
        let suspect_max = if mutation.is(Mutant::NoDeadline) || mutation.is(Mutant::NoShardDeadline) {
            Duration::MAX
        } else if mutation.is(Mutant::NeverSuspected) {
            5 * SUSPECT_MAX
        } else {
            SUSPECT_MAX
        };
        Arc::new(Pace {
            rt,
            drives,
            calls,
            suspect_max,
        })
    }

    /// Measures a call to a drive that was made just now.
    pub(super) fn call<T: Send + 'static>(
        self: &Arc<Pace>,
        drive: usize,
        work: Work,
        answer: BoxFuture<T>,
    ) -> Paced<T> {
        let started = self.rt.mono();
        let mut calls = self.calls(drive, work);
        calls.started += 1;
        let number = calls.started;
        calls.under_way.insert(number, started);
        drop(calls);
        Paced {
            pace: self.clone(),
            drive,
            work,
            number,
            started,
            answer: Some(answer),
        }
    }

    fn calls(&self, drive: usize, work: Work) -> MutexGuard<'_, Calls> {
        let calls = &self.calls[drive][work as usize];
        calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when a drive will be suspected if it does not answer; `None` while nothing is under way.
    pub(super) fn suspect_at(&self, drive: usize, work: Work) -> Option<Duration> {
        let kinds = work.together().into_iter();
        let suspect_at = |work| self.calls(drive, work).suspect_at(self.suspect_max);
        kinds.filter_map(suspect_at).chain(self.silent_at(drive)).min()
    }

    /// Returns when a drive is suspected for its node's silence.
    fn silent_at(&self, drive: usize) -> Option<Duration> {
        let ignored = self.suspect_max > SUSPECT_MAX || self.rt.mutation().is(Mutant::SilenceIgnored);
        let silent_since = self.drives[drive].silent_since().filter(|_| !ignored)?;
        Some(silent_since + SILENCE_MAX)
    }

    /// Tells whether a drive is suspected to hang.
    pub(super) fn is_suspected(&self, drive: usize, work: Work) -> bool {
        self.suspect_at(drive, work).is_some_and(|at| at <= self.rt.mono())
    }

    /// Drives in the given order, those that are suspected last.
    pub(super) fn preferred(&self, mut order: Vec<usize>, work: Work) -> Vec<usize> {
        order.sort_by_cached_key(|drive| self.is_suspected(*drive, work));
        order
    }

    /// Time up to which stragglers are waited for once the other answers suffice: three times the median, and until the
    /// stragglers are suspected.
    pub(super) fn give_up_at(&self, round: &Round, stragglers: impl Iterator<Item = usize>, work: Work) -> Duration {
        let soon = round.began + (round.median() * MEDIANS).max(WAIT_MIN);
        let suspect = stragglers.filter_map(|drive| self.suspect_at(drive, work));
        suspect.fold(soon, Duration::max)
    }

    /// Time at which further drives are asked beside those that have not answered.
    pub(super) fn hedge_at(&self, round: &Round, waiting: &[usize], work: Work) -> Duration {
        if waiting.iter().all(|drive| self.is_suspected(*drive, work)) {
            return round.began;
        }
        let wait = match round.times.is_empty() {
            true => {
                let typical = waiting.iter().map(|drive| self.calls(*drive, work).typical).max();
                typical.unwrap_or_default() * TYPICALS
            }
            false => round.median() * MEDIANS,
        };
        let wait = match self.suspect_max > SUSPECT_MAX {
            true => self.suspect_max,
            false => wait.clamp(WAIT_MIN, SUSPECT_MAX),
        };
        round.began.saturating_add(wait)
    }

    /// Takes over a call that has been answered, after `took`.
    fn ended(&self, drive: usize, work: Work, number: u64, started: Duration) {
        let took = self.rt.mono().saturating_sub(started).min(SUSPECT_MAX);
        let mut calls = self.calls(drive, work);
        calls.under_way.remove(&number);
        calls.typical = (calls.typical * (SMOOTHING - 1) + took) / SMOOTHING;
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

/// Answers of drives to calls that were made at the same time.
#[derive(Debug)]
pub(super) struct Round {
    began: Duration,
    times: Vec<Duration>,
}

impl Round {
    pub(super) fn new(now: Duration) -> Round {
        let times = Vec::new();
        Round { began: now, times }
    }

    /// Takes an answer into account.
    pub(super) fn answered(&mut self, now: Duration) {
        self.times.push(now.saturating_sub(self.began));
    }

    /// The median time of the answers, which come in their order.
    fn median(&self) -> Duration {
        let middle = self.times.len().saturating_sub(1) / 2;
        self.times.get(middle).copied().unwrap_or_default()
    }
}

/// A timer that is set anew as answers come in.
pub(super) struct Alarm {
    rt: Rt,
    at: Duration,
    sleep: BoxFuture<()>,
}

impl Alarm {
    /// Creates one that rings after the shortest wait for a straggler.
    pub(super) fn new(rt: &Rt) -> Alarm {
        Alarm {
            rt: rt.clone(),
            at: rt.mono() + WAIT_MIN,
            sleep: rt.sleep(WAIT_MIN),
        }
    }

    /// Waits until it rings. It rings again only when it is set again.
    pub(super) async fn rings(&mut self) {
        (&mut self.sleep).await;
        self.sleep = Box::pin(std::future::pending());
    }

    /// Sets it to `at`, but no earlier than a moment from now.
    pub(super) fn set(&mut self, at: Duration) {
        let now = self.rt.mono();
        self.at = at.max(now + RING_MIN);
        self.sleep = self.rt.sleep(self.at - now);
    }

    /// Sets it anew after an answer, which may have changed what is waited for. One that rings soon anyhow is left.
    pub(super) fn reset(&mut self, at: impl FnOnce() -> Duration) {
        if self.at > self.rt.mono() + WAIT_MIN {
            self.set(at());
        }
    }
}

/// A call to a drive that is measured; answers with the drive's index too. Dropped early, it may be waited for in the
/// background.
pub(super) struct Paced<T: Send + 'static> {
    pace: Arc<Pace>,
    pub(super) drive: usize,
    work: Work,
    number: u64,
    started: Duration,
    /// `None` once answered.
    answer: Option<BoxFuture<T>>,
}

impl<T: Send + 'static> Future for Paced<T> {
    type Output = (usize, T);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<(usize, T)> {
        let Some(answer) = &mut self.answer else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = answer.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.answer = None;
        self.pace.ended(self.drive, self.work, self.number, self.started);
        Poll::Ready((self.drive, answer))
    }
}

impl<T: Send + 'static> Drop for Paced<T> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        let (drive, work, number, started) = (self.drive, self.work, self.number, self.started);
        let mut calls = self.pace.calls(drive, work);
        // A write that is given up ends here. The commit that follows it keeps its drive suspected.
        if calls.watched || work == Work::Write {
            calls.under_way.remove(&number);
            return;
        }
        calls.watched = true;
        drop(calls);
        let pace = self.pace.clone();
        runtime::spawn(&self.pace.rt, "wait for a drive", async move {
            drop(answer.await);
            pace.ended(drive, work, number, started);
            pace.calls(drive, work).watched = false;
        });
    }
}

/// Drives that have yet to answer.
pub(super) fn waiting<T: Send + 'static>(calls: &FuturesUnordered<Paced<T>>) -> Vec<usize> {
    calls.iter().map(|call| call.drive).collect()
}

/// Time after which stragglers that could not be given up are told of again.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// Calls to several drives, waited for until those that do not answer are suspected.
pub(super) struct Wait<T: Send + 'static> {
    pace: Arc<Pace>,
    work: Work,
    round: Round,
    calls: FuturesUnordered<Paced<Result<T, DriveError>>>,
    alarm: Alarm,
    limit: BoxFuture<()>,
}

/// Outcome of one step of a [`Wait`].
pub(super) enum Waited<T> {
    /// A drive has answered.
    Answer(usize, Result<T, DriveError>),
    /// The others have answered, and these are slow. Told again while they do not answer.
    Slow(Vec<usize>),
    /// These have not answered in the time that a drive has for a run of stripes; they are waited for no longer.
    Over(Vec<usize>),
}

impl<T: Send + 'static> Wait<T> {
    pub(super) fn new(set: &ErasureSet, work: Work) -> Wait<T> {
        Wait {
            pace: set.pace.clone(),
            work,
            round: Round::new(set.rt.mono()),
            calls: FuturesUnordered::new(),
            alarm: Alarm::new(&set.rt),
            limit: set.rt.sleep(set.timeouts.shard),
        }
    }

    /// Waits for a drive too, which was called just now.
    pub(super) fn add(&mut self, drive: usize, answer: BoxFuture<Result<T, DriveError>>) {
        self.calls.push(self.pace.call(drive, self.work, answer));
    }

    /// Tells whether a drive has yet to answer.
    pub(super) fn has(&self, drive: usize) -> bool {
        self.calls.iter().any(|call| call.drive == drive)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Waits until something has come of it. Nothing does while no drive has yet to answer.
    pub(super) async fn next(&mut self) -> Waited<T> {
        loop {
            tokio::select! {
                biased;
                Some((drive, answer)) = self.calls.next(), if !self.calls.is_empty() => {
                    self.round.answered(self.pace.rt.mono());
                    let stragglers = self.calls.iter().map(|call| call.drive);
                    self.alarm.reset(|| self.pace.give_up_at(&self.round, stragglers, self.work));
                    return Waited::Answer(drive, answer);
                }
                () = self.alarm.rings() => {
                    let now = self.pace.rt.mono();
                    let stragglers = self.calls.iter().map(|call| call.drive);
                    let at = self.pace.give_up_at(&self.round, stragglers, self.work);
                    if at <= now {
                        self.alarm.set(now + AGAIN);
                        return Waited::Slow(waiting(&self.calls));
                    }
                    self.alarm.set(at);
                }
                () = &mut self.limit => {
                    let over = waiting(&self.calls);
                    self.calls.clear();
                    return Waited::Over(over);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drive::OfflineDrive, runtime::real::RealRuntime};
    use tokio::sync::oneshot;

    fn pace(rt: &Rt, drives: usize) -> Arc<Pace> {
        let drive = |_| Arc::new(OfflineDrive::new("/drive".into(), "a test".to_owned())) as Arc<dyn Drive>;
        Pace::new(rt.clone(), (0..drives).map(drive).collect())
    }

    fn answer(answered: oneshot::Receiver<()>) -> BoxFuture<()> {
        Box::pin(async move { drop(answered.await) })
    }

    // `live.one-hung-drive`
    #[tokio::test]
    async fn a_drive_is_suspected_while_it_does_not_answer_though_nobody_waits() {
        let rt = RealRuntime::new();
        let pace = pace(&rt, 2);
        let (answers, answered) = oneshot::channel();
        drop(pace.call(1, Work::Commit, answer(answered)));
        assert!(!pace.is_suspected(1, Work::Commit));
        rt.sleep(SUSPECT_MIN + WAIT_MIN).await;
        assert!(pace.is_suspected(1, Work::Commit) && pace.is_suspected(1, Work::Write));
        assert!(!pace.is_suspected(1, Work::Look) && !pace.is_suspected(0, Work::Commit));
        assert_eq!(pace.preferred(vec![1, 0], Work::Write), [0, 1]);
        answers.send(()).expect("waited for");
        while pace.is_suspected(1, Work::Commit) {
            rt.sleep(WAIT_MIN).await;
        }
        assert_eq!(pace.suspect_at(1, Work::Commit), None);
    }

    #[tokio::test]
    async fn stragglers_are_waited_for_by_the_median_once_they_are_suspected() {
        let rt = RealRuntime::new();
        let pace = pace(&rt, 3);
        let (_kept, answered) = oneshot::channel();
        let call = pace.call(2, Work::Commit, answer(answered));
        let millis = Duration::from_millis;
        let mut round = Round::new(call.started);
        let give_up = |round: &Round| pace.give_up_at(round, [2].into_iter(), Work::Commit) - round.began;
        // The longest of the waits: for the drive to be suspected.
        assert_eq!(give_up(&round), SUSPECT_MIN);
        for answer in [1, 200, 300] {
            round.answered(call.started + millis(answer));
        }
        assert_eq!(give_up(&round), millis(600));
        assert_eq!(pace.hedge_at(&round, &[2], Work::Commit) - round.began, millis(600));
        rt.sleep(SUSPECT_MIN + WAIT_MIN).await;
        assert_eq!(pace.hedge_at(&round, &[2], Work::Commit), round.began);
        assert_eq!(give_up(&Round::new(rt.mono())), WAIT_MIN);
    }
}
