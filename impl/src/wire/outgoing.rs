//! The body of an answer on its way out, with what its request holds until it was sent.

use super::{
    limits::Lease,
    streams::{OpenStream, Streams},
};
use crate::runtime::Rt;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(super) struct Outgoing {
    rt: Rt,
    answer: Arc<Mutex<Answer>>,
    _open: Option<OpenStream>,
}

/// An answer that is being sent.
pub(super) struct Answer {
    /// None: it was given up.
    body: Option<s3s::Body>,
    lease: Option<Lease>,
    /// Time of the last poll that returned data.
    taken_at: Duration,
    /// A poll is pending.
    is_awaited: bool,
}

impl Outgoing {
    /// `body`, that gives back `lease` once it was sent, on `stream` of its connection.
    pub fn new(rt: &Rt, body: s3s::Body, lease: Option<Lease>, stream: Option<(Streams, OpenStream)>) -> Outgoing {
        let answer = Arc::new(Mutex::new(Answer {
            body: Some(body),
            lease,
            taken_at: rt.mono(),
            is_awaited: false,
        }));
        let open = stream.map(|(streams, open)| {
            streams.watch(&answer);
            open
        });
        Outgoing {
            rt: rt.clone(),
            answer,
            _open: open,
        }
    }
}

impl Answer {
    /// Gives it up if nobody has asked for more for so long; whether it may still be asked for.
    pub fn drop_if_stalled(&mut self, now: Duration, limit: Duration) -> bool {
        if !self.is_awaited && now.saturating_sub(self.taken_at) >= limit {
            self.body = None;
            self.lease = None;
        }
        self.body.is_some()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = &mut answer.body else {
            let stalled = io::Error::new(io::ErrorKind::TimedOut, "the client did not take the answer");
            return Poll::Ready(Some(Err(stalled.into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        answer.is_awaited = polled.is_pending();
        answer.taken_at = self.rt.mono();
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;
    use http_body_util::BodyExt;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let rt = RealRuntime::new();
        let streams = Streams::new(&rt, LIMIT);
        let open = streams.enter();
        let body = s3s::Body::from(Bytes::from_static(b"abc"));
        let mut outgoing = Outgoing::new(&rt, body, None, Some((streams.clone(), open)));
        assert!(!streams.are_idle(Duration::ZERO), "it is under way");
        streams.drop_stalled();
        let drop_at = |now| outgoing.answer.lock().unwrap().drop_if_stalled(now, LIMIT);
        assert!(drop_at(rt.mono()));
        assert!(!drop_at(rt.mono() + LIMIT));
        let frame = outgoing.frame().await.unwrap();
        assert!(frame.is_err(), "an end would look like a whole answer");
        drop(outgoing);
        assert!(streams.are_idle(Duration::ZERO));
    }
}
