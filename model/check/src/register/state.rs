//! The bounds of a run, its states, and the actions.

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
    /// True if the key starts with a committed value on all drives.
    pub initial: bool,
    /// Number of ballots that each operation may use.
    pub rounds: u8,
    /// The sets of drives that shards may be staged on; if empty, each set of exactly W drives.
    pub stagings: Vec<Drives>,
    /// Number of faults of each kind.
    pub faults: Faults,
    /// The quorums that each client's coordinators use.
    pub quorums: Vec<Quorums>,
    /// True if Accepts carry changes of a base.
    pub brief: bool,
    /// True if recovery is checked from every state (`World::with_rescues`).
    pub rescues: bool,
    /// The mutant, if any.
    pub mutation: Mutation,
    /// True if mutation or bounds depart from the protocol.
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
    pub drives: Vec<Arc<Drive>>,
    /// The clients, by operation.
    pub clients: Vec<Arc<Client>>,
    /// For each change, the drives that its value names as holders.
    pub holders: Vec<Drives>,
    /// The faults that may still happen.
    pub faults: Faults,
}

/// The data that the system is checked against. It is derived from events alone; no machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// The invocations and replies of clients.
    pub history: LinearizabilityTester<u8, Key>,
    /// Every ballot that is chosen or may be.
    pub votes: BTreeMap<Ballot, Record>,
    /// The highest ballot by which a write was acknowledged.
    pub acked: Ballot,
    /// Number of acknowledged writes, at most 2.
    pub acks: u8,
    /// The highest tombstone that was purged on any drive.
    pub purged: Ballot,
    /// The voters of writes that were acknowledged without being chosen.
    pub acked_by: Vec<Drives>,
    pub broken: Violations<Rule>,
}

/// Number of faults that may happen, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Shards that are lost.
    pub losses: u8,
    /// Drives that lose power and restart: volatile state is lost.
    pub boots: u8,
    /// Coordinators that crash.
    pub crashes: u8,
    /// Replies that are lost.
    pub silences: u8,
    /// Requests that are delivered twice.
    pub doubles: u8,
    /// Operations that reach their deadline.
    pub deadlines: u8,
    /// Drives that are taken for failed while a request is in flight to them.
    pub failures: u8,
    /// Drives that lose everything; each may join again.
    pub wipes: u8,
    /// Records that become unreadable: the drive knows that it lost this key.
    pub rots: u8,
}

impl Faults {
    /// Returns whether a floor may still be derived from the rounds that a drive has reserved.
    pub fn need_hi(self) -> bool {
        self.boots > 0 || self.rots > 0
    }

    /// Returns the number of faults in which a drive loses its votes.
    pub fn forgetful(self) -> u8 {
        self.wipes + self.rots
    }
}

pub type Drive = kit::drive::Drive<Content, Past>;

/// The history of a drive, for checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// The highest promise that a restart or a wipe has erased.
    pub promised: Ballot,
    /// Progress of the return of a wiped drive.
    pub rejoin: Rejoin,
    /// Bit set, by name, of the folders that the drive holds and has voted for or was sent as chosen. A wipe or an
    /// unreadable record clears it.
    pub voted: u16,
}

/// Progress of a wiped drive that joins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rejoin {
    /// The highest epoch in which its slot promised or voted, until it has joined.
    pub past: u64,
    /// The epoch under which it will join.
    pub joining: Option<u64>,
    /// The drives that are known to lack the key, until the drive knows the key itself.
    pub lacking: Drives,
}

pub type Client = kit::client::Client<Content, Coordinator<Content, Change>, Reading>;

/// Progress of a plain read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// The drives' answers.
    pub answers: BTreeMap<u8, Snapshot<Content>>,
    /// The drives that it has not queried.
    pub unread: Drives,
    /// The shards that it opens.
    pub opening: Option<Opening>,
}

/// A read that opens its shards one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    pub value: Content,
    /// State machine that tracks the open shards.
    pub fetch: Fetch,
    /// For each drive with an open shard, the name of the shard's folder.
    pub open: BTreeMap<u8, u8>,
    /// True if the key was read again.
    pub again: bool,
}

/// A request in flight.
pub type Mail = kit::mail::Mail<Content>;

/// The votes in a ballot.
pub type Record = kit::votes::Record<Content>;

/// The possible actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Invokes a client's operation, with its shards staged on these drives.
    Invoke(u8, Drives),
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
    /// Delivers a request a second time.
    Double {
        /// The sender.
        client: u8,
        /// Index of the request in the sender's mail.
        mail: u8,
        /// The receiver.
        drive: u8,
    },
    /// A coordinator goes on with the quorum that has answered.
    StragglerTimeout(u8),
    /// A client's plain read queries a drive.
    Read(u8, u8),
    /// A plain read answers, or escalates to Prepare.
    Conclude(u8),
    /// A read opens a drive's shard, or finds that it is missing.
    Open(u8, u8),
    /// A client's coordinator crashes.
    Crash(u8),
    /// A client's operation reaches its deadline.
    Deadline(u8),
    /// A client takes a drive for failed.
    Fail(u8, u8),
    /// A drive loses power and restarts.
    Boot(u8),
    /// A drive loses everything.
    Wipe(u8),
    /// A drive's record of the key becomes unreadable.
    Rot(u8),
    /// A wiped drive chooses the epoch to join under, from the answers of these drives.
    Join(u8, Drives),
    /// A joining drive has its epoch stored by another drive.
    Fence(u8, u8),
    /// A recovering drive asks another whether it lacks the key.
    Scan(u8, u8),
    /// A drive loses its shard of a folder.
    Lose(u8, Folder),
}

impl System {
    /// Returns a drive for modification.
    pub fn drive(&mut self, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.drives[usize::from(drive)])
    }

    /// Returns a client for modification.
    pub fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    /// Returns the drives that were wiped and have not joined.
    pub fn outside(&self) -> Drives {
        let drives = self.drives.iter().zip(0u8..);
        let outside = drives.filter(|(drive, _)| drive.own.membership == Membership::Unjoined);
        outside.map(|(_, index)| index).collect()
    }

    /// Returns the highest epoch that a majority of drives has stored.
    pub fn settled_epoch(&self) -> u64 {
        let mut epochs: Vec<u64> = self.drives.iter().map(|drive| drive.own.epoch).collect();
        epochs.sort_unstable();
        epochs[(epochs.len() - 1) / 2]
    }

    /// Returns the highest ballot in which a drive has voted, as far as it remembers.
    pub fn vote_of(&self, drive: u8) -> Ballot {
        self.drives[usize::from(drive)].key.register.accepted.ballot
    }

    /// Returns whether a drive has no value, or a tombstone that it knows to be chosen.
    pub fn is_deleted_on(&self, drive: u8) -> bool {
        let register = &self.drives[usize::from(drive)].key.register;
        register.committed && register.accepted.value.absent
    }

    /// Returns the number of drives that hold a folder.
    pub fn holding(&self, name: u8) -> usize {
        let holds = |d: &&Arc<Drive>| d.key.folders.contains(&Folder::from(name));
        self.drives.iter().filter(holds).count()
    }
}

impl Ledger {
    /// Returns the chosen votes, lowest ballot first.
    pub fn chosen(&self) -> impl Iterator<Item = &Record> {
        self.votes.values().filter(|record| record.chosen)
    }

    /// Returns the value of the highest chosen ballot.
    pub fn latest(&self) -> Content {
        self.chosen().last().map_or(Content::absent(), |record| record.value)
    }
}
