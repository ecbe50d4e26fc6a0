//! The HTTP side of the admin API: requests under `/minio/admin/` and `/minio/kms/`, signed like those of S3, though
//! for no region. Their errors are JSON.

use super::info::{self, INFO_PATH};
use crate::{
    access::{Access, Ask, Resource},
    api::{ApiError, Code},
    http::Body,
    monitor::{
        prometheus::Server,
        requests::{ErrorCode, Progress, RequestInfo},
    },
    sigv4,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use std::{net::IpAddr, sync::Arc};

const PREFIXES: [&str; 2] = ["/minio/admin/", "/minio/kms/"];

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Label of its requests in metrics.
pub const API: &str = "admin";

/// Returns whether a path is of the admin API.
#[must_use]
pub fn is_own(path: &str) -> bool {
    PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

/// The admin API of a server. Cheap to clone.
#[derive(Clone)]
pub struct AdminApi {
    /// The server that it tells of.
    pub server: Arc<Server>,
    /// Identities and policies.
    pub access: Access,
}

impl AdminApi {
    /// Answers a request, whose body nothing needs.
    ///
    /// # Errors
    /// A signature that is wrong or missing, and an operation that is not built.
    pub async fn answer<B>(
        &self,
        request: &Request<B>,
        source_ip: IpAddr,
        progress: &Progress,
    ) -> Result<Response<Body>, ApiError> {
        let query = sigv4::parse_query(request.uri());
        sigv4::check_form(&query, request.headers())?;
        let secret_key = |access_key: &str| self.access.secret_key(access_key).ok();
        let verified = sigv4::verify(request, &query, None, secret_key, self.server.rt.wall_nanos());
        progress.identify(API, None);
        let access_key = verified?.map(|verified| verified.access_key);
        progress.identify(API, access_key.clone());
        // There is one operation yet, and whoever may do it may know that the others are not there.
        let ask = Ask {
            caller: access_key.as_deref(),
            action: "admin:ServerInfo",
            resource: Resource::Service,
            source_ip,
        };
        self.access.authorize(&ask)?;
        if request.uri().path() != INFO_PATH || request.method() != Method::GET {
            let message = "This operation of the admin API is not implemented.";
            return Err(ApiError::new(Code::NotImplemented, message));
        }
        let survey = self.server.store.survey().await;
        let info = info::info(&survey, &self.server.endpoint, self.server.uptime());
        let json = serde_json::to_vec(&info).map_err(|error| ApiError::new(Code::InternalError, error.to_string()))?;
        let mut response = Response::new(Body::from(json));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Ok(response)
    }
}

/// Answers with an error, in the form that clients of the admin API read.
#[must_use]
pub fn respond_error(error: &ApiError, request: &RequestInfo) -> Response<Body> {
    let document = serde_json::json!({
        "Code": error.code.name(),
        "Message": error.message,
        "Resource": percent_decode_str(&request.path).decode_utf8_lossy(),
        "RequestId": request.request_id,
        "HostId": "",
    });
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
        .extensions_mut()
        .insert(ErrorCode(error.code.name().to_owned()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_json() {
        for path in ["/minio/admin/v3/trace", "/minio/kms/v1/status"] {
            assert!(is_own(path));
            let info = RequestInfo {
                method: Method::GET,
                path: path.into(),
                request_id: "0123456789ABCDEF".into(),
            };
            let response = respond_error(&ApiError::new(Code::NotImplemented, "<&amp;> \"it\""), &info);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.status(), 501);
            let json: serde_json::Value = serde_json::from_slice(&response.body().bytes().unwrap()).unwrap();
            let expected = serde_json::json!({
                "Code": "NotImplemented", "Message": "<&amp;> \"it\"", "Resource": path,
                "RequestId": "0123456789ABCDEF", "HostId": "",
            });
            assert_eq!(json, expected);
        }
        assert!(!is_own("/minio/health/live"));
    }
}
