//! Benchmark of calls between two nodes, beside the same calls over HTTP/2: `cargo bench -p impl --bench peer`.
//!
//! Both sides run in this process, over loopback and TLS 1.3: the CPU time is that of both. `--features aws-lc-rs`
//! takes that library for cryptography in place of `ring`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request as HttpRequest, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ServerConfig, crypto::CryptoProvider};
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    peer::{
        Caller, Certificates, Entrance, Introduction, Link, LinkConfig, Payload, PeerSecret, PeerTls, Refusal, Request,
        Security, Service,
    },
    runtime::{BoxFuture, Mutation, Rt, real::RealRuntime, spawn},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const TIME: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_secs(10);
const SMALL_BYTES: usize = 200;
const LARGE_BYTES: usize = 1 << 20;
/// Services of the benchmark.
const ECHO: u16 = 0;
const TAKE: u16 = 1;
const GIVE: u16 = 2;

fn answer(service: u16, payload: Bytes, large: &Bytes) -> Bytes {
    match service {
        ECHO => payload,
        TAKE => Bytes::new(),
        _ => large.clone(),
    }
}

/// One way to make a call.
trait Transport: Send + Sync {
    fn call(&self, service: u16, payload: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>>;
}

struct Frames(Link);

impl Transport for Frames {
    fn call(&self, service: u16, payload: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>> {
        if service == ECHO {
            let answer = self.0.call(service, payload, WAIT);
            return Box::pin(async move { answer.await.unwrap() });
        }
        Box::pin(async move { self.0.call_bulk(service, payload, WAIT).await.unwrap() })
    }
}

struct Answers(Bytes);

impl Service for Answers {
    fn call(&self, _: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        let answer = answer(request.service, request.payload, &self.0);
        Box::pin(std::future::ready(Ok(answer.into())))
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn introduction(me: u16) -> Introduction {
    Introduction::new(me, 2, vec![PeerSecret::from_bytes(&[1; 32]).unwrap()], Mutation::NONE)
}

fn security() -> Security {
    Security::Tls(PeerTls::new(provider(), Certificates::Throwaway).unwrap())
}

async fn frames(rt: &Rt, large: Bytes) -> Frames {
    let listener = rt.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let entrance = Entrance::new(rt, introduction(1), security(), 1, None);
    entrance.open(7, Arc::new(Answers(large)));
    let accepting = rt.clone();
    spawn(rt, "accept", async move {
        while let Ok((stream, from)) = listener.accept().await {
            spawn(&accepting, "peer", entrance.clone().serve(stream, from));
        }
    });
    let config = LinkConfig {
        deployment: Some(7),
        introduction: introduction(0),
        to: 1,
        name: "localhost".to_owned(),
        host: "localhost".to_owned(),
        resolve: Arc::new(move || Box::pin(std::future::ready(Ok(vec![address])))),
        security: security(),
        boot: 2,
    };
    let link = Link::start(rt, config);
    while link.unreachable().is_some() {
        rt.sleep(Duration::from_millis(1)).await;
    }
    Frames(link)
}

struct Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>);

impl Transport for Http2 {
    fn call(&self, service: u16, payload: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>> {
        let mut sender = self.0.clone();
        Box::pin(async move {
            let request = HttpRequest::post(format!("https://localhost/{service}"));
            let response = sender
                .send_request(request.body(Full::new(payload)).unwrap())
                .await
                .unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        })
    }
}

async fn serve_http2(stream: tokio::net::TcpStream, acceptor: TlsAcceptor, large: Bytes) {
    stream.set_nodelay(true).unwrap();
    let stream = acceptor.accept(stream).await.unwrap();
    let service = service_fn(move |request: HttpRequest<Incoming>| {
        let large = large.clone();
        async move {
            let service = request.uri().path()[1..].parse().unwrap();
            let payload = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(answer(service, payload, &large))))
        }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(64 << 10)
        .max_send_buf_size(4 << 20)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn http2(large: Bytes) -> Http2 {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let chain = vec![certificate.cert.der().clone()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let versions = &[&rustls::version::TLS13];
    let server = ServerConfig::builder_with_provider(Arc::new(provider()));
    let server = server.with_protocol_versions(versions).unwrap().with_no_client_auth();
    let mut server = server.with_single_cert(chain, key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_http2(stream, acceptor.clone(), large.clone()));
        }
    });
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(provider()));
    let client = client
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(64 << 10)
        .max_send_buf_size(4 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    Http2(sender)
}

/// Makes calls from `callers` tasks at once; returns how many were made each second, and the CPU time of one.
async fn measure(
    rt: &Rt,
    transport: &Arc<dyn Transport>,
    callers: usize,
    service: u16,
    payload: &Bytes,
) -> (f64, Duration) {
    let cpu = || rt.process().cpu.unwrap();
    let (begun, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (transport, payload) = (transport.clone(), payload.clone());
            tokio::spawn(async move {
                let mut calls = 0u32;
                while begun.elapsed() < TIME {
                    transport.call(service, payload.clone()).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for task in tasks {
        calls += task.await.unwrap();
    }
    let (elapsed, used) = (begun.elapsed(), cpu() - before);
    (f64::from(calls) / elapsed.as_secs_f64(), used / calls)
}

fn main() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        let rt = RealRuntime::new();
        let (small, large) = (Bytes::from(vec![7; SMALL_BYTES]), Bytes::from(vec![7; LARGE_BYTES]));
        let transports: [(&str, Arc<dyn Transport>); 2] = [
            ("frames", Arc::new(frames(&rt, large.clone()).await)),
            ("HTTP/2", Arc::new(http2(large.clone()).await)),
        ];
        println!(
            "{:8} {:>8} {:>14} {:>12} {:>16}",
            "", "callers", "call", "calls/s", "CPU of a call"
        );
        for round in 0..3 {
            for (service, call, payload) in [
                (ECHO, "200 bytes", &small),
                (TAKE, "1 MiB there", &large),
                (GIVE, "1 MiB back", &small),
            ] {
                for callers in [1, 16] {
                    for (name, transport) in &transports {
                        let (rate, cpu) = measure(&rt, transport, callers, service, payload).await;
                        let micros = cpu.as_secs_f64() * 1e6;
                        println!("{name:8} {callers:>8} {call:>14} {rate:>12.0} {micros:>13.1} µs  round {round}");
                    }
                }
            }
        }
    });
}
