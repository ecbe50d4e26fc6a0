//! The bounds of a run, its states, and the actions.

use super::content::Content;
use super::rules::{Occasion, Rule};
use crate::kit;
use crate::register::change::{Change, Key};
use crate::rules::{Seen, Violations};
use model::pool::mutant::Mutation;
use model::pool::{Answers, Coordinator, Placed};
use model::protocol::{Ballot, Folder, Value};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The operation of a client or a mover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A client's change or read, and the pool that it would create the key in.
    Change(Change, u8),
    /// A move to a pool.
    Move(u8),
    /// Finishes or rolls back operations that others left incomplete.
    Recover,
    /// Lets all drives forget the key.
    Purge,
}

/// The initial content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The key was never written.
    Nothing,
    /// A value in the first pool.
    Value,
    /// A copy, in the second pool, of a key that has since been deleted and purged.
    StaleCopy,
    /// The first pool has forwarded the key to its copy in the second.
    Forwarded,
    /// A tombstone in the first pool that is chosen, which no drive knows.
    Deleted,
}

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// N of each pool's set.
    pub sizes: Vec<u8>,
    /// The operations, one client each.
    pub jobs: Vec<Job>,
    pub start: Start,
    /// Number of ballots that each operation may use.
    pub rounds: Vec<u8>,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// True if there is a mutant.
    pub broken: bool,
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
    /// The drives, by pool.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The clients, by operation.
    pub clients: Vec<Arc<Client>>,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients.
    pub history: LinearizabilityTester<u8, Key>,
    /// Every vote that is chosen or may be, by pool and ballot.
    pub votes: BTreeMap<(u8, Ballot), Record>,
    /// The ballot under which each operation first proposed its change; zero if it has not.
    pub born: Vec<Ballot>,
    /// Bit set, by name, of the values that were the key's and have been replaced or deleted.
    pub gone: u16,
    /// Name of the key's current value, 0 when absent.
    pub latest: u8,
    pub broken: Violations<Rule>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drives that lose power and restart.
    pub boots: u8,
    /// Coordinators that crash.
    pub crashes: u8,
    /// Replies that are lost.
    pub silences: u8,
}

pub type Drive = kit::drive::Drive<Placed<Content>>;

/// A client and its coordinator; for a plain read, the drives' answers by pool.
pub type Client = kit::client::Client<Placed<Content>, Coordinator<Content, Change>, Answers<Content>>;

/// A request in flight to a pool.
pub type Mail = kit::mail::Mail<Placed<Content>>;

/// The votes of one set in a ballot.
pub type Record = kit::votes::Record<Placed<Content>>;

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation.
    Invoke(u8),
    /// Delivers one of a client's requests to a drive.
    Deliver {
        /// The sender.
        client: u8,
        /// Index of the request in the sender's mail.
        mail: u8,
        /// The receiver.
        drive: u8,
        /// False if the reply is lost.
        answered: bool,
    },
    /// A coordinator goes on with the answers that it has.
    StragglerTimeout(u8),
    /// A client's plain read queries a drive of a pool.
    Read(u8, u8, u8),
    /// A plain read answers, or escalates to Prepare.
    Conclude(u8),
    /// A client's coordinator crashes.
    Crash(u8),
    /// A drive of a pool loses power and restarts.
    Boot(u8, u8),
}

impl System {
    /// Returns a drive for modification.
    pub fn drive(&mut self, pool: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(pool)][usize::from(drive)])
    }

    /// Returns a client for modification.
    pub fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// Returns the number of drives of a pool that hold a folder.
    pub fn holding(&self, pool: u8, folder: Folder) -> usize {
        let drives = self.sets[usize::from(pool)].iter();
        drives.filter(|drive| drive.holds(folder)).count()
    }

    /// Returns whether some set holds K shards of a value.
    pub fn is_readable(&self, value: &Content) -> bool {
        let mut pools = 0..self.sets.len() as u8;
        pools.any(|pool| self.holding(pool, value.folder()) >= usize::from(value.data()))
    }
}

impl Ledger {
    /// Returns the value of the highest chosen ballot of a pool.
    pub fn chosen_in(&self, pool: u8) -> Placed<Content> {
        let votes = self.votes.range((pool, Ballot::ZERO)..(pool + 1, Ballot::ZERO));
        let last = votes.rev().find(|(_, record)| record.chosen);
        last.map_or_else(Placed::absent, |(_, record)| record.value.clone())
    }

    /// Returns the pools in which the key is visible, with its value there: a live value, or a copy that another pool
    /// has forwarded the key to.
    pub fn homes(&self, pools: u8) -> Vec<(u8, Content)> {
        let chosen: Vec<_> = (0..pools).map(|pool| self.chosen_in(pool)).collect();
        let value_in = |pool: u8, set: &Placed<Content>| match set {
            Placed::Here(value) if !value.absent => Some((pool, *value)),
            Placed::Incoming { copy, .. } => {
                let forward = Placed::Forward { to: pool, copy: *copy };
                chosen.contains(&forward).then_some((pool, *copy))
            }
            _ => None,
        };
        (0u8..)
            .zip(&chosen)
            .filter_map(|(pool, set)| value_in(pool, set))
            .collect()
    }
}
