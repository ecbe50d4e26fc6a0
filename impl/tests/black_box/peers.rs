//! Other nodes on the port of the clients: they are answered by a server that is full of clients, or still starting.

use bytes::Bytes;
use std::{future::pending, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use store::{
    access::Credentials,
    http::{Limits, Timeouts, Tls},
    node::{self, IndexPolicy, NodeConfig},
    peer::{
        Caller, Certificates, Entrance, Introduction, Link, LinkConfig, Payload, PeerSecret, PeerTls, Refusal, Request,
        Security, Service,
    },
    runtime::{self, BoxFuture, Mutation, Rt, Stream, real::RealRuntime, spawn},
    s3::{Domains, Origins},
    server::{self, ServeConfig, StoreSlot, WatchConfig},
    store::Store,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WAIT: Duration = Duration::from_secs(20);

struct Echo;

impl Service for Echo {
    fn call(&self, _: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        Box::pin(std::future::ready(Ok(request.payload.into())))
    }
}

fn introduction(me: u16) -> Introduction {
    let secret = PeerSecret::from_bytes(&[1; 32]).expect("long enough");
    Introduction::new(me, 2, vec![secret], Mutation::NONE)
}

fn security() -> Security {
    let provider = rustls::crypto::ring::default_provider();
    Security::Tls(PeerTls::new(provider, Certificates::Throwaway).expect("settings"))
}

fn make_certificate(folder: &Path) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("public.crt"), pair.cert.pem()).expect("a file");
    std::fs::write(folder.join("private.key"), pair.signing_key.serialize_pem()).expect("a file");
}

async fn open_store(rt: &Rt, folder: &Path) -> Arc<Store> {
    let config = NodeConfig {
        drives: vec![folder.join("drive")],
        set_size: 1,
        standard_parity: 0,
        reduced_parity: 0,
        index: IndexPolicy::default(),
    };
    node::open(rt.clone(), config).await.expect("a node").store
}

/// Starts a server that serves one request, and has two connections, at once.
async fn start(rt: &Rt, folder: &Path, tls: Option<Arc<Tls>>) -> SocketAddr {
    let store = open_store(rt, folder).await;
    start_over(rt, StoreSlot::from(store), tls).await
}

/// The same, over a store that may come later.
async fn start_over(rt: &Rt, store: StoreSlot, tls: Option<Arc<Tls>>) -> SocketAddr {
    let listener = rt.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let mut limits = Limits::new(1 << 30, None, WAIT);
    limits.requests = 1;
    let entrance = Entrance::new(rt, introduction(1), security(), 1, None);
    entrance.open(7, Arc::new(Echo));
    let config = ServeConfig {
        listener,
        credentials: Credentials {
            access_key: "root".to_owned(),
            secret_key: "secret12".to_owned(),
        },
        region: None,
        domains: Domains::default(),
        origins: Origins::default(),
        limits,
        timeouts: Timeouts::default(),
        tls,
        peers: Some(entrance),
        watch: WatchConfig::default(),
        is_leaving: Arc::default(),
    };
    let serving = server::serve(rt.clone(), store, config, pending());
    spawn(rt, "serve", async {
        serving.await.ok();
    });
    address
}

/// Takes a place of a client: it has been answered once, and the server waits for the rest of its next request.
async fn served_client(rt: &Rt, address: SocketAddr) -> Box<dyn Stream> {
    let mut client = rt.connect(address).await.expect("it listens");
    let probe = b"HEAD /minio/health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(probe).await.expect("it is taken");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let read = runtime::timeout(rt, WAIT, client.read_buf(&mut answer)).await;
        assert!(matches!(read, Some(Ok(1..))), "{}", String::from_utf8_lossy(&answer));
    }
    begin_request(client).await
}

/// Begins a request, and does not end it.
async fn begin_request(mut client: Box<dyn Stream>) -> Box<dyn Stream> {
    client.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("it is taken");
    client
}

async fn is_answered(client: &mut Box<dyn Stream>, rt: &Rt, wait: Duration) -> bool {
    let mut byte = [0; 1];
    let read = runtime::timeout(rt, wait, client.read(&mut byte)).await;
    matches!(read, Some(Ok(1)))
}

async fn is_answered_as_a_peer(rt: &Rt, address: SocketAddr) {
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
    let connected = async {
        while link.unreachable().is_some() {
            rt.sleep(Duration::from_millis(5)).await;
        }
    };
    let connected = runtime::timeout(rt, WAIT, connected).await;
    assert!(connected.is_some(), "peer.before-clients: {:?}", link.unreachable());
    let payload = Bytes::from_static(b"are you there");
    assert_eq!(link.call(0, payload.clone(), WAIT).await, Ok(payload.clone()));
    assert_eq!(link.call_bulk(0, payload.clone(), WAIT).await, Ok(payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_full_of_clients_answers_its_peers() {
    let rt = RealRuntime::new();
    let folder = tempfile::tempdir().expect("a folder");
    let address = start(&rt, folder.path(), None).await;
    let mut first = served_client(&rt, address).await;
    let second = served_client(&rt, address).await;
    let mut third = begin_request(rt.connect(address).await.expect("it listens")).await;
    third.write_all(b" a\r\n\r\n").await.expect("it is taken");
    assert!(
        !is_answered(&mut third, &rt, Duration::from_millis(300)).await,
        "two are served at once"
    );
    is_answered_as_a_peer(&rt, address).await;
    first.write_all(b" a\r\n\r\n").await.expect("it is taken");
    assert!(
        is_answered(&mut first, &rt, WAIT).await,
        "a client that was served before is served still"
    );
    drop((first, second));
    assert!(
        is_answered(&mut third, &rt, WAIT).await,
        "a client that waited is served in its turn"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_and_clients_share_an_encrypted_port() {
    let rt = RealRuntime::new();
    let (folder, certificates) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    make_certificate(certificates.path());
    let tls = Tls::load(&rt, certificates.path()).await.expect("a pair");
    assert!(tls.is_some());
    let address = start(&rt, folder.path(), tls).await;
    let silent = [
        rt.connect(address).await,
        rt.connect(address).await,
        rt.connect(address).await,
    ];
    is_answered_as_a_peer(&rt, address).await;
    let trust = store::http::ClientTls::new(&rt, store::http::Trust::Anybody)
        .await
        .expect("settings");
    let stream = rt.connect(address).await.expect("it listens");
    let mut client = trust.connect("localhost", stream).await.expect("a session");
    let request = b"GET /minio/health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).await.expect("it is taken");
    let mut answer = [0; 15];
    client.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(silent);
}

/// Asks for a path with a connection of its own. Returns the status and the whole answer.
async fn ask(rt: &Rt, address: SocketAddr, path: &str) -> (u16, String) {
    let mut client = rt.connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("it is taken");
    let mut answer = String::new();
    let read = runtime::timeout(rt, WAIT, client.read_to_string(&mut answer)).await;
    read.expect("it answers").expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_store_says_that_it_starts() {
    let rt = RealRuntime::new();
    let folder = tempfile::tempdir().expect("a folder");
    let slot = StoreSlot::default();
    let address = start_over(&rt, slot.clone(), None).await;
    assert_eq!(ask(&rt, address, "/minio/health/live").await.0, 200);
    for path in ["/minio/health/ready", "/minio/health/cluster"] {
        let (status, answer) = ask(&rt, address, path).await;
        assert!(status == 503 && answer.contains("the server is starting"), "{answer}");
    }
    let (status, answer) = ask(&rt, address, "/bucket/key").await;
    assert!(
        status == 503 && answer.contains("<Code>XMinioServerNotInitialized</Code>"),
        "{answer}"
    );
    assert!(answer.contains("retry-after: 1"), "{answer}");
    let (status, answer) = ask(&rt, address, "/minio/admin/v3/info").await;
    assert!(
        status == 503 && answer.contains("\"Message\":\"The server is starting"),
        "{answer}"
    );
    is_answered_as_a_peer(&rt, address).await;
    slot.set(open_store(&rt, folder.path()).await);
    assert_eq!(ask(&rt, address, "/minio/health/ready").await.0, 200);
    let (status, answer) = ask(&rt, address, "/bucket/key").await;
    assert!(status == 403 && answer.contains("AccessDenied"), "{answer}");
}
