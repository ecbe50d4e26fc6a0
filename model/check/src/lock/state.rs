//! What there is: the bounds of a run, its state, and what may happen.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::lock::mutant::Mutation;
use model::lock::{Client, Kind, Owner, Server, Terms};
use std::collections::BTreeMap;

/// What every clock shows.
pub const NOW: u64 = 20;

/// The resource that is locked.
pub(super) const RESOURCE: u8 = 0;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// How many lock servers.
    pub servers: u32,
    /// Attempts of each client.
    pub attempts: Vec<u8>,
    /// Whether all servers have one clock.
    pub one_clock: bool,
    /// How far a clock may be ahead of the slowest.
    pub lead: u64,
    /// Whether a client may be paused beyond its deadline: else it looks at its clock when that passes.
    pub pauses: bool,
    /// How long what lasts.
    pub terms: Terms,
    /// How many faults there may be.
    pub faults: Faults,
    /// The break, if any.
    pub mutation: Mutation,
    /// The occasions that arose in some state.
    pub seen: Seen<Occasion>,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// Servers that restart and forget everything.
    pub restarts: u8,
    /// Clocks of servers that are set forward by the life of a lease: only a break has such.
    pub steps: u8,
}

/// A server, its clock and what is on its way to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Ticks ahead of the slowest clock.
    pub ahead: u64,
    /// The machine.
    pub server: Server<u8>,
    /// By owner: of locks and renewals, what was sent last.
    pub mail: BTreeMap<Owner, Kind>,
}

/// A client, its clock and its present attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockClient {
    /// Ticks ahead of the slowest clock.
    pub ahead: u64,
    /// Attempts left.
    pub attempts: u8,
    /// The machine of the present attempt.
    pub attempt: Option<Client>,
}

/// All that there is at one moment: what is judged, and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// The system.
    pub system: System,
    /// The books.
    pub ledger: Ledger,
}

/// What is judged: machines, what is between them, and what may yet befall them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct System {
    /// The servers.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<LockClient>,
    /// What is left of the faults.
    pub faults: Faults,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger {
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// What may happen next. What may make somebody look at a clock tells how far ahead that is then, of those that are
/// looked at already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// All clocks tick.
    TickAll,
    /// A server's clock ticks.
    TickServer(u8),
    /// A client's clock ticks.
    TickClient(u8),
    /// A client begins an attempt.
    Begin(u8, i64),
    /// A client looks at its clock.
    Wake(u8),
    /// A client releases the lock.
    Release(u8),
    /// A server gets a request, and its answer comes back or not.
    Deliver(u8, Owner, bool, i64),
    /// A server restarts.
    Restart(u8, i64),
    /// A server's clock is set forward.
    Step(u8),
}

impl LockClient {
    /// Returns whether it looks at its clock.
    pub(super) fn looks(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.over().is_none())
    }
}

/// Returns whether a server looks at its clock.
pub(super) fn looks(node: &Node) -> bool {
    node.server.is_quiet(NOW) || node.server.owner(&RESOURCE, NOW).is_some()
}

impl System {
    /// The attempts that are there.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (u8, &Client)> {
        let clients = self.clients.iter().zip(0u8..);
        clients.filter_map(|(client, index)| Some((index, client.attempt.as_ref()?)))
    }
}
