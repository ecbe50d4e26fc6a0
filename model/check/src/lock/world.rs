//! Lock servers and clients that want the same lock, each with a clock of its own.
//!
//! Clocks tick one at a time, none more than `lead` ticks ahead of the slowest: in the life of a lease two of them
//! differ by at most twice that, and a holder's deadline is shorter by as much. A clock that is *set* is a break: the
//! protocol's are not. Every machine's own clock stands at [`NOW`], and what it remembers ages instead, so that states
//! repeat and there is no bound on time.
//!
//! Reduced where an argument says that no behaviour is lost:
//!
//! - Requests are lost, delayed and reordered without bound; an answer comes back at once or never. A late answer makes
//!   a client believe later, and no longer, since it counts from what it sent.
//! - Of the requests of one attempt that are on their way to a server, the newest is kept. An older one that arrives
//!   later lengthens a lease that nobody counts on; of an attempt that is over, it keeps others out for the life of a
//!   lease, as one does whose holder dies.
//! - A clock that nobody looks at, because there is no lease, no quiet and no attempt, stands wherever it may when it
//!   is looked at again.
//! - Which client, and which server, is called which makes no difference.
//! - A client that does not tick is paused, or dead; its clock runs on.

use super::order::sorted;
use super::rules::properties;
use crate::explore::Charted;
use crate::rules::{Broken, Seen};
use model::lock::mutant::Mutation;
use model::lock::{Client, Kind, Owner, Server, Terms};
use stateright::{Model, Property};
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
    pub seen: Seen,
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
pub struct Wanting {
    /// Ticks ahead of the slowest clock.
    pub ahead: u64,
    /// Attempts left.
    pub attempts: u8,
    /// The machine of the present attempt.
    pub attempt: Option<Client>,
}

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// The servers.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Wanting>,
    /// What is left of the faults.
    pub faults: Faults,
    /// The rules that were broken.
    pub broken: Broken,
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

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            ahead: 0,
            server: self.blank(),
            mail: BTreeMap::new(),
        };
        let client = |attempts: &u8| Wanting {
            ahead: 0,
            attempts: *attempts,
            attempt: None,
        };
        vec![State {
            nodes: vec![node; self.servers as usize],
            clients: self.attempts.iter().map(client).collect(),
            faults: self.faults,
            broken: Broken::default(),
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        if self.lead == 0 {
            actions.push(Action::TickAll);
        }
        for (index, node) in s.nodes.iter().enumerate() {
            let index = index as u8;
            let first = s.nodes.iter().position(looks) == Some(usize::from(index));
            if node.ahead < self.lead && looks(node) && (first || !self.one_clock) {
                actions.push(Action::TickServer(index));
            }
            for owner in node.mail.keys() {
                for answered in [false, true] {
                    actions.extend(self.offsets().map(|at| Action::Deliver(index, *owner, answered, at)));
                }
            }
            if s.faults.restarts > 0 {
                actions.extend(self.offsets().map(|at| Action::Restart(index, at)));
            }
            if s.faults.steps > 0 {
                actions.push(Action::Step(index));
            }
        }
        for (index, client) in s.clients.iter().enumerate() {
            let index = index as u8;
            if client.ahead < self.lead && client.looks() {
                actions.push(Action::TickClient(index));
            }
            let running = client.attempt.as_ref().filter(|attempt| attempt.over().is_none());
            match running {
                None if client.attempts > 0 => actions.extend(self.offsets().map(|at| Action::Begin(index, at))),
                None => {}
                Some(attempt) => {
                    actions.push(Action::Wake(index));
                    if attempt.holds(NOW) {
                        actions.push(Action::Release(index));
                    }
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let s = self.unsorted(last, action)?;
        Some(sorted(s, self.are_clients_alike()).0)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }

    fn format_action(&self, action: &Action) -> String {
        self.asks(*action, &self.names())
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        self.line(last, &action, &mut self.names())
    }
}

impl Wanting {
    /// Returns whether it looks at its clock.
    pub(super) fn looks(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.over().is_none())
    }
}

/// Returns whether a server looks at its clock.
pub(super) fn looks(node: &Node) -> bool {
    node.server.is_quiet(NOW) || node.server.owner(&RESOURCE, NOW).is_some()
}

impl State {
    /// The attempts that are there.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (u8, &Client)> {
        let clients = self.clients.iter().zip(0u8..);
        clients.filter_map(|(client, index)| Some((index, client.attempt.as_ref()?)))
    }
}

impl World {
    /// The state after an action, everybody under the name that they had.
    pub(super) fn unsorted(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.step(&mut s, action)?;
        self.settle(&mut s);
        self.judge(&mut s);
        Some(s)
    }

    /// Returns whether which client is called which makes no difference.
    pub(super) fn are_clients_alike(&self) -> bool {
        self.attempts.iter().all(|attempts| *attempts == self.attempts[0])
    }

    /// All servers have one clock.
    #[must_use]
    pub fn with_one_clock(self) -> World {
        World {
            one_clock: true,
            ..self
        }
    }

    /// No clock is ever ahead of another: a holder believes for as long as a lease lasts.
    #[must_use]
    pub fn with_clocks_that_agree(self) -> World {
        let terms = Terms {
            expiry: 2,
            deadline: 2,
            refresh: 1,
        };
        World { lead: 0, terms, ..self }
    }

    /// A client may be paused beyond its deadline.
    #[must_use]
    pub fn with_pauses(self) -> World {
        World { pauses: true, ..self }
    }

    /// The bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let attempts: Vec<String> = self.attempts.iter().map(u8::to_string).collect();
        let mut words = format!("{} servers, attempts {}", self.servers, attempts.join("+"));
        words += &crate::explore::departures(&[
            (u8::from(self.one_clock), "one clock"),
            (u8::from(self.lead == 0), "clocks agree"),
            (u8::from(self.pauses), "pauses"),
            (self.faults.restarts, "restarts"),
            (self.faults.steps, "steps"),
        ]);
        words
    }
}

/// A world in which a clock may be one tick ahead of another: a lease lasts four ticks, a holder believes for two.
#[must_use]
pub fn world(servers: u32, attempts: &[u8], faults: Faults) -> World {
    World {
        servers,
        attempts: attempts.to_vec(),
        one_clock: false,
        lead: 1,
        pauses: false,
        terms: Terms {
            expiry: 4,
            deadline: 2,
            refresh: 1,
        },
        faults,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}
