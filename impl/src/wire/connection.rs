//! One connection: the handshake, the protocol that it speaks, and its end.

use super::{service::Service, stall::StallGuard, streams::Streams, timer::RtTimer, tls::Tls};
use crate::runtime::{self, BoxFuture, Rt};
use hyper::{
    rt::{Executor, Read, Write},
    server::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, future::Future, pin::Pin, pin::pin, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

/// How long the handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a request's headers may take; also for how long a connection may be idle between requests.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(60);

/// How much of a connection's input is buffered, in bytes; also the size of a request's headers.
const READ_BUFFER_BYTES: usize = 128 << 10;

/// Requests that one HTTP/2 connection may have open at once.
const STREAMS_MAX: u32 = 128;

/// What an HTTP/2 client may send before it is read, for a request and for a connection, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// The largest frame of HTTP/2, in bytes.
const FRAME_BYTES: u32 = 64 << 10;

/// What is buffered of an HTTP/2 answer, in bytes.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// The largest headers of an HTTP/2 request, in bytes.
const HEADER_LIST_BYTES: u32 = 64 << 10;

/// How often an HTTP/2 connection is looked at: whether it is idle, and whether answers stand still.
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
pub(super) struct Connection {
    pub(super) rt: Rt,
    pub(super) stream: StallGuard,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) service: Service,
    pub(super) timer: RtTimer,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) _alive: (mpsc::Sender<Infallible>, Option<OwnedSemaphorePermit>),
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let Some(tls) = self.tls.take() else {
            let io = TokioIo::new(self.stream);
            return serve_http1(io, self.service, self.timer, self.phase).await;
        };
        let handshake = runtime::timeout(&self.rt, HANDSHAKE_TIME_MAX, tls.accept(self.stream));
        let shaken = tokio::select! {
            biased;
            // No request is in flight yet.
            _ = self.phase.changed() => return,
            shaken = handshake => shaken,
        };
        let stream = match shaken {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return tracing::debug!(%error, "the TLS handshake failed"),
            None => return tracing::debug!("the TLS handshake took too long"),
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_http2 {
            serve_http2(&self.rt, io, self.service, self.timer, self.phase).await;
        } else {
            serve_http1(io, self.service, self.timer, self.phase).await;
        }
    }
}

async fn serve_http1<I>(io: I, service: Service, timer: RtTimer, mut phase: watch::Receiver<Phase>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(timer)
        .header_read_timeout(HEADERS_TIME_MAX)
        .max_buf_size(READ_BUFFER_BYTES);
    let mut connection = pin!(builder.serve_connection(io, service));
    loop {
        tokio::select! {
            biased;
            changed = phase.changed() => match next(&changed, &mut phase) {
                Phase::Ended => return,
                _ => connection.as_mut().graceful_shutdown(),
            },
            ended = connection.as_mut() => return log_end(ended),
        }
    }
}

async fn serve_http2<I>(rt: &Rt, io: I, service: Service, timer: RtTimer, mut phase: watch::Receiver<Phase>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let streams = Streams::new(rt);
    let mut builder = http2::Builder::new(RtExecutor(rt.clone()));
    builder
        .timer(timer)
        .keep_alive_interval(HEADERS_TIME_MAX)
        .keep_alive_timeout(HANDSHAKE_TIME_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES);
    let mut connection = pin!(builder.serve_connection(io, service.on(&streams)));
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            changed = phase.changed() => match next(&changed, &mut phase) {
                Phase::Ended => return,
                _ => {
                    connection.as_mut().graceful_shutdown();
                    is_closing = true;
                }
            },
            ended = connection.as_mut() => return log_end(ended),
            () = rt.sleep(LOOK) => {
                streams.drop_stalled();
                let is_idle = streams.are_idle(HEADERS_TIME_MAX);
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

/// What the server does now. Without a sender it is gone.
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
