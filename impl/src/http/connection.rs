//! One connection: the handshake, the protocol that it speaks, and its end.

use super::{
    Handler, Peer, admission::Timeouts, idle::IdleTimeout, interim, stall::StallGuard, streams::Streams,
    timer::RtTimer, tls::Tls,
};
use crate::runtime::{self, BoxFuture, Rt};
use http::{Request, Response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, mpsc, watch},
};

/// Time limit of the TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Input buffer of a connection, in bytes.
const READ_BUFFER_BYTES: usize = 128 << 10;

/// Requests that one HTTP/2 connection may have open at once.
const STREAMS_MAX: u32 = 128;

/// HTTP/2 receive windows of a stream and of a connection, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// The largest frame of HTTP/2, in bytes.
const FRAME_BYTES: u32 = 64 << 10;

/// Send buffer of an HTTP/2 stream, in bytes.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// The largest headers of a request, with its first line, in bytes. hyper's bound on its buffer does not bound them:
/// they may come whole with the read that crosses it.
const HEADERS_BYTES: u32 = 64 << 10;

/// Longest interval between checks of an HTTP/2 connection for idleness and stalled answers.
const LOOK: Duration = Duration::from_secs(5);

/// The life of the server, as its connections see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Finish the request at hand, take no other.
    Draining,
    /// End now.
    Ended,
}

/// A connection that was accepted.
pub(super) struct Connection<H> {
    pub(super) stream: StallGuard,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) talk: Talk<H>,
    pub(super) _alive: (mpsc::Sender<Infallible>, Option<OwnedSemaphorePermit>),
}

/// Configuration of connections, independent of their protocol.
pub(super) struct Talk<H> {
    pub(super) rt: Rt,
    pub(super) handler: H,
    /// Address of the client.
    pub(super) remote: SocketAddr,
    pub(super) is_tls: bool,
    pub(super) timer: RtTimer,
    pub(super) timeouts: Timeouts,
    pub(super) phase: watch::Receiver<Phase>,
}

impl<H: Handler> Connection<H> {
    /// Serves it to its end.
    pub(super) async fn serve(self) {
        let Connection {
            stream,
            tls,
            mut talk,
            _alive,
        } = self;
        let Some(tls) = tls else {
            return talk.http1(stream).await;
        };
        let handshake = runtime::timeout(&talk.rt, HANDSHAKE_TIME_MAX, tls.accept(stream));
        let shaken = tokio::select! {
            biased;
            // No request is in flight yet.
            _ = talk.phase.changed() => return,
            shaken = handshake => shaken,
        };
        let stream = match shaken {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return tracing::debug!(%error, "the TLS handshake failed"),
            None => return tracing::debug!("the TLS handshake took too long"),
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            talk.http2(stream).await;
        } else {
            talk.http1(stream).await;
        }
    }
}

impl<H: Handler> Talk<H> {
    fn service(&self, streams: &Streams) -> PeerService<H> {
        PeerService {
            handler: self.handler.clone(),
            remote: self.remote,
            is_tls: self.is_tls,
            streams: streams.clone(),
        }
    }

    async fn http1<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Timeouts { idle, headers } = self.timeouts;
        let streams = Streams::new(&self.rt, idle);
        let io = TokioIo::new(IdleTimeout::new(&self.rt, stream, &streams, self.timeouts));
        let mut builder = http1::Builder::new();
        builder
            .timer(self.timer.clone())
            // The stream tells the two apart. With this, hyper reads from it as soon as a request has ended.
            .header_read_timeout(idle + headers)
            .max_buf_size(READ_BUFFER_BYTES)
            .max_header_size(HEADERS_BYTES as usize);
        let mut connection = pin!(builder.serve_connection(io, self.service(&streams)));
        loop {
            tokio::select! {
                biased;
                changed = self.phase.changed() => match next(&changed, &mut self.phase) {
                    Phase::Ended => return,
                    _ => connection.as_mut().graceful_shutdown(),
                },
                ended = connection.as_mut() => return log_end(ended),
            }
        }
    }

    async fn http2<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let idle = self.timeouts.idle;
        let streams = Streams::new(&self.rt, idle);
        let mut builder = http2::Builder::new(RtExecutor(self.rt.clone()));
        builder
            .timer(self.timer.clone())
            .keep_alive_interval(idle)
            .keep_alive_timeout(HANDSHAKE_TIME_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(HEADERS_BYTES);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), self.service(&streams)));
        let mut is_closing = false;
        loop {
            tokio::select! {
                biased;
                changed = self.phase.changed() => match next(&changed, &mut self.phase) {
                    Phase::Ended => return,
                    _ => {
                        connection.as_mut().graceful_shutdown();
                        is_closing = true;
                    }
                },
                ended = connection.as_mut() => return log_end(ended),
                () = self.rt.sleep(LOOK.min(idle / 2)) => {
                    streams.drop_stalled();
                    let is_idle = streams.are_idle(idle);
                    if is_idle && is_closing {
                        return;
                    }
                    if is_idle {
                        connection.as_mut().graceful_shutdown();
                        is_closing = true;
                    }
                }
            }
        }
    }
}

/// Returns the current shutdown phase; a closed channel means that the server has ended.
fn next(changed: &Result<(), watch::error::RecvError>, phase: &mut watch::Receiver<Phase>) -> Phase {
    let now = *phase.borrow_and_update();
    if changed.is_err() { Phase::Ended } else { now }
}

/// The peer went away, or was too slow: nothing to tell anybody.
fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Hands the requests of one connection to the handler.
struct PeerService<H> {
    handler: H,
    remote: SocketAddr,
    is_tls: bool,
    streams: Streams,
}

impl<H: Handler> Service<Request<Incoming>> for PeerService<H> {
    type Response = Response<H::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<H::Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let handler = self.handler.clone();
        let peer = Peer {
            address: self.remote,
            is_tls: self.is_tls,
            open: self.streams.enter(),
            streams: self.streams.clone(),
        };
        Box::pin(async move {
            // hyper sends it once a body is read; of no body nothing is.
            if request.body().is_end_stream() && interim::is_expected(request.version(), request.headers()) {
                peer.streams.interim().send().await;
            }
            Ok(handler.handle(request, peer).await)
        })
    }
}

/// Runs the streams of an HTTP/2 connection.
#[derive(Clone)]
struct RtExecutor(Rt);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for RtExecutor {
    fn execute(&self, future: F) {
        let stream: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            future.await;
        });
        let stream: BoxFuture<()> = stream;
        self.0.spawn_boxed("stream", stream);
    }
}
