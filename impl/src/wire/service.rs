//! Request handler: from hyper through s3s to the operations, and back.

use super::{
    admin::{self, AdminApi},
    body::{BodyState, NOT_CHUNKED, RequestBody},
    convert::{IsTls, decoded_length},
    cors::Origins,
    dates, front, gate, health,
    hosts::Domains,
    interim,
    limits::{Budget, Lease},
    observe::{Class, Observed, Observer, Progress, Tracker},
    outgoing::Outgoing,
    reply::{self, Asked},
    reread::{Again, Authenticated, Routes},
    s3::Operations,
    scrape::{self, Server},
    streams::Streams,
};
use crate::{
    access::Access,
    api::{ApiError, Code, buckets, names},
    runtime::{self, Rt},
    store::{READ_MEMORY_BYTES, Store},
};
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::{
    Body, S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use std::{
    convert::Infallible,
    fmt::Write as _,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The largest XML body, in bytes: room for 1,000 keys to delete or 10,000 parts to complete.
pub(super) const XML_BYTES_MAX: usize = 8 << 20;

/// Prefix of paths that are not buckets.
const OWN_PREFIX: &str = "/minio/";

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The region unless one is configured.
const DEFAULT_REGION: &str = "us-east-1";

/// Handles requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    rt: Rt,
    server: Arc<Server>,
    access: Access,
    observer: Observer,
    domains: Arc<Domains>,
    origins: Arc<Origins>,
    s3: S3Service,
    /// Address of the peer.
    remote: SocketAddr,
    budget: Budget,
    /// Longest pause of a request's body.
    body_idle: Duration,
    /// The server is about to close its port.
    is_leaving: Arc<AtomicBool>,
    /// In-flight streams of this connection.
    streams: Option<Streams>,
    is_tls: bool,
}

/// Configuration of the request handler.
pub(super) struct Serves {
    pub(super) access: Access,
    /// The deployment's region, if one is configured.
    pub(super) region: Option<String>,
    pub(super) domains: Domains,
    pub(super) origins: Arc<Origins>,
    pub(super) budget: Budget,
    /// Longest pause of a request's body.
    pub(super) body_idle: Duration,
    /// Connections are encrypted.
    pub(super) is_tls: bool,
    /// The server is about to close its port.
    pub(super) is_leaving: Arc<AtomicBool>,
}

impl Service {
    pub(super) fn new(server: Arc<Server>, observer: Observer, with: Serves) -> Service {
        let guard = Guard {
            store: server.store.clone(),
            access: with.access.clone(),
            region: with.region.clone(),
            copy_bytes: server.store.write_memory_bytes() + READ_MEMORY_BYTES,
        };
        let mut builder = S3ServiceBuilder::new(Operations {
            store: server.store.clone(),
            region: with.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        });
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(guard.clone());
        builder.set_access(guard);
        builder.set_validation(BucketNames);
        let admin = AdminApi {
            server: server.clone(),
            access: with.access.clone(),
        };
        let domains = with.domains.clone();
        builder.set_route(Routes { admin, domains });
        let domains = Arc::new(with.domains.clone());
        if !with.domains.is_empty() {
            builder.set_host(with.domains);
        }
        Service {
            rt: server.rt.clone(),
            server,
            access: with.access,
            observer,
            domains,
            origins: with.origins,
            s3: builder.build(),
            remote: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            budget: with.budget,
            body_idle: with.body_idle,
            is_leaving: with.is_leaving,
            streams: None,
            is_tls: with.is_tls,
        }
    }

    /// The same for the requests of one connection.
    pub(super) fn of_peer(&self, remote: SocketAddr) -> Service {
        Service { remote, ..self.clone() }
    }

    /// The same for a connection with these streams.
    pub(super) fn on(&self, streams: &Streams) -> Service {
        Service {
            streams: Some(streams.clone()),
            ..self.clone()
        }
    }

    async fn handle(self, request: Request<Incoming>) -> Response<Observed<Outgoing>> {
        let stream = self.streams.as_ref().map(|streams| (streams.clone(), streams.enter()));
        // hyper sends it once a body is read; of no body nothing is.
        if request.body().is_end_stream()
            && interim::is_expected(request.version(), request.headers())
            && let Some(streams) = &self.streams
        {
            streams.interim().send().await;
        }
        let virtual_bucket = self.domains.bucket_of(&request);
        let page = front::page(&request, virtual_bucket.is_some());
        let asked = Arc::new(Asked::of(&request, self.request_id(), virtual_bucket));
        let is_probe = [health::PREFIX, scrape::PREFIX]
            .iter()
            .any(|prefix| asked.path.starts_with(prefix));
        let class = if is_probe { Class::Probe } else { Class::Counted };
        let tracker = Tracker::begin(&self.observer, &asked, self.remote, class);
        let mut lease = None;
        // The server's own paths are for no page.
        let origins = Some(&self.origins).filter(|_| !asked.path.starts_with(OWN_PREFIX));
        let origin = request.headers().get(header::ORIGIN).cloned();
        let preflight = origins.and_then(|origins| origins.preflight(&request));
        let answered = match (preflight, page) {
            (Some(answer), _) => Some(answer.unwrap_or_else(|error| refuse(&request, &error, &asked))),
            (None, Some(page)) => Some(page),
            (None, None) => self.probe(&request, &asked).await,
        };
        let response = match answered {
            Some(response) => response,
            None => match self.budget.admit().await {
                Ok(admitted) => {
                    let lease = lease.insert(admitted);
                    self.serve(request, &asked, tracker.progress(), lease).await
                }
                Err(error) => refuse(&request, &error, &asked),
            },
        };
        let mut response = reply::finish(response, &asked, || self.rt.wall_nanos());
        if let Some(origins) = origins {
            origins.expose(origin.as_ref(), response.headers_mut());
        }
        tracker.answer(response.map(|body| Outgoing::new(&self.rt, body, lease, stream)))
    }

    /// Answers what monitoring asks; `None` if it is something else.
    async fn probe(&self, request: &Request<Incoming>, asked: &Asked) -> Option<Response<Body>> {
        if let Some(response) =
            health::answer(&self.server.store, self.is_leaving.load(Ordering::Acquire), request).await
        {
            return Some(response);
        }
        let scraped = self.server.answer(&self.access, request).await?;
        Some(scraped.unwrap_or_else(|error| reply::error(&error, asked)))
    }

    async fn serve(
        &self,
        request: Request<Incoming>,
        asked: &Asked,
        progress: Arc<Progress>,
        lease: &Lease,
    ) -> Response<Body> {
        if is_form(&request) {
            // s3s would gather a form's file in memory before it asks who sends it.
            let error = ApiError::new(
                Code::NotImplemented,
                "Browser uploads (POST of a form) are not implemented.",
            );
            return refuse(&request, &error, asked);
        }
        // A client that waits for a "100 Continue" has sent nothing that could be left over.
        let is_http2 = request.version() == Version::HTTP_2;
        let waits = request.headers().contains_key(header::EXPECT);
        let unreadable = unreadable(&request);
        let (mut parts, mut incoming) = request.into_parts();
        // S3 wants a length from every upload; mc sends nothing in no or in no known length.
        if admin::is_own(parts.uri.path())
            && !parts.headers.contains_key(header::CONTENT_LENGTH)
            && self.is_empty(&mut incoming).await
        {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        parts.extensions.insert(progress.clone());
        parts.extensions.insert(lease.clone());
        parts.extensions.insert(IsTls(self.is_tls));
        let mut body = RequestBody::new(&self.rt, incoming, self.body_idle, &parts, progress);
        if parts.method == Method::PUT {
            body.reserves(
                lease,
                self.server.store.write_memory_bytes(),
                decoded_length(&parts.headers),
            );
        }
        let state = body.state();
        parts.extensions.insert(state.clone());
        let request = Request::from_parts(parts, Body::http_body_unsync(body));
        let response = match gate::check_head(request.method(), request.uri(), request.headers()) {
            Err(error) => {
                drop(request);
                reply::error(&error, asked)
            }
            Ok(()) => self.call(request, asked).await,
        };
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        let is_read = if is_error && !waits {
            state.swallow_leftover(&self.rt).await
        } else {
            state.is_read()
        };
        let mut response = match state.verdict() {
            Some(code) => reply::error(&code.into(), asked),
            None if reply::is_unreadable_body(&response) => match unreadable {
                Some(error) => reply::error(&error, asked),
                None => response,
            },
            None => response,
        };
        // The connection ends with what was not read; a client that was not told would use it again. In HTTP/2 it
        // goes on without that stream.
        if !is_read && !is_http2 {
            response.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        response
    }

    /// Has s3s serve it, in a second pass where s3s would not read it as S3 does.
    async fn call(&self, mut request: Request<Body>, asked: &Asked) -> Response<Body> {
        dates::complete(request.headers_mut());
        let again = Again::default();
        request.extensions_mut().insert(again.clone());
        let mut called = self.s3.call(request).await;
        if let Some(request) = again.take() {
            called = self.s3.call(request).await;
        }
        called.unwrap_or_else(|_| reply::error(&Code::InternalError.into(), asked))
    }

    /// Returns whether a body of unknown length is empty. One that is not cannot be read any more.
    async fn is_empty(&self, incoming: &mut Incoming) -> bool {
        if incoming.is_end_stream() {
            return true;
        }
        let first = runtime::timeout(&self.rt, self.body_idle, incoming.frame()).await;
        first.is_some_and(|frame| frame.is_none())
    }

    /// 16 upper-case hex digits, as S3's are.
    fn request_id(&self) -> String {
        let mut bytes = [0; 8];
        self.rt.fill_random(&mut bytes);
        bytes.iter().fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02X}");
            id
        })
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Observed<Outgoing>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Observed<Outgoing>>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}

/// Answers a request whose body stays unread.
fn refuse(request: &Request<Incoming>, error: &ApiError, asked: &Asked) -> Response<Body> {
    let mut response = reply::error(error, asked);
    if !request.body().is_end_stream() && request.version() != Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    response
}

/// Returns the error for a body that s3s cannot read, by what the request says of it.
fn unreadable<B>(request: &Request<B>) -> Option<ApiError> {
    let sha256 = request.headers().get("x-amz-content-sha256")?.as_bytes();
    if sha256.starts_with(b"STREAMING-") {
        return Some(ApiError::new(Code::IncompleteBody, NOT_CHUNKED));
    }
    (sha256.len() == 64).then(|| Code::ContentSha256Mismatch.into())
}

fn is_form<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::POST
        && content_type.is_some_and(|value| {
            value
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"multipart/form-data")
        })
}

/// Tells s3s whose signature is right, and what a signed request may do.
#[derive(Clone)]
struct Guard {
    store: Arc<Store>,
    access: Access,
    region: Option<String>,
    /// The memory that a copy takes.
    copy_bytes: u64,
}

#[async_trait::async_trait]
impl S3Auth for Guard {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.access.secret_key(access_key);
        secret.map(SecretKey::from).map_err(|_| {
            S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The access key id you provided does not exist in our records.",
            )
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let authenticated = cx.extensions_mut().get::<Authenticated>().cloned();
        let progress = cx.extensions_mut().get::<Arc<Progress>>().cloned();
        let sent = match &authenticated {
            None => gate::Sent {
                access_key: cx.credentials().map(|credentials| credentials.access_key.as_str()),
                headers: cx.headers(),
                uri: cx.uri(),
            },
            Some(own) => gate::Sent {
                access_key: own.access_key(),
                headers: own.headers(),
                uri: own.uri(),
            },
        };
        if let Some(progress) = progress {
            progress.identify(cx.s3_op().name(), sent.access_key.map(str::to_owned));
        }
        gate::check_sender(&self.access, self.region.as_deref(), &sent, cx)?;
        // Whatever else is wrong with a request: a bucket that is not there is what its sender must know.
        if let Some(bucket) = cx.s3_path().get_bucket_name()
            && cx.s3_op().name() != "CreateBucket"
        {
            buckets::get(&self.store, bucket).await.map_err(S3Error::from)?;
        }
        gate::check_asked(&sent, cx)?;
        if cx.s3_op().name() == "CreateBucket"
            && let Some(body) = cx.extensions_mut().get::<BodyState>()
        {
            body.keep_text();
        }
        let Some(lease) = cx.extensions_mut().get::<Lease>().cloned() else {
            return Ok(());
        };
        match gate::memory_bytes(cx.s3_op().name(), cx.headers(), self.copy_bytes) {
            0 => Ok(()),
            bytes => Ok(lease.reserve(bytes).await?),
        }
    }
}

struct BucketNames;

impl NameValidation for BucketNames {
    fn validate_bucket_name(&self, name: &str) -> bool {
        // Signatures of the admin API are verified as if its paths were an object's; the gate refuses others.
        names::is_bucket_name(name) || name == gate::OWN_PATHS
    }
}
