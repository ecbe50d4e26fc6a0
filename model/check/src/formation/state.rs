//! The bounds of a run, its states, and the actions.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::formation::mutant::Mutation;
use model::formation::{Drives, Found, Job, Leader, Look, Request};
use std::collections::BTreeMap;

/// A deployment, named by the life of the leader that made it up.
pub type Id = u8;

/// A place of a drive: its node, and its number there.
pub type Place = (u8, u8);

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// The number of drives of each node. The first node leads.
    pub sizes: Vec<u8>,
    /// Drives with something else on them at first, by node and drive.
    pub refused: Vec<(u8, u8)>,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// True if nodes answer looks while they change their drives; only under a mutant.
    pub overlaps: bool,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// Restarts of the first node, and so of the leader.
    pub restarts: u8,
    /// Restarts of other nodes.
    pub crashes: u8,
    /// Calls that the leader gives up although both processes live.
    pub silences: u8,
    /// Complete drives that are replaced by empty ones while their node is down.
    pub wipes: u8,
    /// Swaps of two drives of different nodes while these are down.
    pub swaps: u8,
}

/// A request in flight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// The look that it is based on; the leader's lives count as its boots.
    pub look: Look,
    pub request: Request<Id>,
}

/// What a node is doing to its drives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work {
    pub job: Job<Id>,
    /// The request that asks for it; none if the node does it by itself.
    pub message: Option<Message>,
}

/// A node's process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub drives: Drives<Id>,
    pub work: Option<Work>,
    /// The requests in flight to it, sorted.
    pub mail: Vec<Message>,
}

/// A state: the system that is checked, and the ledger that it is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub system: System,
    pub ledger: Ledger,
}

/// The system under test: the machines, the messages in flight, and the remaining faults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct System {
    pub nodes: Vec<Node>,
    /// Drives that were begun elsewhere, by the place where they are: their own place, and what is on them.
    pub away: BTreeMap<Place, (Place, Found<Id>)>,
    pub leader: Leader<Id>,
    /// Number of processes that the first node has had.
    pub life: u8,
    /// The calls that the leader waits for, by node.
    pub calls: Vec<Option<Message>>,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The deployment that a drive was first begun under.
    pub id: Option<Id>,
    /// The drives that were ever begun.
    pub begun: Vec<Vec<bool>>,
    /// The drives that were ever complete.
    pub completed: Vec<Vec<bool>>,
    /// The drives that may have served.
    pub served: Vec<Vec<bool>>,
    /// The last life of the leader that has looked at each node.
    pub looked: Vec<u64>,
    pub broken: Violations<Rule>,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A node takes the request at this place of its mail, and changes its first drive.
    Deliver(u8, u8),
    /// A node changes the next drive.
    Write(u8),
    /// A node asks another one what it has found, or goes by its own drives, and changes the first one if it may.
    Ask(u8, u8),
    /// The leader gives up its call to a node.
    GiveUp(u8),
    /// The leader looks at a node again, whose drives have changed.
    LookAgain(u8),
    /// A node ends, and starts again.
    Restart(u8),
    /// A node ends, a complete drive of it is replaced, and it starts again.
    Wipe(u8, u8),
    /// Two nodes end, drives of them are swapped, and they start again.
    Swap(Place, Place),
    /// A refused drive is emptied.
    Empty(u8, u8),
}

impl Message {
    /// Returns the life of the leader that sent it.
    pub(super) fn life(&self) -> u8 {
        self.look.boot as u8
    }
}

impl System {
    pub(super) fn node(&mut self, node: u8) -> &mut Node {
        &mut self.nodes[usize::from(node)]
    }

    /// Returns what is on a node's drives.
    pub(super) fn found(&self, node: u8) -> &[Found<Id>] {
        self.nodes[usize::from(node)].drives.found()
    }

    /// Returns what a node is told by another one; by itself it is told nothing.
    pub(super) fn told(&self, node: u8, by: u8) -> &[Found<Id>] {
        if node == by { &[] } else { self.found(by) }
    }

    /// Returns whether a drive is in the way that never was one of the deployment's.
    pub(super) fn is_in_the_way(&self) -> bool {
        let places = self.nodes.iter().zip(0u8..).flat_map(|(node, index)| {
            let found = node.drives.found().iter().zip(0u8..);
            found.map(move |(found, drive)| ((index, drive), found))
        });
        let mut refused = places.filter(|(_, found)| **found == Found::Refused);
        refused.any(|(place, _)| !self.away.contains_key(&place))
    }

    /// Takes the drive out of a place: its own place if it was begun, and what is on it.
    fn take_out(&mut self, place: Place) -> (Option<Place>, Found<Id>) {
        if let Some((own, found)) = self.away.remove(&place) {
            return (Some(own), found);
        }
        match &self.found(place.0)[usize::from(place.1)] {
            Found::Empty => (None, Found::Empty),
            found => (Some(place), found.clone()),
        }
    }

    fn put_in(&mut self, place: Place, (own, found): (Option<Place>, Found<Id>)) {
        let shown = match own {
            Some(own) if own != place => {
                self.away.insert(place, (own, found));
                Found::Refused
            }
            _ => found,
        };
        self.node(place.0).drives.set(usize::from(place.1), shown);
    }

    pub(super) fn swap(&mut self, one: Place, other: Place) {
        let (first, second) = (self.take_out(one), self.take_out(other));
        self.put_in(one, second);
        self.put_in(other, first);
    }

    /// Returns what is on all drives.
    pub(super) fn all_found(&self) -> impl Iterator<Item = &Found<Id>> {
        self.nodes.iter().flat_map(|node| node.drives.found())
    }
}
