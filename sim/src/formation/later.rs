//! What happens to a deployment once it is formed: a node starts again while its clock is off, a drive is wiped.

use super::life::{Shared, store, whole};
use crate::workload::KEYS;
use madsim::time::{Duration, sleep};
use std::sync::Arc;

/// Exceeds the time after which a node serves without those that are away.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a node again while its clock is off: it does not serve, but others that start meanwhile do.
pub async fn clock(shared: &Arc<Shared>) {
    let Some((node, offset)) = shared.plan.late_clock else {
        return;
    };
    let other = node % shared.plan.nodes + 1;
    for node in [node, other] {
        shared.take_down(node, false);
    }
    shared.world.set_clock_offset(node, offset);
    for node in [node, other] {
        shared.processes.bring_up(node);
    }
    shared.until_serving([other]).await;
    sleep(PATIENCE).await;
    assert!(
        !shared.is_serving(node),
        "peer.same-settings: node {node} serves though its clock is off"
    );
    shared.saw("a node whose clock is off waits while others serve");
    shared.world.set_clock_offset(node, 0);
    shared.until_serving(shared.nodes()).await;
    whole(shared).await;
    store(shared, KEYS[1]).await;
}

/// Wipes a drive, and starts its node again or all of them: it stays empty, and the others serve.
pub async fn wipe(shared: &Arc<Shared>) {
    let Some(drive) = shared.plan.wiped else { return };
    let node = shared.plan.node_of(drive);
    let restart: Vec<u32> = match shared.plan.all_restart {
        true => shared.nodes().collect(),
        false => vec![node],
    };
    for node in &restart {
        shared.take_down(*node, false);
    }
    shared.media().wipe(drive);
    for node in &restart {
        shared.processes.bring_up(*node);
    }
    shared.until_serving(shared.nodes()).await;
    whole(shared).await;
    store(shared, KEYS[2]).await;
    shared.saw(match shared.plan.all_restart {
        true => "a whole deployment starts with a wiped drive",
        false => "a wiped drive stays empty among those that serve",
    });
}
