//! Lock servers and clients that want the same lock, each with a clock of its own.
//!
//! Clocks tick one at a time, none more than `lead` ticks ahead of the slowest: over the duration of a lease, two
//! clocks drift by at most twice that, and a holder's deadline is shorter by as much. Setting a clock is modelled as a
//! mutant: the protocol's clocks are never set. Every machine's own clock stands at [`NOW`], and the times that it
//! remembers age instead, so that states repeat and time is unbounded.
//!
//! Reduced where an argument shows that no behaviour is lost:
//!
//! - Requests are lost, delayed and reordered without bound; a reply comes back at once or never. A late reply makes
//!   a client believe later that it holds the lock, but no longer, since the lease counts from the request.
//! - Of an attempt's requests in flight to a server, only the newest is kept. An older one that arrives later extends
//!   a lease that no client counts on, or, after the attempt, keeps others out for the duration of a lease, as a
//!   holder that dies does.
//! - An idle clock, on which no lease, quiet time or attempt depends, takes any position when it becomes active again.
//! - Servers are interchangeable, and so are clients with equal numbers of attempts.
//! - A client that does not tick is paused, or dead; its clock runs on.

use super::order::sorted;
use super::rules::{Occasion, Rule};
use super::state::{Action, Ledger, LockClient, NOW, Node, State, System, World, looks};
use crate::harness;
use crate::rules::{Seen, Violations};
use std::collections::BTreeMap;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let node = Node {
            ahead: 0,
            server: self.blank(),
            mail: BTreeMap::new(),
        };
        let client = |attempts: &u8| LockClient {
            ahead: 0,
            attempts: *attempts,
            attempt: None,
        };
        State {
            system: System {
                nodes: vec![node; self.servers as usize],
                clients: self.attempts.iter().map(client).collect(),
                faults: self.faults,
            },
            ledger: Ledger {
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        if self.lead == 0 {
            actions.push(Action::TickAll);
        }
        for (index, node) in s.system.nodes.iter().enumerate() {
            let index = index as u8;
            let first = s.system.nodes.iter().position(looks) == Some(usize::from(index));
            if node.ahead < self.lead && looks(node) && (first || !self.one_clock) {
                actions.push(Action::TickServer(index));
            }
            for owner in node.mail.keys() {
                for answered in [false, true] {
                    actions.extend(self.offsets().map(|at| Action::Deliver(index, *owner, answered, at)));
                }
            }
            if s.system.faults.restarts > 0 {
                actions.extend(self.offsets().map(|at| Action::Restart(index, at)));
            }
            if s.system.faults.steps > 0 {
                actions.push(Action::Step(index));
            }
        }
        for (index, client) in s.system.clients.iter().enumerate() {
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

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.act(&mut s, action)?;
        self.settle(&mut s);
        s.ledger.check_invariants(self, &s.system);
        Some(s)
    }

    fn canonical(&self, s: State) -> State {
        sorted(s, self.are_clients_alike()).0
    }

    fn broken(&self, s: &State) -> Violations<Rule> {
        s.ledger.broken
    }

    fn seen(&self) -> &Seen<Occasion> {
        &self.seen
    }
}

impl World {
    /// Returns whether clients are interchangeable.
    pub(super) fn are_clients_alike(&self) -> bool {
        self.attempts.iter().all(|attempts| *attempts == self.attempts[0])
    }
}
