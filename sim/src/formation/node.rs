//! A node that starts: it opens its drives, serves the other nodes, and waits until it serves clients.

use super::{life::Shared, plan::Wrong};
use madsim::time::Duration;
use std::{future::ready, net::SocketAddr, sync::Arc};
use store::{
    node::{
        IndexPolicy,
        cluster::{ClusterConfig, DrivePlace, Host, Starting},
    },
    peer::{Entrance, PeerSecret, Security},
    runtime::{Rt, spawn},
};

/// Port of nodes.
const PORT: u16 = 9000;
/// Time after which a node that could not start is started again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Returns the configuration of a node, 1 or above, with or without what is wrong with it.
fn config(shared: &Shared, node: u32) -> ClusterConfig {
    let plan = &shared.plan;
    let wrong = plan.wrong.filter(|(of, _)| *of == node && !shared.is_calm());
    let is_wrong = |what: Wrong| wrong.is_some_and(|(_, wrong)| wrong == what);
    let host = |node: u32| {
        let address = SocketAddr::new(shared.world.ip(node), PORT);
        Host {
            name: format!("node{node}"),
            certificate: format!("node{node}"),
            resolve: Arc::new(move || Box::pin(ready(Ok(vec![address])))),
        }
    };
    let mut hosts: Vec<Host> = (1..=plan.nodes).map(host).collect();
    let (mut me, other) = (node as usize - 1, node as usize % plan.nodes as usize);
    if is_wrong(Wrong::Hosts) {
        hosts.swap(me, other);
        me = other;
    }
    let place = |drive: usize| DrivePlace {
        node: plan.node_of(drive) as u16 - 1,
        path: plan.path_of(drive),
    };
    let (mut drives, mut set_size, mut parity) = (plan.drives, plan.set_size, plan.parity());
    if is_wrong(Wrong::Drives) {
        drives *= 2;
    }
    if is_wrong(Wrong::SetSize) {
        set_size = if drives > set_size { set_size * 2 } else { set_size / 2 };
        drives = drives / set_size * set_size;
        parity = set_size as u8 / 2;
    }
    if is_wrong(Wrong::Parity) {
        parity -= 1;
    }
    let secret = if is_wrong(Wrong::Secret) { 8 } else { 7 };
    let region = if is_wrong(Wrong::Region) { "elsewhere" } else { "here" };
    ClusterConfig {
        me: me as u16,
        hosts,
        drives: (0..drives).map(place).collect(),
        set_size,
        standard_parity: parity,
        reduced_parity: 1,
        index: IndexPolicy::default(),
        secrets: vec![PeerSecret::from_bytes(&[secret; 32]).expect("long enough")],
        security: Security::None([0; 32]),
        same: [("region".to_owned(), region.to_owned())].into(),
    }
}

/// Runs one life of a node.
pub async fn live(rt: Rt, node: u32, shared: Arc<Shared>) {
    let starting = Starting::new(rt.clone(), config(&shared, node)).expect("a shape");
    let accepted = accept(rt.clone(), node, starting.entrance().clone(), shared.clone());
    spawn(&rt, "accept", accepted);
    let open = match starting.open().await {
        Ok(open) => open,
        Err(error) => {
            shared.world.event(node, &format!("no start: {error}"));
            shared.start_failed(node, &error);
            rt.sleep(START_AGAIN).await;
            shared.give_up(node);
            return std::future::pending().await;
        }
    };
    shared.media().check_serves(node);
    let open = Arc::new(open);
    shared.is_up(node, open.clone());
    open.wait_for_quorum().await;
    open.serves();
    shared.serves(node);
    std::future::pending().await
}

/// Takes the connections of the other nodes.
async fn accept(rt: Rt, node: u32, entrance: Arc<Entrance>, shared: Arc<Shared>) {
    let address = SocketAddr::new(shared.world.ip(node), PORT);
    let listener = rt.listen(address).await.expect("a free port");
    while let Ok((stream, from)) = listener.accept().await {
        spawn(&rt, "peer", entrance.clone().serve(stream, from));
    }
}
