//! What there is: the bounds of a run, its state, and what may happen.

use super::rules::{Occasion, Rule};
use crate::rules::{Seen, Violations};
use model::configuration::mutant::Mutation;
use model::configuration::{Keeper, Question, Serving, Spread};
use std::collections::BTreeMap;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// By set and drive, the node that it belongs to.
    pub layout: Vec<Vec<u32>>,
    /// The operations, one client each.
    pub kinds: Vec<Kind>,
    /// How many faults there may be.
    pub faults: Faults,
    /// The break, if any.
    pub mutation: Mutation,
    /// The occasions that arose in some state.
    pub seen: Seen<Occasion>,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Nodes that lose their copy.
    pub losses: u8,
    /// Whether too few acceptors may be left, from some moment on.
    pub no_acceptors: u8,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// To change the configuration.
    Change,
    /// To be served by this node, on a key of this set.
    Serve(u32, u8),
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its copy.
    pub keeper: Keeper<u64>,
    /// How often it has lost that.
    pub life: u64,
    /// The newest that it ever had.
    pub highest: u64,
    /// What the register answered, on its way.
    pub told: Option<(Question, u64)>,
    /// Versions that are on their way to it, by the client whose change they are.
    pub mail: BTreeMap<u8, u64>,
}

/// How far a client is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Not begun.
    Idle,
    /// Its change is on its way to the register (a break: and to the nodes).
    Asking,
    /// Its change is chosen and spreads.
    Spreading(u64, Spread),
    /// Its request is being served; since it came, every answered change is up to this version.
    Served(u64, Serving),
    /// Its request was answered.
    Over,
}

/// All that there is at one moment: what is judged, and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The system.
    pub system: System,
    /// The books.
    pub ledger: Ledger,
}

/// What is judged: machines, what is between them, and what may yet befall them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct System {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Client>,
    /// The newest version that is chosen.
    pub chosen: u64,
    /// Whether too few acceptors are left.
    pub lost: bool,
    /// What is left of the faults.
    pub faults: Faults,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The newest version whose change was answered.
    pub answered: u64,
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client begins.
    Begin(u8),
    /// A change takes effect, or is refused.
    Choose(u8),
    /// A client's version arrives at a node.
    Tell(u8, u32),
    /// A client's request is answered by a drive of its set.
    Hear(u8, u8),
    /// A node that is behind gets the copy of the drive's node.
    Fetch(u8, u8),
    /// A client is served.
    Serve(u8),
    /// A node loses its copy.
    Lose(u32),
    /// A node reads the register; the answer is on its way.
    Ask(u32),
    /// The answer arrives.
    Answer(u32),
    /// Too few acceptors are left.
    LoseAcceptors,
}

impl System {
    pub(super) fn node(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    /// The version that a node has.
    pub(super) fn version(&self, node: u32) -> Option<u64> {
        let copy = self.nodes[node as usize].keeper.copy();
        copy.map(|copy| copy.version)
    }
}
