//! Health endpoints for load balancers and orchestrators: no signature, GET and HEAD.

use crate::{
    http::Body,
    store::{Store, Survey},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

/// The paths.
pub const PREFIX: &str = "/minio/health/";

/// Answers a health request; `None` if it is none. A server that `is_leaving` still serves, and is about to close its
/// port.
pub async fn answer<B>(store: &Store, is_leaving: bool, request: &Request<B>) -> Option<Response<Body>> {
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
        "ready" if is_leaving => refuse("the server is about to stop".to_owned()),
        "ready" => match store.survey().await.reads_fail() {
            None => respond(StatusCode::OK, None),
            Some(reason) => refuse(reason),
        },
        "cluster" => {
            let survey = store.survey().await;
            let quorum = ("x-minio-write-quorum", survey.write_quorum);
            of_cluster(survey.writes_fail(), needs_own(&survey, maintenance), quorum)
        }
        "cluster/read" => {
            let survey = store.survey().await;
            let quorum = ("x-minio-read-quorum", survey.read_quorum);
            of_cluster(survey.reads_fail(), needs_own(&survey, maintenance), quorum)
        }
        _ => respond(StatusCode::NOT_FOUND, None),
    })
}

/// Answers a health request to a server whose drives are not open yet: it is alive, and nothing else; `None` if it is
/// none.
pub fn answer_starting<B>(request: &Request<B>) -> Option<Response<Body>> {
    let endpoint = request.uri().path().strip_prefix(PREFIX)?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(respond(StatusCode::METHOD_NOT_ALLOWED, None));
    }
    Some(match endpoint {
        "live" => respond(StatusCode::OK, None),
        "ready" | "cluster" | "cluster/read" => refuse("the server is starting".to_owned()),
        _ => respond(StatusCode::NOT_FOUND, None),
    })
}

/// Returns why this node could not be taken away, if that is the question.
fn needs_own(survey: &Survey, maintenance: bool) -> Option<String> {
    maintenance.then(|| survey.needs_own()).flatten()
}

/// Health of the cluster, and whether it needs this node.
fn of_cluster(fails: Option<String>, needs_own: Option<String>, (name, drives): (&'static str, u8)) -> Response<Body> {
    let mut response = match (fails, needs_own) {
        (Some(reason), _) => refuse(reason),
        (None, Some(reason)) => respond(StatusCode::PRECONDITION_FAILED, Some(reason)),
        (None, None) => respond(StatusCode::OK, None),
    };
    response.headers_mut().insert(name, u16::from(drives).into());
    response
}

fn refuse(reason: String) -> Response<Body> {
    respond(StatusCode::SERVICE_UNAVAILABLE, Some(reason))
}

/// An answer with its reason, one line of text.
fn respond(status: StatusCode, reason: Option<String>) -> Response<Body> {
    let Some(reason) = reason else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        return response;
    };
    let mut response = Response::new(Body::from(reason + "\n"));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
