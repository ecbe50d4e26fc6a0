//! Nodes with their copies, the drives of several sets, and clients that change the configuration or send requests.
//!
//! Reduced where an argument shows that no behaviour is lost:
//!
//! - Messages are lost, delayed and reordered without bound; a reply comes back at once or never. A node without
//!   further steps is dead, or partitioned.
//! - A change takes effect at one moment, or never; an ambiguous change is one whose client has no further steps.
//! - The content of a version is its number.
//! - Of a request's queries to drives, only the set of drives that have answered matters.

use super::rules::{Occasion, Rule};
use super::state::{Action, Client, Kind, Ledger, Node, State, System, World};
use crate::harness;
use crate::rules::{Seen, Violations};
use model::configuration::mutant::Mutant;
use model::configuration::{Chosen, Keeper, Serving, Spread, Verdict};
use model::protocol::Quorums;
use std::collections::{BTreeMap, BTreeSet};

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let first = Chosen { version: 0, content: 0 };
        let node = Node {
            keeper: Keeper::new(Some(first), 0),
            life: 0,
            highest: 0,
            told: None,
            mail: BTreeMap::new(),
        };
        State {
            system: System {
                nodes: vec![node; self.nodes()],
                clients: vec![Client::Idle; self.kinds.len()],
                chosen: 0,
                lost: false,
                faults: self.faults,
            },
            ledger: Ledger {
                answered: 0,
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        for (state, client) in s.system.clients.iter().zip(0u8..) {
            match (state, self.kinds[usize::from(client)]) {
                (Client::Idle, _) => actions.push(Action::Begin(client)),
                (Client::Asking, _) => actions.push(Action::Choose(client)),
                (Client::Served(_, serving), Kind::Serve(node, set)) => {
                    for drive in 0..self.layout[usize::from(set)].len() as u8 {
                        let version = s.system.version(self.owner(set, drive));
                        if version.is_some() && serving.told_by(drive) != version {
                            actions.push(Action::Hear(client, drive));
                        }
                    }
                    match self.verdict(s, node, serving) {
                        Some(Verdict::Behind { ask }) => actions.push(Action::Fetch(client, ask)),
                        Some(Verdict::Current) => actions.push(Action::Serve(client)),
                        Some(Verdict::TooFew) | None => {}
                    }
                }
                _ => {}
            }
        }
        for (index, node) in s.system.nodes.iter().enumerate() {
            let index = index as u32;
            actions.extend(node.mail.keys().map(|client| Action::Tell(*client, index)));
            if node.keeper.copy().is_none()
                && !s.system.lost
                && node.told.is_none_or(|(_, told)| told != s.system.chosen)
            {
                actions.push(Action::Ask(index));
            }
            if node.told.is_some() {
                actions.push(Action::Answer(index));
            }
            if s.system.faults.losses > 0 && node.keeper.copy().is_some() {
                actions.push(Action::Lose(index));
            }
            let may_ask_early = self.mutation.is(Mutant::AnswerOutlivesLoss) && node.told.is_none();
            if may_ask_early && s.system.faults.losses > 0 && node.keeper.copy().is_some() {
                actions.push(Action::Ask(index));
            }
        }
        if s.system.faults.no_acceptors > 0 {
            actions.push(Action::LoseAcceptors);
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.act(&mut s, action)?;
        self.check_invariants(&mut s);
        Some(s)
    }

    fn broken(&self, s: &State) -> Violations<Rule> {
        s.ledger.broken
    }

    fn seen(&self) -> &Seen<Occasion> {
        &self.seen
    }
}

impl World {
    fn nodes(&self) -> usize {
        let nodes: BTreeSet<u32> = self.layout.iter().flatten().copied().collect();
        nodes.len()
    }

    pub(super) fn owner(&self, set: u8, drive: u8) -> u32 {
        self.layout[usize::from(set)][usize::from(drive)]
    }

    fn verdict(&self, s: &State, node: u32, serving: &Serving) -> Option<Verdict> {
        Some(serving.judge(s.system.version(node)?, self.mutation))
    }

    fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Begin(client) => {
                s.system.clients[usize::from(client)] = match self.kinds[usize::from(client)] {
                    Kind::Change => {
                        if self.mutation.is(Mutant::ToldBeforeChosen) {
                            self.send(s, client, s.system.chosen + 1);
                        }
                        Client::Asking
                    }
                    Kind::Serve(_, set) => {
                        let drives = self.layout[usize::from(set)].len() as u8;
                        Client::Served(s.ledger.answered, Serving::new(Quorums::of(drives)))
                    }
                };
            }
            Action::Choose(client) => self.choose(s, client),
            Action::Tell(client, node) => self.tell(s, client, node)?,
            Action::Hear(client, drive) => {
                let Kind::Serve(_, set) = self.kinds[usize::from(client)] else {
                    return None;
                };
                let version = s.system.version(self.owner(set, drive))?;
                if let Client::Served(_, serving) = &mut s.system.clients[usize::from(client)] {
                    serving.hear(drive, version);
                }
            }
            Action::Fetch(client, drive) => {
                let Kind::Serve(node, set) = self.kinds[usize::from(client)] else {
                    return None;
                };
                self.fetch(s, node, self.owner(set, drive))?;
            }
            Action::Serve(client) => self.serve(s, client)?,
            Action::Lose(node) => {
                s.system.faults.losses -= 1;
                let node = s.system.node(node);
                node.life += 1;
                node.keeper = Keeper::new(None, node.life);
            }
            Action::Ask(node) => {
                let chosen = s.system.chosen;
                let node = s.system.node(node);
                node.told = Some((node.keeper.ask(), chosen));
            }
            Action::Answer(node) => {
                let mutation = self.mutation;
                let node = s.system.node(node);
                let (question, version) = node.told.take()?;
                let content = version;
                node.keeper.answer(question, Chosen { version, content }, mutation);
            }
            Action::LoseAcceptors => {
                s.system.faults.no_acceptors -= 1;
                s.system.lost = true;
            }
        }
        Some(())
    }

    fn choose(&self, s: &mut State, client: u8) {
        s.system.clients[usize::from(client)] = if s.system.lost {
            Client::Over
        } else {
            s.system.chosen += 1;
            let version = s.system.chosen;
            self.send(s, client, version);
            Client::Spreading(version, Spread::new(self.layout.clone(), self.mutation))
        };
        self.conclude(s, client);
    }

    fn send(&self, s: &mut State, client: u8, version: u64) {
        s.system.nodes.iter_mut().for_each(|node| {
            node.mail.insert(client, version);
        });
    }

    fn tell(&self, s: &mut State, client: u8, index: u32) -> Option<()> {
        let mutation = self.mutation;
        let node = s.system.node(index);
        let version = node.mail.remove(&client)?;
        if node.keeper.copy().is_some_and(|copy| copy.version > version) {
            self.seen.see(Occasion::Overtaken);
        }
        let content = version;
        let has = node.keeper.take(Chosen { version, content }, mutation);
        if let Client::Spreading(_, spread) = &mut s.system.clients[usize::from(client)]
            && has
        {
            spread.stored(index);
            self.conclude(s, client);
        }
        Some(())
    }

    /// Answers a change that has spread far enough.
    fn conclude(&self, s: &mut State, client: u8) {
        let Client::Spreading(version, spread) = &s.system.clients[usize::from(client)] else {
            return;
        };
        if !spread.is_everywhere() {
            return;
        }
        let version = *version;
        s.ledger.answered = s.ledger.answered.max(version);
        s.system.clients[usize::from(client)] = Client::Over;
        if (0..s.system.nodes.len() as u32).any(|node| s.system.version(node).is_some_and(|own| own < version)) {
            self.seen.see(Occasion::Missed);
        }
    }

    fn fetch(&self, s: &mut State, node: u32, from: u32) -> Option<()> {
        if self.mutation.is(Mutant::FetchedFromAcceptors) && s.system.lost {
            return None;
        }
        let copy = s.system.nodes[from as usize].keeper.copy()?.clone();
        s.system.node(node).keeper.take(copy, self.mutation);
        Some(())
    }

    fn serve(&self, s: &mut State, client: u8) -> Option<()> {
        let Kind::Serve(node, _) = self.kinds[usize::from(client)] else {
            return None;
        };
        let Client::Served(floor, _) = s.system.clients[usize::from(client)] else {
            return None;
        };
        let version = s.system.version(node)?;
        s.ledger.broken.check(Rule::AnsweredIsSeen, version >= floor);
        s.ledger.broken.check(Rule::ServedIsChosen, version <= s.system.chosen);
        if floor > 0 {
            self.seen.see(Occasion::ServedAfterChange);
        }
        if version > s.ledger.answered {
            self.seen.see(Occasion::ServedUnanswered);
        }
        if s.system.lost {
            self.seen.see(Occasion::WithoutAcceptors);
        }
        s.system.clients[usize::from(client)] = Client::Over;
        Some(())
    }

    fn check_invariants(&self, s: &mut State) {
        for index in 0..s.system.nodes.len() as u32 {
            if let Some(version) = s.system.version(index) {
                let highest = s.system.nodes[index as usize].highest;
                s.ledger.broken.check(Rule::OnlyForward, version >= highest);
                s.system.node(index).highest = version.max(highest);
            }
        }
        let served = (0..self.layout.len() as u8).all(|set| self.is_served_without_acceptors(s, set));
        s.ledger.broken.check(Rule::NeedsNoAcceptors, served);
        let changes = (0..s.system.nodes.len() as u32).all(|dead| self.changes_without(dead));
        s.ledger.broken.check(Rule::NeedsNotAllNodes, changes);
    }

    /// Returns whether, if the acceptors are lost now, every node that has a copy serves as soon as Q drives of the set
    /// answer.
    fn is_served_without_acceptors(&self, s: &State, set: u8) -> bool {
        let mut left = s.clone();
        left.system.lost = true;
        let drives = self.layout[usize::from(set)].len();
        let needed = drives - (drives / 2 + 1) + 1;
        let heard: Vec<(u8, u64)> = (0..drives as u8)
            .filter_map(|drive| Some((drive, s.system.version(self.owner(set, drive))?)))
            .collect();
        heard.len() < needed
            || (0..s.system.nodes.len() as u32)
                .filter(|node| s.system.version(*node).is_some())
                .all(|node| {
                    let mut left = left.clone();
                    let mut serving = Serving::new(Quorums::of(drives as u8));
                    heard.iter().for_each(|(drive, version)| serving.hear(*drive, *version));
                    if let Some(Verdict::Behind { ask }) = self.verdict(&left, node, &serving) {
                        let from = self.owner(set, ask);
                        if self.fetch(&mut left, node, from).is_none() {
                            return false;
                        }
                    }
                    self.verdict(&left, node, &serving) == Some(Verdict::Current)
                })
    }

    /// Returns whether a change is answered without a node, provided that a majority of each set's drives is on other
    /// nodes.
    fn changes_without(&self, dead: u32) -> bool {
        let left = |drives: &Vec<u32>| drives.iter().filter(|node| **node != dead).count();
        let can = self.layout.iter().all(|drives| left(drives) * 2 > drives.len());
        let mut spread = Spread::new(self.layout.clone(), self.mutation);
        (0..self.nodes() as u32)
            .filter(|node| *node != dead)
            .for_each(|node| spread.stored(node));
        spread.is_everywhere() || !can
    }
}
