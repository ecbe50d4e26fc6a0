//! Health endpoints for load balancers and orchestrators: no signature, GET and HEAD.

use crate::object::{Health, Store};
use http::{Method, Request, Response, StatusCode};
use s3s::Body;

/// The paths.
pub(super) const PREFIX: &str = "/minio/health/";

/// Answers a health request; `None` if it is none.
pub(super) async fn answer<B>(store: &Store, request: &Request<B>) -> Option<Response<Body>> {
    let endpoint = request.uri().path().strip_prefix(PREFIX)?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(respond(StatusCode::METHOD_NOT_ALLOWED, None));
    }
    let maintenance = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "maintenance=true"));
    Some(match endpoint {
        "live" => respond(StatusCode::OK, None),
        "ready" => {
            let health = store.health().await;
            respond(status(health.writable, false), None)
        }
        "cluster" => {
            let health = store.health().await;
            let quorum = Some(("x-minio-write-quorum", health.write_quorum));
            respond(status(health.writable, maintenance), quorum)
        }
        "cluster/read" => {
            let health: Health = store.health().await;
            let quorum = Some(("x-minio-read-quorum", health.read_quorum));
            respond(status(health.readable, maintenance), quorum)
        }
        _ => respond(StatusCode::NOT_FOUND, None),
    })
}

/// With `maintenance` the question is whether this node could be taken away. It holds all drives.
fn status(healthy: bool, maintenance: bool) -> StatusCode {
    match (healthy, maintenance) {
        (false, _) => StatusCode::SERVICE_UNAVAILABLE,
        (true, true) => StatusCode::PRECONDITION_FAILED,
        (true, false) => StatusCode::OK,
    }
}

fn respond(status: StatusCode, quorum: Option<(&'static str, u8)>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Some((name, drives)) = quorum {
        response.headers_mut().insert(name, u16::from(drives).into());
    }
    response
}
