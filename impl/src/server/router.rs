//! Routes each request by its path: to monitoring, to the admin API, or to S3.

use super::front;
use crate::{
    access::Access,
    admin::{self, AdminApi},
    api::{ApiError, Code},
    http::{Admission, AdmissionPermit, Body, Handler, Incoming, Outgoing, Peer, announce_close, drain},
    monitor::{
        health,
        prometheus::{self, Server},
        requests::{Class, Observed, Observer, RequestInfo, Tracker},
    },
    runtime::Rt,
    s3::{Call, RequestHead, S3},
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Prefix of paths that are not buckets.
const OWN_PREFIX: &str = "/minio/";

/// Value of the `Server` header.
const SERVER: HeaderValue = HeaderValue::from_static("impl-object-store");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Handles the requests of a server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Router {
    pub s3: S3,
    pub admin: AdminApi,
    pub server: Arc<Server>,
    pub access: Access,
    pub observer: Observer,
    pub admission: Admission,
    /// The server is about to close its port.
    pub is_leaving: Arc<AtomicBool>,
}

impl Handler for Router {
    type Body = Observed<Outgoing>;

    async fn handle(self, request: Request<Incoming>, peer: Peer) -> Response<Observed<Outgoing>> {
        let info = Arc::new(RequestInfo {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_id: request_id(self.rt()),
        });
        let asked = self.s3.ask(&request, &info);
        // Where the host names a bucket, every path is a key of it.
        let is_own = info.path.starts_with(OWN_PREFIX) && !self.s3.is_of_bucket(&asked);
        let probes = [health::PREFIX, prometheus::PREFIX];
        let is_probe = is_own && probes.iter().any(|prefix| info.path.starts_with(prefix));
        let class = if is_probe { Class::Probe } else { Class::Counted };
        let tracker = Tracker::begin(&self.observer, &info, peer.address, class);
        let is_admin = is_own && admin::is_own(&info.path);
        let origin = request.headers().get(header::ORIGIN).cloned();
        let mut permit = None;
        let mut response = match self.at_once(&request, &asked, is_own).await {
            Some(response) => closing(&request, response),
            None => match self.admission.admit().await {
                Ok(admitted) if is_admin => self.administer(request, &info, &tracker, &peer, admitted).await,
                Ok(admitted) => {
                    let call = Call {
                        source_ip: peer.address.ip(),
                        is_tls: peer.is_tls,
                        permit: admitted,
                        progress: tracker.progress(),
                    };
                    let (response, held) = self.s3.answer(request, &asked, call).await;
                    permit = held;
                    response
                }
                Err(overloaded) => {
                    let error = ApiError::from(overloaded);
                    let refused = if is_admin {
                        admin::respond_error(&error, &info)
                    } else {
                        self.s3.refuse(&error, &asked)
                    };
                    closing(&request, refused)
                }
            },
        };
        complete(&mut response, &info);
        // Names the headers that pages of other origins may read: it comes last. The server's own paths are for none.
        if !is_own {
            self.s3.expose(origin.as_ref(), &mut response);
        }
        let stream = Some((peer.streams, peer.open));
        tracker.answer(response.map(|body| Outgoing::new(self.rt(), body, permit, stream)))
    }
}

impl Router {
    fn rt(&self) -> &Rt {
        &self.observer.rt
    }

    /// Answers what needs no admission: probes of monitoring, and questions of browsers.
    async fn at_once(&self, request: &Request<Incoming>, asked: &RequestHead, is_own: bool) -> Option<Response<Body>> {
        if is_own {
            let is_leaving = self.is_leaving.load(Ordering::Acquire);
            if let Some(response) = health::answer(&self.server.store, is_leaving, request).await {
                return Some(response);
            }
            let scraped = self.server.answer(&self.access, request).await?;
            let refuse = |error: prometheus::NotAllowed| {
                let error = ApiError::new(Code::AccessDenied, error.to_string());
                self.s3.refuse(&error, asked)
            };
            return Some(scraped.unwrap_or_else(refuse));
        }
        let preflight = self.s3.preflight(request, asked);
        preflight.or_else(|| front::page(request, self.s3.is_of_bucket(asked)))
    }

    async fn administer(
        &self,
        request: Request<Incoming>,
        info: &RequestInfo,
        tracker: &Tracker,
        peer: &Peer,
        permit: AdmissionPermit,
    ) -> Response<Body> {
        let source_ip = peer.address.ip();
        let answered = self.admin.answer(&request, source_ip, &tracker.progress()).await;
        let mut response = answered.unwrap_or_else(|error| admin::respond_error(&error, info));
        // Who sends what nothing asks for must not keep others out.
        drop(permit);
        let version = request.version();
        // Nothing asks for a body, and clients send empty ones of unknown length.
        if !drain(self.rt(), request.into_body()).await {
            announce_close(version, response.headers_mut());
        }
        response
    }
}

/// Says that the connection ends with a body that stays unread.
pub(super) fn closing(request: &Request<Incoming>, mut response: Response<Body>) -> Response<Body> {
    if !request.body().is_end_stream() {
        announce_close(request.version(), response.headers_mut());
    }
    response
}

/// Adds what every answer has.
pub(super) fn complete(response: &mut Response<Body>, info: &RequestInfo) {
    let is_unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, SERVER);
    if let Ok(id) = HeaderValue::from_str(&info.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if is_unavailable {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// 16 upper-case hex digits, as S3's are.
pub(super) fn request_id(rt: &Rt) -> String {
    let mut bytes = [0; 8];
    rt.fill_random(&mut bytes);
    bytes.iter().fold(String::new(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02X}");
        id
    })
}
