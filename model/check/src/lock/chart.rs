//! Paths through the world of locks in words.

use super::order::{Order, sorted};
use super::state::{Action, NOW, RESOURCE, State, World};
use crate::chart::Names;
use crate::harness::{Charted, World as _};
use model::lock::{Kind, Over, Owner, Request};

/// The groups of names.
const SERVERS: u8 = 0;
const CLIENTS: u8 = 1;

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn names(&self) -> Names {
        Names::new("", [self.servers as u8, self.attempts.len() as u8])
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action, &self.names())
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action, names);
        if let Action::Deliver(server, owner, answered, _) = *action {
            line += &format!(": {}", answer(last, server, owner)?);
            line += if answered { "" } else { ", and the answer is lost" };
        }
        line += &self.news(last, &next, names);
        line += &next.ledger.broken.since(last.ledger.broken);
        let Order { servers, exchanged } = sorted(next, self.are_clients_alike()).1;
        if exchanged {
            let others = 2..self.attempts.len() as u8;
            let order: Vec<u8> = [1, 0].into_iter().chain(others).collect();
            names.reorder(CLIENTS, &order);
        }
        names.reorder(SERVERS, &servers);
        Some(line)
    }
}

impl World {
    /// Describes an action: actor and receiver.
    pub(super) fn asks(&self, action: Action, names: &Names) -> String {
        let client = |index| format!("client {}", names.of(CLIENTS, index) + 1);
        let server = |index| format!("server {}", names.of(SERVERS, index));
        match action {
            Action::TickAll => "all clocks tick".to_owned(),
            Action::TickServer(_) if self.one_clock => "the servers' clock ticks".to_owned(),
            Action::TickServer(index) => format!("the clock of {} ticks", server(index)),
            Action::TickClient(index) => format!("the clock of {} ticks", client(index)),
            Action::Begin(index, at) => format!("{} asks all servers for the lock{}", client(index), stands(at)),
            Action::Wake(index) => format!("{} looks at its clock", client(index)),
            Action::Release(index) => format!("{} releases the lock", client(index)),
            Action::Deliver(index, owner, _, at) => {
                let sender = client(client_of(owner));
                format!(
                    "{sender}, attempt {} -> {}{}",
                    self.attempt(owner),
                    server(index),
                    stands(at)
                )
            }
            Action::Restart(index, at) => {
                format!("{} restarts and has forgotten everything{}", server(index), stands(at))
            }
            Action::Step(index) => format!("the clock of {} is set forward by the life of a lease", server(index)),
        }
    }

    /// Returns the number, from 1, of the client's attempt that an owner stands for.
    fn attempt(&self, owner: Owner) -> u8 {
        let attempts = self.attempts[usize::from(client_of(owner))];
        attempts - (owner % 10) as u8
    }

    /// Describes changes of the locks that clients and servers hold.
    fn news(&self, last: &State, next: &State, names: &Names) -> String {
        let mut words = String::new();
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            let name = names.of(CLIENTS, index) + 1;
            let holds = |client: &super::state::LockClient| client.attempt.as_ref().is_some_and(|it| it.holds(NOW));
            if holds(after) && !holds(before) {
                words += &format!("; client {name} holds the lock");
            }
            let over = |client: &super::state::LockClient| client.attempt.as_ref().and_then(|it| it.over());
            if over(after) != over(before) {
                words += &match over(after) {
                    Some(Over::Refused) => format!("; client {name} gives up"),
                    Some(Over::Lost) => format!("; client {name} has lost the lock"),
                    Some(Over::Released) | None => String::new(),
                };
            }
        }
        for (index, (before, after)) in (0..).zip(last.system.nodes.iter().zip(&next.system.nodes)) {
            let owner = |node: &super::state::Node| node.server.owner(&RESOURCE, NOW);
            if let (Some(_), None) = (owner(before), owner(after)) {
                words += &format!("; the lease at server {} is over", names.of(SERVERS, index));
            }
        }
        words
    }
}

/// Returns the client whose attempt an owner stands for.
fn client_of(owner: Owner) -> u8 {
    (owner / 10) as u8
}

/// Describes the offset of a clock that becomes active.
fn stands(at: i64) -> String {
    match at {
        0 => String::new(),
        at if at > 0 => format!(" (its clock {at} ahead)"),
        at => format!(" (its clock {} behind)", -at),
    }
}

/// Describes a request to a server, and its reply.
fn answer(last: &State, server: u8, owner: Owner) -> Option<String> {
    let node = &last.system.nodes[usize::from(server)];
    let kind = *node.mail.get(&owner)?;
    let request = Request {
        resource: RESOURCE,
        owner,
        kind,
    };
    let granted = node.server.clone().on(NOW, request);
    Some(
        match (kind, granted) {
            (Kind::Lock, true) => "Lock: granted",
            (Kind::Lock, false) => "Lock: refused",
            (Kind::Refresh, true) => "Refresh: renewed",
            (Kind::Refresh, false) => "Refresh: refused",
            (Kind::Release, _) => "Release",
        }
        .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::lock::bounds::world;
    use crate::lock::rules::Rule;
    use crate::lock::state::{Faults, World};
    use model::lock::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let faults = Faults {
            restarts: 1,
            ..Faults::default()
        };
        let broken = World {
            mutation: Mutant::RestartGrants.into(),
            ..world(1, &[1, 1], faults)
        };
        let words = [
            "client 1 asks all servers for the lock",
            ": Lock: granted; client 1 holds the lock",
            "server 0 restarts and has forgotten everything",
            "client 2, attempt 1 -> server 0: Lock: granted; client 2 holds the lock",
        ];
        assert_tells(&broken, Rule::Exclusive, &words);
    }
}
