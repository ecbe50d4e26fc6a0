//! A drive of another node passes the conformance tests of drives over the simulated network, as it does over loopback
//! (`impl/src/drive/remote/tests.rs`).

use async_trait::async_trait;
use madsim::time::{Duration, sleep};
use sim::{World, run::Scenario};
use std::{
    future::ready,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use store::{
    drive::{
        Drive, RemoteDrive, RemoteNode,
        conformance::{self, Place},
        format::{Given, Layout, OwnDrive, OwnDrives},
    },
    node::{
        IndexPolicy,
        cluster::{ClusterConfig, ClusterNode, DrivePlace, Host, Starting},
    },
    peer::{Introduction, Link, LinkConfig, PeerSecret, Resolve, Security},
    runtime::{Lane, Mutation, Rt, run, spawn},
};

/// Node that asks.
const CALLER: u32 = 1;
/// First node with a drive; each test has one of its own.
const FIRST: u32 = 2;
const PORT: u16 = 9000;
/// Drives of such a node, of which the first is tested: one alone would not serve (`format.wiped-is-unknown`).
const PATHS: [&str; 2] = ["/d1", "/d2"];

fn secret() -> PeerSecret {
    PeerSecret::from_bytes(&[7; 32]).expect("long enough")
}

/// A node with one drive, as another node reaches it.
struct Remote {
    world: World,
    rt: Rt,
    node: u32,
    server: Arc<Server>,
    is_started: AtomicBool,
}

#[derive(Default)]
struct Server {
    is_formatted: AtomicBool,
    open: Mutex<Option<ClusterNode>>,
}

impl Server {
    /// Returns the fingerprint of its drive's deployment, once it is open.
    fn deployment(&self) -> Option<u128> {
        let open = self.open.lock().expect("no panic");
        open.as_ref().map(|open| open.deployment)
    }
}

fn resolve(world: &World, node: u32) -> Resolve {
    let address = SocketAddr::new(world.ip(node), PORT);
    Arc::new(move || Box::pin(ready(Ok(vec![address]))))
}

fn config(world: &World, node: u32) -> ClusterConfig {
    let host = |node| Host {
        name: format!("node{node}"),
        certificate: format!("node{node}"),
        resolve: resolve(world, node),
    };
    let place = |path: &str| DrivePlace {
        node: 1,
        path: path.into(),
    };
    ClusterConfig {
        me: 1,
        hosts: vec![host(CALLER), host(node)],
        drives: PATHS.map(place).into(),
        set_size: 1,
        standard_parity: 0,
        reduced_parity: 0,
        index: IndexPolicy::default(),
        secrets: vec![secret()],
        security: Security::None([0; 32]),
        same: Default::default(),
    }
}

/// Formats a node's drive. The node that asks has none, and never starts.
async fn format(rt: &Rt, node: u32) {
    let mut last = u128::from(node) << 64;
    let mut fresh = || {
        last += 1 << 32;
        last
    };
    let layout = Layout::new(&[1, 1], 1, &mut fresh).expect("a shape");
    let own = |(position, path)| OwnDrive { position, path };
    let (files, own) = (rt.files(), (0..).zip(PATHS.map(PathBuf::from)).map(own).collect());
    let given = Given {
        drives: 2,
        set_size: 1,
        nodes: 2,
    };
    let format = move || {
        let mut own = OwnDrives::look(&files, own, given)?;
        own.begin(&layout)?;
        own.complete(&layout)
    };
    let formatted = run(&rt.executor("/d1"), Lane::Data, format).await.expect("no panic");
    formatted.expect("formatted");
}

/// Runs the node with the drive.
async fn serve(rt: Rt, world: World, node: u32, server: Arc<Server>) {
    let config = config(&world, node);
    if !server.is_formatted.swap(true, Ordering::Relaxed) {
        format(&rt, node).await;
    }
    let starting = Starting::new(rt.clone(), config).expect("a shape");
    let open = starting.open().await.expect("opens");
    open.serves();
    let entrance = open.entrance.clone();
    *server.open.lock().expect("no panic") = Some(open);
    let listener = rt.listen(SocketAddr::new(world.ip(node), PORT)).await.expect("free");
    while let Ok((stream, from)) = listener.accept().await {
        spawn(&rt, "peer", entrance.clone().serve(stream, from));
    }
}

impl Remote {
    /// Starts the node, or closes the drive and starts its node again.
    async fn start(&self) {
        if self.is_started.swap(true, Ordering::Relaxed) {
            let open = self.server.open.lock().expect("no panic").take().expect("open");
            let closed = self.world.run_on(self.node, move |_| async move {
                open.entrance.close();
                open.node.store.close().await;
            });
            closed.await.expect("nobody kills it");
            self.world.kill(self.node);
            self.world.restart(self.node);
        } else {
            let (world, node, server) = (self.world.clone(), self.node, self.server.clone());
            self.world
                .start(node, move |rt| serve(rt, world.clone(), node, server.clone()));
        }
    }
}

#[async_trait]
impl Place for Remote {
    async fn open(&self) -> Arc<dyn Drive> {
        self.start().await;
        let deployment = loop {
            if let Some(deployment) = self.server.deployment() {
                break deployment;
            }
            sleep(Duration::from_millis(1)).await;
        };
        let introduction = Introduction::new(0, 2, vec![secret()], Mutation::NONE);
        let link = LinkConfig {
            deployment: Some(deployment),
            introduction,
            to: 1,
            name: format!("node{}", self.node),
            host: format!("node{}", self.node),
            resolve: resolve(&self.world, self.node),
            security: Security::None([0; 32]),
            boot: 5,
        };
        let link = Arc::new(Link::start(&self.rt, link));
        while link.unreachable().is_some() {
            sleep(Duration::from_millis(1)).await;
        }
        let name = format!("node{}", self.node);
        let node = RemoteNode::new(&self.rt, link, name.clone());
        let drive = RemoteDrive::new(&self.rt, node, 0, name + PATHS[0]);
        while !drive.status().await.is_online() {
            sleep(Duration::from_millis(1)).await;
        }
        Arc::new(drive)
    }
}

#[test]
fn a_drive_of_another_node_conforms() {
    Scenario::new("a_drive_of_another_node_conforms")
        .seeds(20)
        .check(|world| async move {
            let there = world.clone();
            let conforms = world.run_on(CALLER, move |rt| async move {
                let last = AtomicU32::new(FIRST);
                let place = move || {
                    let place = Remote {
                        world: there.clone(),
                        rt: rt.clone(),
                        node: last.fetch_add(1, Ordering::Relaxed),
                        server: Arc::default(),
                        is_started: AtomicBool::new(false),
                    };
                    there.drive(place.node, "/d1");
                    Box::pin(ready(Arc::new(place) as Arc<dyn Place>)) as _
                };
                conformance::all(&place).await;
            });
            conforms.await.expect("nobody kills it");
        });
}
