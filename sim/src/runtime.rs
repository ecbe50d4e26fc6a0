//! [`store::runtime::Runtime`] over madsim, one for each process of a simulated node.

use crate::{
    drive::SimFiles,
    executor::{SimExecutor, run_contained, yield_some},
    net,
    world::{Process, World},
};
use madsim::{
    rand::{RngCore, thread_rng},
    task::AbortHandle,
    time::{self, TimeHandle},
};
use model::trace::Event;
use std::{fmt, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use store::runtime::{BoxFuture, Executor, Files, Job, Listener, Mutation, Recorder, Runtime, Stream, Task};
use tokio::sync::oneshot;

/// Runtime of a process; see [`World::runtime`].
pub(crate) struct SimRuntime {
    world: World,
    node: u32,
    process: Arc<Process>,
    files: Arc<SimFiles>,
}

impl SimRuntime {
    pub(crate) fn new(world: World, node: u32, process: Arc<Process>) -> Self {
        let files = Arc::new(SimFiles::new(world.clone(), node, process.clone()));
        SimRuntime {
            world,
            node,
            process,
            files,
        }
    }
}

impl Runtime for SimRuntime {
    fn wall_nanos(&self) -> u64 {
        self.world.wall_nanos(self.node)
    }

    fn mono(&self) -> Duration {
        self.world.clock(self.node).mono(TimeHandle::current().elapsed())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // madsim adds the duration to its clock, which a hundred years do not overflow.
        let longest = Duration::from_secs(100 * 365 * 24 * 3600);
        Box::pin(time::sleep(
            self.world.clock(self.node).to_virtual(duration).min(longest),
        ))
    }

    fn spawn_boxed(&self, _what: &'static str, future: BoxFuture<()>) -> Arc<dyn Task> {
        // A destructor of a killed process may still spawn a task.
        let task = self
            .process
            .is_alive()
            .then(|| madsim::task::spawn(future).abort_handle());
        Arc::new(SimTask(task))
    }

    fn cpu_boxed(&self, job: Job) -> BoxFuture<()> {
        let (done, ended) = oneshot::channel();
        let (world, node) = (self.world.clone(), self.node);
        if self.process.is_alive() {
            madsim::task::spawn(async move {
                yield_some().await;
                run_contained(&world, node, job);
                done.send(()).ok();
            });
        }
        Box::pin(async move {
            ended.await.ok();
        })
    }

    fn fill_random(&self, buf: &mut [u8]) {
        thread_rng().fill_bytes(buf);
    }

    fn listen(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let listening = match self.process.check() {
            Ok(()) => net::listen(self.world.network(), self.node, addr),
            Err(error) => Err(error),
        };
        Box::pin(std::future::ready(listening))
    }

    fn resolve(&self, host: String, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let (world, process) = (self.world.clone(), self.process.clone());
        Box::pin(async move {
            process.check()?;
            let addresses = world.addresses_of(&host)?;
            Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Stream>>> {
        let (network, node, process) = (self.world.network().clone(), self.node, self.process.clone());
        Box::pin(async move {
            process.check()?;
            net::connect(network, node, addr).await
        })
    }

    fn files(&self) -> Arc<dyn Files> {
        self.files.clone()
    }

    fn executor(&self, drive: &str) -> Arc<dyn Executor> {
        let drive = self.world.drive_of(self.node, Path::new(drive));
        Arc::new(SimExecutor::new(
            self.world.clone(),
            self.node,
            self.process.clone(),
            drive,
        ))
    }

    fn trace(&self, event: &dyn Fn() -> String) {
        if self.process.is_alive() {
            self.world.event(self.node, &event());
        }
    }

    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        self.world.replays().then(|| {
            let (world, node, process) = (self.world.clone(), self.node, self.process.clone());
            Arc::new(SimRecorder { world, node, process }) as Arc<dyn Recorder>
        })
    }

    fn mutation(&self) -> Mutation {
        self.world.mutation()
    }
}

/// Replays the machines of a process while it runs.
struct SimRecorder {
    world: World,
    node: u32,
    process: Arc<Process>,
}

impl Recorder for SimRecorder {
    fn record(&self, event: Event) {
        if self.process.is_alive() {
            self.world.replay(self.node, event);
        }
    }
}

impl fmt::Debug for SimRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimRecorder(n{})", self.node)
    }
}

struct SimTask(Option<AbortHandle>);

impl Task for SimTask {
    fn abort(&self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
