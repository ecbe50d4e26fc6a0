//! The server's own APIs: requests under `/minio/admin/` and `/minio/kms/`, signed like those of S3, though for no
//! region. Their errors are JSON.

use super::{gate, observe::Progress, scrape::Server};
use crate::{access::Access, admin};
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri, header};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, route::S3Route};
use std::sync::Arc;

const PREFIXES: [&str; 2] = ["/minio/admin/", "/minio/kms/"];

/// Returns whether a path is of the admin API.
pub(super) fn is_own(path: &str) -> bool {
    PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

/// Answers it. s3s has verified the signature before.
pub(super) struct AdminApi {
    pub(super) server: Arc<Server>,
    pub(super) access: Access,
}

#[async_trait::async_trait]
impl S3Route for AdminApi {
    fn is_match(&self, _: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        is_own(uri.path())
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let access_key = request.credentials.as_ref().map(|own| own.access_key.as_str());
        if let Some(progress) = request.extensions.get::<Arc<Progress>>() {
            progress.identify(API, access_key.map(str::to_owned));
        }
        // There is one operation yet, and whoever may do it may know that the others are not there.
        self.access
            .authorize(access_key, "admin:ServerInfo")
            .map_err(gate::denied)?;
        Ok(gate::check_signature_scope(
            &request.headers,
            &gate::parse_query(&request.uri),
        )?)
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        if request.uri.path() != admin::INFO_PATH || request.method != Method::GET {
            let message = "This operation of the admin API is not implemented.";
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
        let survey = self.server.store.survey().await;
        let info = admin::info(&survey, &self.server.endpoint, self.server.uptime());
        let json = serde_json::to_vec(&info).map_err(S3Error::internal_error)?;
        let mut response = S3Response::new(Body::from(json));
        let json = HeaderValue::from_static("application/json");
        response.headers.insert(header::CONTENT_TYPE, json);
        Ok(response)
    }
}

/// Label of its requests in metrics.
pub(super) const API: &str = "admin";
