//! Signing S3 client, and an in-memory listener.

use sha2::{Digest, Sha256};
use std::{fmt::Write as _, future::Future, io, net::SocketAddr, pin::Pin};
use store::runtime::{Accepted, Listener, Stream};
use tokio::{
    io::DuplexStream,
    sync::{Mutex, mpsc},
};

pub const ACCESS_KEY: &str = "fuzzadmin";
pub const SECRET_KEY: &str = "fuzz-secret-key";
pub const REGION: &str = "us-east-1";

/// Listener for in-memory connections.
pub struct MemoryListener(pub Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Listener for MemoryListener {
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>> {
        Box::pin(async {
            let next = self.0.lock().await.recv().await;
            match next {
                Some(stream) => Ok((Box::new(stream) as Box<dyn Stream>, peer())),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(peer())
    }
}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9000))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    match key.len() <= 64 {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&sha256(key)),
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], message].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

/// Percent-encodes as S3 does in paths (`slash` is kept) and queries.
pub fn encode(text: &[u8], slash: bool) -> String {
    text.iter().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(*byte as char),
            b'/' if slash => encoded.push('/'),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

/// Unsigned request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    /// Path, not percent-encoded.
    pub path: Vec<u8>,
    /// Names and values of the query, not percent-encoded.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
    /// Header names in lower case, with values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Formats nanoseconds since 1970 as `20260131T235959Z`.
pub fn amz_date(nanos: u64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).expect("a time of today");
    let (hour, minute, second) = time.to_hms();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

impl Request {
    pub fn new(method: &'static str, path: &str) -> Request {
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: vec![("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into())],
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        // Replaces the default value that `new` has set.
        self.headers
            .retain(|(own, _)| own != name || own != "x-amz-content-sha256");
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Request {
        self.body = body.to_vec();
        self
    }

    fn query_text(&self) -> String {
        let mut pairs: Vec<(String, String)> = self
            .query
            .iter()
            .map(|(name, value)| (encode(name, false), encode(value, false)))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }

    /// Returns the Signature Version 4 over the headers that must be covered.
    fn signature(&self, payload: &str, headers: &[(String, String)], date: &str, secret: &str) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = [
            self.method,
            &encode(&self.path, true),
            &self.query_text(),
            &lines,
            &names.join(";"),
            payload,
        ]
        .join("\n");
        let day = &date[..8];
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex(&sha256(canonical.as_bytes()))
        );
        let key = [day, REGION, "s3", "aws4_request", to_sign.as_str()]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                hmac(&key, part.as_bytes())
            });
        hex(&key)
    }

    /// Returns headers sorted by name, with those of the same name joined, as in the canonical request.
    fn covered(&self, date: &str) -> Vec<(String, String)> {
        let mut covered = vec![
            ("host".to_owned(), "localhost".to_owned()),
            ("x-amz-date".to_owned(), date.to_owned()),
        ];
        let amz = self.headers.iter().filter(|(name, _)| name.starts_with("x-amz-"));
        covered.extend(amz.cloned());
        covered.sort_by(|a, b| a.0.cmp(&b.0));
        let mut joined: Vec<(String, String)> = Vec::new();
        for (name, value) in covered {
            match joined.last_mut().filter(|(last, _)| *last == name) {
                Some((_, values)) => *values = format!("{values},{value}"),
                None => joined.push((name, value)),
            }
        }
        joined
    }

    /// Signs the request with an `Authorization` header.
    pub fn sign(mut self, date: &str, secret: &str) -> Request {
        let payload = self.headers.iter().find(|(name, _)| name == "x-amz-content-sha256");
        let payload = payload.map_or("UNSIGNED-PAYLOAD", |(_, value)| value).to_owned();
        let covered = self.covered(date);
        let signature = self.signature(&payload, &covered, date, secret);
        let names: Vec<&str> = covered.iter().map(|(name, _)| name.as_str()).collect();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{}/{REGION}/s3/aws4_request, SignedHeaders={}, \
             Signature={signature}",
            &date[..8],
            names.join(";")
        );
        self.headers.push(("x-amz-date".into(), date.into()));
        self.headers.push(("authorization".into(), authorization));
        self
    }

    /// Signs the request in its query (presigned URL).
    pub fn presign(mut self, date: &str, secret: &str) -> Request {
        self.headers.retain(|(name, _)| !name.starts_with("x-amz-"));
        let pairs = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            (
                "X-Amz-Credential",
                &format!("{ACCESS_KEY}/{}/{REGION}/s3/aws4_request", &date[..8]),
            ),
            ("X-Amz-Date", date),
            ("X-Amz-Expires", "600"),
            ("X-Amz-SignedHeaders", "host"),
        ];
        self.query
            .extend(pairs.map(|(name, value)| (name.into(), value.into())));
        let host = [("host".to_owned(), "localhost".to_owned())];
        let signature = self.signature("UNSIGNED-PAYLOAD", &host, date, secret);
        self.query.push((b"X-Amz-Signature".to_vec(), signature.into_bytes()));
        self
    }

    /// Serializes the request as HTTP/1.1.
    pub fn bytes(&self) -> Vec<u8> {
        let (path, query) = (encode(&self.path, true), self.query_text());
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        let mut text = format!("{} {target} HTTP/1.1\r\nhost: localhost\r\n", self.method);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method, "PUT" | "POST") {
            let _ = write!(text, "content-length: {}\r\n", self.body.len());
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}
