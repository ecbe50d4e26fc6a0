//! What there is: the bounds of a run, its state, and what may happen.

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
    /// What is done to which key, a client each.
    pub ops: Vec<(Kind, u8)>,
    /// How many keys a page has.
    pub limit: usize,
    /// Ballots that an operation may use.
    pub rounds: u8,
    /// How many writers may crash.
    pub crashes: u8,
    /// If the last drive of the first set has lost everything: what it has gone past since, and what it does not know
    /// of that.
    pub recovering: Option<(u8, Vec<u8>)>,
    /// What the listing takes for the quorums.
    pub quorums: Quorums,
    /// The break of listings, if any.
    pub mutation: Mutation,
    /// The break of the register, if any.
    pub register_mutation: RegisterMutation,
    /// The occasions that arose in some state.
    pub seen: Seen<Occasion>,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The set that has it.
    pub set: u8,
    /// How it starts.
    pub start: Start,
}

/// How a key starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Never written.
    Never,
    /// Put, and known to be chosen on all drives but this one, which missed it.
    Put(Option<u8>),
    /// Put on A drives; none of them knows that it is chosen.
    Open,
    /// Put, then deleted; the last drive has not heard of the delete.
    Deleted,
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
    /// The drives, by set.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The writers, by operation; then the listing's own reads.
    pub clients: Vec<Arc<Client>>,
    /// The listing.
    pub listing: Listing,
    /// How many writers may still crash.
    pub crashes: u8,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told, by key.
    pub histories: Vec<LinearizabilityTester<u8, Key>>,
    /// Which keys were there, and which were not, at every moment since the listing began.
    pub throughout: Vec<Throughout>,
    /// The rules that were broken, by bit.
    pub broken: Violations<Rule>,
}

/// Whether a key was there or not at every moment of the listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Throughout {
    /// It was there.
    pub present: bool,
    /// It was not.
    pub absent: bool,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    /// What it knows of itself.
    pub own: DriveState,
    /// What it holds of each of its set's keys.
    pub keys: BTreeMap<u8, KeyState<Content>>,
    /// How far it has come, if it has lost everything and joined again.
    pub recovering: Option<Recovering<u8>>,
}

/// A client's operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it asks for.
    pub change: Change,
    /// Of which key.
    pub key: u8,
    /// Whether it was invoked.
    pub invoked: bool,
    /// What it was told.
    pub told: Option<Told>,
    /// Ballots used.
    pub rounds: u8,
    /// Its coordinator, while it runs.
    pub machine: Option<Coordinator<Content, Change>>,
    /// What it sent and what did not arrive everywhere.
    pub mail: Vec<Mail>,
}

/// A request on its way, and the key that it is about.
pub type Mail = kit::mail::Mail<Content>;

/// A page, as its drive gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The keys, and what the drive says of each.
    pub rows: Vec<(u8, Snapshot<Content>)>,
    /// How far it speaks.
    pub span: Span<u8>,
}

/// How far a listing is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// What it does.
    pub stage: Stage,
    /// The marker.
    pub after: Option<u8>,
    /// The pages behind the marker, by set and drive.
    pub pages: Vec<BTreeMap<u8, Page>>,
    /// The keys that it has listed, with the names of their values.
    pub found: Vec<(u8, u8)>,
    /// How many of them were found on the pages before.
    pub page_begins: usize,
    /// The keys of these pages that have yet to be read alone.
    pub asked: Vec<u8>,
    /// How far these pages speak, once they were put together.
    pub span: Span<u8>,
}

/// What a listing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It has not begun.
    Idle,
    /// It asks drives for pages.
    Paging,
    /// It reads the first of the keys on which the pages cannot decide.
    Reading,
    /// It has answered, or given up.
    Over,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation, its shards staged: these drives promise, and answer a read.
    Invoke(u8, Drives),
    /// Delivers one of a client's requests to a drive of its key's set.
    Deliver {
        /// Client whose message it is.
        client: u8,
        /// Which of its requests.
        mail: u8,
        /// To which drive.
        drive: u8,
    },
    /// A writer's coordinator is gone.
    Crash(u8),
    /// Begins the listing.
    Begin,
    /// A drive of a set gives its page.
    Page(u8, u8),
    /// These drives answer what the listing asks about a key alone.
    ReadAlone(Drives),
}

impl System {
    /// A drive.
    pub fn drive(&self, set: u8, drive: u8) -> &Drive {
        &self.sets[usize::from(set)][usize::from(drive)]
    }

    /// A drive, to change it.
    pub fn drive_mut(&mut self, set: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(set)][usize::from(drive)])
    }

    /// A client.
    pub fn client(&self, client: u8) -> &Client {
        &self.clients[usize::from(client)]
    }

    /// A client, to change it.
    pub fn client_mut(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// The client that reads for the listing.
    pub fn reader(&self) -> u8 {
        self.clients.len() as u8 - 1
    }
}
