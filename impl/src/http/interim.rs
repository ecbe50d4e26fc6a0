//! Sends `100 Continue` for requests without a body, for which hyper sends none.
//!
//! A request must not ask for it then, but boto3 up to 1.43 does with each empty object, and takes a final answer
//! without one for that of the next request of the connection as well.

use http::{HeaderMap, Version, header};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};
use tokio::io::AsyncWrite;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The interim answer of one HTTP/1.1 connection. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Interim(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Bytes of it that are still to be written.
    left: &'static [u8],
    /// The request that waits for it to be written.
    waiting: Option<Waker>,
}

impl Interim {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once `100 Continue` was written by [`Interim::poll_write`], so before the request's final answer.
    pub fn send(&self) -> impl Future<Output = ()> + Send + use<> {
        self.lock().left = CONTINUE;
        let interim = self.clone();
        poll_fn(move |cx| {
            let mut state = interim.lock();
            if state.left.is_empty() {
                return Poll::Ready(());
            }
            state.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Writes it if a request waits for it. To be called when hyper flushes the stream: it has written all it had
    /// by then, so that this does not end up within another answer.
    pub fn poll_write<S: AsyncWrite + Unpin>(&self, cx: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        while !state.left.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, state.left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.left = &state.left[written..];
        }
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns whether a request asks for `100 Continue`. HTTP/1.0 does not know it.
pub(super) fn is_expected(version: Version, headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    version == Version::HTTP_11 && expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use http::HeaderValue;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn it_is_written_before_the_request_goes_on() {
        let interim = Interim::default();
        // It takes several writes.
        let (mut near, mut far) = tokio::io::duplex(10);
        assert!(poll!(poll_fn(|cx| interim.poll_write(cx, &mut near))).is_ready());
        let mut sent = Box::pin(interim.send());
        assert!(poll!(&mut sent).is_pending());
        let mut received = [0; CONTINUE.len()];
        let write = poll_fn(|cx| interim.poll_write(cx, &mut near));
        let (written, read) = futures::join!(write, far.read_exact(&mut received));
        written.unwrap();
        read.unwrap();
        assert_eq!(received, CONTINUE);
        sent.await;
    }

    #[test]
    fn who_asks_for_it() {
        let asks = |version, value: &'static str| {
            is_expected(
                version,
                &[(header::EXPECT, HeaderValue::from_static(value))]
                    .into_iter()
                    .collect(),
            )
        };
        assert!(asks(Version::HTTP_11, "100-continue"));
        assert!(asks(Version::HTTP_11, "100-Continue"));
        assert!(!asks(Version::HTTP_11, "200-ok"));
        assert!(!asks(Version::HTTP_10, "100-continue"));
        assert!(!asks(Version::HTTP_2, "100-continue"));
        assert!(!is_expected(Version::HTTP_11, &HeaderMap::new()));
    }
}
