//! The S3 client of a simulated host, against the real server.

use bytes::Bytes;
use http::HeaderName;
use madsim::time::sleep;
use sim::{
    World,
    run::simulate,
    s3::{Condition, S3Client, S3Config, S3Error, etag_of, etag_of_upload},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{
    access::Credentials,
    http::{Limits, Timeouts},
    node::{self, IndexPolicy, NodeConfig},
    runtime::{Rt, timeout},
    server::{self, ServeConfig, WatchConfig},
};

const SERVER: u32 = 1;
const CLIENT: u32 = 2;

fn address(world: &World) -> SocketAddr {
    SocketAddr::new(world.ip(SERVER), 9000)
}

fn credentials() -> Credentials {
    Credentials {
        access_key: "access".to_owned(),
        secret_key: "secret".to_owned(),
    }
}

async fn serve(rt: Rt, address: SocketAddr) {
    let config = NodeConfig {
        drives: vec!["/d1".into()],
        set_size: 1,
        standard_parity: 0,
        reduced_parity: 0,
        index: IndexPolicy::default(),
    };
    let node = node::open(rt.clone(), config).await.expect("opens");
    let config = ServeConfig {
        listener: rt.listen(address).await.expect("a free port"),
        credentials: credentials(),
        region: None,
        domains: Default::default(),
        origins: Default::default(),
        limits: Limits::new(256 << 20, None, Duration::from_secs(5)),
        timeouts: Timeouts::default(),
        tls: None,
        peers: None,
        watch: WatchConfig::default(),
        is_leaving: Arc::default(),
    };
    let ended = server::serve(rt, node.store.clone(), config, std::future::pending()).await;
    ended.expect("it serves");
}

/// Runs a client against a server, which a scenario may disturb through the world.
fn with_client<F>(test: impl Fn(World, S3Client) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    for seed in 0..5 {
        let test = test.clone();
        let scenario = move |world: World| async move {
            let server = address(&world);
            world.drive(SERVER, "/d1");
            world.start(SERVER, move |rt| serve(rt, server));
            sleep(Duration::from_secs(1)).await;
            let there = world.clone();
            let client = move |rt: Rt| {
                let clock = there.clone();
                let config = S3Config {
                    server,
                    credentials: credentials(),
                    bucket: "bucket".to_owned(),
                    patience: Duration::from_secs(3),
                    wall_nanos: Arc::new(move || clock.wall_nanos(SERVER)),
                };
                test(there, S3Client::new(rt, config))
            };
            world.run_on(CLIENT, client).await.expect("alive");
        };
        simulate(seed, Duration::from_secs(600), scenario).expect("the test");
    }
}

#[test]
fn requests_and_answers() {
    with_client(|_, mut s3| async move {
        s3.create_bucket().await.expect("a bucket");
        let meta = [(HeaderName::from_static("x-amz-meta-a"), "1".to_owned())];
        let (body, empty) = (Bytes::from_static(b"body"), Bytes::new());
        let etag = s3.put("a/b", body.clone(), &meta, &Condition::IfAbsent).await;
        assert_eq!(etag, Ok(etag_of(&body)));
        let etag = s3.put("c", empty.clone(), &[], &Condition::None).await;
        assert_eq!(etag, Ok(etag_of(&empty)));
        let refused = Err(S3Error::Answered {
            status: 412,
            code: "PreconditionFailed".to_owned(),
        });
        let again = s3.put("a/b", empty.clone(), &[], &Condition::IfAbsent).await;
        assert_eq!(again, refused);
        let other = Condition::IfMatch(etag_of(&empty));
        assert_eq!(s3.delete("a/b", &other).await, refused.map(drop));
        let got = s3.get("a/b").await.expect("it is there");
        assert_eq!(
            (got.header("x-amz-meta-a"), got.body.clone()),
            (Some("1"), body.clone())
        );

        let upload = s3.create_upload("d", &meta).await.expect("an upload");
        let part = s3.put_part("d", &upload, 3, body.clone()).await.expect("a part");
        let parts = [(3, part)];
        let completed = s3.complete_upload("d", &upload, &parts).await;
        assert_eq!(completed, Ok(etag_of_upload(&body)));
        let gone = S3Error::Answered {
            status: 404,
            code: "NoSuchUpload".to_owned(),
        };
        assert_eq!(s3.abort_upload("d", &upload).await, Err(gone));

        let page = s3.list("", Some("a"), 2).await.expect("a page");
        assert_eq!(
            (page.keys, page.truncated),
            (vec!["a/b".to_owned(), "c".to_owned()], true)
        );
        let page = s3.list("d", None, 2).await.expect("a page");
        assert_eq!((page.keys, page.truncated), (vec!["d".to_owned()], false));
        let condition = Condition::IfMatch(etag_of(&body));
        assert_eq!(s3.delete("a/b", &condition).await, Ok(()));
        let gone = S3Error::Answered {
            status: 404,
            code: "NoSuchKey".to_owned(),
        };
        assert_eq!(s3.get("a/b").await.map(drop), Err(gone));
        assert_eq!(s3.connections(), 1, "it is kept");
    });
}

#[test]
fn a_client_connects_again() {
    with_client(|world, mut s3| async move {
        s3.create_bucket().await.expect("a bucket");
        world.reset_connections(SERVER, CLIENT);
        sleep(Duration::from_millis(10)).await;
        let body = Bytes::from_static(b"body");
        s3.put("a", body.clone(), &[], &Condition::None).await.expect("a put");
        assert_eq!(s3.connections(), 2);

        world.power_off(SERVER);
        let half_open = s3.get("a").await.map(drop);
        assert!(matches!(half_open, Err(S3Error::Unanswered(_))), "{half_open:?}");
        let silent = s3.get("a").await.map(drop);
        assert!(matches!(silent, Err(S3Error::NotSent(_))), "{silent:?}");
        world.restart(SERVER);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(s3.get("a").await.expect("it is there").body, body);
        assert_eq!(s3.connections(), 3);
    });
}

/// A client that goes away takes its connection with it, and does not read the answer later.
#[test]
fn a_client_goes_away() {
    with_client(|world, mut s3| async move {
        s3.create_bucket().await.expect("a bucket");
        let rt = world.runtime(CLIENT);
        let left = timeout(&rt, Duration::ZERO, s3.list("", None, 5)).await;
        assert!(left.is_none());
        let page = s3.list("nothing", None, 5).await.expect("a page");
        assert_eq!((page.keys, s3.connections()), (Vec::new(), 2));
    });
}
