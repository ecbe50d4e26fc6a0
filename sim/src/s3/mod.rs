//! S3 client of a simulated host: it signs requests and sends them over the simulated network, as a client of
//! production does over TCP.
//!
//! A client has one connection at a time, keeps it for its next request, and makes a new one when it has ended. A
//! request that gets no answer in time takes its connection with it, and so does one whose future is dropped: the
//! server sees a client that went away.

mod answer;

pub use answer::{Answer, Listed, S3Error};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{
    access::Credentials,
    digest::Md5,
    runtime::{self, Rt, Task},
    sigv4,
};

const REGION: &str = "us-east-1";

/// Header with which a client names its condition on what is at the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// The object has this ETag.
    IfMatch(String),
    /// There is no object.
    IfAbsent,
}

impl Condition {
    fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Condition::None => Vec::new(),
            Condition::IfMatch(etag) => vec![(header::IF_MATCH, format!("\"{etag}\""))],
            Condition::IfAbsent => vec![(header::IF_NONE_MATCH, "*".to_owned())],
        }
    }
}

/// Client of one bucket.
pub struct S3Client {
    rt: Rt,
    config: S3Config,
    connection: Option<Connection>,
    /// Number of connections made so far.
    connections: u64,
}

/// Server of a client, and how it is asked.
#[derive(Clone)]
pub struct S3Config {
    pub server: SocketAddr,
    pub credentials: Credentials,
    pub bucket: String,
    /// Time limit of a request, and of connecting for it.
    pub patience: Duration,
    /// Clock that signatures are dated by, in nanoseconds since the Unix epoch.
    pub wall_nanos: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Connection without a request under way. It ends when it is dropped.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Arc<dyn Task>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Returns the ETag of an object that is put whole, without quotes.
pub fn etag_of(body: &[u8]) -> String {
    hex(Md5::of(body))
}

/// Returns the ETag of an object that is uploaded in one part, without quotes.
pub fn etag_of_upload(body: &[u8]) -> String {
    format!("{}-1", hex(Md5::of(&Md5::of(body))))
}

fn hex(digest: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(digest))
}

type Headers<'a> = &'a [(HeaderName, String)];

impl S3Client {
    /// Makes a client without a connection.
    pub fn new(rt: Rt, config: S3Config) -> S3Client {
        S3Client {
            rt,
            config,
            connection: None,
            connections: 0,
        }
    }

    /// Returns the number of connections made so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Creates the bucket.
    pub async fn create_bucket(&mut self) -> Result<(), S3Error> {
        self.ask(Method::PUT, "", &[], Bytes::new()).await.map(drop)
    }

    /// Puts an object with its metadata, given as headers. Returns its ETag.
    pub async fn put(
        &mut self,
        key: &str,
        body: Bytes,
        meta: Headers<'_>,
        condition: &Condition,
    ) -> Result<String, S3Error> {
        let headers = [meta, &condition.headers()].concat();
        let answer = self.ask(Method::PUT, &format!("/{key}"), &headers, body).await?;
        Ok(answer.etag())
    }

    /// Gets an object with its metadata.
    pub async fn get(&mut self, key: &str) -> Result<Answer, S3Error> {
        self.ask(Method::GET, &format!("/{key}"), &[], Bytes::new()).await
    }

    /// Deletes an object.
    pub async fn delete(&mut self, key: &str, condition: &Condition) -> Result<(), S3Error> {
        let (target, headers) = (format!("/{key}"), condition.headers());
        self.ask(Method::DELETE, &target, &headers, Bytes::new())
            .await
            .map(drop)
    }

    /// Lists keys with a prefix, behind `after`, at most `limit`.
    pub async fn list(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Listed, S3Error> {
        let mut query = format!("?list-type=2&max-keys={limit}&prefix={prefix}");
        if let Some(after) = after {
            query += &format!("&start-after={after}");
        }
        let answer = self.ask(Method::GET, &query, &[], Bytes::new()).await?;
        Ok(answer.listed())
    }

    /// Begins an upload of an object with its metadata. Returns the upload's ID.
    pub async fn create_upload(&mut self, key: &str, meta: Headers<'_>) -> Result<String, S3Error> {
        let answer = self
            .ask(Method::POST, &format!("/{key}?uploads"), meta, Bytes::new())
            .await?;
        Ok(answer.element("UploadId").to_owned())
    }

    /// Writes a part of an upload. Returns its ETag.
    pub async fn put_part(&mut self, key: &str, upload: &str, number: u16, body: Bytes) -> Result<String, S3Error> {
        let target = format!("/{key}?partNumber={number}&uploadId={upload}");
        let answer = self.ask(Method::PUT, &target, &[], body).await?;
        Ok(answer.etag())
    }

    /// Completes an upload of these parts, each with its ETag. Returns the object's ETag.
    pub async fn complete_upload(
        &mut self,
        key: &str,
        upload: &str,
        parts: &[(u16, String)],
    ) -> Result<String, S3Error> {
        let part = |(number, etag): &(u16, String)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let target = format!("/{key}?uploadId={upload}");
        let answer = self.ask(Method::POST, &target, &[], body.into()).await?;
        Ok(answer.element("ETag").trim_matches('"').to_owned())
    }

    /// Aborts an upload.
    pub async fn abort_upload(&mut self, key: &str, upload: &str) -> Result<(), S3Error> {
        let target = format!("/{key}?uploadId={upload}");
        self.ask(Method::DELETE, &target, &[], Bytes::new()).await.map(drop)
    }

    /// Sends a request for `target`, a path and a query behind the bucket.
    async fn ask(
        &mut self,
        method: Method,
        target: &str,
        headers: Headers<'_>,
        body: Bytes,
    ) -> Result<Answer, S3Error> {
        let (rt, patience) = (self.rt.clone(), self.config.patience);
        let connecting = runtime::timeout(&rt, patience, self.connected());
        let connection = connecting
            .await
            .unwrap_or_else(|| Err(S3Error::NotSent("timed out".to_owned())))?;
        let request = self.request(method, target, headers, body);
        let exchanged = runtime::timeout(&rt, patience, exchange(connection, request)).await;
        let (answer, connection) = exchanged.unwrap_or_else(|| Err(S3Error::Unanswered("timed out".to_owned())))?;
        self.connection = Some(connection);
        answer.ok()
    }

    /// Returns the connection of the last request if it goes on, else a new one.
    async fn connected(&mut self) -> Result<Connection, S3Error> {
        if let Some(mut last) = self.connection.take()
            && last.sender.ready().await.is_ok()
        {
            return Ok(last);
        }
        let not_sent = |error: &dyn ToString| S3Error::NotSent(error.to_string());
        let connecting = self.rt.connect(self.config.server).await;
        let stream = connecting.map_err(|error| not_sent(&error))?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| not_sent(&error))?;
        self.connections += 1;
        // Its requests are told of its end.
        let driver = runtime::spawn(&self.rt, "S3 client", async move { drop(connection.await) });
        Ok(Connection { sender, driver })
    }

    fn request(&self, method: Method, target: &str, headers: Headers<'_>, body: Bytes) -> Request<Full<Bytes>> {
        let uri = format!("/{}{target}", self.config.bucket);
        // hyper leaves out the length of an empty body.
        let length = (header::CONTENT_LENGTH, body.len().to_string());
        let is_sent = [Method::PUT, Method::POST].contains(&method);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().expect("a target");
        let host = (header::HOST, self.config.server.to_string());
        let values = headers.iter().chain([&host]).chain(is_sent.then_some(&length));
        let values = values.map(|(name, value)| (name.clone(), value.parse().expect("a value of a header")));
        *request.headers_mut() = values.collect::<HeaderMap>();
        let Credentials { access_key, secret_key } = &self.config.credentials;
        let now_nanos = (self.config.wall_nanos)();
        sigv4::authorize(&mut request, access_key, secret_key, REGION, now_nanos).expect("a key of letters");
        request
    }
}

/// Sends a request on a connection, which is dropped unless the answer comes whole.
async fn exchange(mut connection: Connection, request: Request<Full<Bytes>>) -> Result<(Answer, Connection), S3Error> {
    let unanswered = |error: hyper::Error| S3Error::Unanswered(error.to_string());
    let response = connection.sender.send_request(request).await.map_err(unanswered)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(unanswered)?.to_bytes();
    Ok((Answer::new(head.status, head.headers, body), connection))
}
