//! tokio and the host: the one module that calls the clock, threads, sockets and files directly.
#![allow(
    clippy::disallowed_methods,
    reason = "this module is what the banned calls are replaced by"
)]

mod executor;
mod files;
pub mod log;
mod pool;
mod process;
mod recorder;

pub use process::raise_files_max;

use super::{Accepted, BoxFuture, Executor, Files, Job, Listener, Process, Recorder, Rt, Runtime, Stream, Task};
use executor::DriveExecutor;
use files::HostFiles;
use futures::FutureExt;
use pool::Pool;
use recorder::FileRecorder;
use std::{
    future::Future,
    io,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::Path,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{net, runtime::Handle, sync::Semaphore, task::AbortHandle};

/// The runtime of production.
pub struct RealRuntime {
    start: Instant,
    tokio: Handle,
    files: Arc<HostFiles>,
    /// One permit per core: more CPU-bound jobs at once would only take turns.
    cores: Arc<Semaphore>,
    /// Threads for what drives do beside their commits.
    drives: Arc<Pool>,
    recorder: Option<Arc<dyn Recorder>>,
}

impl RealRuntime {
    /// A runtime on the tokio runtime that the caller runs in.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime with its I/O and time drivers enabled.
    #[allow(clippy::new_ret_no_self, reason = "everything holds the runtime as an Rt")]
    pub fn new() -> Rt {
        RealRuntime::with(None)
    }

    /// The same, with a record of the protocol's machines in a file, which goes on with what is in it.
    ///
    /// # Errors
    /// Errors of making the file.
    ///
    /// # Panics
    /// As [`RealRuntime::new`].
    pub fn recording(file: &Path) -> io::Result<Rt> {
        Ok(RealRuntime::with(Some(Arc::new(FileRecorder::open(file)?))))
    }

    fn with(recorder: Option<Arc<dyn Recorder>>) -> Rt {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(RealRuntime {
            start: Instant::now(),
            tokio: Handle::current(),
            files: Arc::new(HostFiles::default()),
            cores: Arc::new(Semaphore::new(cores)),
            drives: Arc::default(),
            recorder,
        })
    }
}

impl Runtime for RealRuntime {
    fn wall_nanos(&self) -> u64 {
        // A clock before 1970 reads as 1970, one after 2554 as 2554.
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let _context = self.tokio.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn_boxed(&self, what: &'static str, future: BoxFuture<()>) -> Arc<dyn Task> {
        let task = self.tokio.spawn(async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(what, "a background task panicked");
            }
        });
        Arc::new(RealTask(task.abort_handle()))
    }

    fn cpu_boxed(&self, job: Job) -> BoxFuture<()> {
        let (tokio, cores) = (self.tokio.clone(), self.cores.clone());
        Box::pin(async move {
            executor::run_blocking(&tokio, cores, job).await;
        })
    }

    fn fill_random(&self, buf: &mut [u8]) {
        getrandom::fill(buf).expect("the kernel's random generator does not fail once it is seeded");
    }

    fn listen(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = net::TcpListener::bind(addr).await?;
            Ok(Box::new(RealListener(listener)) as Box<dyn Listener>)
        })
    }

    fn resolve(&self, host: String, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = net::TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn files(&self) -> Arc<dyn Files> {
        self.files.clone()
    }

    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        self.recorder.clone()
    }

    fn process(&self) -> Process {
        process::read()
    }

    fn executor(&self, drive: &str) -> Arc<dyn Executor> {
        Arc::new(DriveExecutor::new(drive, self.drives.clone()))
    }
}

struct RealTask(AbortHandle);

impl Task for RealTask {
    fn abort(&self) {
        self.0.abort();
    }
}

struct RealListener(net::TcpListener);

impl Listener for RealListener {
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            // Fails only on a connection that is gone already. Its reader will see that; to the accept
            // loop an error would mean that the listening socket is in trouble.
            stream.set_nodelay(true).ok();
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{cpu, random_id, spawn, timeout};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_carries_bytes_both_ways() -> io::Result<()> {
        let rt = RealRuntime::new();
        let listener = rt.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let addr = listener.local_addr()?;
        spawn(&rt, "echo", async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut buf = [0u8; 4];
            stream.read_exact(&mut buf).await.expect("read");
            stream.write_all(&buf).await.expect("write");
        });
        let mut stream = rt.connect(addr).await?;
        stream.write_all(b"ping").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        assert_eq!(answer, b"ping");
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hosts_are_looked_up_by_name_or_address() {
        let rt = RealRuntime::new();
        let resolve = async |host: &str| rt.resolve(host.to_owned(), 9000).await;
        let loopback = resolve("localhost").await.expect("every host has it");
        let is_own = |found: &SocketAddr| found.ip().is_loopback() && found.port() == 9000;
        assert!(!loopback.is_empty() && loopback.iter().all(is_own), "{loopback:?}");
        for literal in ["10.1.2.3", "::1"] {
            let expected = SocketAddr::new(literal.parse().expect("an address"), 9000);
            assert_eq!(resolve(literal).await.expect("an address"), [expected]);
        }
        assert!(resolve("no.such.host.invalid").await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clocks_advance_and_timeouts_fire() {
        let rt = RealRuntime::new();
        let (mono, wall) = (rt.mono(), rt.wall_nanos());
        assert_eq!(
            timeout(&rt, Duration::from_millis(20), std::future::pending::<()>()).await,
            None
        );
        assert_eq!(timeout(&rt, Duration::from_secs(60), async { 7 }).await, Some(7));
        assert!(rt.mono() - mono >= Duration::from_millis(20));
        assert!(rt.wall_nanos() > wall);
        assert_ne!(random_id(&rt), random_id(&rt));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panicking_task_or_job_is_contained() {
        let rt = RealRuntime::new();
        spawn(&rt, "doomed", async { panic!("expected by the test") });
        assert!(cpu(&rt, || -> u32 { panic!("expected by the test") }).await.is_err());
        assert_eq!(cpu(&rt, || 3).await, Ok(3));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_aborted_task_stops() {
        let rt = RealRuntime::new();
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        let task = spawn(&rt, "waiting", async move {
            std::future::pending::<()>().await;
            drop(tx);
        });
        task.abort();
        assert!(
            timeout(&rt, Duration::from_secs(60), rx)
                .await
                .expect("stopped")
                .is_err()
        );
    }
}
