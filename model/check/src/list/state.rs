//! The bounds of a run, its states, and the actions.

use super::rules::{Occasion, Rule};
use crate::kit;
use crate::register::change::{Change, Content, Key, Kind, Told};
use crate::rules::{Seen, Violations};
use model::list::Span;
use model::list::mutant::Mutation;
use model::protocol::mutant::Mutation as RegisterMutation;
use model::protocol::{Coordinator, DriveState, Drives, KeyState, Quorums, Recovering, Snapshot};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// N of each set.
    pub drives: u8,
    /// K of every value.
    pub data: u8,
    /// The keys in their order, named from 1.
    pub keys: Vec<Spec>,
    /// The operations, one client each, and their keys.
    pub ops: Vec<(Kind, u8)>,
    /// Maximum number of keys on a page.
    pub limit: usize,
    /// Number of ballots that each operation may use.
    pub rounds: u8,
    /// Number of writers that may crash.
    pub crashes: u8,
    /// Set if the last drive of the first set has lost everything and joined again: the last key that it has passed
    /// since, and the keys up to there that it does not know.
    pub recovering: Option<(u8, Vec<u8>)>,
    /// The quorums that the listing uses.
    pub quorums: Quorums,
    /// The mutant of listings, if any.
    pub mutation: Mutation,
    /// The mutant of the register, if any.
    pub register_mutation: RegisterMutation,
    /// The witnesses that were reached in some state.
    pub seen: Seen<Occasion>,
}

/// The place of a key and its initial content.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Index of the set that stores it.
    pub set: u8,
    pub start: Start,
}

/// The initial content of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Never,
    /// Put, and known to be chosen on all drives except this one, which missed it.
    Put(Option<u8>),
    /// Put on A drives, none of which knows that it is chosen.
    Open,
    /// Put, then deleted; the last drive has missed the delete.
    Deleted,
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
    /// The drives, by set.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The writers, by operation; the last client does the listing's own reads.
    pub clients: Vec<Arc<Client>>,
    pub listing: Listing,
    /// Number of writers that may still crash.
    pub crashes: u8,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients, by key.
    pub histories: Vec<LinearizabilityTester<u8, Key>>,
    /// For each key, whether it was present, or absent, at every moment since the listing began.
    pub throughout: Vec<Throughout>,
    pub broken: Violations<Rule>,
}

/// Presence of a key over the whole listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Throughout {
    /// True if it was present at every moment.
    pub present: bool,
    /// True if it was absent at every moment.
    pub absent: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    pub own: DriveState,
    /// State of each of its set's keys.
    pub keys: BTreeMap<u8, KeyState<Content>>,
    /// Progress of its recovery, if it has lost everything and joined again.
    pub recovering: Option<Recovering<u8>>,
}

/// A client's operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    pub change: Change,
    pub key: u8,
    /// True if it was invoked.
    pub invoked: bool,
    /// The reply to the client.
    pub told: Option<Told>,
    /// Number of ballots used.
    pub rounds: u8,
    /// Its coordinator, while it runs.
    pub machine: Option<Coordinator<Content, Change>>,
    /// Requests that have not reached all of their drives.
    pub mail: Vec<Mail>,
}

/// A request in flight, and its key.
pub type Mail = kit::mail::Mail<Content>;

/// A page that a drive returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The keys, and the drive's snapshot of each.
    pub rows: Vec<(u8, Snapshot<Content>)>,
    /// The range that it covers.
    pub span: Span<u8>,
}

/// Progress of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    pub stage: Stage,
    /// The marker: pages begin after this key.
    pub after: Option<u8>,
    /// The pages after the marker, by set and drive.
    pub pages: Vec<BTreeMap<u8, Page>>,
    /// The keys that it has listed, with the names of their values.
    pub found: Vec<(u8, u8)>,
    /// Number of keys in `found` that come from earlier pages.
    pub page_begins: usize,
    /// The keys of these pages that have yet to be read individually.
    pub asked: Vec<u8>,
    /// The range that these pages cover, once they were merged.
    pub span: Span<u8>,
}

/// The stage of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not begun.
    Idle,
    /// Queries drives for pages.
    Paging,
    /// Reads the first of the keys on which the pages cannot decide.
    Reading,
    /// Answered, or given up.
    Over,
}

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation, its shards staged: these drives promise, or answer a read.
    Invoke(u8, Drives),
    /// Delivers one of a client's requests to a drive of its key's set.
    Deliver {
        /// The sender.
        client: u8,
        /// Index of the request in the sender's mail.
        mail: u8,
        /// The receiver.
        drive: u8,
    },
    /// A writer's coordinator crashes.
    Crash(u8),
    /// Begins the listing.
    Begin,
    /// A drive of a set returns its page.
    Page(u8, u8),
    /// These drives answer the listing's read of an individual key.
    ReadAlone(Drives),
}

impl System {
    pub fn drive(&self, set: u8, drive: u8) -> &Drive {
        &self.sets[usize::from(set)][usize::from(drive)]
    }

    /// Returns a drive for modification.
    pub fn drive_mut(&mut self, set: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(set)][usize::from(drive)])
    }

    pub fn client(&self, client: u8) -> &Client {
        &self.clients[usize::from(client)]
    }

    /// Returns a client for modification.
    pub fn client_mut(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// Returns the client that reads for the listing.
    pub fn reader(&self) -> u8 {
        self.clients.len() as u8 - 1
    }
}
