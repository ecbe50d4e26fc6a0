//! A run: hosts under faults, then the end of all faults, and what must hold then.

use super::{
    gremlin::{gremlin, mend_all},
    history::{History, Seen},
    host::{NODES, host, node},
    plan::Plan,
};
use crate::{World, faults::Processes};
use madsim::{
    rand::{Rng, thread_rng},
    task,
    time::sleep,
};
use std::{sync::Arc, time::Duration};

/// Time after the faults in which every node must have reached every other: a silent connection is noticed, and one is
/// dialled again.
const REACH_MAX: Duration = Duration::from_secs(60);
/// Time after that in which every call ends, on clocks that are slow.
const LAST_CALLS: Duration = Duration::from_secs(30);

/// What some seeds of a run must see.
pub const SOMETIMES: [&str; 14] = [
    "answered",
    "answered after a restart",
    "bulk connection reused",
    "dropped and run",
    "late and not run",
    "late and run",
    "lost and not run",
    "lost and run",
    "no service",
    "not sent, busy",
    "refused, busy",
    "too large",
    "unanswered",
    "unreachable",
];

/// Runs the scenario. Returns what was seen.
pub async fn peers(world: World) -> Seen {
    peers_as(world, |_| {}).await
}

/// Runs the scenario with a plan that `focus` changes.
pub async fn peers_as(world: World, focus: fn(&mut Plan)) -> Seen {
    let mut plan = Plan::draw();
    focus(&mut plan);
    let plan = Arc::new(plan);
    world.event(0, &format!("{plan:?}"));
    let history = Arc::new(History::new(world.clone()));
    for peer in 0..NODES {
        let drift = thread_rng().gen_range(-plan.drift_ppm_max..=plan.drift_ppm_max);
        world.set_clock_drift(node(peer), drift);
        let (history, plan) = (history.clone(), plan.clone());
        world.start(node(peer), move |rt| host(rt, peer, history.clone(), plan.clone()));
    }
    let processes = Arc::new(Processes::new(&world));
    let gremlins = (0..plan.gremlins).map(|_| task::spawn(gremlin(history.clone(), plan.clone(), processes.clone())));
    for gremlin in gremlins.collect::<Vec<_>>() {
        gremlin.await.expect("it ends");
    }
    mend_all(&world);
    end(&history).await;
    history.seen()
}

/// What must hold once the faults are over.
async fn end(history: &History) {
    let world = &history.world;
    history.check();
    history.calm();
    let until = world.now() + REACH_MAX;
    let all = usize::from(NODES * (NODES - 1));
    while history.pairs_reached().len() < all {
        let reached = history.pairs_reached();
        assert!(
            world.now() < until,
            "peer.reconnects: only {reached:?} reach each other"
        );
        sleep(Duration::from_millis(500)).await;
        history.check();
    }
    sleep(LAST_CALLS).await;
    history.check_end();
}
