//! A drive of another node passes the conformance tests, over loopback sockets and TLS.

use super::*;
use crate::{
    drive::{
        IndexPolicy, LocalDrive,
        conformance::{Place, bytes, conforms, granted, key, prepare, put, shard, staging},
        format::{Slot, open_all},
    },
    peer::{Certificates, Entrance, Introduction, LinkConfig, PeerSecret, PeerTls, Security},
    runtime::{self, Lane, Mutation, Rt, Task, real::RealRuntime, run, spawn},
};
use model::protocol::Vote;
use std::{path::PathBuf, sync::Mutex};

/// A drive in a temporary folder, its node, and another node that asks it.
struct Nodes {
    rt: Rt,
    dir: tempfile::TempDir,
    serving: Mutex<Option<Serving>>,
}

/// The node of the drive, while it serves.
struct Serving {
    drive: Arc<LocalDrive>,
    accepting: Arc<dyn Task>,
    entrance: Arc<Entrance>,
    link: Arc<Link>,
}

fn introduction(me: u16) -> Introduction {
    let secret = PeerSecret::from_bytes(&[1; 32]).expect("long enough");
    Introduction::new(me, 2, vec![secret], Mutation::NONE)
}

fn security() -> Security {
    let provider = rustls::crypto::ring::default_provider();
    Security::Tls(PeerTls::new(provider, Certificates::Throwaway).expect("settings"))
}

impl Serving {
    async fn end(&self) {
        self.accepting.abort();
        self.entrance.close();
        self.drive.close().await;
    }
}

impl Nodes {
    fn new() -> Nodes {
        Nodes {
            rt: RealRuntime::new(),
            dir: tempfile::tempdir().expect("a folder"),
            serving: Mutex::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("drive")
    }

    async fn open_local(&self) -> Arc<LocalDrive> {
        let (rt, paths, executor) = (self.rt.clone(), [self.path()], self.rt.executor("format"));
        let format = move || open_all(&rt.files(), &paths, 1, &mut || runtime::random_id(&rt));
        let opened = run(&executor, Lane::Data, format)
            .await
            .expect("no panic")
            .expect("a drive");
        let Some(Slot::Ready(ready)) = opened.drives.into_iter().next() else {
            panic!("the drive is ready")
        };
        let drive = LocalDrive::open(&self.rt, ready, IndexPolicy::default()).await;
        drive.expect("it serves")
    }

    /// Starts the node of the drive, and connects to it.
    async fn serve(&self) -> Serving {
        let drive = self.open_local().await;
        let service = Arc::new(DriveService::new(&self.rt, [(0, drive.clone() as Arc<dyn Drive>)]));
        let listener = self.rt.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let entrance = Entrance::new(&self.rt, introduction(1), security(), 1, None);
        entrance.open(7, service);
        let (rt, accepted) = (self.rt.clone(), entrance.clone());
        let accepting = spawn(&self.rt, "accept", async move {
            while let Ok((stream, from)) = listener.accept().await {
                spawn(&rt, "peer", accepted.clone().serve(stream, from));
            }
        });
        let config = LinkConfig {
            deployment: Some(7),
            introduction: introduction(0),
            to: 1,
            name: "localhost".to_owned(),
            host: "localhost".to_owned(),
            resolve: Arc::new(move || Box::pin(ready(Ok(vec![address])))),
            security: security(),
            boot: 2,
        };
        let link = Arc::new(Link::start(&self.rt, config));
        while link.unreachable().is_some() {
            self.rt.sleep(Duration::from_millis(2)).await;
        }
        Serving {
            drive,
            accepting,
            entrance,
            link,
        }
    }

    fn remote(&self, number: u16) -> RemoteDrive {
        let serving = self.serving.lock().expect("no panic");
        let link = serving.as_ref().expect("it serves").link.clone();
        let node = RemoteNode::new(&self.rt, link, "node1".to_owned());
        RemoteDrive::new(&self.rt, node, number, "node1:/drive".to_owned())
    }
}

#[async_trait]
impl Place for Nodes {
    async fn open(&self) -> Arc<dyn Drive> {
        let before = self.serving.lock().expect("no panic").take();
        if let Some(before) = before {
            before.end().await;
        }
        let serving = self.serve().await;
        *self.serving.lock().expect("no panic") = Some(serving);
        let drive = self.remote(0);
        while !drive.status().await.is_online() {
            self.rt.sleep(Duration::from_millis(2)).await;
        }
        Arc::new(drive)
    }
}

conforms!(Nodes::new);

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_its_node_does_not_have_is_offline() {
    let nodes = Nodes::new();
    nodes.open().await;
    let read = nodes.remote(1).read_key(&key("a")).await;
    assert!(matches!(read, Err(DriveError::Offline(_))), "{read:?}");
}

/// A round that leaves nothing above it reaches no drive.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_would_end_the_set_is_refused() {
    let nodes = Nodes::new();
    let drive = nodes.open().await;
    let ballot = Ballot {
        round: u64::MAX,
        ..Ballot::ZERO
    };
    let granted_last = drive.register(&key("a"), Request::Prepare { ballot }).await;
    assert!(matches!(granted_last, Err(DriveError::Offline(_))), "{granted_last:?}");
    granted(drive.register(&key("a"), prepare(1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_makes_its_drives_unknown_and_not_absent() {
    let nodes = Nodes::new();
    let drive = nodes.open().await;
    put(&*drive, &key("a"), 1, 11, Vote::absent()).await;
    let reader = drive.open_shard(11, 1).await.expect("opens");
    let writer = drive.stage_file(staging(&key("b"), 12)).await;
    let mut writer = writer.expect("begins");
    writer.write(bytes(1000, 1)).await.expect("writes");
    let serving = nodes.serving.lock().expect("no panic").take().expect("it serves");
    serving.end().await;
    while serving.link.unreachable().is_none() {
        nodes.rt.sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(reader.len(), 600, "a small shard came with its answer");
    for error in [
        drive.read_key(&key("a")).await.err(),
        drive.open_shard(11, 1).await.err(),
        drive.open_shard(99, 1).await.err(),
        writer.write(bytes(1000, 2)).await.err(),
        drive.list(b"o", ListFrom::Start, 10).await.err(),
    ] {
        assert!(matches!(error, Some(DriveError::Offline(_))), "{error:?}");
    }
    // A write that failed may have left a hole.
    let synced = writer.sync().await;
    assert!(matches!(synced, Err(DriveError::Invalid(_))), "{synced:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "looks at the process")]
async fn what_nobody_uses_any_more_is_closed_at_the_drives_node() {
    let nodes = Nodes::new();
    let drive = nodes.open().await;
    for folder in 0..50 {
        let mut writer = drive.stage_file(staging(&key("a"), folder)).await.expect("begins");
        writer.write(bytes(100_000, 1)).await.expect("writes");
        if folder % 2 == 0 {
            writer.sync().await.expect("syncs");
            granted(writer.finish(&key("z"), Request::Read).await);
            let reader = drive.open_shard(folder, 1).await.expect("opens");
            assert_eq!(reader.read(5, 10).await, Ok(bytes(100_000, 1).slice(5..15)));
            assert_eq!(reader.read(99_999, 10).await.expect("reads").len(), 1);
            assert_eq!(reader.read(100_001, 10).await, Ok(Bytes::new()));
        }
    }
    assert_eq!(shard(&*drive, 1, 1).await, Err(DriveError::NotFound));
    let is_below = |name: &str| std::fs::read_link(name).is_ok_and(|path| path.starts_with(nodes.dir.path()));
    let open = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("lists");
        let shards = descriptors.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
        shards.filter(|name| is_below(name)).count()
    };
    for _ in 0..500 {
        // The index, its log, and the folders that are kept open.
        if open() < 10 {
            return;
        }
        nodes.rt.sleep(Duration::from_millis(10)).await;
    }
    panic!("{} files are open", open());
}
