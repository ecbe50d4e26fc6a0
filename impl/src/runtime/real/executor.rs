//! A drive's blocking work: one thread for its index, a bounded number of threads for the rest.

use crate::runtime::{BoxFuture, Executor, Job, Lane};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

/// How many jobs of [`Lane::Data`] a drive runs at once. A hung drive holds this many threads for good,
/// so the number times the drives of a node stays well below tokio's 512 blocking threads.
const DATA_JOBS_MAX: usize = 16;

/// The threads of one drive.
///
/// A job of [`Lane::Commit`] that was handed over runs, whatever becomes of the future. A job of
/// [`Lane::Data`] whose future is dropped before the job began never runs.
pub(super) struct DriveExecutor {
    commit: mpsc::Sender<Commit>,
    data: Arc<Semaphore>,
    tokio: Handle,
}

struct Commit {
    job: Job,
    done: oneshot::Sender<()>,
}

impl DriveExecutor {
    /// An executor whose commit thread ends when the executor is dropped and its queue is empty.
    pub(super) fn new(drive: &str, tokio: Handle) -> Self {
        let (commit, queue) = mpsc::channel();
        let name = format!("commit {drive}").replace('\0', "");
        // Without its thread the queue is closed: every commit fails, and so does the drive.
        if let Err(error) = thread::Builder::new().name(name).spawn(move || commit_loop(&queue)) {
            tracing::error!(drive, %error, "cannot start the thread that commits to the drive's index");
        }
        DriveExecutor {
            commit,
            data: Arc::new(Semaphore::new(DATA_JOBS_MAX)),
            tokio,
        }
    }
}

impl Executor for DriveExecutor {
    fn run_boxed(&self, lane: Lane, job: Job) -> BoxFuture<()> {
        match lane {
            Lane::Commit => {
                let (done, ended) = oneshot::channel();
                // When the thread is gone, `done` is dropped with the message and `ended` completes.
                self.commit.send(Commit { job, done }).ok();
                Box::pin(async move {
                    ended.await.ok();
                })
            }
            Lane::Data => {
                let (tokio, data) = (self.tokio.clone(), self.data.clone());
                Box::pin(async move { run_blocking(&tokio, data, job).await })
            }
        }
    }
}

/// Runs `job` on a blocking thread once there is a permit, and completes when it has ended.
pub(super) async fn run_blocking(tokio: &Handle, permits: Arc<Semaphore>, job: Job) {
    // The semaphore is never closed.
    let Ok(permit) = permits.acquire_owned().await else {
        return;
    };
    let job = move || {
        // Moved in: the permit lasts as long as the job, also when nobody waits for it any more.
        let _permit = permit;
        run_contained(job);
    };
    tokio.spawn_blocking(job).await.ok();
}

fn commit_loop(queue: &mpsc::Receiver<Commit>) {
    while let Ok(Commit { job, done }) = queue.recv() {
        run_contained(job);
        done.send(()).ok();
    }
}

/// Runs a job so that its panic ends the job alone. Whoever waits for its answer sees it dropped.
fn run_contained(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a blocking job panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Gone, run};
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    fn executor() -> Arc<dyn Executor> {
        Arc::new(DriveExecutor::new("/drive", Handle::current()))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn commits_run_in_the_order_of_their_handing_over() {
        let executor = executor();
        let order = Arc::new(Mutex::new(Vec::new()));
        let jobs: Vec<_> = (0..100)
            .map(|n| {
                let order = order.clone();
                executor.run_boxed(Lane::Commit, Box::new(move || order.lock().expect("lock").push(n)))
            })
            .collect();
        // Awaited from the last to the first: neither that nor dropping a future changes the order.
        for (n, job) in jobs.into_iter().enumerate().rev() {
            if n % 3 != 0 {
                job.await;
            }
        }
        run(&executor, Lane::Commit, || ())
            .await
            .expect("the queue before it has run");
        assert_eq!(*order.lock().expect("lock"), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_ends_the_job_alone() {
        let executor = executor();
        for lane in [Lane::Commit, Lane::Data] {
            assert_eq!(
                run(&executor, lane, || -> u32 { panic!("expected by the test") }).await,
                Err(Gone)
            );
            assert_eq!(run(&executor, lane, || 5).await, Ok(5));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn data_jobs_run_side_by_side_up_to_the_bound() {
        let executor = executor();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..3 * DATA_JOBS_MAX).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            run(&executor, Lane::Data, move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(std::time::Duration::from_millis(20));
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        futures::future::join_all(jobs).await;
        let most = most.load(Ordering::SeqCst);
        assert!((2..=DATA_JOBS_MAX).contains(&most), "{most} at once");
    }
}
