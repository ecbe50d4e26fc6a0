//! Whole server over in-memory connections: under any input no panic, and responses are well-formed HTTP and XML.

mod client;
mod generate;
mod response;

use bolero::check;
use client::{ACCESS_KEY, MemoryListener, REGION, Request, SECRET_KEY, amz_date};
use generate::{Ask, Auth};
use response::{Bad, Response};
use std::{cell::Cell, panic::AssertUnwindSafe, time::Duration};
use store::{
    access::Credentials,
    http::{Limits, Timeouts},
    node::{self, IndexPolicy, NodeConfig},
    runtime::{self, Rt, real::RealRuntime, timeout},
    s3::{Domains, Origins},
    server::{self, ServeConfig, WatchConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Runtime as Tokio,
    sync::{Mutex, mpsc},
};

/// Timeout of a response, for a server on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Timeout of a response to bytes that are not a whole request, to which there may be none.
const HASTE: Duration = Duration::from_millis(30);

/// Server on a drive in a temporary folder.
struct Server {
    tokio: Tokio,
    rt: Rt,
    connect: mpsc::UnboundedSender<DuplexStream>,
    buckets: Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server. bolero catches panics; nothing here is used after one.
    fn start() -> AssertUnwindSafe<Server> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .enable_io()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (connect, connections) = mpsc::unbounded_channel();
        let rt = tokio.block_on(async {
            let rt = RealRuntime::new();
            let config = NodeConfig {
                drives: vec![folder.path().join("drive")],
                set_size: 1,
                standard_parity: 0,
                reduced_parity: 0,
                index: IndexPolicy::default(),
            };
            let node = node::open(rt.clone(), config).await.expect("a node");
            let config = ServeConfig {
                peers: None,
                listener: Box::new(MemoryListener(Mutex::new(connections))),
                credentials: Credentials {
                    access_key: ACCESS_KEY.into(),
                    secret_key: SECRET_KEY.into(),
                },
                region: Some(REGION.into()),
                domains: Domains::default(),
                origins: Origins::default(),
                limits: Limits::new(1 << 30, None, PATIENCE),
                timeouts: Timeouts::default(),
                tls: None,
                watch: WatchConfig::default(),
                is_leaving: Default::default(),
            };
            let serve = server::serve(rt.clone(), node.store, config, std::future::pending());
            runtime::spawn(&rt, "serve", async {
                serve.await.ok();
            });
            rt
        });
        AssertUnwindSafe(Server {
            tokio,
            rt,
            connect,
            buckets: Cell::new(0),
            _folder: folder,
        })
    }

    fn date(&self) -> String {
        amz_date(self.rt.wall_nanos())
    }

    fn fresh_bucket(&self) -> String {
        self.buckets.set(self.buckets.get() + 1);
        format!("fuzz-{}", self.buckets.get())
    }

    fn connection(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        self.connect.send(theirs).expect("the server runs");
        ours
    }

    /// Sends a whole request; returns its only response.
    fn ask(&self, request: &Request) -> Response {
        let bytes = request.bytes();
        let mut stream = self.connection();
        let answer = async {
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            // The server may respond before it has read all, and close: then writing fails.
            let write = async { writer.write_all(&bytes).await };
            let read = async {
                let mut answer = Vec::new();
                loop {
                    match response::read(&answer, request.method) {
                        Ok((Response { status: 100, .. }, len)) => drop(answer.drain(..len)),
                        Ok((response, _)) => return response,
                        Err(Bad::Incomplete) => {}
                        Err(bad) => panic!("{bad:?}: {:?}", String::from_utf8_lossy(&answer)),
                    }
                    let read = reader.read_buf(&mut answer).await.expect("reads from memory");
                    assert!(read > 0, "the connection ended: {:?}", String::from_utf8_lossy(&answer));
                }
            };
            tokio::join!(write, read).1
        };
        self.tokio.block_on(async {
            let answer = timeout(&self.rt, PATIENCE, answer).await;
            answer.expect("no answer")
        })
    }

    /// Sends any bytes; returns everything that comes back.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connection();
        self.tokio.block_on(async {
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            let mut answer = Vec::new();
            let write = async {
                writer.write_all(bytes).await.ok();
            };
            let read = async {
                reader.read_to_end(&mut answer).await.ok();
            };
            let both = async { tokio::join!(write, read) };
            timeout(&self.rt, HASTE, both).await;
            writer.shutdown().await.ok();
            let rest = reader.read_to_end(&mut answer);
            let rest = timeout(&self.rt, PATIENCE, rest).await;
            rest.expect("the connection stays open").ok();
            answer
        })
    }

    fn signed(&self, request: Request) -> Response {
        self.ask(&request.sign(&self.date(), SECRET_KEY))
    }
}

/// Checks what every response must have beyond being HTTP.
fn check_answer(request: &Request, response: &Response) {
    let context = || format!("{request:?}: {response:?}\n{}", String::from_utf8_lossy(&response.body));
    // A panic on the way ends in a 500, as an unmapped error does.
    assert_ne!(response.status, 500, "{}", context());
    assert!(response.header("x-amz-request-id").is_some(), "{}", context());
    let is_xml = response.header("content-type") == Some("application/xml");
    if response.status >= 400 && request.method != "HEAD" {
        assert!(is_xml && !response.body.is_empty(), "{}", context());
    }
    let is_object = request.method == "GET" && response.header("etag").is_some();
    if is_xml && !response.body.is_empty() && !is_object {
        assert!(response::is_xml(&response.body), "{}", context());
    }
}

#[test]
fn every_request_has_a_well_formed_answer() {
    let server = Server::start();
    // No shrinking: each step would ask a server that keeps the state of the one before.
    check!()
        .with_shrink_time(Duration::ZERO)
        .with_type::<Vec<Ask>>()
        .for_each(|asks| {
            let bucket = server.fresh_bucket();
            let made = server.signed(Request::new("PUT", &format!("/{bucket}")));
            assert_eq!(made.status, 200);
            for ask in asks.iter().take(8) {
                let request = ask.request(&bucket, &server.date());
                let response = server.ask(&request);
                check_answer(&request, &response);
                let is_preflight = request.method == "OPTIONS" && response.status == 204 && response.body.is_empty();
                if !matches!(ask.auth, Auth::Header | Auth::Presigned) && !is_preflight {
                    assert!(response.status >= 400, "{request:?}: {response:?}");
                }
            }
        });
}

/// Regression, found by `any_bytes_are_answered_or_refused`: s3s reports an XML body that it cannot decode from
/// aws-chunked as an internal error.
#[test]
fn chunks_that_are_none_are_the_clients_error() {
    let server = Server::start();
    let bodies: [&[u8]; 4] = [
        b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b"x\r\nhello\r\n0\r\n\r\n",
    ];
    let bucket = format!("/{}", server.fresh_bucket());
    assert_eq!(server.signed(Request::new("PUT", &bucket)).status, 200);
    let key = format!("{bucket}/k");
    for (method, path, query) in [("PUT", &key, None), ("POST", &bucket, Some("delete"))] {
        for body in bodies {
            let mut request = Request::new(method, path)
                .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
                .header("x-amz-decoded-content-length", "5")
                .header("x-amz-trailer", "x-amz-checksum-crc32")
                .body(body);
            request.query.extend(query.map(|name| (name.into(), Vec::new())));
            let response = server.signed(request);
            assert_eq!(response.status, 400, "{}", String::from_utf8_lossy(&response.body));
        }
    }
}

/// Regression, found by `any_bytes_are_answered_or_refused`, as the above.
#[test]
fn an_xml_body_of_another_hash_is_the_clients_error() {
    let server = Server::start();
    let bucket = format!("/{}", server.fresh_bucket());
    assert_eq!(server.signed(Request::new("PUT", &bucket)).status, 200);
    for (path, query) in [("/chunks-1", None), (bucket.as_str(), Some("tagging"))] {
        let mut request = Request::new("PUT", path)
            .header("x-amz-content-sha256", &"0".repeat(64))
            .body(b"<Tagging/>");
        request.query.extend(query.map(|name| (name.into(), Vec::new())));
        let response = server.signed(request);
        let text = String::from_utf8_lossy(&response.body);
        assert!(
            response.status == 400 && text.contains("XAmzContentSHA256Mismatch"),
            "{text}"
        );
    }
}

#[test]
fn any_bytes_are_answered_or_refused() {
    let server = Server::start();
    check!()
        .with_type::<(Vec<u8>, Option<Ask>, Vec<(u16, u8)>)>()
        .for_each(|(bytes, ask, flips)| {
            let mut sent = match ask {
                None => bytes.clone(),
                Some(ask) => [&ask.request("fuzz", &server.date()).bytes()[..], bytes].concat(),
            };
            for (at, bits) in flips.iter().take(4) {
                let len = sent.len().max(1);
                if let Some(byte) = sent.get_mut(usize::from(*at) % len) {
                    *byte ^= bits;
                }
            }
            // A final request that closes the connection, so that complete input ends at once.
            sent.extend_from_slice(b"\r\n\r\nGET /minio/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = server.send(&sent);
            let mut rest = &answer[..];
            while !rest.is_empty() {
                // The request of a response is unknown here: it may be a HEAD, whose response has no body.
                let read = response::read(rest, "GET").or_else(|_| response::read(rest, "HEAD"));
                match read {
                    Ok((response, len)) => {
                        assert_ne!(
                            response.status,
                            500,
                            "{:?}: {response:?}",
                            String::from_utf8_lossy(&sent)
                        );
                        rest = &rest[len..];
                    }
                    Err(Bad::Incomplete) => break,
                    Err(bad) => panic!("{bad:?}: {:?}", String::from_utf8_lossy(rest)),
                }
            }
        });
}

/// Returns the range of `size` bytes that a `Range` header selects, by RFC 9110 for one range; `None` if it is invalid.
fn range_of(header: &str, size: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = header.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u128>().unwrap_or(u128::MAX))
    };
    let clamp = |number: u128| usize::try_from(number).unwrap_or(usize::MAX).min(size);
    match (first, last) {
        ("", last) => Some(size - clamp(number(last)?)..size),
        (first, "") => Some(clamp(number(first)?)..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| clamp(first)..clamp(last.saturating_add(1)))
        }
    }
}

#[test]
fn ranges_send_these_bytes_or_all() {
    let server = Server::start();
    let sizes = [0, 1, 10, 300];
    let object = |size: usize| (0..size).map(|at| at as u8).collect::<Vec<u8>>();
    assert_eq!(server.signed(Request::new("PUT", "/ranges")).status, 200);
    for size in sizes {
        let put = Request::new("PUT", &format!("/ranges/{size}")).body(&object(size));
        assert_eq!(server.signed(put).status, 200);
    }
    check!()
        .with_type::<(u8, generate::RangeText)>()
        .for_each(|(size, header)| {
            let size = sizes[usize::from(*size) % sizes.len()];
            let (object, header) = (object(size), header.text());
            let request = Request::new("GET", &format!("/ranges/{size}")).header("range", &header);
            let response = server.signed(request);
            let range = range_of(&header, size);
            match (response.status, range) {
                (206, Some(range)) => {
                    assert_eq!(response.body, object[range.clone()], "{header}");
                    let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                    assert_eq!(response.header("content-range"), Some(&*content_range), "{header}");
                }
                (416, Some(range)) => assert!(range.is_empty(), "{header}"),
                // An invalid range is ignored.
                (200, None) => {
                    assert_eq!(response.body, object, "{header}");
                    assert_eq!(response.header("content-range"), None, "{header}");
                }
                (status, range) => panic!("{header:?} of {size} bytes: {status}, expected {range:?}"),
            }
        });
}
