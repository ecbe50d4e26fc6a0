//! A node of the cluster: it opens its drives, serves the other nodes, and runs clients.

use super::life::Shared;
use crate::{
    tls,
    workload::{BUCKET, KEYS, clients, http},
};
use madsim::{
    rand::{seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::{future::ready, net::SocketAddr, path::PathBuf, sync::Arc};
use store::{
    node::{
        IndexPolicy,
        cluster::{ClusterConfig, DrivePlace, Host, Starting},
    },
    peer::{Entrance, PeerSecret, Security},
    runtime::{Rt, spawn},
    server::StoreSlot,
    store::{Store, StoreError},
};

/// Port of nodes, for other nodes and for clients.
const PORT: u16 = 9000;
/// Time after which a node that could not start is started again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Returns the address of a node.
pub fn address(shared: &Shared, node: u32) -> SocketAddr {
    SocketAddr::new(shared.world.ip(node), PORT)
}

/// Returns the configuration of a node, 1 or above.
pub fn config(shared: &Shared, node: u32) -> ClusterConfig {
    let plan = &shared.plan;
    let host = |node: u32| {
        let address = address(shared, node);
        Host {
            name: format!("node{node}"),
            certificate: format!("node{node}"),
            resolve: Arc::new(move || Box::pin(ready(Ok(vec![address])))),
        }
    };
    let place = |drive: usize| {
        let (node, path) = plan.place(drive);
        DrivePlace {
            node: node as u16 - 1,
            path: PathBuf::from(path),
        }
    };
    ClusterConfig {
        me: node as u16 - 1,
        hosts: (1..=plan.nodes).map(host).collect(),
        drives: (0..plan.drives()).map(place).collect(),
        set_size: plan.set_size,
        standard_parity: plan.parity,
        reduced_parity: plan.parity.min(1),
        index: IndexPolicy::default(),
        secrets: vec![PeerSecret::from_bytes(&[7; 32]).expect("long enough")],
        security: match plan.tls {
            true => tls::security(node, &host(node).certificate),
            false => Security::None([0; 32]),
        },
        same: Default::default(),
    }
}

/// Runs one life of a node.
pub async fn live(rt: Rt, node: u32, shared: Arc<Shared>) {
    let (open, slot) = loop {
        let starting = Starting::new(rt.clone(), config(&shared, node)).expect("a shape");
        let (entrance, slot) = (starting.entrance().clone(), StoreSlot::default());
        let serving = if shared.plan.http {
            let served = http::serve(rt.clone(), address(&shared, node), slot.clone(), Some(entrance));
            spawn(&rt, "serve", served)
        } else {
            spawn(&rt, "accept", accept(rt.clone(), node, entrance, shared.clone()))
        };
        match starting.open().await {
            Ok(opened) => break (Arc::new(opened), slot),
            // Its drives fail as it starts: whoever tends it starts it again.
            Err(error) if shared.is_struck(node) => shared.world.event(node, &format!("no start: {error}")),
            Err(error) => panic!("a node whose drives serve starts: {error}"),
        }
        serving.abort();
        rt.sleep(START_AGAIN).await;
    };
    let store = open.node.store.clone();
    shared.is_up(node, open.clone());
    if shared.plan.http {
        open.wait_for_quorum().await;
    }
    open.serves();
    slot.set(store.clone());
    if shared.works() {
        create_bucket(&rt, &store, &shared).await;
        let inside = if shared.plan.http { 0 } else { shared.plan.clients };
        for client in 0..inside {
            spawn(&rt, "client", work(node, client, store.clone(), shared.clone()));
        }
    }
    std::future::pending().await
}

/// Takes the connections of the other nodes.
async fn accept(rt: Rt, node: u32, entrance: Arc<Entrance>, shared: Arc<Shared>) {
    let listener = rt.listen(address(&shared, node)).await.expect("a free port");
    while let Ok((stream, from)) = listener.accept().await {
        spawn(&rt, "peer", entrance.clone().serve(stream, from));
    }
}

async fn create_bucket(rt: &Rt, store: &Arc<Store>, shared: &Shared) {
    loop {
        let created = shared.ends("a new bucket", store.create_bucket(BUCKET)).await;
        if matches!(created, Ok(_) | Err(StoreError::BucketExists)) {
            return;
        }
        rt.sleep(Duration::from_millis(10)).await;
    }
}

/// Runs a client until its node ends, or the faults do.
async fn work(node: u32, client: usize, store: Arc<Store>, shared: Arc<Shared>) {
    while shared.works() {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let what = shared.what();
        let operation = clients::operation(&store, &shared, key, what);
        let watched = shared.begin(node, what);
        let result = shared.ends("an operation", operation).await;
        let event = format!("client {client}: {key} {what} {result:?}");
        shared.end(watched.as_ref(), &event);
        shared.world.event(node, &event);
        shared.answered(result.is_ok());
        sleep(shared.client_pause()).await;
    }
}
