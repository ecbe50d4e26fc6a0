//! The bounds of a run, its states, and the actions.

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

/// Client numbers of the versions that the key may start with: the current one, and the null version under it.
pub const FIRST: [u8; 2] = [90, 91];

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// The requests, one client each.
    pub requests: Vec<Request>,
    /// True if the key starts with a null version and a later one.
    pub initial: bool,
    /// Number of votes whose outcome is left open.
    pub lost: u8,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The mutant of the drive, if any.
    pub protocol: ProtocolMutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
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
    /// The chosen values, in order, each with the client that made it.
    pub chain: Vec<(Exact, Option<u8>)>,
    /// The vote that may yet be chosen, and its client.
    pub open: Option<(Exact, u8)>,
    pub clients: Vec<Client>,
    /// The key's state on a drive.
    pub drive: Arc<KeyState<Record>>,
    /// Number of votes that may still be left open.
    pub lost: u8,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients.
    pub history: LinearizabilityTester<u8, Key>,
    pub broken: Violations<Rule>,
}

/// Progress of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Its request is not sent.
    Idle,
    /// It waits for a vote.
    Waiting,
    /// It was answered.
    Answered,
    /// Its reply was that the outcome is unknown.
    Unknown,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client sends its request, and is answered.
    Do(u8),
    /// A client sends its request, and the outcome of its vote is open.
    Try(u8),
    /// The open vote is chosen.
    Land,
    /// A client whose vote was decided looks for its change in the latest chosen value.
    Look(u8),
    /// The drive receives the latest chosen vote.
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

/// Returns a key's versions as a client sees them, the current one first.
pub(super) fn versions_of(record: &Record) -> Vec<(u8, (u8, bool))> {
    let versions = record.object().map_or(&[][..], |object| &object.versions);
    let seen = |version: &Version| {
        let by = version.change as u8 - 1;
        (version.id as u8, (by, version.data().is_none()))
    };
    versions.iter().rev().map(seen).collect()
}
