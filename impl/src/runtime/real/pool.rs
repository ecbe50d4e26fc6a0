//! Threads that the drives of a node share for what runs beside their commits.

use super::executor::run_contained;
use crate::runtime::Job;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Number of jobs that a drive has under way at once. A hung drive holds this many threads for good.
pub(super) const DATA_JOBS_MAX: usize = 16;

/// Jobs are left to threads that are at work already while these get to them within this time.
const SHORT: Duration = Duration::from_micros(300);
/// Longest time of a job that counts: one that waited for a processor says little of the next.
const COUNTED_MAX: Duration = Duration::from_micros(600);
/// Wait of a job before it gets a thread of its own, the first time.
pub(super) const PATIENCE: Duration = Duration::from_millis(1);
/// The longest such wait.
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Time after which a thread without work ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Jobs of drives, and the threads for them.
///
/// To wake a thread costs more than to read a block from memory. So while jobs are short, the next one is left to a
/// thread that is at work already, whatever drive it is of; one that has waited for [`PATIENCE`] nevertheless gets a
/// thread of its own: no drive waits for longer than that for another one that hangs.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Jobs that a thread may take.
    ready: VecDeque<Waiting>,
    /// Threads at work, and those of them that have yet to take their first job.
    workers: usize,
    waking: usize,
    /// Threads without work, the last one to have some last: its caches are warm.
    idle: Vec<Arc<Sleeper>>,
    /// Moving average of the time that a job takes.
    usual: Duration,
    /// Time at which a thread last took a job, or was woken.
    taken: Option<Instant>,
}

impl State {
    /// Returns whether a job is left to the threads at work: they take it soon.
    fn leaves(&self) -> bool {
        let waiting = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        let workers = u32::try_from(self.workers).unwrap_or(u32::MAX);
        self.workers > 0
            && self.usual < SHORT
            && self.usual.saturating_mul(waiting) <= SHORT * workers
            && self.taken.is_some_and(|taken| taken.elapsed() < PATIENCE)
    }
}

/// Thread without work.
struct Sleeper {
    thread: Thread,
    is_called: AtomicBool,
}

struct Waiting {
    of: Arc<Queue>,
    job: Job,
    /// Closed when nobody waits for the job any more.
    done: oneshot::Sender<()>,
}

/// Jobs of one drive. Used under the lock of the pool's state alone.
#[derive(Default)]
struct Queue(Mutex<Drive>);

#[derive(Default)]
struct Drive {
    /// Jobs that are at work or ready.
    under_way: usize,
    waiting: VecDeque<Waiting>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Drive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs of a drive that run side by side, [`DATA_JOBS_MAX`] of them at once.
#[derive(Clone)]
pub(super) struct DataQueue {
    pool: Arc<Pool>,
    queue: Arc<Queue>,
}

impl DataQueue {
    pub(super) fn new(pool: Arc<Pool>) -> DataQueue {
        let queue = Arc::default();
        DataQueue { pool, queue }
    }

    /// Runs a job, and completes when it has ended. A job whose future is dropped before it began never runs.
    pub(super) async fn run(self, job: Job) {
        let (done, mut ended) = oneshot::channel();
        let of = self.queue.clone();
        if !self.pool.put(Waiting { of, job, done }) {
            self.pool.employ();
        }
        let mut patience = PATIENCE;
        while tokio::time::timeout(patience, &mut ended).await.is_err() {
            self.pool.employ();
            patience = (2 * patience).min(PATIENCE_MAX);
        }
    }

    #[cfg(test)]
    pub(super) fn is_held(&self) -> bool {
        let drive = self.queue.lock();
        drive.under_way == DATA_JOBS_MAX && drive.waiting.is_empty() && self.pool.lock().ready.is_empty()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().waiting.len()
    }
}

impl Pool {
    /// Takes a job. Returns whether it is left to the threads at work.
    fn put(&self, job: Waiting) -> bool {
        let mut state = self.lock();
        let of = job.of.clone();
        let mut drive = of.lock();
        if drive.under_way == DATA_JOBS_MAX {
            if drive.waiting.len() >= DATA_JOBS_MAX {
                // A drive that hangs takes none of them.
                drive.waiting.retain(|waiting| !waiting.done.is_closed());
            }
            drive.waiting.push_back(job);
            return true;
        }
        drive.under_way += 1;
        let leaves = state.leaves();
        state.ready.push_back(job);
        leaves
    }

    /// Has one more thread work, if there is a job for it.
    fn employ(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.ready.len() <= state.waking {
            return;
        }
        state.workers += 1;
        state.waking += 1;
        state.taken = Some(Instant::now());
        let sleeper = state.idle.pop();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.is_called.store(true, Ordering::Release);
            return sleeper.thread.unpark();
        }
        let pool = self.clone();
        let thread = thread::Builder::new().name("drives".to_owned());
        if let Err(error) = thread.spawn(move || pool.serve()) {
            tracing::error!(%error, "cannot start a thread for the jobs of drives");
            let mut state = self.lock();
            state.workers -= 1;
            state.waking -= 1;
        }
    }

    /// Works until there has been nothing to do for a while.
    fn serve(&self) {
        let sleeper = Arc::new(Sleeper {
            thread: thread::current(),
            is_called: AtomicBool::new(false),
        });
        loop {
            self.work(&sleeper);
            let asleep = Instant::now();
            while !sleeper.is_called.swap(false, Ordering::Acquire) {
                let left = IDLE_MAX.saturating_sub(asleep.elapsed());
                if left.is_zero() {
                    let mut state = self.lock();
                    let place = state.idle.iter().position(|other| Arc::ptr_eq(other, &sleeper));
                    if let Some(place) = place {
                        state.idle.remove(place);
                        return;
                    }
                    // It is being called.
                    drop(state);
                    thread::yield_now();
                } else {
                    thread::park_timeout(left);
                }
            }
        }
    }

    /// Works until nothing is ready, and lies down then.
    fn work(&self, sleeper: &Arc<Sleeper>) {
        let mut last: Option<(Instant, Arc<Queue>)> = None;
        loop {
            let next = {
                let mut state = self.lock();
                let now = Instant::now();
                match last.take() {
                    None => state.waking -= 1,
                    Some((began, of)) => {
                        state.usual = (state.usual * 7 + (now - began).min(COUNTED_MAX)) / 8;
                        let mut drive = of.lock();
                        match drive.waiting.pop_front() {
                            None => drive.under_way -= 1,
                            Some(waiting) => state.ready.push_back(waiting),
                        }
                    }
                }
                let Some(next) = state.ready.pop_front() else {
                    state.workers -= 1;
                    state.idle.push(sleeper.clone());
                    return;
                };
                state.taken = Some(now);
                last = Some((now, next.of.clone()));
                next
            };
            if !next.done.is_closed() {
                run_contained(next.job);
                next.done.send(()).ok();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
