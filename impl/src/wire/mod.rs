//! The server's HTTP side: connections, S3's requests and answers, health endpoints.
//!
//! s3s parses requests, verifies signatures and writes XML; its types stay within this module. What s3s does
//! not limit is limited here: the number of connections, how slowly headers and bodies may come and answers
//! may be read, and the size of XML bodies.

mod admin;
mod body;
mod chunks;
pub mod client;
mod convert;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod health;
mod observe;
mod reply;
mod s3;
mod scrape;
mod service;
mod stall;
mod timer;

use crate::{
    access::{Access, Credentials},
    metrics::Requests,
    object::Store,
    runtime::{self, Accepted, Listener, Rt},
};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use observe::Observer;
use service::Service;
use stall::StallGuard;
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use timer::RtTimer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// How many connections are served at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 4096;

/// How long a request's headers may take; also for how long a connection may be idle between requests.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(60);

/// For how long a client may take no byte of an answer.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);

/// How long requests in flight may still take after the server was told to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted (out of descriptors, as a rule).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What [`serve`] needs beside a store.
pub struct WireConfig {
    /// Where connections come from.
    pub listener: Box<dyn Listener>,
    /// The root user.
    pub credentials: Credentials,
    /// The deployment's region, `us-east-1` by default.
    pub region: String,
    /// What others may see of the requests.
    pub watch: WatchConfig,
}

/// What is shown of a server's work, and to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchConfig {
    /// Anybody may scrape metrics; otherwise a bearer token is needed.
    pub metrics_public: bool,
    /// Each request gets a log line.
    pub access_log: bool,
}

/// The life of the server, as its connections see it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Finish the request at hand, take no other.
    Draining,
    /// End now.
    Ended,
}

/// Serves S3 until `shutdown` completes; then accepts no more connections, finishes the requests in flight
/// for at most 30 s, and returns how many connections had to be cut.
///
/// # Errors
/// The listening socket is not one.
pub async fn serve(
    rt: Rt,
    store: Arc<Store>,
    config: WireConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<usize> {
    let access = Access::new(config.credentials);
    let requests = Arc::new(Requests::new(s3::names().chain([admin::API.to_owned()])));
    let server = Arc::new(scrape::Server {
        rt: rt.clone(),
        store: store.clone(),
        requests: requests.clone(),
        endpoint: endpoint(config.listener.local_addr()?),
        public: config.watch.metrics_public,
        started: (Duration::from_nanos(rt.wall_nanos()), rt.mono()),
    });
    let observer = Observer {
        rt: rt.clone(),
        requests,
        access_log: config.watch.access_log,
    };
    let service = Service::new(server, observer, &access, &config.region);
    let timer = RtTimer::new(&rt);
    let (phase, phase_seen) = watch::channel(Phase::Serving);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Every connection holds a sender: when all are gone, the receiver says so.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);

    let mut shutdown = pin!(shutdown);
    loop {
        let next = accept(&rt, &*config.listener, &permits);
        let ((stream, remote), permit) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = next => accepted,
        };
        let connection = Connection {
            stream: StallGuard::new(&rt, stream, STALL_TIME_MAX),
            service: service.of_peer(remote),
            timer: timer.clone(),
            phase: phase_seen.clone(),
            _alive: (alive.clone(), permit),
        };
        runtime::spawn(&rt, "connection", connection.serve());
    }
    drop(config.listener);
    drop(alive);
    // It cannot fail: `phase_seen` is here.
    let _ = phase.send(Phase::Draining);
    let drained = runtime::timeout(&rt, DRAIN_TIME_MAX, all_gone.recv()).await.is_some();
    let cut = if drained {
        0
    } else {
        CONNECTIONS_MAX - permits.available_permits()
    };
    let _ = phase.send(Phase::Ended);
    Ok(cut)
}

/// How the server calls itself in labels: a wildcard address is nobody's, this host's own is.
fn endpoint(bound: SocketAddr) -> String {
    let host = match bound.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(host, bound.port()).to_string()
}

/// The next connection, once one more may be served.
async fn accept(
    rt: &Rt,
    listener: &dyn Listener,
    permits: &Arc<Semaphore>,
) -> (Accepted, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let permit = permits.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok(accepted) => return (accepted, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                rt.sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

struct Connection {
    stream: StallGuard,
    service: Service,
    timer: RtTimer,
    phase: watch::Receiver<Phase>,
    _alive: (mpsc::Sender<Infallible>, Option<OwnedSemaphorePermit>),
}

impl Connection {
    async fn serve(self) {
        let mut phase = self.phase;
        let mut builder = http1::Builder::new();
        builder.timer(self.timer).header_read_timeout(HEADERS_TIME_MAX);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(self.stream), self.service));
        loop {
            tokio::select! {
                biased;
                changed = phase.changed() => {
                    let now = *phase.borrow_and_update();
                    if changed.is_err() || now == Phase::Ended {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                ended = connection.as_mut() => {
                    // The peer went away, or was too slow: nothing to tell anybody.
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
            }
        }
    }
}
