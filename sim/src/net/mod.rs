//! A network of simulated hosts: links with latency and bandwidth that can be cut each way, and TCP's behavior on them.
//!
//! It knows what a program sees of TCP, not its packets. What is written is cut into segments, each of which
//! arrives a latency after the link has carried it, and behind the one before it. A segment on a link that is down
//! waits until the link is up again, as if it were sent again; so loss and reordering look like delay. It models
//!
//! - **back-pressure**: a connection holds a window of bytes that are sent and not read, and a full one stops its
//!   writer. Room is told over the way back, so a link that is cut one way stops the writer too;
//! - **ends**: a stream that is shut down or dropped sends an end behind its bytes; one that is dropped with bytes
//!   unread sends a reset, and so does a host that gets bytes for a stream that it no longer has. The streams of a
//!   process that is killed end as the operating system ends them;
//! - **silence**: a host without power sends nothing. Its peers find their connections half open: what they write
//!   goes nowhere, and is answered by a reset once the host is back;
//! - **connecting**: refused after a round trip where no listener is, silent for ten seconds where no host answers.
//!
//! Short reads and writes happen at random. `specs/simulation.md` says what is left out.

mod connection;
mod socket;

pub(crate) use socket::{connect, listen};

use crate::lock;
use connection::Connection;
use madsim::{
    rand::{Rng, thread_rng},
    time::TimeHandle,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    task::Waker,
    time::Duration,
};

/// First port that is given to who asks for none.
const EPHEMERAL_PORT_MIN: u16 = 32_768;
/// Longest wait, once a link is up again, until what waits for it is sent again.
const SEND_AGAIN_MAX: Duration = Duration::from_millis(400);

/// Quality of a link, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Time from one host to the other.
    pub latency: RangeInclusive<Duration>,
    /// Bytes a second, of all connections together; without it the link carries any number at once.
    pub bandwidth: Option<u64>,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            latency: Duration::from_micros(50)..=Duration::from_millis(2),
            bandwidth: None,
        }
    }
}

/// The address of a node: 10.0.x.y for node 256x + y.
pub(crate) fn ip(node: u32) -> IpAddr {
    let [_, _, high, low] = node.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

/// The node of an address, asked for by `node`.
fn node_at(node: u32, ip: IpAddr) -> Option<u32> {
    match ip {
        ip if ip.is_loopback() || ip.is_unspecified() => Some(node),
        IpAddr::V4(ip) if ip.octets()[..2] == [10, 0] => {
            Some(u32::from_be_bytes([0, 0, ip.octets()[2], ip.octets()[3]]))
        }
        _ => None,
    }
}

/// All hosts, links and connections of a world.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    links: BTreeMap<(u32, u32), LinkState>,
    /// Hosts without power.
    off: BTreeSet<u32>,
    listeners: BTreeMap<(u32, u16), Backlog>,
    connections: BTreeMap<u64, Connection>,
    /// Number of the last connection or listener.
    last_id: u64,
    last_port: u16,
}

#[derive(Default)]
struct LinkState {
    quality: Link,
    is_down: bool,
    /// Time until which it is busy with what was sent before.
    busy_until: Duration,
}

/// Connections that a listener has not accepted yet.
struct Backlog {
    /// Number of the listener: a later one of the port is another.
    id: u64,
    waiting: VecDeque<u64>,
    wakers: Vec<Waker>,
}

fn now() -> Duration {
    TimeHandle::current().elapsed()
}

impl State {
    fn link(&mut self, from: u32, to: u32) -> &mut LinkState {
        self.links.entry((from, to)).or_default()
    }

    /// Returns whether what `from` sends can reach `to` now.
    fn is_up(&mut self, from: u32, to: u32) -> bool {
        !self.off.contains(&from) && !self.off.contains(&to) && !self.link(from, to).is_down
    }

    /// Time at which `bytes` bytes arrive that are sent now; `None` while they cannot.
    fn arrival(&mut self, from: u32, to: u32, bytes: usize) -> Option<Duration> {
        if !self.is_up(from, to) {
            return None;
        }
        let now = now();
        let link = self.link(from, to);
        let latency = thread_rng().gen_range(link.quality.latency.clone());
        if let Some(bandwidth) = link.quality.bandwidth {
            let carrying = Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64);
            link.busy_until = link.busy_until.max(now) + carrying;
        }
        Some(link.busy_until.max(now) + latency)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Closes a listener: connections that were not accepted are reset.
    fn close_listener(&mut self, at: (u32, u16)) {
        let backlog = self.listeners.remove(&at);
        for id in backlog.into_iter().flat_map(|backlog| backlog.waiting) {
            connection::abort(self, id, 1);
        }
    }

    fn port(&mut self, node: u32) -> u16 {
        loop {
            self.last_port = self.last_port.checked_add(1).unwrap_or(0).max(EPHEMERAL_PORT_MIN);
            if !self.listeners.contains_key(&(node, self.last_port)) {
                return self.last_port;
            }
        }
    }

    /// Sends again what waits for a link that is up now, and tells the writers on its other side of room.
    fn resume(&mut self, from: u32, to: u32) {
        if !self.is_up(from, to) {
            return;
        }
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            let again = thread_rng().gen_range(Duration::ZERO..=SEND_AGAIN_MAX);
            connection::send_again(self, id, (from, to), again);
        }
    }
}

impl Network {
    /// Sets the quality of a link for what is sent from now on.
    pub(crate) fn set_quality(&self, from: u32, to: u32, quality: Link) {
        lock(&self.0).link(from, to).quality = quality;
    }

    /// Cuts a link in one direction, or mends it.
    pub(crate) fn set_link(&self, from: u32, to: u32, up: bool) {
        let mut state = lock(&self.0);
        state.link(from, to).is_down = !up;
        if up {
            state.resume(from, to);
            return;
        }
        // What is lost does not keep the link busy.
        state.link(from, to).busy_until = Duration::ZERO;
        for connection in state.connections.values_mut() {
            connection.lose_under_way((from, to));
        }
    }

    /// Resets all connections between two hosts, as a firewall between them may.
    pub(crate) fn reset(&self, a: u32, b: u32) {
        let mut state = lock(&self.0);
        for connection in state
            .connections
            .values_mut()
            .filter(|connection| connection.joins(a, b))
        {
            connection.reset();
        }
    }

    /// Takes a host's power: from now on it is silent, and has forgotten its connections.
    pub(crate) fn power_off(&self, node: u32) {
        let mut state = lock(&self.0);
        state.off.insert(node);
        state.listeners.retain(|(host, _), _| *host != node);
        for connection in state.connections.values_mut() {
            connection.lose_host(node);
        }
        state.connections.retain(|_, connection| !connection.is_over());
    }

    /// Ends what a node's process had, as its operating system does: listeners, then streams.
    pub(crate) fn end_process(&self, node: u32) {
        let mut state = lock(&self.0);
        let bound: Vec<_> = state
            .listeners
            .keys()
            .copied()
            .filter(|(host, _)| *host == node)
            .collect();
        bound.into_iter().for_each(|at| state.close_listener(at));
        connection::close_all(&mut state, node);
    }

    /// Gives a host its power back.
    pub(crate) fn power_on(&self, node: u32) {
        let mut state = lock(&self.0);
        if !state.off.remove(&node) {
            return;
        }
        let links: Vec<(u32, u32)> = state.links.keys().copied().collect();
        for (from, to) in links.into_iter().filter(|(from, to)| [*from, *to].contains(&node)) {
            state.resume(from, to);
        }
    }
}
