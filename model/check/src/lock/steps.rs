//! Effects of the actions, and the checks of the states that they lead to.

use super::rules::{Occasion, Rule};
use super::state::{Action, Ledger, NOW, Node, RESOURCE, State, System, World, looks};
use model::lock::mutant::Mutation;
use model::lock::{Client, Effect, Kind, Over, Owner, Request, Server};

impl World {
    /// Returns the oldest time that makes a difference: all that is older has expired.
    fn oldest(&self) -> u64 {
        NOW - self.terms.expiry
    }

    pub(super) fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::TickAll => {
                s.system
                    .nodes
                    .iter_mut()
                    .for_each(|node| node.server.age(1, self.oldest()));
                let attempts = s.system.clients.iter_mut().filter_map(|client| client.attempt.as_mut());
                attempts.for_each(|attempt| attempt.age(1, NOW - self.terms.deadline));
            }
            Action::TickServer(index) => {
                let ticks = |(other, node): &(usize, &mut Node)| {
                    *other == usize::from(index) || (self.one_clock && looks(node))
                };
                for (_, node) in s.system.nodes.iter_mut().enumerate().filter(ticks) {
                    node.ahead += 1;
                    node.server.age(1, self.oldest());
                }
            }
            Action::TickClient(index) => {
                let client = &mut s.system.clients[usize::from(index)];
                client.ahead += 1;
                if let Some(attempt) = &mut client.attempt {
                    attempt.age(1, NOW - self.terms.deadline);
                }
            }
            Action::Begin(index, at) => {
                let ahead = self.enter(s, at)?;
                let client = &mut s.system.clients[usize::from(index)];
                client.ahead = ahead;
                client.attempts -= 1;
                let owner = Owner::from(index) * 10 + Owner::from(client.attempts);
                let (attempt, effect) = Client::new(owner, self.servers, self.terms, NOW, self.mutation);
                client.attempt = Some(attempt);
                self.send(s, owner, Some(effect));
            }
            Action::Wake(index) => {
                let attempt = s.system.clients[usize::from(index)].attempt.as_mut()?;
                let (owner, effect) = (attempt.owner(), attempt.tick(NOW)?);
                if attempt.over() == Some(Over::Lost) {
                    self.seen.see(Occasion::OutlivedByHolder);
                }
                self.send(s, owner, Some(effect));
            }
            Action::Release(index) => {
                let attempt = s.system.clients[usize::from(index)].attempt.as_mut()?;
                let (owner, effect) = (attempt.owner(), attempt.release(NOW));
                self.send(s, owner, Some(effect));
            }
            Action::Deliver(index, owner, answered, at) => self.deliver(s, index, owner, answered, at)?,
            Action::Restart(index, at) => {
                s.system.faults.restarts -= 1;
                s.system.nodes[usize::from(index)].server = self.blank();
                let ahead = self.enter_server(s, at)?;
                let node = &mut s.system.nodes[usize::from(index)];
                node.ahead = ahead;
                node.server = Server::start(self.terms, NOW, self.mutation);
            }
            Action::Step(index) => {
                s.system.faults.steps -= 1;
                s.system.nodes[usize::from(index)]
                    .server
                    .age(self.terms.expiry, self.oldest());
            }
        }
        Some(())
    }

    /// Returns a server that started so long ago that it is past its quiet time.
    pub(super) fn blank(&self) -> Server<u8> {
        let mut server = Server::start(self.terms, NOW, self.mutation);
        server.age(self.terms.expiry, self.oldest());
        server
    }

    /// Returns the possible offsets, in ticks, of a clock from the slowest one.
    pub(super) fn offsets(&self) -> impl Iterator<Item = i64> {
        let lead = self.lead as i64;
        -lead..=lead
    }

    /// Returns the position of a server's clock that becomes active at this offset; `None` if it is impossible.
    fn enter_server(&self, s: &mut State, at: i64) -> Option<u64> {
        match s.system.nodes.iter().find(|node| looks(node)) {
            Some(node) if self.one_clock => (at == 0).then_some(node.ahead),
            _ => self.enter(s, at),
        }
    }

    /// Makes room for a clock that becomes active at this offset from the slowest active one. Returns its position;
    /// `None` if the offset is impossible.
    fn enter(&self, s: &mut State, at: i64) -> Option<u64> {
        let nodes = s
            .system
            .nodes
            .iter_mut()
            .filter(|node| looks(node))
            .map(|node| &mut node.ahead);
        let clients = s
            .system
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
        let looked = looks(&s.system.nodes[usize::from(index)]);
        let ahead = if looked {
            (at == 0).then_some(0)
        } else {
            self.enter_server(s, at)
        }?;
        let node = &mut s.system.nodes[usize::from(index)];
        let before = node.server.clone();
        let kind = node.mail.remove(&owner)?;
        let request = Request {
            resource: RESOURCE,
            owner,
            kind,
        };
        let granted = node.server.on(NOW, request);
        if node.server.is_quiet(NOW) && !granted {
            self.seen.see(Occasion::RefusedByRestarted);
        }
        if !looked {
            node.ahead = ahead;
            (looks(node) || at == 0).then_some(())?;
        }
        if !answered || kind == Kind::Release {
            // A delivery without effect may as well happen later.
            return (!answered && before != node.server).then_some(());
        }
        let mut clients = s.system.clients.iter_mut().filter_map(|client| client.attempt.as_mut());
        let attempt = clients.find(|attempt| attempt.owner() == owner)?;
        let held = attempt.holds(NOW);
        let sent = attempt.sent()?;
        let effect = attempt.answer(NOW, sent, u32::from(index), granted);
        let gained = !held && attempt.holds(NOW);
        if gained
            && s.system
                .attempts()
                .any(|(_, other)| matches!(other.over(), Some(Over::Lost | Over::Released)))
        {
            self.seen.see(Occasion::HeldInTurn);
        }
        self.send(s, owner, effect);
        Some(())
    }

    /// Sends a request to all servers.
    fn send(&self, s: &mut State, owner: Owner, effect: Option<Effect>) {
        let Some(Effect { kind, .. }) = effect else { return };
        for node in &mut s.system.nodes {
            node.mail.insert(owner, kind);
        }
    }

    /// Normalizes a state: counts clocks from the slowest active one, and drops differences that have no effect.
    /// Without pauses, clients past their deadlines check their clocks.
    pub(super) fn settle(&self, s: &mut State) {
        if !self.pauses {
            for index in 0..s.system.clients.len() {
                let Some(attempt) = &mut s.system.clients[index].attempt else {
                    continue;
                };
                let ran_out = attempt.over().is_none() && attempt.has_run_out(NOW);
                if ran_out {
                    self.act(s, Action::Wake(index as u8));
                }
            }
        }
        for node in &mut s.system.nodes {
            node.server.expire(NOW);
            let held = node.server.owner(&RESOURCE, NOW);
            if self.mutation == Mutation::NONE {
                node.mail
                    .retain(|owner, kind| *kind != Kind::Release || held == Some(*owner));
            }
        }
        let nodes = s.system.nodes.iter_mut().map(|node| (looks(node), &mut node.ahead));
        let clients = s
            .system
            .clients
            .iter_mut()
            .map(|client| (client.looks(), &mut client.ahead));
        let mut clocks: Vec<(bool, &mut u64)> = nodes.chain(clients).collect();
        let looked_at = clocks.iter().filter(|(looked, _)| *looked);
        let slowest = looked_at.map(|(_, ahead)| **ahead).min().unwrap_or(0);
        for (looked, ahead) in &mut clocks {
            **ahead = if *looked { **ahead - slowest } else { 0 };
        }
    }

    /// Returns whether a server would grant the lock to a new client.
    fn would_grant(&self, node: &Node) -> bool {
        let kind = Kind::Lock;
        let request = Request {
            resource: RESOURCE,
            owner: Owner::MAX,
            kind,
        };
        node.server.clone().on(NOW, request)
    }
}

impl Ledger {
    pub(super) fn check_invariants(&mut self, world: &World, s: &System) {
        let holders: Vec<u8> = s
            .attempts()
            .filter(|(_, it)| it.holds(NOW))
            .map(|(index, _)| index)
            .collect();
        self.broken.check(Rule::Exclusive, holders.len() < 2);
        let majority = world.servers as usize / 2 + 1;
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
            self.broken.check(Rule::LostIsKnown, !lost);
            // While the lock is held, free and restarted servers are never a majority for another client.
            let others = s.nodes.iter().filter(|node| world.would_grant(node));
            let free = others.count();
            self.broken.check(Rule::RestartIsQuiet, free < majority);
        }
        if !holders.is_empty() {
            world.seen.see(Occasion::HolderDied);
        }
        self.rescue(world, s);
    }

    /// Checks that, if all clients die now, the lock is free once the duration of a lease has passed on all clocks.
    fn rescue(&mut self, world: &World, s: &System) {
        let free = s.nodes.iter().all(|node| {
            let mut left = node.clone();
            left.server.age(world.terms.expiry, world.oldest());
            world.would_grant(&left)
        });
        self.broken.check(Rule::FreeAfterExpiry, free);
    }
}
