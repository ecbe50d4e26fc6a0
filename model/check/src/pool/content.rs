//! The values that the checker runs the machines with.

use crate::register::change::{Change, Kind};
use model::protocol::{Decision, Drives, Folder, FolderNeed, Operation, Value};
use std::hash::{Hash, Hasher};

/// A value: named by the change that made it, and by the mover that copied it last.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Of the change; 0 is absence.
    pub name: u8,
    /// Of the mover; 0 if it was never copied.
    pub copy: u8,
    /// Whether it hides the key.
    pub absent: bool,
    /// N of the set that it is in. K and W follow from it.
    pub drives: u8,
}

impl Content {
    /// Its data folder.
    pub fn folder(self) -> Folder {
        Folder::from(self.name) << 8 | Folder::from(self.copy)
    }

    /// Returns K, the data shards of the content.
    pub fn data(self) -> u8 {
        data_of(self.drives)
    }
}

/// K in a set of N drives.
pub fn data_of(drives: u8) -> u8 {
    if drives == 3 { 2 } else { 1 }
}

/// W in a set of N drives.
pub fn write_of(drives: u8) -> u8 {
    let data = data_of(drives);
    data + u8::from(data * 2 == drives)
}

// K and W are those of the set that a value is in, which follows from its name.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.copy) == (other.name, other.copy)
    }
}

impl Eq for Content {}

impl PartialOrd for Content {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Content {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.name, self.copy).cmp(&(other.name, other.copy))
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.copy).hash(state);
    }
}

impl Value for Content {
    fn absent() -> Self {
        Content {
            name: 0,
            copy: 0,
            absent: true,
            drives: 0,
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
            folder: self.folder(),
            data: self.data(),
            write: write_of(self.drives),
            // Data is staged everywhere and never lost: who holds it makes no difference.
            holders: Drives::NONE,
        }]
    }
}

impl Operation<Content> for Change {
    type Refusal = ();

    fn staged(&self) -> Option<(Folder, u8)> {
        self.has_data().then_some((Folder::from(self.name) << 8, 1))
    }

    fn decide(&self, base: &Content, _holders: Drives) -> Decision<Content, ()> {
        let value = Content {
            name: self.name,
            copy: 0,
            absent: self.kind == Kind::Delete,
            // Known once the set is.
            drives: 0,
        };
        match self.kind {
            Kind::Delete if base.absent => Decision::Keep,
            Kind::Create if !base.absent => Decision::Refuse(()),
            Kind::Put | Kind::Create | Kind::Delete => Decision::Write(value),
            _ => Decision::Keep,
        }
    }

    fn is_in(&self, value: &Content) -> bool {
        value.name == self.name
    }
}
