//! The body of an answer on its way out, with what its request holds until it was sent.

use super::{
    Body, BodyError,
    admission::AdmissionPermit,
    streams::{Answer, OpenStream, Streams},
};
use crate::runtime::Rt;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// The body of an answer.
pub struct Outgoing {
    rt: Rt,
    answer: Arc<Mutex<Answer>>,
    _open: Option<OpenStream>,
}

impl Outgoing {
    /// Sends `body` on `stream` of its connection, and gives back `permit` once it was sent.
    pub fn new(
        rt: &Rt,
        body: Body,
        permit: Option<AdmissionPermit>,
        stream: Option<(Streams, OpenStream)>,
    ) -> Outgoing {
        let answer = Arc::new(Mutex::new(Answer::new(body, permit, rt.mono())));
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

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = &mut answer.body else {
            let stalled = io::Error::new(io::ErrorKind::TimedOut, "the client did not take the answer");
            return Poll::Ready(Some(Err(stalled.into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        answer.is_awaited = polled.is_pending();
        answer.taken_at = self.rt.mono();
        polled
    }

    fn is_end_stream(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;
    use http_body_util::BodyExt;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let rt = RealRuntime::new();
        let streams = Streams::new(&rt, LIMIT);
        let open = streams.enter();
        let body = Body::from("abc");
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
