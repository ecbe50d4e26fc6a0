//! Follows each request from its first header to the last byte of its answer: counts it, and writes its line
//! of the access log.

use crate::{
    http::BodyError,
    metrics::{ApiId, Ended, Requests, UNKNOWN},
    runtime::Rt,
};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// Whose requests are followed, and how.
#[derive(Clone)]
pub struct Observer {
    /// Clock.
    pub rt: Rt,
    /// Counters of requests.
    pub requests: Arc<Requests>,
    /// Each request gets a log line.
    pub access_log: bool,
}

/// Facts of a request that become known while it is handled. It travels with the request, as an extension.
pub struct Progress {
    requests: Arc<Requests>,
    api: OnceLock<ApiId>,
    access_key: OnceLock<String>,
    received_bytes: AtomicU64,
}

impl Progress {
    /// The request is of this operation, and somebody with this access key says to have sent it.
    pub fn identify(&self, operation: &str, access_key: Option<String>) {
        self.begin(self.requests.find(operation));
        if let Some(access_key) = access_key {
            self.access_key.get_or_init(|| access_key);
        }
    }

    /// Some of its body has come in.
    pub fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts it as under way, once.
    fn begin(&self, api: ApiId) -> ApiId {
        *self.api.get_or_init(|| {
            self.requests.api(api).begin();
            api
        })
    }
}

/// Facts of a request that its answer and its log line name.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// Method.
    pub method: Method,
    /// Still percent-encoded.
    pub path: String,
    /// Id that the answer names, 16 upper-case hexadecimal digits.
    pub request_id: String,
}

/// Error code of an answer, for metrics and log. It travels with the answer, as an extension.
#[derive(Clone, Debug)]
pub struct ErrorCode(pub String);

/// Class of a request for the counters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Of S3 or the admin API: counted.
    Counted,
    /// A probe or a scrape: it is not.
    Probe,
}

/// Follows one request. When it is dropped, the request has ended, in whatever way.
pub struct Tracker {
    observer: Observer,
    info: Arc<RequestInfo>,
    remote: SocketAddr,
    class: Class,
    progress: Arc<Progress>,
    started: Duration,
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    code: Option<String>,
    /// Announced length of the answer's body in bytes.
    expected_bytes: Option<u64>,
    sent_bytes: u64,
    at_end: bool,
    broken: bool,
}

impl Tracker {
    /// Begins to follow a request from `remote`.
    #[must_use]
    pub fn begin(observer: &Observer, info: &Arc<RequestInfo>, remote: SocketAddr, class: Class) -> Tracker {
        Tracker {
            observer: observer.clone(),
            info: info.clone(),
            remote,
            class,
            progress: Arc::new(Progress {
                requests: observer.requests.clone(),
                api: OnceLock::new(),
                access_key: OnceLock::new(),
                received_bytes: AtomicU64::new(0),
            }),
            started: observer.rt.mono(),
            first_byte: None,
            status: None,
            code: None,
            expected_bytes: None,
            sent_bytes: 0,
            at_end: false,
            broken: false,
        }
    }

    /// Returns what its handler fills in.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The answer begins now; from here on its body is followed.
    pub fn answer<B: HttpBody>(mut self, mut response: Response<B>) -> Response<Observed<B>> {
        self.first_byte = Some(self.elapsed());
        self.status = Some(response.status());
        self.code = response.extensions_mut().remove::<ErrorCode>().map(|code| code.0);
        let announced = || {
            let length = response.headers().get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        };
        // hyper does not ask for the end once it has all bytes that the header announces.
        self.expected_bytes = response.body().size_hint().exact().or_else(announced);
        // Such an answer has no body, whatever the response holds.
        let bodiless = self.info.method == Method::HEAD || response.status() == StatusCode::NO_CONTENT;
        self.at_end = bodiless || response.body().is_end_stream();
        response.map(|body| Observed { body, tracker: self })
    }

    fn elapsed(&self) -> Duration {
        self.observer.rt.mono().saturating_sub(self.started)
    }

    fn log(&self, api: ApiId, ended: &Ended<'_>) {
        let end = match (ended.broken, ended.complete) {
            (true, _) => "broken",
            (false, true) => "complete",
            (false, false) => "canceled",
        };
        // Never the query: the signature in a presigned URL is as good as a key.
        tracing::info!(
            target: "access",
            remote = %self.remote,
            access_key = self.progress.access_key.get().map_or("-", String::as_str),
            method = %self.info.method,
            path = self.info.path,
            api = self.observer.requests.api(api).name,
            status = ended.status.unwrap_or(0),
            code = ended.code.unwrap_or("-"),
            received_bytes = ended.received_bytes,
            sent_bytes = ended.sent_bytes,
            first_byte_micros = micros(ended.first_byte.unwrap_or(ended.whole)),
            micros = micros(ended.whole),
            end,
            id = self.info.request_id,
            "request"
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let all_sent = self.expected_bytes.is_some_and(|bytes| bytes == self.sent_bytes);
        let ended = Ended {
            status: self.status.map(|status| status.as_u16()),
            code: self.code.as_deref(),
            complete: self.status.is_some() && (self.at_end || all_sent),
            broken: self.broken,
            first_byte: self.first_byte,
            whole: self.elapsed(),
            received_bytes: self.progress.received_bytes.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes,
        };
        let mut api = self.progress.api.get().copied().unwrap_or(UNKNOWN);
        if self.class == Class::Counted {
            api = self.progress.begin(api);
            self.observer.requests.end(api, &ended);
        }
        if self.observer.access_log {
            self.log(api, &ended);
        }
    }
}

/// The body of an answer on its way out.
pub struct Observed<B> {
    body: B,
    tracker: Tracker,
}

impl<B: HttpBody<Data = Bytes, Error = BodyError> + Unpin> HttpBody for Observed<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.tracker.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.tracker.at_end = this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => this.tracker.broken = true,
            Poll::Ready(None) => this.tracker.at_end = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::Body, runtime::real::RealRuntime};
    use futures::stream;
    use http_body_util::BodyExt;

    struct Fixture {
        observer: Observer,
    }

    fn info(method: Method, path: &str) -> Arc<RequestInfo> {
        Arc::new(RequestInfo {
            method,
            path: path.into(),
            request_id: "0".into(),
        })
    }

    impl Fixture {
        fn new() -> Fixture {
            Fixture {
                observer: Observer {
                    rt: RealRuntime::new(),
                    requests: Arc::new(Requests::new(["getobject".to_owned()])),
                    access_log: false,
                },
            }
        }

        fn begin(&self, method: Method, class: Class) -> Tracker {
            let info = info(method, "/b/k");
            let tracker = Tracker::begin(&self.observer, &info, SocketAddr::from(([127, 0, 0, 1], 1)), class);
            tracker.progress().identify("GetObject", Some("root".to_owned()));
            tracker
        }

        /// Requests, canceled ones and broken ones.
        fn counts(&self) -> [u64; 3] {
            let api = self.observer.requests.api(self.observer.requests.find("GetObject"));
            [api.requests.get(), api.canceled.get(), api.broken.get()]
        }
    }

    fn response(parts: Vec<Result<Bytes, BodyError>>) -> Response<Body> {
        let parts = parts.into_iter().map(|part| part.map(Frame::data));
        Response::new(Body::stream(http_body_util::StreamBody::new(stream::iter(parts))))
    }

    #[tokio::test]
    async fn an_answer_read_to_its_end_is_complete() {
        let fixture = Fixture::new();
        let tracker = fixture.begin(Method::GET, Class::Counted);
        let api = fixture.observer.requests.find("getobject");
        assert_eq!(fixture.observer.requests.api(api).inflight(), 1);
        let parts = ["ab", "cde"].map(|part| Ok(Bytes::from(part))).into();
        let body = tracker.answer(response(parts)).into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "abcde");
        assert_eq!(fixture.counts(), [1, 0, 0]);
        assert_eq!(fixture.observer.requests.sent_bytes.get(), 5);
        assert_eq!(fixture.observer.requests.api(api).inflight(), 0);
    }

    #[tokio::test]
    async fn how_a_request_ends_otherwise() {
        let fixture = Fixture::new();
        // The client leaves before the answer, and amid it.
        drop(fixture.begin(Method::GET, Class::Counted));
        let begin = || fixture.begin(Method::GET, Class::Counted);
        let mut body = begin()
            .answer(response(vec![Ok("ab".into()), Ok("c".into())]))
            .into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(fixture.counts(), [2, 2, 0]);
        // The server cannot go on.
        let mut body = begin()
            .answer(response(vec![Ok("ab".into()), Err("lost".into())]))
            .into_body();
        while let Some(Ok(_)) = body.frame().await {}
        drop(body);
        assert_eq!(fixture.counts(), [3, 2, 1]);
        // hyper never asks for the body of an answer to HEAD.
        let head = fixture.begin(Method::HEAD, Class::Counted);
        drop(head.answer(response(vec![Ok("ab".into())])));
        // Nor for the end, once it has all bytes that were announced.
        let mut body = begin().answer(Response::new(Body::from("abc"))).into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let mut announced = response(vec![Ok("ab".into())]);
        announced.headers_mut().insert(header::CONTENT_LENGTH, 2.into());
        let mut body = begin().answer(announced).into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(fixture.counts(), [6, 2, 1]);
    }

    #[tokio::test]
    async fn probes_are_not_counted() {
        let fixture = Fixture::new();
        let info = info(Method::GET, "/minio/health/live");
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        drop(Tracker::begin(&fixture.observer, &info, remote, Class::Probe).answer(Response::new(Body::empty())));
        assert_eq!(fixture.observer.requests.used().count(), 0);
    }
}
