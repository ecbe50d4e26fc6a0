//! The bounds of a run, its states, and the actions.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::configuration::mutant::Mutation;
use model::configuration::{Keeper, Question, Serving, Spread};
use std::collections::BTreeMap;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// The node of each drive, by set and drive.
    pub layout: Vec<Vec<u32>>,
    /// The operations, one client each.
    pub kinds: Vec<Kind>,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Nodes that lose their copy.
    pub losses: u8,
    /// 1 if the acceptors may be lost: from some moment on, too few are left.
    pub no_acceptors: u8,
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A change of the configuration.
    Change,
    /// A request to this node, on a key of this set.
    Serve(u32, u8),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its copy of the configuration.
    pub keeper: Keeper<u64>,
    /// Number of times that it has lost its copy.
    pub life: u64,
    /// The newest version that it ever had.
    pub highest: u64,
    /// The register's answer in flight to it.
    pub told: Option<(Question, u64)>,
    /// Versions in flight to it, by the client whose change they are.
    pub mail: BTreeMap<u8, u64>,
}

/// Progress of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Not begun.
    Idle,
    /// Its change is in flight to the register; under a mutant, also to the nodes.
    Asking,
    /// Its change is chosen and spreads.
    Spreading(u64, Spread),
    /// Its request is being served. Every change that was answered before the request came is at or below this version.
    Served(u64, Serving),
    /// Its operation is over.
    Over,
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
    pub clients: Vec<Client>,
    /// The newest chosen version.
    pub chosen: u64,
    /// True if too few acceptors are left.
    pub lost: bool,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The newest version whose change was answered.
    pub answered: u64,
    pub broken: Violations<Rule>,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client begins.
    Begin(u8),
    /// A change takes effect, or is refused.
    Choose(u8),
    /// A client's version arrives at a node.
    Tell(u8, u32),
    /// A drive of the request's set answers a client's request.
    Hear(u8, u8),
    /// A node that is behind fetches the copy of the drive's node.
    Fetch(u8, u8),
    /// A client's request is answered.
    Serve(u8),
    /// A node loses its copy.
    Lose(u32),
    /// A node reads the register; the answer is in flight.
    Ask(u32),
    /// The answer arrives.
    Answer(u32),
    /// The acceptors are lost: too few are left.
    LoseAcceptors,
}

impl System {
    pub(super) fn node(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    /// Returns the version that a node has.
    pub(super) fn version(&self, node: u32) -> Option<u64> {
        let copy = self.nodes[node as usize].keeper.copy();
        copy.map(|copy| copy.version)
    }
}
