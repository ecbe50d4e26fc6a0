//! Gives up connections of HTTP/1.1 on which nothing is asked, or whose request takes too long to be now.

use super::{admission::Timeouts, streams::Streams};
use crate::runtime::{BoxFuture, Rt};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose reads fail when it has been idle for too long, or a request's headers have not come to their
/// end in time. hyper has one limit for both, from the end of one request to the headers of the next. While a
/// request is under way it waits for ever: its body has a limit of its own.
pub(super) struct IdleTimeout<S> {
    rt: Rt,
    stream: S,
    /// The requests of this connection.
    streams: Streams,
    timeouts: Timeouts,
    /// Arrival time of the first byte of a request, and the number of requests before it.
    head: Option<(Duration, u64)>,
    /// Wakes the reader, not after this time.
    alarm: Option<(Duration, BoxFuture<()>)>,
}

impl<S> IdleTimeout<S> {
    pub fn new(rt: &Rt, stream: S, streams: &Streams, timeouts: Timeouts) -> IdleTimeout<S> {
        IdleTimeout {
            rt: rt.clone(),
            stream,
            streams: streams.clone(),
            timeouts,
            head: None,
            alarm: None,
        }
    }

    /// Bytes have come: between requests they begin one.
    fn note(&mut self) {
        let now = self.streams.activity();
        if now.open == 0 && self.head.is_none_or(|(_, before)| before != now.count) {
            self.head = Some((self.rt.mono(), now.count));
        }
    }

    /// Deadline for the next bytes.
    fn deadline(&self) -> Option<Duration> {
        let now = self.streams.activity();
        match self.head {
            _ if now.open > 0 => None,
            Some((began, before)) if before == now.count => Some(began + self.timeouts.headers),
            _ => Some(now.active_at + self.timeouts.idle),
        }
    }

    /// Ready when the deadline has passed.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.deadline() else {
                return Poll::Pending;
            };
            let now = self.rt.mono();
            if now >= deadline {
                return Poll::Ready(());
            }
            // One that rings early costs less than a new one for every request.
            let (at, mut ring) = match self.alarm.take() {
                Some(alarm) if alarm.0 <= deadline => alarm,
                _ => (deadline, self.rt.sleep(deadline - now)),
            };
            if ring.as_mut().poll(cx).is_pending() {
                self.alarm = Some((at, ring));
                return Poll::Pending;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            if buf.filled().len() > before {
                self.note();
            }
            return polled;
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no request has come in time");
        self.poll_late(cx).map(|()| Err(late()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.streams.interim().poll_write(cx, &mut this.stream))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(600);

    fn connection(idle: Duration, headers: Duration) -> (IdleTimeout<DuplexStream>, DuplexStream, Streams) {
        let rt = RealRuntime::new();
        let streams = Streams::new(&rt, LONG);
        let (near, far) = tokio::io::duplex(100);
        (
            IdleTimeout::new(&rt, near, &streams, Timeouts { idle, headers }),
            far,
            streams,
        )
    }

    /// Reads one byte; returns whether that timed out.
    async fn is_late(near: &mut IdleTimeout<DuplexStream>) -> bool {
        match near.read_u8().await {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::TimedOut,
        }
    }

    #[tokio::test]
    async fn an_idle_connection_ends() {
        let (mut near, _far, _) = connection(SHORT, LONG);
        assert!(is_late(&mut near).await);
    }

    #[tokio::test]
    async fn headers_that_trickle_end() {
        let (mut near, mut far, _) = connection(LONG, SHORT);
        for _ in 0..3 {
            far.write_all(b"x").await.unwrap();
            assert!(!is_late(&mut near).await);
        }
        assert!(is_late(&mut near).await);
    }

    #[tokio::test]
    async fn a_request_under_way_has_its_own_limits() {
        let (mut near, mut far, streams) = connection(SHORT, SHORT);
        far.write_all(b"x").await.unwrap();
        assert!(!is_late(&mut near).await);
        let open = streams.enter();
        let rt = RealRuntime::new();
        assert_eq!(
            crate::runtime::timeout(&rt, 3 * SHORT, near.read_u8()).await.map(drop),
            None
        );
        drop(open);
        // Counted from its end on, and not as the headers that it had.
        let ended = rt.mono();
        assert!(is_late(&mut near).await);
        assert!(rt.mono() - ended >= SHORT);
    }

    #[tokio::test]
    async fn the_next_request_has_all_its_time() {
        let (mut near, mut far, streams) = connection(LONG, SHORT);
        for _ in 0..2 {
            far.write_all(b"x").await.unwrap();
            assert!(!is_late(&mut near).await);
            drop(streams.enter());
            let rt = RealRuntime::new();
            // Idle, and for longer than headers may take.
            assert_eq!(
                crate::runtime::timeout(&rt, 2 * SHORT, near.read_u8()).await.map(drop),
                None
            );
        }
    }
}
