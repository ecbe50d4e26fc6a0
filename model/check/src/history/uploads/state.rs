//! What there is: the bounds of a run, its state, and what may happen.

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
    /// What is asked for, one client each.
    pub requests: Vec<Request>,
    /// Open uploads, and parts of each.
    pub uploads: (u8, u16),
    /// Whether one drive has not heard of the uploads.
    pub lags: bool,
    /// Requests whose fate the client is not told; one that would end an upload is tried once more.
    pub lost: u8,
    /// Drives that are healed.
    pub heals: u8,
    /// The break, if any.
    pub mutation: Mutation,
    /// The break of the drives, if any.
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
    /// The votes on the key, in the order of their ballots.
    pub votes: Vec<Arc<Cast>>,
    /// The drives, in their order.
    pub drives: Vec<Arc<Drive>>,
    /// The clients, by request.
    pub clients: Vec<Arc<Client>>,
    /// The parts' registers, by upload and number.
    pub parts: BTreeMap<(u8, u16), PartRegister>,
    /// What is left of them.
    pub lost: u8,
    /// What is left of them.
    pub heals: u8,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// A vote on the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// Its value.
    pub value: Exact,
    /// The chosen vote that it follows.
    pub prev: usize,
    /// Whose it is.
    pub client: Option<u8>,
    /// What has become of it.
    pub fate: Fate,
}

/// What becomes of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It may be chosen.
    Open,
    /// It is.
    Chosen,
    /// It will never be.
    Dead,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// What it holds of the key, its parts' folders included.
    pub key: KeyState<Record>,
    /// The votes that it took part in, by bit.
    pub voted: u32,
    /// The uploads whose part registers it has forgotten, by bit.
    pub forgot: u8,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client asks.
    Begin(u8),
    /// A client's machine has what it wants: it reads, stages, votes.
    Go(u8),
    /// It reads the parts where drives have forgotten them.
    ReadForgotten(u8),
    /// It learns what has become of its vote.
    Hear(u8),
    /// It does not: its vote stays as it is.
    Lose(u8),
    /// A vote on a part's register is chosen, late.
    PartLands(u8, u16),
    /// A drive votes.
    Accept(u8, usize),
    /// A drive learns that its vote is chosen.
    Finalize(u8),
    /// A drive is asked to clean up after an upload that ended with this vote.
    End(u8, u8, usize),
    /// A drive is brought up to date.
    Heal(u8),
}

/// The ballot of a vote.
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

    /// The vote that was chosen last.
    pub(super) fn latest(&self) -> usize {
        let chosen = self.votes.iter().rposition(|cast| cast.fate == Fate::Chosen);
        chosen.unwrap_or(0)
    }

    pub(super) fn value(&self, vote: usize) -> &Record {
        &self.votes[vote].value.0
    }

    /// A vote as drives have it.
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

    /// The vote by which an upload is gone, if it is.
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

    /// Returns how many drives hold a folder.
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

/// The upload of a folder, as drives remember it with the folder; 0 is none.
pub(super) fn upload_of(folder: Folder) -> u128 {
    part_of(folder).map_or(0, |(upload, _, _)| upload.into())
}
