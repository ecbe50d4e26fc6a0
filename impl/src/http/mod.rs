//! The HTTP side of a server, whatever it serves: connections with their limits and timeouts, TLS, admission.
//!
//! [`serve`] accepts connections and hands their requests to a [`Handler`]. Nothing here knows a protocol above HTTP.
//! hyper does not limit how slowly headers may come and answers may be read, nor connections that are idle: this
//! module does.

pub mod admission;
mod body;
pub mod client;
mod connection;
pub mod dates;
mod idle;
mod interim;
mod outgoing;
mod side;
mod stall;
mod streams;
pub mod timer;
mod tls;

pub use admission::{Admission, AdmissionPermit, Limits, Overloaded, Timeouts};
pub use body::{Body, BodyError};
pub use hyper::body::Incoming;
pub use outgoing::Outgoing;
pub use side::SideEntrance;
pub use streams::{OpenStream, Streams};
pub use tls::{ClientTls, HandshakeError, Tls, TlsError, Trust, trusted};

use crate::runtime::{self, Accepted, Listener, Rt};
use bytes::Bytes;
use connection::{Connection, Phase, Talk};
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt;
use side::{Arrival, Lobby};
use stall::StallGuard;
use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
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

/// Bytes of an unread body that are drained at most.
const DRAIN_BYTES_MAX: usize = 16 << 20;

/// Time limit for draining an unread body.
const DRAIN_BODY_TIME_MAX: Duration = Duration::from_secs(2);

/// Reads the rest of a body, within limits, and drops it: a client that is still writing when the connection closes
/// would never see the answer. Returns whether nothing is left.
pub async fn drain(rt: &Rt, mut rest: Incoming) -> bool {
    let read = async {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            match rest.frame().await {
                Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    runtime::timeout(rt, DRAIN_BODY_TIME_MAX, read).await == Some(true)
}

/// Announces that the connection ends with a body that was not read: a client that is not told would use it again.
/// In HTTP/2 it goes on without that stream.
pub fn announce_close(version: Version, headers: &mut HeaderMap) {
    if version != Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Answers requests. Cheap to clone.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Body of its answers.
    type Body: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static;

    /// Answers a request that came from `peer`.
    fn handle(self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The connection that a request came on.
pub struct Peer {
    /// Address of the client.
    pub address: SocketAddr,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// Requests of the connection.
    pub streams: Streams,
    /// Marks the request as under way; to be held until its answer was sent.
    pub open: OpenStream,
}

/// Configuration of [`serve`].
pub struct HttpConfig {
    /// Source of connections.
    pub listener: Box<dyn Listener>,
    /// The certificates; without them it is plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Timeouts of clients.
    pub timeouts: Timeouts,
    /// Takes the connections that are not of clients, if there can be such.
    pub side: Option<Arc<dyn SideEntrance>>,
    /// Requests that are served at once. Twice as many connections may be open: half of them are idle.
    pub requests_max: usize,
}

/// Serves HTTP until `shutdown` completes; then accepts no more connections, finishes the requests in flight for at
/// most 30 s, and returns how many connections had to be cut.
pub async fn serve(rt: &Rt, config: HttpConfig, handler: impl Handler, shutdown: impl Future<Output = ()>) -> usize {
    let timer = RtTimer::new(rt);
    let (phase, phase_seen) = watch::channel(Phase::Serving);
    // One more in the system's queue waits for one to end.
    let connections_max = config.requests_max.saturating_mul(2).clamp(1, CONNECTIONS_MAX);
    let permits = Arc::new(Semaphore::new(connections_max));
    // Every connection holds a sender: when all are gone, the receiver says so.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    let renewal = config
        .tls
        .clone()
        .map(|tls| runtime::spawn(rt, "certificates", tls.keep_current()));

    let lobby = Arc::new(Lobby::default());
    let mut shutdown = pin!(shutdown);
    let mut acceptor = Acceptor {
        rt,
        listener: &*config.listener,
        // Who may not be a client is accepted first, and a client waits in the lobby.
        permits: config.side.is_none().then_some(&permits),
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
        let (guarded, alive) = (rt.clone(), alive.clone());
        let tls = config.tls.clone();
        let talk = Talk {
            rt: rt.clone(),
            handler: handler.clone(),
            remote,
            is_tls: config.tls.is_some(),
            timer: timer.clone(),
            timeouts: config.timeouts,
            phase: phase_seen.clone(),
        };
        let serve = move |stream, permit| {
            let connection = Connection {
                stream: StallGuard::new(&guarded, stream, talk.timeouts.idle),
                tls,
                talk,
                _alive: (alive, permit),
            };
            connection.serve()
        };
        let Some(side) = &config.side else {
            runtime::spawn(rt, "connection", serve(stream, permit));
            continue;
        };
        let arrival = Arrival {
            rt: rt.clone(),
            side: side.clone(),
            place: lobby.enter(),
            stream,
            from: remote,
            is_tls: config.tls.is_some(),
            silence_max: config.timeouts.idle,
            permits: permits.clone(),
            phase: phase_seen.clone(),
        };
        runtime::spawn(rt, "connection", arrival.serve(serve));
    }
    drop(config.listener);
    drop(alive);
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    // It cannot fail: `phase_seen` is here.
    let _ = phase.send(Phase::Draining);
    let drained = runtime::timeout(rt, DRAIN_TIME_MAX, all_gone.recv()).await.is_some();
    let cut = if drained {
        0
    } else {
        connections_max - permits.available_permits()
    };
    let _ = phase.send(Phase::Ended);
    cut
}

/// Takes connections off the listener.
struct Acceptor<'a> {
    rt: &'a Rt,
    listener: &'a dyn Listener,
    /// Permits of clients, if only clients come.
    permits: Option<&'a Arc<Semaphore>>,
    /// Time of the last log line about exhaustion, and the number of lines suppressed since.
    logged: Option<Duration>,
    untold: u64,
}

impl Acceptor<'_> {
    /// The next connection; if only clients come, once one more may be served.
    async fn next(&mut self) -> (Accepted, Option<OwnedSemaphorePermit>) {
        let permit = match self.permits {
            // The semaphore is never closed.
            Some(permits) => permits.clone().acquire_owned().await.ok(),
            None => None,
        };
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
