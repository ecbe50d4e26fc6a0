//! What there is: the bounds of a run, its state, and what may happen.

use super::requests::{Key, Request};
use super::rules::{Occasion, Rule};
use crate::history::exact::Exact;
use crate::rules::{Seen, Violations};
use model::protocol::mutant::Mutation as ProtocolMutation;
use model::protocol::{Ballot, KeyState};
use model::record::mutant::Mutation;
use model::record::{Record, Version};
use stateright::semantics::LinearizabilityTester;
use std::sync::Arc;

/// The version that the key may start with, and the null version under it: whose they are.
pub const FIRST: [u8; 2] = [90, 91];

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// What is asked for, one client each.
    pub requests: Vec<Request>,
    /// Whether the key starts with a null version and a later one.
    pub initial: bool,
    /// Votes whose fate is open.
    pub lost: u8,
    /// The break, if any.
    pub mutation: Mutation,
    /// The break of the drive, if any.
    pub protocol: ProtocolMutation,
    /// The occasions that arose in some state.
    pub seen: Seen<Occasion>,
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
    /// The chosen values, in order, each with the client that made it.
    pub chain: Vec<(Exact, Option<u8>)>,
    /// The vote that may yet be chosen, and whose it is.
    pub open: Option<(Exact, u8)>,
    /// The clients.
    pub clients: Vec<Client>,
    /// What a drive holds.
    pub drive: Arc<KeyState<Record>>,
    /// What is left of them.
    pub lost: u8,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// It has not asked.
    Idle,
    /// It waits for a vote.
    Waiting,
    /// It was answered.
    Answered,
    /// It was told that nothing is known.
    Unknown,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client asks, and is answered.
    Do(u8),
    /// A client asks, and the fate of its vote is open.
    Try(u8),
    /// The vote is chosen.
    Land,
    /// Whoever waits for a vote that was decided looks at what is chosen.
    Look(u8),
    /// The drive hears of the latest chosen vote.
    Hear,
}

pub(super) fn ballot(at: usize) -> Ballot {
    Ballot {
        round: at as u64 + 1,
        ..Ballot::ZERO
    }
}

impl System {
    pub(super) fn latest(&self) -> &Record {
        &self.chain[self.chain.len() - 1].0.0
    }

    pub(super) fn ballot(&self) -> Ballot {
        ballot(self.chain.len() - 1)
    }
}

/// Returns what a client sees of a key's versions, the current one first.
pub(super) fn versions_of(record: &Record) -> Vec<(u8, (u8, bool))> {
    let versions = record.object().map_or(&[][..], |object| &object.versions);
    let seen = |version: &Version| {
        let by = version.change as u8 - 1;
        (version.id as u8, (by, version.data().is_none()))
    };
    versions.iter().rev().map(seen).collect()
}
