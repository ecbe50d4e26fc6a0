//! The values and operations that the checker runs the machines with, and what clients may see of them.

use model::protocol::{Chained, Decision, Drives, Folder, FolderNeed, Operation, Outcome, Value};
use stateright::semantics::SequentialSpec;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// The value that a key starts with in configurations that start with one.
pub const INITIAL: u8 = 9;

/// A value: named by the change that made it, with one data folder of the same name unless it is absent.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Of the change that made it.
    pub name: u8,
    /// Whether it hides the key.
    pub absent: bool,
    /// Data shards of the new value: K.
    pub data: u8,
    /// Staged shards that a write needs: W.
    pub write: u8,
    /// Follows from the name (`State::holders` has it); the copy here is out of date once drives were
    /// renamed.
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

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A put of new data.
    Put,
    /// A put if the key is absent.
    Create,
    /// A put if the value is this one.
    Match(u8),
    /// A delete.
    Delete,
    /// A plain read, escalated to Prepare and Resolve when it must be.
    Get,
    /// A plain read of what the key's record says: no shard is asked for.
    Head,
    /// A read that begins with Prepare.
    PreparedGet,
    /// A plain read that opens its shards one by one before it answers; the others find them all at once.
    Fetch,
    /// Nobody's request: resolves what was left uncommitted.
    Recover,
    /// Nobody's request: mends the drives that lack the chosen value or shards of it.
    Heal,
    /// Nobody's request: lets all drives forget a tombstone.
    Purge,
    /// Drops the staged folder of that change, unless it is in use.
    CleanUp(u8),
}

/// One client's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// Its client's number, from 1.
    pub name: u8,
    /// What it asks for.
    pub kind: Kind,
    /// K of what it writes.
    pub data: u8,
    /// How many shards it stages before it votes.
    pub write: u8,
    /// The break in which shards are sent only with Accept: N, else 0.
    pub shards_late: u8,
}

impl Change {
    /// Returns whether a client is told a value.
    pub fn is_get(self) -> bool {
        matches!(self.kind, Kind::Get | Kind::Head | Kind::PreparedGet | Kind::Fetch)
    }

    /// Returns whether it stages shards.
    pub fn has_data(self) -> bool {
        matches!(self.kind, Kind::Put | Kind::Create | Kind::Match(_))
    }

    /// Returns whether clients wait for it.
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

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// It is done.
    Done,
    /// Its precondition did not hold.
    Refused,
    /// The value by its name; 0 is absence.
    Value(u8),
    /// Not done, and it never will be.
    Unavailable,
}

impl Told {
    /// Returns what a client is told of an outcome that is no value; nothing if its fate is not known.
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
