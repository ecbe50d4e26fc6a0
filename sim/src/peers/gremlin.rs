//! Strikes links, processes and hosts with the faults of a plan, and mends what it has struck.

use super::{
    history::History,
    host::{NODES, node},
    plan::{Fault, Plan, of},
};
use crate::{World, faults::Processes, net::Link};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::sleep,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Longest pause that leaves connections as they are, and longest of all.
const PAUSE_MAX: Duration = Duration::from_secs(14);
const LONG_PAUSE_MAX: Duration = Duration::from_secs(180);

/// Strikes until the plan's time is over.
pub(super) async fn gremlin(history: Arc<History>, plan: Arc<Plan>, processes: Arc<Processes>) {
    let world = history.world.clone();
    let until = world.now() + plan.life;
    while world.now() < until {
        sleep(thread_rng().gen_range(Duration::ZERO..=plan.quiet_max)).await;
        let chosen = plan.faults.choose_weighted(&mut thread_rng(), |(_, weight)| *weight);
        let Ok((fault, _)) = chosen else { continue };
        let lasts = thread_rng().gen_range(Duration::ZERO..=plan.fault_max);
        match fault {
            Fault::CutOneWay | Fault::Partition | Fault::Slow | Fault::Narrow => {
                strike_links(&world, *fault, lasts).await;
            }
            Fault::Reset => {
                let (a, b) = pair();
                world.reset_connections(a, b);
            }
            Fault::Clock => strike_clock(&world, node(thread_rng().gen_range(0..NODES))),
            Fault::Kill | Fault::PowerOff | Fault::Pause | Fault::LongPause => {
                strike_host(&history, &processes, *fault, lasts).await;
            }
        }
    }
}

/// Two nodes of the world.
fn pair() -> (u32, u32) {
    let from = thread_rng().gen_range(0..NODES);
    let to = (from + thread_rng().gen_range(1..NODES)) % NODES;
    (node(from), node(to))
}

async fn strike_links(world: &World, fault: Fault, lasts: Duration) {
    let side: BTreeSet<u32> = (0..NODES).filter(|_| thread_rng().gen_bool(0.5)).map(node).collect();
    let links: Vec<(u32, u32)> = match fault {
        Fault::Partition => {
            let across = |(from, to): &(u32, u32)| side.contains(from) != side.contains(to);
            all_links().filter(across).collect()
        }
        _ => vec![pair()],
    };
    let latency = of(&[1, 50, 1500].map(Duration::from_millis));
    let quality = Link {
        latency: latency / 4..=latency,
        bandwidth: (fault == Fault::Narrow).then(|| of(&[10_000, 100_000, 2_000_000])),
    };
    for (from, to) in &links {
        match fault {
            Fault::Slow | Fault::Narrow => world.set_link_quality(*from, *to, quality.clone()),
            _ => world.set_link(*from, *to, false),
        }
    }
    sleep(lasts).await;
    mend(world, links.into_iter());
}

fn all_links() -> impl Iterator<Item = (u32, u32)> {
    let pairs = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (node(from), node(to))));
    pairs.filter(|(from, to)| from != to)
}

fn mend(world: &World, links: impl Iterator<Item = (u32, u32)>) {
    for (from, to) in links {
        world.set_link_quality(from, to, Link::default());
        // What waits behind a narrow link is sent again: it would keep the link busy for as long as before.
        world.set_link(from, to, false);
        world.set_link(from, to, true);
    }
}

/// Mends all links.
pub(super) fn mend_all(world: &World) {
    mend(world, all_links());
}

fn strike_clock(world: &World, node: u32) {
    world.set_clock_offset(node, thread_rng().gen_range(-3_600_000_000_000..3_600_000_000_000));
}

async fn strike_host(history: &History, processes: &Processes, fault: Fault, lasts: Duration) {
    let peer = thread_rng().gen_range(0..NODES);
    let node = node(peer);
    let is_struck = match fault {
        Fault::Kill | Fault::PowerOff => processes.take_down(node, fault == Fault::PowerOff),
        _ => processes.stop(node),
    };
    if !is_struck {
        return;
    }
    let is_long = fault == Fault::LongPause && thread_rng().gen_bool(0.3);
    match is_long {
        true => sleep(thread_rng().gen_range(Duration::ZERO..=LONG_PAUSE_MAX)).await,
        false => sleep(lasts.min(PAUSE_MAX)).await,
    }
    match fault {
        Fault::Kill | Fault::PowerOff => processes.bring_up(node),
        _ => {
            history.resumed(peer);
            processes.resume(node);
        }
    }
}
