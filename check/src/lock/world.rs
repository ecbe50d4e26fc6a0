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

use super::rules::{Occasion, Rule, properties};
use crate::rules::{Broken, Seen};
use model::lock::mutant::Mutation;
use model::lock::{Client, Effect, Kind, Over, Owner, Request, Server, Terms};
use stateright::{Model, Property};
use std::collections::BTreeMap;

/// What every clock shows.
pub const NOW: u64 = 20;

/// The resource that is locked.
const RESOURCE: u8 = 0;

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
        let mut s = last.clone();
        self.step(&mut s, action)?;
        self.settle(&mut s);
        self.judge(&mut s);
        sort_nodes(&mut s);
        if self.attempts.iter().all(|attempts| *attempts == self.attempts[0]) {
            let mut other = exchanged(s.clone());
            sort_nodes(&mut other);
            s = s.min(other);
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}

impl Wanting {
    /// Whether it looks at its clock.
    fn looks(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.over().is_none())
    }
}

/// Whether a server looks at its clock.
fn looks(node: &Node) -> bool {
    node.server.is_quiet(NOW) || node.server.owner(&RESOURCE, NOW).is_some()
}

impl State {
    /// The attempts that are there.
    fn attempts(&self) -> impl Iterator<Item = (u8, &Client)> {
        let clients = self.clients.iter().zip(0u8..);
        clients.filter_map(|(client, index)| Some((index, client.attempt.as_ref()?)))
    }
}

impl World {
    /// What is longer ago is over, whatever it is.
    fn oldest(&self) -> u64 {
        NOW - self.terms.expiry
    }

    fn step(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::TickAll => {
                s.nodes.iter_mut().for_each(|node| node.server.age(1, self.oldest()));
                let attempts = s.clients.iter_mut().filter_map(|client| client.attempt.as_mut());
                attempts.for_each(|attempt| attempt.age(1, NOW - self.terms.deadline));
            }
            Action::TickServer(index) => {
                let ticks = |(other, node): &(usize, &mut Node)| {
                    *other == usize::from(index) || (self.one_clock && looks(node))
                };
                for (_, node) in s.nodes.iter_mut().enumerate().filter(ticks) {
                    node.ahead += 1;
                    node.server.age(1, self.oldest());
                }
            }
            Action::TickClient(index) => {
                let client = &mut s.clients[usize::from(index)];
                client.ahead += 1;
                if let Some(attempt) = &mut client.attempt {
                    attempt.age(1, NOW - self.terms.deadline);
                }
            }
            Action::Begin(index, at) => {
                let ahead = self.enter(s, at)?;
                let client = &mut s.clients[usize::from(index)];
                client.ahead = ahead;
                client.attempts -= 1;
                let owner = Owner::from(index) * 10 + Owner::from(client.attempts);
                let (attempt, effect) = Client::new(owner, self.servers, self.terms, NOW, self.mutation);
                client.attempt = Some(attempt);
                self.send(s, owner, Some(effect));
            }
            Action::Wake(index) => {
                let attempt = s.clients[usize::from(index)].attempt.as_mut()?;
                let (owner, effect) = (attempt.owner(), attempt.tick(NOW)?);
                if attempt.over() == Some(Over::Lost) {
                    self.see(Occasion::OutlivedByHolder);
                }
                self.send(s, owner, Some(effect));
            }
            Action::Release(index) => {
                let attempt = s.clients[usize::from(index)].attempt.as_mut()?;
                let (owner, effect) = (attempt.owner(), attempt.release(NOW));
                self.send(s, owner, Some(effect));
            }
            Action::Deliver(index, owner, answered, at) => self.deliver(s, index, owner, answered, at)?,
            Action::Restart(index, at) => {
                s.faults.restarts -= 1;
                s.nodes[usize::from(index)].server = self.blank();
                let ahead = self.enter_server(s, at)?;
                let node = &mut s.nodes[usize::from(index)];
                node.ahead = ahead;
                node.server = Server::start(self.terms, NOW, self.mutation);
            }
            Action::Step(index) => {
                s.faults.steps -= 1;
                s.nodes[usize::from(index)].server.age(self.terms.expiry, self.oldest());
            }
        }
        Some(())
    }

    /// A server that has been there for long.
    fn blank(&self) -> Server<u8> {
        let mut server = Server::start(self.terms, NOW, self.mutation);
        server.age(self.terms.expiry, self.oldest());
        server
    }

    /// How far ahead of the slowest, or behind, a clock may be.
    fn offsets(&self) -> impl Iterator<Item = i64> {
        let lead = self.lead as i64;
        -lead..=lead
    }

    /// Where a server's clock stands that is looked at again.
    fn enter_server(&self, s: &mut State, at: i64) -> Option<u64> {
        match s.nodes.iter().find(|node| looks(node)) {
            Some(node) if self.one_clock => (at == 0).then_some(node.ahead),
            _ => self.enter(s, at),
        }
    }

    /// Makes room for a clock that is so far ahead of the slowest of those that are looked at, or behind it.
    fn enter(&self, s: &mut State, at: i64) -> Option<u64> {
        let nodes = s
            .nodes
            .iter_mut()
            .filter(|node| looks(node))
            .map(|node| &mut node.ahead);
        let clients = s
            .clients
            .iter_mut()
            .filter(|client| client.looks())
            .map(|client| &mut client.ahead);
        let mut clocks: Vec<&mut u64> = nodes.chain(clients).collect();
        if clocks.is_empty() {
            return (at == 0).then_some(0);
        }
        for clock in &mut clocks {
            **clock += at.min(0).unsigned_abs();
        }
        let fits = clocks.iter().all(|clock| **clock <= self.lead);
        fits.then_some(at.max(0).unsigned_abs())
    }

    fn deliver(&self, s: &mut State, index: u8, owner: Owner, answered: bool, at: i64) -> Option<()> {
        let looked = looks(&s.nodes[usize::from(index)]);
        let ahead = if looked {
            (at == 0).then_some(0)
        } else {
            self.enter_server(s, at)
        }?;
        let node = &mut s.nodes[usize::from(index)];
        let before = node.server.clone();
        let kind = node.mail.remove(&owner)?;
        let request = Request {
            resource: RESOURCE,
            owner,
            kind,
        };
        let granted = node.server.on(NOW, request);
        if node.server.is_quiet(NOW) && !granted {
            self.see(Occasion::RefusedByRestarted);
        }
        if !looked {
            node.ahead = ahead;
            (looks(node) || at == 0).then_some(())?;
        }
        if !answered || kind == Kind::Release {
            // What changes nothing may as well arrive later.
            return (!answered && before != node.server).then_some(());
        }
        let mut clients = s.clients.iter_mut().filter_map(|client| client.attempt.as_mut());
        let attempt = clients.find(|attempt| attempt.owner() == owner)?;
        let held = attempt.holds(NOW);
        let sent = attempt.sent()?;
        let effect = attempt.answer(NOW, sent, u32::from(index), granted);
        let gained = !held && attempt.holds(NOW);
        if gained
            && s.attempts()
                .any(|(_, other)| matches!(other.over(), Some(Over::Lost | Over::Released)))
        {
            self.see(Occasion::HeldInTurn);
        }
        self.send(s, owner, effect);
        Some(())
    }

    /// Sends to all servers.
    fn send(&self, s: &mut State, owner: Owner, effect: Option<Effect>) {
        let Some(Effect { kind, .. }) = effect else { return };
        for node in &mut s.nodes {
            node.mail.insert(owner, kind);
        }
    }

    /// Takes what all clocks have gone through together out of them, and forgets what makes no difference.
    fn settle(&self, s: &mut State) {
        if !self.pauses {
            for index in 0..s.clients.len() {
                let Some(attempt) = &mut s.clients[index].attempt else {
                    continue;
                };
                let ran_out = attempt.over().is_none() && attempt.has_run_out(NOW);
                if ran_out {
                    self.step(s, Action::Wake(index as u8));
                }
            }
        }
        for node in &mut s.nodes {
            node.server.expire(NOW);
            let held = node.server.owner(&RESOURCE, NOW);
            if self.mutation == Mutation::NONE {
                node.mail
                    .retain(|owner, kind| *kind != Kind::Release || held == Some(*owner));
            }
        }
        let nodes = s.nodes.iter_mut().map(|node| (looks(node), &mut node.ahead));
        let clients = s.clients.iter_mut().map(|client| (client.looks(), &mut client.ahead));
        let mut clocks: Vec<(bool, &mut u64)> = nodes.chain(clients).collect();
        let looked_at = clocks.iter().filter(|(looked, _)| *looked);
        let slowest = looked_at.map(|(_, ahead)| **ahead).min().unwrap_or(0);
        for (looked, ahead) in &mut clocks {
            **ahead = if *looked { **ahead - slowest } else { 0 };
        }
    }

    fn judge(&self, s: &mut State) {
        let holders: Vec<u8> = s
            .attempts()
            .filter(|(_, it)| it.holds(NOW))
            .map(|(index, _)| index)
            .collect();
        s.demand(Rule::Exclusive, holders.len() < 2);
        let majority = self.servers as usize / 2 + 1;
        for index in &holders {
            let others = s
                .attempts()
                .filter(|(other, attempt)| other != index && attempt.over().is_none());
            let leases = |owner: Owner| {
                s.nodes
                    .iter()
                    .filter(|node| node.server.owner(&RESOURCE, NOW) == Some(owner))
                    .count()
            };
            let lost = others
                .map(|(_, attempt)| leases(attempt.owner()))
                .any(|count| count >= majority);
            s.demand(Rule::LostIsKnown, !lost);
            // Half of the servers, and what restarted, never make a majority for somebody else.
            let others = s.nodes.iter().filter(|node| self.would_grant(node));
            let free = others.count();
            s.demand(Rule::RestartIsQuiet, free < majority);
        }
        if !holders.is_empty() {
            self.see(Occasion::HolderDied);
        }
        self.rescue(s);
    }

    /// Whether a server would grant the lock to one who comes new.
    fn would_grant(&self, node: &Node) -> bool {
        let kind = Kind::Lock;
        let request = Request {
            resource: RESOURCE,
            owner: Owner::MAX,
            kind,
        };
        node.server.clone().on(NOW, request)
    }

    /// If all clients die now, the lock is free once the life of a lease has passed on all clocks.
    fn rescue(&self, s: &mut State) {
        let free = s.nodes.iter().all(|node| {
            let mut left = node.clone();
            left.server.age(self.terms.expiry, self.oldest());
            self.would_grant(&left)
        });
        s.demand(Rule::FreeAfterExpiry, free);
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
        for (count, what) in [
            (u8::from(self.one_clock), "one clock"),
            (u8::from(self.lead == 0), "clocks agree"),
            (u8::from(self.pauses), "pauses"),
            (self.faults.restarts, "restarts"),
            (self.faults.steps, "steps"),
        ] {
            match count {
                0 => {}
                1 => words += &format!(", {what}"),
                _ => words += &format!(", {what} {count}"),
            }
        }
        words
    }
}

/// The first two clients under each other's names.
fn exchanged(mut s: State) -> State {
    let rename = |owner: Owner| {
        if owner / 10 < 2 {
            (1 - owner / 10) * 10 + owner % 10
        } else {
            owner
        }
    };
    s.clients.swap(0, 1);
    for client in &mut s.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename_owner(rename(attempt.owner()));
        }
    }
    for node in &mut s.nodes {
        node.server.rename_owners(rename);
        node.mail = node.mail.iter().map(|(owner, kind)| (rename(*owner), *kind)).collect();
    }
    s
}

/// Which server is called which makes no difference.
fn sort_nodes(s: &mut State) {
    let sight = |server: usize| -> Vec<(bool, bool)> {
        s.attempts()
            .map(|(_, attempt)| attempt.answer_of(server as u32))
            .collect()
    };
    let mut order: Vec<usize> = (0..s.nodes.len()).collect();
    order.sort_by(|a, b| (&s.nodes[*a], sight(*a)).cmp(&(&s.nodes[*b], sight(*b))));
    if order.is_sorted() {
        return;
    }
    let mut to = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        to[*old] = new as u32;
    }
    s.nodes = order.iter().map(|old| s.nodes[*old].clone()).collect();
    for client in &mut s.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename(&to);
        }
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
