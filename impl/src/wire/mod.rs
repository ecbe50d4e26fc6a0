//! The server's HTTP side: connections, S3's requests and answers, health endpoints.
//!
//! s3s parses requests, verifies signatures and writes XML; its types stay within this module. What s3s does
//! not limit is limited here: the number of connections, how slowly headers and bodies may come and answers
//! may be read, and the size of XML bodies.

mod admin;
mod body;
mod chunks;
pub mod client;
mod connection;
mod convert;
mod cors;
mod dates;
mod elements;
mod fields;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod health;
mod hosts;
mod interim;
mod limits;
mod normalize;
mod observe;
mod outgoing;
mod patience;
mod reply;
mod reread;
mod s3;
mod scrape;
mod service;
mod signature;
mod stall;
mod streams;
mod timer;
mod tls;
mod values;
mod xml;

pub use cors::{OriginError, Origins};
pub use hosts::{DomainError, Domains};
pub use limits::{Limits, Timeouts};
pub use tls::{ClientTls, HandshakeError, Tls, TlsError, Trust};

use crate::{
    access::{Access, Credentials},
    metrics::Requests,
    runtime::{self, Accepted, Listener, Rt},
    stats::Counter,
    store::Store,
};
use connection::{Connection, Phase, Talk};
use limits::Budget;
use observe::Observer;
use service::{Serves, Service};
use stall::StallGuard;
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use timer::RtTimer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Maximum number of concurrent connections; more wait in the listen backlog.
const CONNECTIONS_MAX: usize = 4096;

/// Time limit for requests in flight at shutdown.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted (out of descriptors, as a rule).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Minimum interval between two log lines about that.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Configuration of [`serve`].
pub struct WireConfig {
    /// Source of connections.
    pub listener: Box<dyn Listener>,
    /// The root user.
    pub credentials: Credentials,
    /// The deployment's region; without one it is `us-east-1`, and clients may name any.
    pub region: Option<String>,
    /// Domains whose further names are buckets.
    pub domains: Domains,
    /// The origins whose pages may read answers.
    pub origins: Origins,
    /// Limits of concurrency and memory.
    pub limits: Limits,
    /// Timeouts of clients.
    pub timeouts: Timeouts,
    /// The certificates; without them it is plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Visibility of requests: access log and metrics.
    pub watch: WatchConfig,
    /// Set while the server still serves but will soon be told to end: it is not ready then, so that load balancers
    /// send requests elsewhere before its port is closed.
    pub is_leaving: Arc<AtomicBool>,
}

/// Visibility of a server's work: access log and metrics.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Anybody may scrape metrics; otherwise a bearer token is needed.
    pub metrics_public: bool,
    /// Each request gets a log line.
    pub access_log: bool,
    /// Log lines that were lost, for the metrics.
    pub log_lines_dropped: Arc<Counter>,
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
    let requests = Arc::new(Requests::new(s3::names().chain([admin::API.to_owned()])));
    let budget = Budget::new(&rt, config.limits);
    let server = Arc::new(scrape::Server {
        rt: rt.clone(),
        store: store.clone(),
        requests: requests.clone(),
        budget: budget.clone(),
        endpoint: endpoint(config.listener.local_addr()?),
        public: config.watch.metrics_public,
        log_lines_dropped: config.watch.log_lines_dropped,
        started: (Duration::from_nanos(rt.wall_nanos()), rt.mono()),
    });
    let observer = Observer {
        rt: rt.clone(),
        requests,
        access_log: config.watch.access_log,
    };
    let serves = Serves {
        access: Access::new(config.credentials),
        region: config.region,
        domains: config.domains,
        origins: Arc::new(config.origins),
        budget,
        body_idle: config.timeouts.idle,
        is_tls: config.tls.is_some(),
        is_leaving: config.is_leaving,
    };
    let service = Service::new(server, observer, serves);
    let timer = RtTimer::new(&rt);
    let (phase, phase_seen) = watch::channel(Phase::Serving);
    // One more in the system's queue waits for one to end. Some are idle: half of them can have a request each.
    let connections_max = config.limits.requests.saturating_mul(2).clamp(1, CONNECTIONS_MAX);
    let permits = Arc::new(Semaphore::new(connections_max));
    // Every connection holds a sender: when all are gone, the receiver says so.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    let renewal = config
        .tls
        .clone()
        .map(|tls| runtime::spawn(&rt, "certificates", tls.keep_current()));

    let mut shutdown = pin!(shutdown);
    let mut acceptor = Acceptor {
        rt: &rt,
        listener: &*config.listener,
        permits: &permits,
        logged: None,
        untold: 0,
    };
    loop {
        let next = acceptor.next();
        let ((stream, remote), permit) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = next => accepted,
        };
        let connection = Connection {
            stream: StallGuard::new(&rt, stream, config.timeouts.idle),
            tls: config.tls.clone(),
            talk: Talk {
                rt: rt.clone(),
                service: service.of_peer(remote),
                timer: timer.clone(),
                timeouts: config.timeouts,
                phase: phase_seen.clone(),
            },
            _alive: (alive.clone(), permit),
        };
        runtime::spawn(&rt, "connection", connection.serve());
    }
    drop(config.listener);
    drop(alive);
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    // It cannot fail: `phase_seen` is here.
    let _ = phase.send(Phase::Draining);
    let drained = runtime::timeout(&rt, DRAIN_TIME_MAX, all_gone.recv()).await.is_some();
    let cut = if drained {
        0
    } else {
        connections_max - permits.available_permits()
    };
    let _ = phase.send(Phase::Ended);
    Ok(cut)
}

/// Returns the server's address for labels: a wildcard address is replaced by the host's own.
fn endpoint(bound: SocketAddr) -> String {
    let host = match bound.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(host, bound.port()).to_string()
}

/// Takes connections off the listener.
struct Acceptor<'a> {
    rt: &'a Rt,
    listener: &'a dyn Listener,
    permits: &'a Arc<Semaphore>,
    /// Time of the last log line about exhaustion, and the number of lines suppressed since.
    logged: Option<Duration>,
    untold: u64,
}

impl Acceptor<'_> {
    /// The next connection, once one more may be served.
    async fn next(&mut self) -> (Accepted, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed.
        let permit = self.permits.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return (accepted, permit),
                Err(error) => {
                    self.log(&error);
                    self.rt.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Logs that a connection could not be accepted, at most once in [`ACCEPT_LOG_INTERVAL`].
    fn log(&mut self, error: &io::Error) {
        let now = self.rt.mono();
        if self
            .logged
            .is_some_and(|last| now.saturating_sub(last) < ACCEPT_LOG_INTERVAL)
        {
            self.untold += 1;
            return;
        }
        let untold = std::mem::take(&mut self.untold);
        tracing::warn!(%error, untold, "cannot accept a connection");
        self.logged = Some(now);
    }
}
