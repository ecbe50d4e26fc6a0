//! Values and operations that the machines are checked with, and the sequential specification that clients see.

use model::protocol::{Chained, Decision, Drives, Folder, FolderNeed, Operation, Outcome, Value};
use stateright::semantics::SequentialSpec;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Name of the value that a key starts with, where it starts with one.
pub const INITIAL: u8 = 9;

/// A value: named by the change that made it, with one data folder of the same name unless it is absent.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Name of the change that made it.
    pub name: u8,
    /// True if the key is deleted.
    pub absent: bool,
    /// Number of data shards: K.
    pub data: u8,
    /// Number of shards that must be staged before the first vote: W.
    pub write: u8,
    /// Derived from the name. `System::holders` is current; this copy is stale once drives were renamed.
    pub holders: Drives,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Content {}

impl PartialOrd for Content {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Content {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Value for Content {
    fn absent() -> Self {
        Content {
            name: 0,
            absent: true,
            data: 0,
            write: 0,
            holders: Drives::NONE,
        }
    }

    fn is_absent(&self) -> bool {
        self.absent
    }

    fn folders(&self) -> Vec<FolderNeed> {
        if self.absent {
            return Vec::new();
        }
        vec![FolderNeed {
            folder: Folder::from(self.name),
            data: self.data,
            write: self.write,
            holders: self.holders,
        }]
    }
}

impl Chained for Content {
    type Name = u8;
    type Change = Content;

    fn name(&self) -> u8 {
        self.name
    }

    fn change_of(&self, _base: &Content) -> Content {
        *self
    }

    fn changed(_base: &Content, change: &Content) -> Content {
        *change
    }
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A put of new data.
    Put,
    /// A put if the key is absent.
    Create,
    /// A put if the value is this one.
    Match(u8),
    Delete,
    /// A plain read, escalated to Prepare and Resolve when necessary.
    Get,
    /// A plain read of the key's record: needs no shards.
    Head,
    /// A read that begins with Prepare.
    PreparedGet,
    /// A plain read that opens its shards one by one before it answers; the other reads open them all at once.
    Fetch,
    /// Internal: resolves a value that was left uncommitted.
    Recover,
    /// Internal: repairs drives that lack the chosen value or shards of it.
    Heal,
    /// Internal: lets all drives forget a tombstone.
    Purge,
    /// Internal: discards the staged folder of that change, unless it is in use.
    CleanUp(u8),
}

/// One client's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// Number of its client, from 1.
    pub name: u8,
    pub kind: Kind,
    /// K of the value that it writes.
    pub data: u8,
    /// W: number of shards that it stages before the first vote.
    pub write: u8,
    /// N under the mutant that sends shards only with Accept, else 0.
    pub shards_late: u8,
}

impl Change {
    /// Returns whether the client receives a value.
    pub fn is_get(self) -> bool {
        matches!(self.kind, Kind::Get | Kind::Head | Kind::PreparedGet | Kind::Fetch)
    }

    /// Returns whether it stages shards.
    pub fn has_data(self) -> bool {
        matches!(self.kind, Kind::Put | Kind::Create | Kind::Match(_))
    }

    /// Returns whether a client requested it.
    pub fn is_asked_for(self) -> bool {
        !matches!(self.kind, Kind::Recover | Kind::Heal | Kind::Purge | Kind::CleanUp(_))
    }

    /// Returns whether its precondition holds on `base`.
    pub fn may_follow(self, base: &Content) -> bool {
        match self.kind {
            Kind::Create => base.absent,
            Kind::Match(expected) => base.name == expected,
            _ => true,
        }
    }
}

impl Operation<Content> for Change {
    type Refusal = ();

    fn staged(&self) -> Option<(Folder, u8)> {
        self.has_data().then_some((Folder::from(self.name), self.write))
    }

    fn decide(&self, base: &Content, holders: Drives) -> Decision<Content, ()> {
        let value = Content {
            name: self.name,
            absent: self.kind == Kind::Delete,
            data: self.data,
            write: self.write,
            holders: if self.shards_late > 0 {
                Drives::all(self.shards_late)
            } else {
                holders
            },
        };
        match self.kind {
            Kind::Get | Kind::Head | Kind::PreparedGet | Kind::Fetch => Decision::Keep,
            Kind::Recover | Kind::Heal | Kind::Purge => Decision::Keep,
            Kind::Delete if base.absent => Decision::Keep,
            Kind::CleanUp(name) if base.name == name => Decision::Keep,
            Kind::CleanUp(_) => Decision::Write(*base),
            _ if !self.may_follow(base) => Decision::Refuse(()),
            _ => Decision::Write(value),
        }
    }

    fn heals(&self) -> bool {
        self.kind == Kind::Heal
    }

    fn is_for_all(&self) -> bool {
        matches!(self.kind, Kind::Heal | Kind::CleanUp(_))
    }

    fn is_in(&self, value: &Content) -> bool {
        value.name == self.name
    }
}

/// A key as clients see it: the name of its value, 0 when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(pub u8);

/// A reply to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Success.
    Done,
    /// The precondition did not hold.
    Refused,
    /// The value, by its name; 0 is absence.
    Value(u8),
    /// Not done, and never will be.
    Unavailable,
}

impl Told {
    /// Returns the reply for an outcome that is no value; `None` if it is ambiguous.
    pub fn of<V, R>(outcome: &Outcome<V, R>) -> Option<Told> {
        match outcome {
            Outcome::Written(_) | Outcome::Kept(_) => Some(Told::Done),
            Outcome::Refused { .. } => Some(Told::Refused),
            Outcome::Unavailable(_) => Some(Told::Unavailable),
            Outcome::Ambiguous(_) => None,
        }
    }
}

impl SequentialSpec for Key {
    type Op = Change;
    type Ret = Told;

    fn invoke(&mut self, change: &Change) -> Told {
        match change.kind {
            Kind::Create if self.0 != 0 => return Told::Refused,
            Kind::Match(expected) if self.0 != expected => return Told::Refused,
            Kind::Put | Kind::Create | Kind::Match(_) => self.0 = change.name,
            Kind::Delete => self.0 = 0,
            Kind::Get | Kind::Head | Kind::PreparedGet | Kind::Fetch => return Told::Value(self.0),
            Kind::Recover | Kind::Heal | Kind::Purge | Kind::CleanUp(_) => {}
        }
        Told::Done
    }

    fn is_valid_step(&mut self, change: &Change, told: &Told) -> bool {
        *told == Told::Unavailable || self.invoke(change) == *told
    }
}
