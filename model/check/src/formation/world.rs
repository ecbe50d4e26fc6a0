//! Nodes with their drives, the first of which leads the first start.
//!
//! Reduced where an argument shows that no behaviour is lost:
//!
//! - Requests are lost, delayed and reordered without bound, and may reach a later process of their node, but arrive
//!   once. The leader calls a node as soon as it has something to ask: the request may arrive later or never.
//! - An answer comes back at once. One that is lost is of a call that was given up before; one that is late finds a
//!   leader that has done in between what it may as well do afterwards. A call ends with the process that it is made
//!   to.
//! - A node changes its first drive when it takes a request: had it ended before, the request would be one that is
//!   lost. Until it has changed the last one it takes no other.
//! - The drives of a node change in their order.
//! - A node is asked by others what it has found only if that makes a difference. The leader looks again at a node with
//!   refused drives once they have changed.
//! - A drive is replaced while its node is down: until a process starts anew, it goes by what it has found.
//! - So are drives swapped, and only while none is complete: once one is, all have begun.

use super::audit;
use super::rules::{Occasion, Rule};
use super::state::{Action, Ledger, Node, Place, State, System, World};
use crate::harness;
use crate::rules::{Seen, Violations};
use model::formation::{Drives, Found, Leader, Request, Standing};
use std::collections::BTreeMap;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let found = |node: u8, drive: u8| match self.refused.contains(&(node, drive)) {
            true => Found::Refused,
            false => Found::Empty,
        };
        let nodes = self.sizes.iter().zip(0u8..).map(|(size, node)| Node {
            drives: Drives::new((0..*size).map(|drive| found(node, drive)).collect(), self.mutation),
            work: None,
            mail: Vec::new(),
        });
        let none: Vec<Vec<bool>> = self.sizes.iter().map(|size| vec![false; usize::from(*size)]).collect();
        let mut s = State {
            system: System {
                nodes: nodes.collect(),
                away: BTreeMap::new(),
                leader: Leader::new(self.sizes.len(), 1, self.mutation),
                life: 1,
                calls: vec![None; self.sizes.len()],
                faults: self.faults,
            },
            ledger: Ledger {
                id: None,
                begun: none.clone(),
                completed: none.clone(),
                served: none,
                looked: vec![0; self.sizes.len()],
                broken: Violations::default(),
            },
        };
        self.call(&mut s);
        s
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        let faults = s.system.faults;
        let count = s.system.nodes.len() as u8;
        for (index, node) in s.system.nodes.iter().enumerate() {
            let index = index as u8;
            let places = (0..node.mail.len() as u8).filter(|place| {
                let request = &node.mail[usize::from(*place)].request;
                let is_look = matches!(request, Request::Look | Request::Confirm(_));
                node.work.is_none() || self.overlaps && is_look
            });
            actions.extend(places.map(|place| Action::Deliver(index, place)));
            if node.work.is_some() {
                actions.push(Action::Write(index));
            } else {
                let others = (0..count).filter(|other| self.is_told_news(s, index, *other));
                actions.extend(others.map(|other| Action::Ask(index, other)));
            }
            if index > 0 && faults.silences > 0 && s.system.calls[usize::from(index)].is_some() {
                actions.push(Action::GiveUp(index));
            }
            if self.may_look_again(s, index) {
                actions.push(Action::LookAgain(index));
            }
            if (if index == 0 { faults.restarts } else { faults.crashes }) > 0 {
                actions.push(Action::Restart(index));
            }
            for (found, drive) in node.drives.found().iter().zip(0u8..) {
                match found {
                    Found::Complete(_) if faults.wipes > 0 => actions.push(Action::Wipe(index, drive)),
                    Found::Refused if !s.system.away.contains_key(&(index, drive)) => {
                        actions.push(Action::Empty(index, drive));
                    }
                    _ => {}
                }
            }
        }
        if faults.swaps > 0 && !s.system.all_found().any(|found| matches!(found, Found::Complete(_))) {
            let places = || {
                let nodes = self.sizes.iter().zip(0u8..);
                nodes.flat_map(|(size, node)| (0..*size).map(move |drive| (node, drive)))
            };
            let pairs = places().flat_map(|one| places().map(move |other| (one, other)));
            let is_empty = |place: &Place| s.system.found(place.0)[usize::from(place.1)] == Found::Empty;
            let pairs = pairs.filter(|(one, other)| one.0 < other.0 && !(is_empty(one) && is_empty(other)));
            actions.extend(pairs.map(|(one, other)| Action::Swap(one, other)));
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        self.act(&mut s, action)?;
        self.call(&mut s);
        s.ledger.note_serving(&s.system);
        s.ledger.broken.check(Rule::Ends, self.ends(&s));
        self.note_witnesses(last, action, &s);
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
    /// Returns whether what another node has found makes a difference to a node.
    fn is_told_news(&self, s: &State, index: u8, other: u8) -> bool {
        let drives = &s.system.nodes[usize::from(index)].drives;
        drives.learn(s.system.told(index, other)).is_some() || s.ledger.would_serve(&s.system, index, other)
    }

    /// Returns whether the leader looks at a node again because its drives were in the way and have changed.
    pub(super) fn may_look_again(&self, s: &State, index: u8) -> bool {
        let is_refused = s.system.leader.standing() == Standing::Refused;
        is_refused && s.system.calls[usize::from(index)].is_none() && audit::has_emptied(s, index)
    }
}
