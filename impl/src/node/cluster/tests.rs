//! Several nodes in one process, over loopback sockets and TLS.

use super::*;
use crate::{
    peer::{Certificates, PeerTls},
    runtime::{Listener, Task, real::RealRuntime, spawn},
    store::{CompletedPart, ListQuery, ObjectWriter, PutOptions, StoreError, Survey, WriteMeta},
};
use bytes::Bytes;
use model::record::{EtagMatch, Precondition};
use std::{future::ready, net::SocketAddr, time::Duration};

const BUCKET: &str = "bucket";

struct Cluster {
    rt: Rt,
    folder: tempfile::TempDir,
    /// Where each node listens.
    addresses: Vec<SocketAddr>,
    nodes: Vec<Option<Running>>,
    drives_per_node: usize,
}

struct Running {
    store: Arc<Store>,
    entrance: Arc<Entrance>,
    accepting: Arc<dyn Task>,
}

impl Cluster {
    /// Starts nodes with new drives, all in one set.
    async fn start(nodes: usize, drives_per_node: usize) -> Cluster {
        let rt = RealRuntime::new();
        let mut listeners = Vec::new();
        for _ in 0..nodes {
            listeners.push(rt.listen(([127, 0, 0, 1], 0).into()).await.expect("a port"));
        }
        let addresses = listeners.iter().map(|listener| listener.local_addr().expect("bound"));
        let mut cluster = Cluster {
            addresses: addresses.collect(),
            folder: tempfile::tempdir().expect("a folder"),
            nodes: Vec::new(),
            drives_per_node,
            rt,
        };
        let listeners = listeners.into_iter().enumerate();
        let running = join_all(listeners.map(|(me, listener)| cluster.run(me, listener))).await;
        cluster.nodes = running.into_iter().map(Some).collect();
        cluster
    }

    fn config(&self, me: usize) -> ClusterConfig {
        let nodes = self.addresses.len();
        let host = |address: &SocketAddr| {
            let address = *address;
            Host {
                name: address.to_string(),
                certificate: "localhost".to_owned(),
                resolve: Arc::new(move || Box::pin(ready(Ok(vec![address])))),
            }
        };
        let place = |drive: usize| DrivePlace {
            node: u16::try_from(drive % nodes).expect("few"),
            path: self.folder.path().join(format!("d{drive}")),
        };
        let drives = nodes * self.drives_per_node;
        let tls = PeerTls::new(rustls::crypto::ring::default_provider(), Certificates::Throwaway);
        ClusterConfig {
            me: u16::try_from(me).expect("few"),
            hosts: self.addresses.iter().map(host).collect(),
            drives: (0..drives).map(place).collect(),
            set_size: drives,
            standard_parity: u8::try_from(drives / 2).expect("few"),
            reduced_parity: 1,
            index: IndexPolicy::default(),
            secrets: vec![PeerSecret::from_bytes(&[1; 32]).expect("long enough")],
            security: Security::Tls(tls.expect("settings")),
            same: BTreeMap::new(),
        }
    }

    async fn run(&self, me: usize, listener: Box<dyn Listener>) -> Running {
        let starting = Starting::new(self.rt.clone(), self.config(me)).expect("a shape");
        let (rt, entrance) = (self.rt.clone(), starting.entrance().clone());
        let accepting = spawn(&self.rt, "accept", async move {
            while let Ok((stream, from)) = listener.accept().await {
                spawn(&rt, "peer", entrance.clone().serve(stream, from));
            }
        });
        let opened = runtime::timeout(&self.rt, Duration::from_secs(60), starting.open()).await;
        let opened = opened.expect("a start ends").expect("opens");
        Running {
            store: opened.node.store,
            entrance: opened.entrance,
            accepting,
        }
    }

    fn store(&self, node: usize) -> &Arc<Store> {
        &self.nodes[node].as_ref().expect("it runs").store
    }

    /// Ends a node as a kill would, as far as the others see.
    async fn kill(&mut self, node: usize) {
        let running = self.nodes[node].take().expect("it runs");
        running.accepting.abort();
        running.entrance.close();
        running.store.close().await;
    }

    async fn restart(&mut self, node: usize) {
        let listener = self
            .rt
            .listen(self.addresses[node])
            .await
            .expect("the port is free again");
        self.nodes[node] = Some(self.run(node, listener).await);
    }

    /// Waits until what a node knows of the others is so.
    async fn until(&self, node: usize, is_so: impl Fn(&Survey) -> bool) -> Survey {
        let known = async {
            loop {
                let survey = self.store(node).survey().await;
                if is_so(&survey) {
                    return survey;
                }
                self.rt.sleep(Duration::from_millis(20)).await;
            }
        };
        let known = runtime::timeout(&self.rt, Duration::from_secs(30), known).await;
        known.expect("it is known soon")
    }

    /// Waits until every node reaches every drive.
    async fn whole(&self) {
        for node in self.nodes.iter().flatten() {
            loop {
                let survey = node.store.survey().await;
                if survey.drives().all(|(_, _, drive)| drive.status.is_online()) {
                    break;
                }
                self.rt.sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

fn meta(etag: &str) -> WriteMeta {
    WriteMeta {
        etag: etag.to_owned(),
        ..WriteMeta::default()
    }
}

async fn write(store: &Arc<Store>, key: &str, body: &Bytes) -> ObjectWriter {
    let mut writer = store.put(BUCKET, key, PutOptions::default()).await.expect("begun");
    for chunk in body.chunks(100_000) {
        writer
            .staging()
            .write(Bytes::copy_from_slice(chunk))
            .await
            .expect("written");
    }
    writer
}

async fn put(store: &Arc<Store>, key: &str, body: &Bytes) {
    let writer = write(store, key, body).await;
    let committed = writer.commit(meta(key), Precondition::default()).await;
    committed.expect("committed");
}

async fn get(store: &Arc<Store>, key: &str) -> Result<Vec<u8>, StoreError> {
    let reader = store.get(BUCKET, key).await?;
    let size = reader.info().data.size;
    let mut stream = reader.stream(0..size).await?;
    let mut read = Vec::new();
    while let Some(bytes) = stream.next().await {
        read.extend_from_slice(&bytes?);
    }
    Ok(read)
}

fn body(len: usize) -> Bytes {
    (0..len).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>().into()
}

const SIZES: [usize; 4] = [0, 3000, 300_000, 9_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_writes_every_node_reads() {
    let cluster = Cluster::start(4, 1).await;
    cluster.whole().await;
    cluster.store(0).create_bucket(BUCKET).await.expect("created");
    assert_eq!(
        cluster.store(1).create_bucket(BUCKET).await,
        Err(StoreError::BucketExists)
    );
    for (writer, size) in SIZES.into_iter().enumerate() {
        let key = format!("k{writer}");
        put(cluster.store(writer), &key, &body(size)).await;
        for reader in 0..4 {
            let read = get(cluster.store(reader), &key).await.expect("read");
            assert!(read == body(size), "{size} bytes");
            let listed = cluster
                .store(reader)
                .list(
                    BUCKET,
                    &ListQuery {
                        limit: 10,
                        ..ListQuery::default()
                    },
                )
                .await;
            assert_eq!(listed.expect("listed").objects.len(), writer + 1);
        }
    }
    let create_only = Precondition {
        if_none_match: Some(EtagMatch::Any),
        ..Precondition::default()
    };
    let writer = write(cluster.store(3), "k0", &body(10)).await;
    let refused = writer.commit(meta("another"), create_only).await;
    assert_eq!(refused.map(drop), Err(StoreError::PreconditionFailed));
    cluster
        .store(2)
        .delete(BUCKET, "k1", Precondition::default())
        .await
        .expect("deleted");
    assert_eq!(get(cluster.store(0), "k1").await, Err(StoreError::NoSuchKey));
    let names: Vec<String> = cluster
        .store(1)
        .list_buckets()
        .await
        .expect("listed")
        .into_iter()
        .map(|b| b.name)
        .collect();
    assert_eq!(names, [BUCKET]);
    let removed = cluster.store(0).delete_bucket(BUCKET).await;
    assert!(matches!(removed, Err(StoreError::NotYet(_))), "{removed:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute"]
async fn an_upload_of_10_000_parts_is_completed_over_4_nodes() {
    let cluster = Cluster::start(4, 1).await;
    cluster.whole().await;
    cluster.store(0).create_bucket(BUCKET).await.expect("created");
    let begun = cluster
        .store(0)
        .create_upload(BUCKET, "big", PutOptions::default(), meta(""))
        .await;
    let upload = begun.expect("begun");
    let part = |number: u16| {
        let store = cluster.store(usize::from(number) % 4);
        async move {
            let mut writer = store
                .put_part(BUCKET, "big", upload, number, None)
                .await
                .expect("begun");
            writer
                .staging()
                .write(number.to_le_bytes().to_vec().into())
                .await
                .expect("written");
            writer.commit(meta(&number.to_string())).await.expect("committed");
        }
    };
    for numbers in (1..=10_000).collect::<Vec<u16>>().chunks(64) {
        futures::future::join_all(numbers.iter().map(|number| part(*number))).await;
    }
    let named: Vec<CompletedPart> = (1..=10_000u16)
        .map(|number| CompletedPart {
            number,
            etag: number.to_string(),
        })
        .collect();
    let open = cluster
        .store(3)
        .open_upload(BUCKET, "big", upload)
        .await
        .expect("is open");
    let completed = cluster
        .store(3)
        .complete_upload(BUCKET, open, &named, meta("whole"), Precondition::default())
        .await;
    completed.expect("completed");
    let expected: Vec<u8> = (1..=10_000u16).flat_map(u16::to_le_bytes).collect();
    for reader in 0..4 {
        assert!(get(cluster.store(reader), "big").await.expect("read") == expected);
    }
    put(cluster.store(1), "big", &body(10)).await;
    assert!(get(cluster.store(2), "big").await.expect("read") == body(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_serve_while_one_node_is_away() {
    let mut cluster = Cluster::start(4, 1).await;
    cluster.whole().await;
    cluster.store(0).create_bucket(BUCKET).await.expect("created");
    for (n, size) in SIZES.into_iter().enumerate() {
        put(cluster.store(0), &format!("before{n}"), &body(size)).await;
    }
    let survey = cluster.store(0).survey().await;
    assert_eq!((survey.nodes.len(), survey.needs_own()), (4, None));
    assert!(survey.traffic.0 > 0 && survey.traffic.1 > 0, "{:?}", survey.traffic);
    cluster.kill(1).await;
    let survey = cluster.until(0, |survey| survey.nodes[1].reason.is_some()).await;
    assert!(survey.needs_own().is_some(), "two of four cannot write");
    assert!(survey.nodes.iter().filter(|node| node.reason.is_none()).count() == 3);
    for (n, size) in SIZES.into_iter().enumerate() {
        for node in [0, 2, 3] {
            assert!(get(cluster.store(node), &format!("before{n}")).await.expect("read") == body(size));
        }
        put(cluster.store(2), &format!("while{n}"), &body(size)).await;
    }
    cluster.restart(1).await;
    cluster.whole().await;
    for (n, size) in SIZES.into_iter().enumerate() {
        for node in 0..4 {
            for key in [format!("before{n}"), format!("while{n}")] {
                assert!(
                    get(cluster.store(node), &key).await.expect("read") == body(size),
                    "{key}"
                );
            }
        }
    }
}

/// Nobody holds a bulk connection while waiting for a client.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_pause_do_not_slow_a_put_beside_them() {
    let cluster = Cluster::start(4, 1).await;
    cluster.whole().await;
    cluster.store(0).create_bucket(BUCKET).await.expect("created");
    let mut paused = Vec::new();
    for n in 0..64 {
        paused.push(write(cluster.store(0), &format!("paused{n}"), &body(5_000_000)).await);
    }
    let large = body(9_000_000);
    let beside = put(cluster.store(0), "beside", &large);
    let done = runtime::timeout(&cluster.rt, Duration::from_secs(20), beside).await;
    assert!(done.is_some(), "the put waits for uploads that wait for their clients");
    for (n, writer) in paused.into_iter().enumerate() {
        let committed = writer.commit(meta("paused"), Precondition::default()).await;
        committed.expect("committed");
        let read = get(cluster.store(n % 4), &format!("paused{n}")).await;
        assert!(read.expect("read") == body(5_000_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_drives_on_each_of_two_nodes_are_one_set() {
    let cluster = Cluster::start(2, 4).await;
    cluster.whole().await;
    cluster.store(1).create_bucket(BUCKET).await.expect("created");
    for (n, size) in SIZES.into_iter().enumerate() {
        put(cluster.store(n % 2), &format!("k{n}"), &body(size)).await;
        assert!(get(cluster.store((n + 1) % 2), &format!("k{n}")).await.expect("read") == body(size));
    }
}
