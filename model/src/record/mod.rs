//! Values of the server's registers: an object's version history with its open uploads, a part, a bucket.
//!
//! A record is named by the change that made it. A change is proposed at most once
//! (`put.never-propose-twice`), so its 128 random bits name one value and one base; comparing names
//! compares histories (`register.chain`).

mod delta;
pub mod mutant;
mod op;
mod types;

pub use delta::Delta;
pub use op::{Change, EtagMatch, Op, Precondition, Refusal};
pub use types::{
    Bucket, Checksum, ChecksumKind, Object, ObjectData, Part, PartData, Upload, Version, VersionKind, Versioning,
};

use crate::protocol::{Folder, FolderNeed, Value, write_quorum};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A register's value in the server. Cheap to clone; compared by its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record(Arc<Named>);

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: u128,
    content: Content,
}

/// Content of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Content {
    /// Absent: never written (name 0), or deleted (a tombstone).
    Absent,
    /// An object key.
    Object(Object),
    /// A part of an open upload.
    Part(Part),
    /// A bucket.
    Bucket(Bucket),
}

impl Record {
    /// The record that the change `name` made.
    #[must_use]
    pub fn new(name: u128, content: Content) -> Record {
        Record(Arc::new(Named { name, content }))
    }

    /// The change that made it; 0 for a key that was never written.
    #[must_use]
    pub fn name(&self) -> u128 {
        self.0.name
    }

    /// Returns what it says.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.0.content
    }

    /// The object key's history, if it is one and it holds anything.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        match self.content() {
            Content::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The part, if it is one.
    #[must_use]
    pub fn part(&self) -> Option<&Part> {
        match self.content() {
            Content::Part(part) => Some(part),
            _ => None,
        }
    }

    /// The bucket, if it is one.
    #[must_use]
    pub fn bucket(&self) -> Option<&Bucket> {
        match self.content() {
            Content::Bucket(bucket) => Some(bucket),
            _ => None,
        }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        self.name() == other.name()
    }
}
impl Eq for Record {}
impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Record) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Record {
    fn cmp(&self, other: &Record) -> Ordering {
        self.name().cmp(&other.name())
    }
}
impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Value for Record {
    fn absent() -> Record {
        Record::new(0, Content::Absent)
    }

    /// A key that has neither a version nor an open upload is absent; a key with only an upload is not,
    /// for its parts' folders live by it.
    fn is_absent(&self) -> bool {
        matches!(self.content(), Content::Absent)
    }

    fn folders(&self) -> Vec<FolderNeed> {
        let need = |part: &PartData, data: u8, parity: u8| FolderNeed {
            folder: part.folder,
            data,
            write: write_quorum(data, parity),
            holders: part.holders,
        };
        match self.content() {
            Content::Object(object) => object
                .versions
                .iter()
                .filter_map(Version::data)
                .flat_map(|data| {
                    data.parts
                        .iter()
                        .map(|part| need(part, data.data_shards, data.parity_shards))
                })
                .collect(),
            Content::Part(part) => vec![need(&part.data, part.data_shards, part.parity_shards)],
            Content::Absent | Content::Bucket(_) => Vec::new(),
        }
    }

    fn drops_unnamed(&self) -> bool {
        !matches!(self.content(), Content::Part(_))
    }

    fn awaits_parts(&self) -> bool {
        self.object().is_some_and(|object| !object.uploads.is_empty())
    }
}

/// The folder of a fresh put, as [`crate::protocol::Operation::staged`] wants it.
pub(crate) fn staged(folder: Folder, data: u8, parity: u8) -> (Folder, u8) {
    (folder, write_quorum(data, parity))
}
