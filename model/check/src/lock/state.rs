//! The bounds of a run, its states, and the actions.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::lock::mutant::Mutation;
use model::lock::{Client, Kind, Owner, Server, Terms};
use std::collections::BTreeMap;

/// The time on every machine's own clock: instead of clocks advancing, recorded times age (see `world`).
pub const NOW: u64 = 20;

pub(super) const RESOURCE: u8 = 0;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// Number of lock servers.
    pub servers: u32,
    /// Number of attempts of each client.
    pub attempts: Vec<u8>,
    /// True if all servers share one clock.
    pub one_clock: bool,
    /// Number of ticks by which a clock may be ahead of the slowest.
    pub lead: u64,
    /// True if a client may be paused beyond its deadline; otherwise it checks its clock when the deadline passes.
    pub pauses: bool,
    /// Lease, deadline and refresh intervals, in ticks.
    pub terms: Terms,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// Servers that restart and forget everything.
    pub restarts: u8,
    /// Server clocks that jump forward by the duration of a lease; only under a mutant.
    pub steps: u8,
}

/// A server, its clock and the requests in flight to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Ticks ahead of the slowest clock.
    pub ahead: u64,
    pub server: Server<u8>,
    /// The newest request in flight of each owner.
    pub mail: BTreeMap<Owner, Kind>,
}

/// A client, its clock and its current attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockClient {
    /// Ticks ahead of the slowest clock.
    pub ahead: u64,
    /// Number of attempts left.
    pub attempts: u8,
    /// The machine of the current attempt.
    pub attempt: Option<Client>,
}

/// A state: the system that is checked, and the ledger that it is checked against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub system: System,
    pub ledger: Ledger,
}

/// The system under test: the machines, the messages in flight, and the remaining faults.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct System {
    pub nodes: Vec<Node>,
    pub clients: Vec<LockClient>,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger {
    pub broken: Violations<Rule>,
}

/// The possible actions. A clock on which no lease, quiet time or attempt depends is idle and has no position. An
/// action that may make a clock active carries its offset, in ticks, from the slowest active clock: `Begin(0, -1)`
/// begins an attempt of client 0, whose clock is then one tick behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// All clocks tick.
    TickAll,
    /// A server's clock ticks.
    TickServer(u8),
    /// A client's clock ticks.
    TickClient(u8),
    /// A client begins an attempt, with this clock offset.
    Begin(u8, i64),
    /// A client checks its clock.
    Wake(u8),
    /// A client releases the lock.
    Release(u8),
    /// A server receives an owner's request; true if the reply comes back; the server's clock offset.
    Deliver(u8, Owner, bool, i64),
    /// A server restarts, with this clock offset.
    Restart(u8, i64),
    /// A server's clock jumps forward.
    Step(u8),
}

impl LockClient {
    /// Returns whether the client's clock is active.
    pub(super) fn looks(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.over().is_none())
    }
}

/// Returns whether a server's clock is active.
pub(super) fn looks(node: &Node) -> bool {
    node.server.is_quiet(NOW) || node.server.owner(&RESOURCE, NOW).is_some()
}

impl System {
    /// Returns the current attempts, with their clients.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (u8, &Client)> {
        let clients = self.clients.iter().zip(0u8..);
        clients.filter_map(|(client, index)| Some((index, client.attempt.as_ref()?)))
    }
}
