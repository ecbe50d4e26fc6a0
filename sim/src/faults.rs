//! Faults that scenarios of several nodes share: processes that end and stop, hosts without power, links that are cut
//! or slow, and drives without any.

use crate::{Faults, SimDrive, World, lock, net::Link};
use madsim::time::{Duration, sleep};
use std::{collections::BTreeSet, sync::Mutex};

/// Size of a drive in bytes.
const CAPACITY_BYTES: u64 = 128 << 20;

/// Processes of nodes that faults end and stop, one fault of a node at a time.
pub struct Processes {
    world: World,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    down: BTreeSet<u32>,
    paused: BTreeSet<u32>,
    /// Nodes whose page caches may be ahead of their media.
    ahead: BTreeSet<u32>,
}

impl Processes {
    pub fn new(world: &World) -> Processes {
        Processes {
            world: world.clone(),
            state: Mutex::default(),
        }
    }

    /// Notes that a node has to end with its host's power: a write or sync has failed, or is about to.
    pub fn next_end_takes_power(&self, node: u32) {
        lock(&self.state).ahead.insert(node);
    }

    /// Returns the nodes that have to end with their host's power.
    pub fn ahead(&self) -> BTreeSet<u32> {
        lock(&self.state).ahead.clone()
    }

    /// Returns the nodes whose processes are stopped.
    pub fn paused(&self) -> BTreeSet<u32> {
        lock(&self.state).paused.clone()
    }

    pub fn is_down(&self, node: u32) -> bool {
        lock(&self.state).down.contains(&node)
    }

    /// Ends a node, if it runs.
    pub fn take_down(&self, node: u32, power: bool) -> bool {
        let mut state = lock(&self.state);
        if state.paused.contains(&node) || !state.down.insert(node) {
            return false;
        }
        let power = state.ahead.contains(&node) || power;
        // The next process meets the same errors.
        if !self.drives_fail(node) {
            state.ahead.remove(&node);
        }
        drop(state);
        match power {
            true => self.world.power_off(node),
            false => self.world.kill(node),
        }
        true
    }

    /// Starts a node that was taken down.
    pub fn bring_up(&self, node: u32) {
        let mut state = lock(&self.state);
        if !state.down.remove(&node) {
            return;
        }
        let is_ahead = state.ahead.contains(&node);
        drop(state);
        if is_ahead {
            self.world.power_off(node);
        }
        self.world.restart(node);
    }

    /// Does something while nodes have no power, and starts them again, unless one of them does not run. `take_down`
    /// ends a node. Returns whether it was done.
    pub fn while_down(&self, nodes: &BTreeSet<u32>, take_down: impl Fn(u32) -> bool, act: impl FnOnce()) -> bool {
        let down: Vec<u32> = nodes.iter().copied().filter(|node| take_down(*node)).collect();
        let is_done = down.len() == nodes.len();
        if is_done {
            act();
        }
        down.into_iter().for_each(|node| self.bring_up(node));
        is_done
    }

    /// Stops a node's process, if it runs.
    pub fn stop(&self, node: u32) -> bool {
        let mut state = lock(&self.state);
        if state.down.contains(&node) || !state.paused.insert(node) {
            return false;
        }
        drop(state);
        self.world.event(node, "stopped");
        self.world.pause(node);
        true
    }

    /// Lets a node's process go on that was stopped.
    pub fn resume(&self, node: u32) {
        if lock(&self.state).paused.remove(&node) {
            self.world.event(node, "goes on");
            self.world.resume(node);
        }
    }

    /// Returns whether writes or syncs of a node's drives fail now.
    fn drives_fail(&self, node: u32) -> bool {
        let fails = |faults: Faults| faults.write_error > 0.0 || faults.sync_error > 0.0;
        self.world.drives(node).iter().any(|drive| fails(drive.faults()))
    }
}

/// Cuts links off for a while.
pub async fn cut_links(world: &World, links: &[(u32, u32)], lasts: Duration) {
    for (from, to) in links {
        world.set_link(*from, *to, false);
    }
    sleep(lasts).await;
    for (from, to) in links {
        world.set_link(*from, *to, true);
    }
}

/// Makes a link slow for a while.
pub async fn slow_link(world: &World, from: u32, to: u32, link: Link, lasts: Duration) {
    world.set_link_quality(from, to, link);
    sleep(lasts).await;
    world.set_link_quality(from, to, Link::default());
}

/// Mends what a node sends to others.
pub fn mend_links(world: &World, from: u32, nodes: impl Iterator<Item = u32>) {
    for to in nodes.filter(|to| *to != from) {
        world.set_link(from, to, true);
        world.set_link_quality(from, to, Link::default());
    }
}

/// Removes all faults from a drive.
pub fn calm(drive: &SimDrive) {
    drive.set_faults(|faults| {
        *faults = Faults {
            capacity_bytes: CAPACITY_BYTES,
            ..Faults::default()
        };
    });
}
