//! A drive's blocking work: one thread for its index, a bounded number of the node's threads for the rest.

use super::pool::{DataQueue, Pool};
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

/// The threads of one drive.
///
/// A job of [`Lane::Commit`] that was handed over runs, whatever becomes of the future. A job of
/// [`Lane::Data`] whose future is dropped before the job began never runs.
pub(super) struct DriveExecutor {
    commit: mpsc::Sender<Commit>,
    data: DataQueue,
}

struct Commit {
    job: Job,
    done: oneshot::Sender<()>,
}

impl DriveExecutor {
    /// An executor whose commit thread ends when the executor is dropped and its queue is empty.
    pub(super) fn new(drive: &str, pool: Arc<Pool>) -> Self {
        let (commit, queue) = mpsc::channel();
        let name = format!("commit {drive}").replace('\0', "");
        // Without its thread the queue is closed: every commit fails, and so does the drive.
        if let Err(error) = thread::Builder::new().name(name).spawn(move || commit_loop(&queue)) {
            tracing::error!(drive, %error, "cannot start the thread that commits to the drive's index");
        }
        DriveExecutor {
            commit,
            data: DataQueue::new(pool),
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
            Lane::Data => Box::pin(self.data.clone().run(job)),
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
pub(super) fn run_contained(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a blocking job panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::pool::{DATA_JOBS_MAX, PATIENCE},
        *,
    };
    use crate::runtime::{Gone, run};
    use futures::FutureExt;
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    fn executor() -> Arc<dyn Executor> {
        Arc::new(DriveExecutor::new("/drive", Arc::default()))
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

    /// However short jobs usually are, none waits for one that hangs, of its own drive or of another.
    #[tokio::test(flavor = "multi_thread")]
    async fn no_data_job_waits_for_one_that_hangs() {
        let pool = Arc::default();
        let executors: Vec<Arc<dyn Executor>> = ["/drive1", "/drive2"]
            .map(|drive| Arc::new(DriveExecutor::new(drive, Arc::clone(&pool))) as Arc<dyn Executor>)
            .into();
        let short_on_both = async || {
            for executor in executors.iter().cycle().take(100) {
                run(executor, Lane::Data, || ()).await.expect("runs");
            }
        };
        short_on_both().await;
        let (free, hung) = mpsc::channel::<()>();
        let (hangs, is_hung) = oneshot::channel();
        let first = run(&executors[0], Lane::Data, move || {
            hangs.send(()).ok();
            hung.recv().ok();
        });
        let rest = async {
            is_hung.await.expect("it has begun");
            // Only when they have run does the first end.
            short_on_both().await;
            drop(free);
        };
        futures::future::join(first, rest).await.0.expect("runs");
    }

    /// Jobs that nobody waits for any more do not pile up behind threads that hang.
    #[tokio::test(flavor = "multi_thread")]
    async fn abandoned_data_jobs_are_dropped() {
        let queue = DataQueue::new(Arc::default());
        let (free, hung) = mpsc::channel::<()>();
        let hung = Arc::new(Mutex::new(hung));
        let held: Vec<_> = (0..DATA_JOBS_MAX)
            .map(|_| {
                let hung = hung.clone();
                tokio::spawn(
                    queue
                        .clone()
                        .run(Box::new(move || drop(hung.lock().map(|hung| hung.recv())))),
                )
            })
            .collect();
        while !queue.is_held() {
            tokio::time::sleep(PATIENCE).await;
        }
        for _ in 0..1000 {
            assert!(queue.clone().run(Box::new(|| ())).now_or_never().is_none());
        }
        assert!(queue.waiting() <= DATA_JOBS_MAX);
        drop(free);
        for job in held {
            job.await.expect("ends");
        }
        queue.clone().run(Box::new(|| ())).await;
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
