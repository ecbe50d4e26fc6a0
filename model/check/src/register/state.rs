//! What there is: the bounds of a run, its state, and what may happen.

use super::change::{Change, Content, Key};
use super::rules::{Occasion, Rule};
use crate::kit;
use crate::rules::{Seen, Violations};
use model::protocol::mutant::Mutation;
use model::protocol::{Ballot, Coordinator, Drives, Fetch, Folder, Membership, Quorums, Snapshot, Value};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// Number of drives: N.
    pub drives: u8,
    /// The operations, one client each.
    pub changes: Vec<Change>,
    /// Whether the key starts with a committed value on all drives.
    pub initial: bool,
    /// Ballots that an operation may use.
    pub rounds: u8,
    /// The sets of drives that shards may be staged on; if none is given, each that is just large enough.
    pub stagings: Vec<Drives>,
    /// How many faults there may be.
    pub faults: Faults,
    /// What the coordinators of each client think that the quorums are.
    pub quorums: Vec<Quorums>,
    /// Whether Accepts travel as changes of a base.
    pub brief: bool,
    /// Whether every state is rescued (`World::with_rescues`).
    pub rescues: bool,
    /// The break, if any.
    pub mutation: Mutation,
    /// Whether anything, mutation or bounds, departs from the protocol.
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
    /// The drives, in their order.
    pub drives: Vec<Arc<Drive>>,
    /// The clients, by operation.
    pub clients: Vec<Arc<Client>>,
    /// By change, the drives that its value names as holders.
    pub holders: Vec<Drives>,
    /// What is left of the faults.
    pub faults: Faults,
}

/// What the system is judged by. It is kept from what happens alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// Every ballot that is chosen or may be.
    pub votes: BTreeMap<Ballot, Record>,
    /// The highest ballot by which a write was acknowledged.
    pub acked: Ballot,
    /// How many writes were acknowledged.
    pub acks: u8,
    /// The highest tombstone that was purged anywhere.
    pub purged: Ballot,
    /// The votes of writes that were acknowledged without being chosen.
    pub acked_by: Vec<Drives>,
    /// The rules that were broken, by bit.
    pub broken: Violations<Rule>,
}

/// How many faults there may be, or are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Shards that are lost.
    pub losses: u8,
    /// Drives that lose power and restart: what was not durable is gone.
    pub boots: u8,
    /// Coordinators that crash.
    pub crashes: u8,
    /// Answers that are lost.
    pub silences: u8,
    /// Requests that are delivered twice.
    pub doubles: u8,
    /// Operations that are given up by their deadline.
    pub deadlines: u8,
    /// Drives that are taken for failed while a request is on its way to them.
    pub failures: u8,
    /// Drives that lose everything; each may join again.
    pub wipes: u8,
    /// Records that a drive can no longer read: it knows that it lost this key.
    pub rots: u8,
}

impl Faults {
    /// Returns whether a floor may yet come out of what a drive has reserved.
    pub fn need_hi(self) -> bool {
        self.boots > 0 || self.rots > 0
    }

    /// Drives that may lose what they voted for.
    pub fn forgetful(self) -> u8 {
        self.wipes + self.rots
    }
}

/// A drive.
pub type Drive = kit::drive::Drive<Content, Past>;

/// What is known of a drive's past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// The highest promise that a restart or a wipe has taken.
    pub promised: Ballot,
    /// The way back of a drive that was wiped.
    pub rejoin: Rejoin,
    /// The folders that it holds and has voted for, or was sent as chosen, unless it forgot that: bits by name.
    pub voted: u16,
}

/// What a wiped drive has found out on its way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rejoin {
    /// The highest epoch that its slot promised or voted in, until it has joined.
    pub past: u64,
    /// The epoch that it is about to join under.
    pub joining: Option<u64>,
    /// The drives that are known to lack the key, until it knows the key itself.
    pub lacking: Drives,
}

/// A client and its coordinator.
pub type Client = kit::client::Client<Content, Coordinator<Content, Change>, Reading>;

/// What a plain read has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// What drives have told.
    pub answers: BTreeMap<u8, Snapshot<Content>>,
    /// The drives that it has not asked.
    pub unread: Drives,
    /// The shards that it opens.
    pub opening: Option<Opening>,
}

/// A read that opens its shards one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    /// What is read.
    pub value: Content,
    /// Which shards are open.
    pub fetch: Fetch,
    /// By drive, the name of the folder whose shard is open there.
    pub open: BTreeMap<u8, u8>,
    /// Whether the key was read again.
    pub again: bool,
}

/// A request on its way.
pub type Mail = kit::mail::Mail<Content>;

/// A ballot's votes.
pub type Record = kit::votes::Record<Content>;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation, its shards staged on these drives.
    Invoke(u8, Drives),
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
    /// Delivers it once more.
    Double {
        /// Client whose message it is.
        client: u8,
        /// Which of its requests.
        mail: u8,
        /// To which drive.
        drive: u8,
    },
    /// A coordinator goes on with the quorum that there is.
    StragglerTimeout(u8),
    /// A plain read asks a drive.
    Read(u8, u8),
    /// A plain read answers, or turns to Prepare.
    Conclude(u8),
    /// A read opens a drive's shard, or finds that there is none.
    Open(u8, u8),
    /// A client's coordinator is gone.
    Crash(u8),
    /// A client waits no longer.
    Deadline(u8),
    /// A client takes a drive for failed.
    Fail(u8, u8),
    /// A drive loses power and restarts.
    Boot(u8),
    /// A drive loses everything.
    Wipe(u8),
    /// A drive loses its record of the key.
    Rot(u8),
    /// It chooses the epoch to join under, from what these drives tell.
    Join(u8, Drives),
    /// It has that epoch stored by another drive.
    Fence(u8, u8),
    /// It asks another drive whether that lacks the key.
    Scan(u8, u8),
    /// A drive loses its shard of a folder.
    Lose(u8, Folder),
}

impl System {
    /// A drive, to change it.
    pub fn drive(&mut self, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.drives[usize::from(drive)])
    }

    /// A client, to change it.
    pub fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// The drives that are wiped and have not joined.
    pub fn outside(&self) -> Drives {
        let drives = self.drives.iter().zip(0u8..);
        let outside = drives.filter(|(drive, _)| drive.own.membership == Membership::Unjoined);
        outside.map(|(_, index)| index).collect()
    }

    /// The highest epoch that more than half of the drives have stored.
    pub fn settled_epoch(&self) -> u64 {
        let mut epochs: Vec<u64> = self.drives.iter().map(|drive| drive.own.epoch).collect();
        epochs.sort_unstable();
        epochs[(epochs.len() - 1) / 2]
    }

    /// The highest ballot that a drive has voted in and not forgotten.
    pub fn vote_of(&self, drive: u8) -> Ballot {
        self.drives[usize::from(drive)].key.register.accepted.ballot
    }

    /// Returns whether a drive has nothing, or a tombstone of which it knows that it is chosen.
    pub fn is_deleted_on(&self, drive: u8) -> bool {
        let register = &self.drives[usize::from(drive)].key.register;
        register.committed && register.accepted.value.absent
    }

    /// Returns how many drives hold a folder.
    pub fn holding(&self, name: u8) -> usize {
        let holds = |d: &&Arc<Drive>| d.key.folders.contains(&Folder::from(name));
        self.drives.iter().filter(holds).count()
    }
}

impl Ledger {
    /// Votes that are chosen, lowest ballot first.
    pub fn chosen(&self) -> impl Iterator<Item = &Record> {
        self.votes.values().filter(|record| record.chosen)
    }

    /// The value that the highest chosen ballot carries.
    pub fn latest(&self) -> Content {
        self.chosen().last().map_or(Content::absent(), |record| record.value)
    }
}
