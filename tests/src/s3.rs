//! Small S3 client over blocking sockets: one connection per client, keep-alive, path-style addresses, Signature
//! Version 4 with unsigned payload.
//!
//! Tests and benchmark see the wire as it is: no retries, no hidden connection pool, no background threads.

#![allow(
    clippy::disallowed_methods,
    reason = "it runs outside the server, whose clock, threads and files the lint guards"
)]

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

mod http;
mod sigv4;

pub use http::Response;
use sigv4::{Signer, ToSign, UNSIGNED_PAYLOAD, amz_date, canonical_query, percent_encode};

/// Failure of an operation.
#[derive(Debug)]
pub enum Error {
    /// There was no (valid) answer; the operation may or may not have been carried out.
    Io(io::Error),
    /// The server answered with a status other than 2xx; its body is S3's error document.
    Status(Response),
    /// The answer was 2xx, but with wrong content.
    Wrong(String),
}

impl Error {
    /// Returns the HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status(response) => Some(response.status),
            Error::Io(_) | Error::Wrong(_) => None,
        }
    }

    /// Returns the S3 error code of a refusal, such as `NoSuchKey`.
    pub fn code(&self) -> Option<String> {
        match self {
            Error::Status(response) => element_texts(&String::from_utf8_lossy(&response.body), "Code").next(),
            Error::Io(_) | Error::Wrong(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "no answer: {error}"),
            Error::Status(response) => {
                write!(
                    f,
                    "status {}: {}",
                    response.status,
                    String::from_utf8_lossy(&response.body)
                )
            }
            Error::Wrong(what) => write!(f, "wrong answer: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// Page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Keys in the order of the answer.
    pub keys: Vec<String>,
    /// True if there are more keys after the last of these.
    pub is_truncated: bool,
}

/// S3 client with one connection. A clone opens its own.
pub struct Client {
    connection: http::Connection,
    host: String,
    signer: Signer,
}

impl Clone for Client {
    fn clone(&self) -> Client {
        let connection = http::Connection::new(self.connection.addr());
        Client {
            connection,
            host: self.host.clone(),
            signer: self.signer.clone(),
        }
    }
}

impl Client {
    /// Makes a client of the server at `addr`, in region `us-east-1`. Sends nothing yet.
    pub fn new(addr: SocketAddr, access: &str, secret: &str) -> Client {
        let signer = Signer::new(access, secret, "us-east-1");
        Client {
            connection: http::Connection::new(addr),
            host: addr.to_string(),
            signer,
        }
    }

    /// Sends one signed request: `path` and `query` as plain text, encoded here; `headers` are signed too.
    ///
    /// # Errors
    /// [`Error::Io`] only: every status is an answer.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Error> {
        self.request_to(method, path, query, headers, body, None)
    }

    fn request_to(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
        sink: Option<&mut dyn io::Write>,
    ) -> Result<Response, Error> {
        let head = self.signed_head(method, path, query, headers, body.len());
        let is_head_request = method == "HEAD";
        Ok(self.connection.exchange(&head, body, is_head_request, sink)?)
    }

    /// Returns a signed request up to its body.
    fn signed_head(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body_bytes: usize,
    ) -> Vec<u8> {
        let path = percent_encode(path, true);
        let query = canonical_query(query);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let amz_date = amz_date(now);
        let mut signed: Vec<(String, String)> = vec![
            ("host".into(), self.host.clone()),
            ("x-amz-content-sha256".into(), UNSIGNED_PAYLOAD.into()),
            ("x-amz-date".into(), amz_date.clone()),
        ];
        signed.extend(
            headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string())),
        );
        let authorization = self.signer.authorization(&ToSign {
            method,
            path: &path,
            query: &query,
            headers: &signed,
            payload_hash: UNSIGNED_PAYLOAD,
            amz_date: &amz_date,
        });
        let mut head = match query.as_str() {
            "" => format!("{method} {path} HTTP/1.1\r\n"),
            query => format!("{method} {path}?{query} HTTP/1.1\r\n"),
        };
        for (name, value) in &signed {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str(&format!(
            "authorization: {authorization}\r\ncontent-length: {body_bytes}\r\n\r\n"
        ));
        head.into_bytes()
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// As all below: [`Error::Io`], and [`Error::Status`] for every status but 2xx.
    pub fn create_bucket(&mut self, bucket: &str) -> Result<(), Error> {
        self.expect_success("PUT", &format!("/{bucket}"), &[], &[], b"")
            .map(drop)
    }

    /// Returns the names of the buckets.
    pub fn list_buckets(&mut self) -> Result<Vec<String>, Error> {
        let response = self.expect_success("GET", "/", &[], &[], b"")?;
        Ok(element_texts(&text(&response)?, "Name").collect())
    }

    /// Stores an object and returns its ETag, without quotes.
    pub fn put(&mut self, bucket: &str, key: &str, body: &[u8]) -> Result<String, Error> {
        let response = self.expect_success("PUT", &object_path(bucket, key), &[], &[], body)?;
        let etag = response
            .header("etag")
            .ok_or_else(|| Error::Wrong("a PUT without ETag".into()))?;
        Ok(etag.trim_matches('"').to_string())
    }

    /// Stores an object, and calls `between` once half of it is sent.
    pub fn put_in_halves(
        &mut self,
        bucket: &str,
        key: &str,
        body: &[u8],
        between: &mut dyn FnMut(),
    ) -> Result<(), Error> {
        let head = self.signed_head("PUT", &object_path(bucket, key), &[], &[], body.len());
        let response = self.connection.exchange_in_halves(&head, body, between)?;
        if response.is_success() {
            Ok(())
        } else {
            Err(Error::Status(response))
        }
    }

    /// Sends a PUT up to its body of `body_bytes`; returns its own connection, to write the body to.
    pub fn begin_put(&mut self, bucket: &str, key: &str, body_bytes: usize) -> io::Result<TcpStream> {
        let head = self.signed_head("PUT", &object_path(bucket, key), &[], &[], body_bytes);
        let mut stream = TcpStream::connect(self.connection.addr())?;
        stream.write_all(&head)?;
        Ok(stream)
    }

    /// Reads a whole object.
    pub fn get(&mut self, bucket: &str, key: &str) -> Result<Vec<u8>, Error> {
        Ok(self
            .expect_success("GET", &object_path(bucket, key), &[], &[], b"")?
            .body)
    }

    /// Reads a whole object into `sink`, piece by piece, without buffering it.
    pub fn get_to(&mut self, bucket: &str, key: &str, sink: &mut dyn io::Write) -> Result<(), Error> {
        let response = self.request_to("GET", &object_path(bucket, key), &[], &[], b"", Some(sink))?;
        if response.is_success() {
            Ok(())
        } else {
            Err(Error::Status(response))
        }
    }

    /// Reads `length_bytes` bytes from `offset_bytes` on, or fewer at the end of the object.
    pub fn get_range(
        &mut self,
        bucket: &str,
        key: &str,
        offset_bytes: u64,
        length_bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        let last = offset_bytes + length_bytes.max(1) - 1;
        let range = format!("bytes={offset_bytes}-{last}");
        let response = self.expect_success("GET", &object_path(bucket, key), &[], &[("range", &range)], b"")?;
        match response.status {
            206 if response.body.len() as u64 <= length_bytes.max(1) => Ok(response.body),
            status => Err(Error::Wrong(format!(
                "status {status}, {} bytes for {range}",
                response.body.len()
            ))),
        }
    }

    /// Returns the headers of an object.
    pub fn head(&mut self, bucket: &str, key: &str) -> Result<Response, Error> {
        self.expect_success("HEAD", &object_path(bucket, key), &[], &[], b"")
    }

    /// Deletes an object; succeeds also if it does not exist.
    pub fn delete(&mut self, bucket: &str, key: &str) -> Result<(), Error> {
        self.expect_success("DELETE", &object_path(bucket, key), &[], &[], b"")
            .map(drop)
    }

    /// Returns a page (at most 1,000 keys) of the keys with this prefix after `after`.
    pub fn list(&mut self, bucket: &str, prefix: &str, after: &str) -> Result<Page, Error> {
        let mut query = vec![("list-type", "2"), ("prefix", prefix)];
        if !after.is_empty() {
            query.push(("start-after", after));
        }
        let response = self.expect_success("GET", &format!("/{bucket}"), &query, &[], b"")?;
        let document = text(&response)?;
        let is_truncated = element_texts(&document, "IsTruncated").next();
        let is_truncated = is_truncated.ok_or_else(|| Error::Wrong("a listing without IsTruncated".into()))? == "true";
        Ok(Page {
            keys: element_texts(&document, "Key").collect(),
            is_truncated,
        })
    }

    /// Returns all keys with this prefix, page after page.
    pub fn list_all(&mut self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let page = self.list(bucket, prefix, keys.last().map_or("", String::as_str))?;
            if page.is_truncated && page.keys.is_empty() {
                return Err(Error::Wrong("an empty page that is not the last".into()));
            }
            keys.extend(page.keys);
            if !page.is_truncated {
                return Ok(keys);
            }
        }
    }

    fn expect_success(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Error> {
        let response = self.request(method, path, query, headers, body)?;
        if response.is_success() {
            Ok(response)
        } else {
            Err(Error::Status(response))
        }
    }
}

fn object_path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{key}")
}

fn text(response: &Response) -> Result<String, Error> {
    String::from_utf8(response.body.clone()).map_err(|_| Error::Wrong("the document is not UTF-8".into()))
}

/// Returns the texts of all elements of this name, which must have no attributes and no child elements: enough for S3.
fn element_texts<'a>(document: &'a str, name: &str) -> impl Iterator<Item = String> + 'a {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = document;
    std::iter::from_fn(move || {
        let from = rest.find(&start)? + start.len();
        let length = rest[from..].find(&end)?;
        let text = &rest[from..from + length];
        rest = &rest[from + length + end.len()..];
        Some(unescape(text))
    })
}

/// Resolves XML's five named entities and character references; anything else is unchanged.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').and_then(|end| Some((end, entity_char(&rest[1..end])?)));
        let (end, resolved) = entity.unwrap_or((0, '&'));
        plain.push(resolved);
        rest = &rest[end + 1..];
    }
    plain + rest
}

fn entity_char(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    #[test]
    fn elements() {
        let document =
            "<R><IsTruncated>false</IsTruncated><C><Key>a&amp;b</Key></C><C><Key>c&#xE4;&#10;d</Key></C></R>";
        assert_eq!(element_texts(document, "Key").collect::<Vec<_>>(), ["a&b", "cä\nd"]);
        assert_eq!(element_texts(document, "IsTruncated").next().as_deref(), Some("false"));
        assert_eq!(element_texts("<Key>cut off", "Key").next(), None);
        assert_eq!(
            unescape("&lt;&gt;&quot;&apos;& &nope; &#x110000;"),
            "<>\"'& &nope; &#x110000;"
        );
    }

    /// Answers one request with `answer`; returns the head and the body of the request.
    fn serve_once(answer: &str, send: impl FnOnce(&mut Client)) -> (String, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::new(listener.local_addr().unwrap(), "access", "secret");
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    stream.read_line(&mut head).unwrap();
                }
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                (head, body)
            });
            send(&mut client);
            server.join().unwrap()
        })
    }

    #[test]
    fn put_on_the_wire() {
        let (head, body) = serve_once(
            "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 0\r\n\r\n",
            |client| {
                assert_eq!(client.put("bucket", "a key/ü", b"body").unwrap(), "abc");
            },
        );
        assert!(
            head.starts_with("PUT /bucket/a%20key/%C3%BC HTTP/1.1\r\nhost: 127.0.0.1:"),
            "{head}"
        );
        assert!(
            head.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"),
            "{head}"
        );
        assert_eq!(body, b"body");
    }

    #[test]
    fn refusal_carries_status_and_code() {
        let document = "<Error><Code>NoSuchKey</Code></Error>";
        let answer = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{document}",
            document.len()
        );
        serve_once(&answer, |client| {
            let error = client.get("bucket", "key").unwrap_err();
            assert_eq!(
                (error.status(), error.code().as_deref()),
                (Some(404), Some("NoSuchKey"))
            );
        });
    }

    #[test]
    fn range_and_list_on_the_wire() {
        let (head, _) = serve_once(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nxy",
            |client| {
                assert_eq!(client.get_range("b", "k", 10, 2).unwrap(), b"xy");
            },
        );
        assert!(head.contains("\r\nrange: bytes=10-11\r\n"), "{head}");
        let answer = "HTTP/1.1 200 OK\r\n\r\n<R><IsTruncated>true</IsTruncated><Key>p1</Key></R>";
        let (head, _) = serve_once(answer, |client| {
            let page = client.list("b", "p", "p0").unwrap();
            assert_eq!(
                page,
                Page {
                    keys: vec!["p1".into()],
                    is_truncated: true
                }
            );
        });
        assert!(
            head.starts_with("GET /b?list-type=2&prefix=p&start-after=p0 HTTP/1.1\r\n"),
            "{head}"
        );
    }
}
