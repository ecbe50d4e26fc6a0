//! The bounds of a run, its states, and the actions.

use super::client::{Client, PartRegister, Running};
use super::requests::{Key, Request, part_of};
use super::rules::{Occasion, Rule};
use crate::history::exact::Exact;
use crate::rules::{Seen, Violations};
use model::protocol::mutant::Mutation as ProtocolMutation;
use model::protocol::{Ballot, Folder, KeyState, Vote};
use model::record::Record;
use model::record::mutant::Mutation;
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// The requests, one client each.
    pub requests: Vec<Request>,
    /// Number of open uploads, and of parts in each.
    pub uploads: (u8, u16),
    /// True if one drive has missed the opening of the uploads.
    pub lags: bool,
    /// Number of requests whose outcome the client does not learn; one that would end an upload is retried once.
    pub lost: u8,
    /// Number of heals of a drive.
    pub heals: u8,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// The mutant of the drives, if any.
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
    /// The votes on the key, in the order of their ballots.
    pub votes: Vec<Arc<Cast>>,
    /// The drives, sorted.
    pub drives: Vec<Arc<Drive>>,
    /// The clients, by request.
    pub clients: Vec<Arc<Client>>,
    /// The parts' registers, by upload and number.
    pub parts: BTreeMap<(u8, u16), PartRegister>,
    /// Number of outcomes that may still be lost.
    pub lost: u8,
    /// Number of heals left.
    pub heals: u8,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients.
    pub history: LinearizabilityTester<u8, Key>,
    pub broken: Violations<Rule>,
}

/// A vote on the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    pub value: Exact,
    /// Index of the chosen vote that it follows.
    pub prev: usize,
    /// The client that proposed it; `None` for the initial votes.
    pub client: Option<u8>,
    pub fate: Fate,
}

/// The outcome of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It may be chosen.
    Open,
    /// It is chosen.
    Chosen,
    /// It can never be chosen.
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// State of the key, its parts' folders included.
    pub key: KeyState<Record>,
    /// Bit set of the votes that it took part in.
    pub voted: u32,
    /// Bit set of the uploads whose part registers it has forgotten.
    pub forgot: u8,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client sends its request.
    Begin(u8),
    /// A client's machine executes its next step: it reads, stages or votes.
    Go(u8),
    /// A client reads the parts where drives have forgotten them.
    ReadForgotten(u8),
    /// A client learns the outcome of its vote.
    Hear(u8),
    /// A client fails to learn it; the vote stays as it is.
    Lose(u8),
    /// A vote on a part's register is chosen, late.
    PartLands(u8, u16),
    /// A drive votes.
    Accept(u8, usize),
    /// A drive learns that its vote is chosen.
    Finalize(u8),
    /// A drive is asked to clean up after an upload that ended with this vote.
    End(u8, u8, usize),
    /// A drive is healed.
    Heal(u8),
}

/// Returns the ballot of a vote.
pub(super) fn ballot(vote: usize) -> Ballot {
    Ballot {
        round: vote as u64 + 1,
        ..Ballot::ZERO
    }
}

impl System {
    pub(super) fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    pub(super) fn running(&self, client: u8) -> Option<&Running> {
        self.clients[usize::from(client)].running.as_ref()
    }

    pub(super) fn drive(&mut self, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.drives[usize::from(drive)])
    }

    /// Returns the vote that was chosen last.
    pub(super) fn latest(&self) -> usize {
        let chosen = self.votes.iter().rposition(|cast| cast.fate == Fate::Chosen);
        chosen.unwrap_or(0)
    }

    pub(super) fn value(&self, vote: usize) -> &Record {
        &self.votes[vote].value.0
    }

    /// Returns a vote as drives store it.
    pub(super) fn vote(&self, vote: usize) -> Vote<Record> {
        Vote {
            ballot: ballot(vote),
            value: self.value(vote).clone(),
        }
    }

    /// Returns whether an upload is open in the latest chosen value.
    pub(super) fn is_open(&self, upload: u8) -> bool {
        let record = self.value(self.latest());
        let object = record.object();
        object.is_some_and(|object| object.uploads.iter().any(|open| open.id == u128::from(upload)))
    }

    /// Returns the vote that ended an upload, if it has ended.
    pub(super) fn ended_by(&self, upload: u8) -> Option<usize> {
        let has = |cast: &Cast| {
            let object = cast.value.0.object();
            object.is_some_and(|object| object.uploads.iter().any(|open| open.id == u128::from(upload)))
        };
        let chosen = |at: &usize| self.votes[*at].fate == Fate::Chosen;
        let mut after = (0..self.votes.len())
            .filter(chosen)
            .skip_while(|at| !has(&self.votes[*at]));
        after.find(|at| !has(&self.votes[*at]))
    }

    /// Returns the number of drives that hold a folder.
    pub(super) fn holding(&self, folder: Folder) -> usize {
        self.drives
            .iter()
            .filter(|drive| drive.key.folders.contains(&folder))
            .count()
    }

    /// Returns whether some drive has forgotten an upload's parts.
    pub(super) fn is_forgotten(&self, upload: u8) -> bool {
        self.drives.iter().any(|drive| drive.forgot >> upload & 1 == 1)
    }
}

/// Returns the upload of a folder, as drives store it with the folder; 0 is none.
pub(super) fn upload_of(folder: Folder) -> u128 {
    part_of(folder).map_or(0, |(upload, _, _)| upload.into())
}
