//! Values that the machines are checked with.

use crate::register::change::{Change, Kind};
use model::protocol::{Decision, Drives, Folder, FolderNeed, Operation, Value};
use std::hash::{Hash, Hasher};

/// A value: named by the change that made it, and by the mover that copied it last.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Name of the change; 0 is absence.
    pub name: u8,
    /// Number of the mover; 0 if it was never copied.
    pub copy: u8,
    /// True if the key is deleted.
    pub absent: bool,
    /// N of the set that it is in. K and W follow from it.
    pub drives: u8,
}

impl Content {
    pub fn folder(self) -> Folder {
        Folder::from(self.name) << 8 | Folder::from(self.copy)
    }

    /// Returns K, the number of data shards.
    pub fn data(self) -> u8 {
        data_of(self.drives)
    }
}

/// Returns K in a set of N drives.
pub fn data_of(drives: u8) -> u8 {
    if drives == 3 { 2 } else { 1 }
}

/// Returns W in a set of N drives.
pub fn write_of(drives: u8) -> u8 {
    let data = data_of(drives);
    data + u8::from(data * 2 == drives)
}

// K and W are those of the value's set, which follows from its name, so equality ignores them.
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
            // Data is staged on all drives and never lost, so holders make no difference.
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
            // Set once the set is known.
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
