//! S3 over HTTP. The one place that knows s3s, which reads the heads and documents of requests and writes those of
//! answers.
//!
//! A request is authenticated, routed by the table of [`operations`], checked, and its document read before s3s sees
//! it. Bodies of objects pass s3s by.

mod body;
mod chunks;
mod convert;
mod cors;
mod elements;
mod fields;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod hosts;
mod normalize;
mod operations;
mod ops;
mod path;
mod reply;
mod sent;
mod values;
mod xml;

pub use cors::{OriginError, Origins};
pub use hosts::{DomainError, Domains};
pub use reply::RequestHead;

use crate::{
    access::{Access, Denied},
    api::{ApiError, Code, Context, buckets, names},
    http::{AdmissionPermit, Body, Incoming, Overloaded, announce_close},
    monitor::requests::{Progress, RequestInfo},
    runtime::Rt,
    sigv4,
    store::{READ_MEMORY_BYTES, Store},
};
use body::{RequestBody, Rest, XML_BYTES_MAX};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header, request::Parts};
use operations::{BodyKind, Operation};
use path::{OWN_PATHS, Resource};
use s3s::{
    config::{S3Config as CodecConfig, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use sent::{Facts, Sent};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The region unless one is configured.
const DEFAULT_REGION: &str = "us-east-1";

/// Configuration of [`S3`].
pub struct S3Config {
    /// Identities and policies.
    pub access: Access,
    /// The deployment's region; without one it is `us-east-1`, and clients may name any.
    pub region: Option<String>,
    /// Domains whose further names are buckets.
    pub domains: Domains,
    /// The origins whose pages may read answers.
    pub origins: Origins,
    /// Longest pause of a request's body.
    pub body_idle: Duration,
}

/// S3 on a store. Cheap to clone.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

struct Inner {
    rt: Rt,
    store: Arc<Store>,
    config: S3Config,
    codec: S3Service,
}

/// Circumstances of a request.
pub struct Call {
    /// Address of the client.
    pub source_ip: IpAddr,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// Admission of the request.
    pub permit: AdmissionPermit,
    /// Metrics and log of the request.
    pub progress: Arc<Progress>,
}

/// Returns the labels of S3's operations in metrics.
pub fn labels() -> impl Iterator<Item = String> {
    let served = operations::OPERATIONS
        .iter()
        .filter(|operation| operation.state != operations::State::Refused);
    served.map(Operation::label)
}

impl From<Overloaded> for ApiError {
    fn from(_: Overloaded) -> ApiError {
        Code::SlowDown.into()
    }
}

impl S3 {
    /// Serves `store`.
    #[must_use]
    pub fn new(rt: &Rt, store: Arc<Store>, config: S3Config) -> S3 {
        let region = config.region.clone();
        let mut builder = S3ServiceBuilder::new(ops::Operations {
            store: store.clone(),
            region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        });
        let mut codec = CodecConfig::default();
        codec.xml_max_body_size = XML_BYTES_MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(codec))));
        builder.set_validation(BucketNames);
        S3(Arc::new(Inner {
            rt: rt.clone(),
            store,
            codec: builder.build(),
            config,
        }))
    }

    /// Reads what the answer to a request needs of it.
    pub fn ask<B>(&self, request: &Request<B>, info: &Arc<RequestInfo>) -> RequestHead {
        let virtual_bucket = self.0.config.domains.bucket_of(request);
        RequestHead::of(request, info, virtual_bucket, self.0.rt.wall_nanos())
    }

    /// Returns whether the host of a request names a bucket.
    pub fn is_of_bucket(&self, asked: &RequestHead) -> bool {
        asked.virtual_bucket.is_some()
    }

    /// Answers what a browser asks before a request of a page of another origin; `None` if it does not ask.
    pub fn preflight<B>(&self, request: &Request<B>, asked: &RequestHead) -> Option<Response<Body>> {
        let answer = self.0.config.origins.preflight(request)?;
        Some(answer.unwrap_or_else(|error| reply::error(&error, asked)))
    }

    /// Lets pages of the origin that a request came from read its answer.
    pub fn expose(&self, origin: Option<&HeaderValue>, response: &mut Response<Body>) {
        self.0.config.origins.expose(origin, response.headers_mut());
    }

    /// Answers with an error in place of the operation's answer.
    pub fn refuse(&self, error: &ApiError, asked: &RequestHead) -> Response<Body> {
        reply::error(error, asked)
    }

    /// Answers a request; also returns its permit, to be held until a stream was sent. An error needs none: who
    /// sends what is refused must not keep others out.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        asked: &RequestHead,
        call: Call,
    ) -> (Response<Body>, Option<AdmissionPermit>) {
        let version = request.version();
        // A client that waits for a "100 Continue" has sent nothing that could be left over.
        let waits = request.headers().contains_key(header::EXPECT);
        let (parts, incoming) = request.into_parts();
        let rest = Rest::new(incoming);
        let answered = self.serve(parts, &rest, asked, &call).await;
        let mut response = answered.unwrap_or_else(|error| reply::error(&error, asked));
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        let permit = (!is_error).then_some(call.permit);
        let is_read = if is_error && !waits {
            rest.drain(&self.0.rt).await
        } else {
            rest.is_read()
        };
        if !is_read {
            announce_close(version, response.headers_mut());
        }
        (response, permit)
    }

    async fn serve(
        &self,
        parts: Parts,
        rest: &Rest,
        asked: &RequestHead,
        call: &Call,
    ) -> Result<Response<Body>, ApiError> {
        let Inner { rt, store, config, .. } = &*self.0;
        let request = Request::from_parts(parts, ());
        gate::check_head(request.method(), request.headers())?;
        let query = sigv4::parse_query(request.uri());
        sigv4::check_form(&query, request.headers())?;
        let virtual_bucket = asked.virtual_bucket.as_deref();
        let resource = Resource::parse(request.uri(), virtual_bucket)?;
        let secret_key = |access_key: &str| config.access.secret_key(access_key).ok();
        let verified = sigv4::verify(&request, &query, virtual_bucket, secret_key, asked.now)?;
        let operation = operations::find(request.method(), resource.target(), &query, request.headers());
        let operation = operation.ok_or_else(|| ApiError::new(Code::NotImplemented, "Unknown operation"))?;
        let caller = verified.as_ref().map(|verified| verified.access_key.clone());
        call.progress.identify(operation.name, caller.clone());
        let context = Context {
            caller,
            action: operation.action,
            source_ip: call.source_ip,
            request_id: asked.info.request_id.clone(),
            now: asked.now,
            access: config.access.clone(),
        };
        let verified = verified.ok_or(Denied::Anonymous)?;
        if resource.bucket.as_deref() == Some(OWN_PATHS) {
            return Err(Code::InvalidBucketName.into());
        }
        // `GetBucketLocation` is the one question that a client has that does not know the region.
        if let (Some(region), Some(signed_for)) = (&config.region, &verified.region)
            && operation.name != "GetBucketLocation"
        {
            gate::check_region(region, signed_for, &query)?;
        }
        if let Some(bucket) = &resource.bucket
            && operation.name != "CreateBucket"
        {
            buckets::exists(store, bucket).await?;
        }
        gate::check_asked(operation, request.headers(), &query)?;
        let copy_bytes = store.write_memory_bytes() + READ_MEMORY_BYTES;
        match gate::memory_bytes(operation, request.headers(), copy_bytes) {
            0 => {}
            bytes => call.permit.reserve(bytes).await?,
        }
        let mut body = RequestBody::new(
            rt,
            rest,
            config.body_idle,
            operation,
            request.headers(),
            verified.payload,
            call.progress.clone(),
        );
        let trailer = body.trailer();
        let (document, body) = match operation.body {
            BodyKind::Xml => (read_document(body, request.headers()).await?, None),
            BodyKind::None => (Bytes::new(), None),
            BodyKind::Stream => {
                let announced = convert::body_length(request.headers());
                body.reserves(&call.permit, store.write_memory_bytes(), announced);
                (Bytes::new(), Some(body))
            }
        };
        let facts = Facts {
            operation,
            context,
            headers: None,
            uri: request.uri().clone(),
            is_tls: call.is_tls,
            document,
            body: Mutex::new(body),
            trailer,
            error: Mutex::new(None),
        };
        self.run(request, facts, call.permit.clone(), asked).await
    }

    /// Has s3s read the request, run the operation and write the answer.
    async fn run(
        &self,
        request: Request<()>,
        mut facts: Facts,
        permit: AdmissionPermit,
        asked: &RequestHead,
    ) -> Result<Response<Body>, ApiError> {
        let (mut parts, ()) = request.into_parts();
        if let Some(head) = normalize::head(&parts.method, &parts.uri, &parts.headers) {
            facts.headers = Some(std::mem::replace(&mut parts.headers, head.headers));
            parts.uri = head.uri;
        }
        parts.uri = path::path_style(&parts.uri, asked.virtual_bucket.as_deref())?;
        // s3s would verify it again.
        parts.headers.remove(header::AUTHORIZATION);
        let document = xml::plain(&facts.document).ok_or(Code::MalformedXml)?;
        if facts.operation.body == BodyKind::Xml {
            parts.headers.insert(header::CONTENT_LENGTH, document.len().into());
        }
        let facts = Arc::new(facts);
        parts.extensions.insert(Sent(facts.clone()));
        parts.extensions.insert(permit);
        let request = Request::from_parts(parts, s3s::Body::from(Bytes::from(document)));
        let answered = self.0.codec.call(request).await;
        // A body that was not taken is left over now, not when the answer was sent.
        drop(facts.take_body());
        if let Some(error) = facts.take_error() {
            return Err(error);
        }
        let response = answered.map_err(|error| {
            tracing::warn!(?error, "s3s has no answer");
            ApiError::from(Code::InternalError)
        })?;
        let response = response.map(|body| match body.bytes() {
            Some(bytes) => Body::from(bytes),
            None => Body::stream(body),
        });
        Ok(reply::finish(response, asked))
    }
}

/// Reads the document of a request, whose length must have been announced.
async fn read_document(body: RequestBody, headers: &HeaderMap) -> Result<Bytes, ApiError> {
    let announced = convert::body_length(headers);
    let document = body.read().await?;
    match announced {
        Some(length) if length != document.len() as u64 => Err(Code::IncompleteBody.into()),
        None if !document.is_empty() => Err(Code::MissingContentLength.into()),
        _ => Ok(document),
    }
}

struct BucketNames;

impl NameValidation for BucketNames {
    fn validate_bucket_name(&self, name: &str) -> bool {
        names::is_bucket_name(name)
    }
}
