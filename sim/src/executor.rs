//! Simulated executor of a drive: jobs run inline, after a delay, in a task of the node.

use crate::{
    drive::SimDrive,
    world::{Process, World},
};
use madsim::{
    rand::{Rng, thread_rng},
    task::{spawn, yield_now},
    time::sleep,
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use store::runtime::{BoxFuture, Executor, Job, Lane};
use tokio::sync::{mpsc, oneshot};

/// As in production, a commit that was submitted runs even if its caller is cancelled; a data job of a cancelled
/// caller may run or not.
pub(crate) struct SimExecutor {
    place: Place,
    commit: mpsc::UnboundedSender<Work>,
}

/// Node, process and drive that jobs run on.
#[derive(Clone)]
struct Place {
    world: World,
    node: u32,
    process: Arc<Process>,
    drive: SimDrive,
}

struct Work {
    job: Job,
    done: oneshot::Sender<()>,
}

impl SimExecutor {
    pub(crate) fn new(world: World, node: u32, process: Arc<Process>, drive: SimDrive) -> Self {
        let place = Place {
            world,
            node,
            process,
            drive,
        };
        let (commit, mut queue) = mpsc::unbounded_channel();
        if place.process.is_alive() {
            let place = place.clone();
            spawn(async move {
                while let Some(work) = queue.recv().await {
                    place.run(Lane::Commit, work).await;
                }
            });
        }
        SimExecutor { place, commit }
    }
}

impl Executor for SimExecutor {
    fn run_boxed(&self, lane: Lane, job: Job) -> BoxFuture<()> {
        let (done, ended) = oneshot::channel();
        let work = Work { job, done };
        match lane {
            // A closed queue drops the work, and `ended` completes.
            Lane::Commit => drop(self.commit.send(work)),
            Lane::Data if self.place.process.is_alive() => {
                let place = self.place.clone();
                spawn(async move { place.run(Lane::Data, work).await });
            }
            Lane::Data => drop(work),
        }
        Box::pin(async move {
            ended.await.ok();
        })
    }
}

impl Place {
    async fn run(&self, lane: Lane, Work { job, done }: Work) {
        self.delay().await;
        let abandoned = lane == Lane::Data && done.is_closed() && thread_rng().gen_bool(0.5);
        if self.process.is_alive() && !abandoned {
            run_contained(&self.world, self.node, job);
        }
        done.send(()).ok();
    }

    /// Delays a job. Half of the jobs hit a cache and begin at once, in any order; the others wait for the drive. All
    /// wait while the drive hangs.
    async fn delay(&self) {
        if thread_rng().gen_bool(0.5) {
            yield_some().await;
        } else {
            let longest = self.drive.faults().delay_max;
            sleep(thread_rng().gen_range(Duration::ZERO..=longest)).await;
        }
        self.drive.until_it_works().await;
    }
}

/// Yields to other tasks a random number of times.
pub(crate) async fn yield_some() {
    for _ in 0..thread_rng().gen_range(0..6) {
        yield_now().await;
    }
}

/// Runs a job and contains its panic, as in production.
pub(crate) fn run_contained(world: &World, node: u32, job: Job) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
        world.job_panicked(node, panic_message(&*panic));
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
