//! Abstraction of everything nondeterministic: clock, randomness, tasks, network, files.
//!
//! One small object-safe trait with two implementations: [`real::RealRuntime`] (tokio and the host's
//! file system) and `sim`'s (madsim, simulated drives). Dynamic dispatch on purpose: the calls behind
//! it are I/O, and the server is then compiled once for both.
//!
//! Clippy's `disallowed-methods` bans the direct calls everywhere else.

mod files;
mod mutant;
pub mod real;

pub use files::{Entry, File, FileId, Files, Kind, OpenMode, Space};
pub use mutant::{Mutant, Mutation};
pub(crate) use mutant::{grants_every_lock, of_formation, of_protocol, of_uploads};

use model::trace;
use std::{any::Any, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

/// A boxed future that may cross threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// A byte stream of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Accepted connection, with the address of the peer.
pub type Accepted = (Box<dyn Stream>, SocketAddr);

/// A bound listening socket.
pub trait Listener: Send + Sync + 'static {
    /// Waits for the next connection.
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>>;
    /// The address that was bound (with the port that the system chose when 0 was asked for).
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Lane of a drive's executor that a job runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Mutations of the index: one after the other, in the order in which they were handed over.
    Commit,
    /// Reads, and writes of staged files: side by side.
    Data,
}

/// A job for [`Executor::run_boxed`].
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs one drive's blocking work: threads in production, inline in the simulation.
pub trait Executor: Send + Sync + 'static {
    /// Runs `job` and completes when it has ended. Completes too when the executor is gone; use
    /// [`run`], which tells the two apart.
    ///
    /// When the future is dropped, a commit runs all the same; a data job that has not begun may run or not.
    fn run_boxed(&self, lane: Lane, job: Job) -> BoxFuture<()>;
}

/// A spawned task. Dropping it leaves the task running.
pub trait Task: Send + Sync + 'static {
    /// Stops the task at its next suspension.
    fn abort(&self);
}

/// Takes the events of a node in the order of cause and effect (`specs/trace.md`).
pub trait Recorder: std::fmt::Debug + Send + Sync + 'static {
    /// Takes the next one.
    fn record(&self, event: trace::Event);
}

/// The one way to time, chance, tasks, network and files.
pub trait Runtime: Send + Sync + 'static {
    /// Wall clock, in nanoseconds since the Unix epoch. May step in both directions.
    fn wall_nanos(&self) -> u64;
    /// Monotonic clock since some moment before the process began.
    fn mono(&self) -> Duration;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
    /// Runs `future` in the background. `what` names it in logs and traces.
    fn spawn_boxed(&self, what: &'static str, future: BoxFuture<()>) -> Arc<dyn Task>;
    /// Runs CPU-bound work (more than about 100 µs) off the threads that serve connections.
    fn cpu_boxed(&self, job: Job) -> BoxFuture<()>;
    /// Fills `buf` with random bytes, fit for identifiers and keys.
    fn fill_random(&self, buf: &mut [u8]);
    /// Binds a listening socket.
    fn listen(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>>;
    /// Looks up the addresses of a host, a name or an IP address as text, each with `port`; at least one.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
    /// Opens a connection.
    fn connect(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Stream>>>;
    /// The host's files.
    fn files(&self) -> Arc<dyn Files>;
    /// An executor of its own for the drive mounted at `drive`.
    fn executor(&self, drive: &str) -> Arc<dyn Executor>;
    /// Returns what the operating system knows of this process; nothing in the simulation.
    fn process(&self) -> Process {
        Process::default()
    }
    /// Records an event of the simulation's trace. Does nothing in production.
    fn trace(&self, _event: &dyn Fn() -> String) {}
    /// Returns who records what the machines of the protocol are fed and answer, if anybody does.
    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        None
    }
    /// Returns the mutant that is switched on, in a simulation that must notice it.
    fn mutation(&self) -> Mutation {
        Mutation::NONE
    }
}

/// Statistics of a process from the operating system; `None` where it tells nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Time that it has spent on processors.
    pub cpu: Option<Duration>,
    /// Memory that it holds.
    pub resident_bytes: Option<u64>,
    /// Descriptors that it has open.
    pub files_open: Option<u64>,
    /// Limit of open files.
    pub files_max: Option<u64>,
}

impl std::fmt::Debug for dyn Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runtime")
    }
}

/// The runtime as everything holds it.
pub type Rt = Arc<dyn Runtime>;

/// The other side went away before it answered: the process is stopping, or the job panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without an answer")]
pub struct Gone;

/// Runs `future` in the background; what it returns is dropped.
pub fn spawn(rt: &Rt, what: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Arc<dyn Task> {
    rt.spawn_boxed(what, Box::pin(future))
}

/// Runs a blocking `job` on a drive's executor.
///
/// # Errors
/// [`Gone`] when the job panicked or the executor has ended.
pub async fn run<T: Send + 'static>(
    executor: &Arc<dyn Executor>,
    lane: Lane,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Gone> {
    let (tx, rx) = oneshot::channel();
    executor.run_boxed(lane, Box::new(move || drop(tx.send(job())))).await;
    rx.await.map_err(|_| Gone)
}

/// Runs CPU-bound work off the connections' threads.
///
/// # Errors
/// [`Gone`] when the job panicked or the process is stopping.
pub async fn cpu<T: Send + 'static>(rt: &Rt, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Gone> {
    let (tx, rx) = oneshot::channel();
    rt.cpu_boxed(Box::new(move || drop(tx.send(job())))).await;
    rx.await.map_err(|_| Gone)
}

/// `future`'s output, or `None` when `limit` passed first.
pub async fn timeout<F: Future>(rt: &Rt, limit: Duration, future: F) -> Option<F::Output> {
    let sleep = rt.sleep(limit);
    tokio::select! { biased; output = future => Some(output), () = sleep => None }
}

/// A random 128-bit identifier, never zero.
pub fn random_id(rt: &Rt) -> u128 {
    let mut bytes = [0u8; 16];
    rt.fill_random(&mut bytes);
    u128::from_le_bytes(bytes).max(1)
}

/// RAII guard of an exclusive lock on a folder.
pub type Guard = Box<dyn Any + Send + Sync>;
