//! What there is: the bounds of a run, its state, and what may happen.

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

/// What a client or a mover does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A client's change or read, and the pool that it would create the key in.
    Change(Change, u8),
    /// A move to a pool.
    Move(u8),
    /// Finishes or takes back what others left.
    Recover,
    /// Lets all drives forget the key.
    Purge,
}

/// What there is at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing was written.
    Nothing,
    /// A value in the first pool.
    Value,
    /// In the second pool a copy of a key that has been deleted and purged since.
    StaleCopy,
    /// The first pool has forwarded the key to its copy in the second.
    Forwarded,
    /// In the first pool a tombstone that is chosen, which no drive knows.
    Deleted,
}

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// N of each pool's set.
    pub sizes: Vec<u8>,
    /// The operations, one client each.
    pub jobs: Vec<Job>,
    /// What there is at the start, committed.
    pub start: Start,
    /// Ballots that each operation may use.
    pub rounds: Vec<u8>,
    /// How many faults there may be.
    pub faults: Faults,
    /// The break, if any.
    pub mutation: Mutation,
    /// Whether there is one.
    pub broken: bool,
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
    /// The drives, by pool.
    pub sets: Vec<Vec<Arc<Drive>>>,
    /// The clients, by operation.
    pub clients: Vec<Arc<Client>>,
    /// What is left of the faults.
    pub faults: Faults,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// Every vote that is chosen or may be, by pool and ballot.
    pub votes: BTreeMap<(u8, Ballot), Record>,
    /// The ballot under which each operation first proposed its change.
    pub born: Vec<Ballot>,
    /// Values that were the key's and are no more, by bit.
    pub gone: u16,
    /// The key's value.
    pub latest: u8,
    /// The rules that were broken.
    pub broken: Violations<Rule>,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Drives that lose power and restart.
    pub boots: u8,
    /// Coordinators that crash.
    pub crashes: u8,
    /// Answers that are lost.
    pub silences: u8,
}

/// A drive.
pub type Drive = kit::drive::Drive<Placed<Content>>;

/// A client and its coordinator; by pool, what drives have told a plain read.
pub type Client = kit::client::Client<Placed<Content>, Coordinator<Content, Change>, Answers<Content>>;

/// A request on its way to a pool.
pub type Mail = kit::mail::Mail<Placed<Content>>;

/// A ballot's votes in one set.
pub type Record = kit::votes::Record<Placed<Content>>;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation.
    Invoke(u8),
    /// Delivers one of a client's requests to a drive.
    Deliver {
        /// Client whose message it is.
        client: u8,
        /// Which of its requests.
        mail: u8,
        /// To which drive.
        drive: u8,
        /// Whether the answer comes back.
        answered: bool,
    },
    /// A coordinator goes on with what there is.
    StragglerTimeout(u8),
    /// A plain read asks a drive of a pool.
    Read(u8, u8, u8),
    /// A plain read answers, or turns to Prepare.
    Conclude(u8),
    /// A client's coordinator is gone.
    Crash(u8),
    /// A drive of a pool loses power and restarts.
    Boot(u8, u8),
}

impl System {
    /// A drive, to change it.
    pub fn drive(&mut self, pool: u8, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.sets[usize::from(pool)][usize::from(drive)])
    }

    /// A client, to change it.
    pub fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// Returns how many drives of a pool hold a folder.
    pub fn holding(&self, pool: u8, folder: Folder) -> usize {
        let drives = self.sets[usize::from(pool)].iter();
        drives.filter(|drive| drive.holds(folder)).count()
    }

    /// Returns whether K shards of a value are in some set.
    pub fn is_readable(&self, value: &Content) -> bool {
        let mut pools = 0..self.sets.len() as u8;
        pools.any(|pool| self.holding(pool, value.folder()) >= usize::from(value.data()))
    }
}

impl Ledger {
    /// Returns what the highest chosen ballot of a pool carries.
    pub fn chosen_in(&self, pool: u8) -> Placed<Content> {
        let votes = self.votes.range((pool, Ballot::ZERO)..(pool + 1, Ballot::ZERO));
        let last = votes.rev().find(|(_, record)| record.chosen);
        last.map_or_else(Placed::absent, |(_, record)| record.value.clone())
    }

    /// Of so many pools, those that the key is visible in: where it lives, or where a copy is that it was forwarded to.
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
