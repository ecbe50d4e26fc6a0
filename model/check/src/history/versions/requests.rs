//! Requests for a key with versions, and their specification: a set of entries with a stamp each, of which the highest
//! is the current one. It is written from S3's description of versioning, not from the code that is checked.

use model::protocol::{Drives, Folder};
use model::record::{Change, EtagMatch, ObjectData, PartData, Precondition, Versioning};
use stateright::semantics::SequentialSpec;
use std::collections::BTreeMap;

/// Times on the clients' clocks, in their order.
pub const CLOCKS: [u64; 4] = [50, 20, 40, 5];

/// The upload that is open at the start.
pub const UPLOAD: u128 = 1;

/// The versioning state of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Never enabled.
    Unversioned,
    Enabled,
    Suspended,
}

/// A condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// Unconditional.
    Always,
    /// There is no current object.
    Absent,
    /// There is one, and it is this client's.
    Is(u8),
}

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    Put(Mode, When),
    /// Complete the upload.
    Complete(Mode, When),
    Delete(Mode, When),
    /// Delete the version with this id.
    DeleteVersion(u8),
    /// List all versions.
    List,
}

impl Request {
    /// Returns the versioning state and the condition of a request that may add an entry.
    #[must_use]
    pub fn adds(self) -> Option<(Mode, When)> {
        match self {
            Request::Put(mode, when) | Request::Complete(mode, when) | Request::Delete(mode, when) => {
                Some((mode, when))
            }
            Request::DeleteVersion(_) | Request::List => None,
        }
    }
}

/// An entry: the client that made it; true if it is a delete marker.
pub type Entry = (u8, bool);

/// A reply to a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Success.
    Done,
    /// The condition does not hold.
    PreconditionFailed,
    /// There is no object, and the condition requires one.
    NoSuchKey,
    /// The upload is not open.
    NoSuchUpload,
    /// The versions with their ids, the current one first.
    Versions(Vec<(u8, Entry)>),
}

/// Returns the id of the version that a client adds where versioning is enabled.
#[must_use]
pub fn version_id(client: u8) -> u8 {
    client + 10
}

/// A key as S3 describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// By id (0 is the null version): the stamp of its addition, and the entry.
    pub entries: BTreeMap<u8, (u8, Entry)>,
    /// True if the upload is open.
    pub open: bool,
}

impl Key {
    /// Adds an entry, which becomes the current one.
    pub fn add(&mut self, id: u8, entry: Entry) {
        let last = self.entries.values().map(|(stamp, _)| *stamp).max();
        self.entries.insert(id, (last.unwrap_or(0) + 1, entry));
    }

    fn current(&self) -> Option<u8> {
        let (_, (by, marker)) = self.entries.values().max()?;
        (!marker).then_some(*by)
    }

    fn refuses(&self, when: When) -> Option<Told> {
        match (when, self.current()) {
            (When::Absent, Some(_)) => Some(Told::PreconditionFailed),
            (When::Is(_), None) => Some(Told::NoSuchKey),
            (When::Is(wanted), Some(by)) if by != wanted => Some(Told::PreconditionFailed),
            _ => None,
        }
    }
}

impl SequentialSpec for Key {
    /// The client and its request.
    type Op = (u8, Request);
    type Ret = Told;

    fn invoke(&mut self, (client, request): &(u8, Request)) -> Told {
        if matches!(request, Request::Complete(..)) && !self.open {
            return Told::NoSuchUpload;
        }
        if let Some(refused) = request.adds().and_then(|(_, when)| self.refuses(when)) {
            return refused;
        }
        let id = |mode| if mode == Mode::Enabled { version_id(*client) } else { 0 };
        match *request {
            Request::Put(mode, _) => self.add(id(mode), (*client, false)),
            Request::Complete(mode, _) => {
                self.open = false;
                self.add(id(mode), (*client, false));
            }
            Request::Delete(Mode::Unversioned, _) => drop(self.entries.remove(&0)),
            Request::Delete(mode, _) => self.add(id(mode), (*client, true)),
            Request::DeleteVersion(id) => drop(self.entries.remove(&id)),
            Request::List => {
                let mut all: Vec<_> = self
                    .entries
                    .iter()
                    .map(|(id, (stamp, entry))| (*stamp, *id, *entry))
                    .collect();
                all.sort();
                return Told::Versions(all.into_iter().rev().map(|(_, id, entry)| (id, entry)).collect());
            }
        }
        Told::Done
    }
}

/// Returns the server's change for a client's request.
#[must_use]
pub fn change(client: u8, request: Request) -> Change {
    let versioning = |mode| match mode {
        Mode::Unversioned => Versioning::Unversioned,
        Mode::Suspended => Versioning::Suspended,
        Mode::Enabled => Versioning::Enabled {
            version: version_id(client).into(),
        },
    };
    match request {
        Request::Put(mode, when) => Change::Put {
            data: object(client),
            precondition: precondition(when),
            versioning: versioning(mode),
        },
        Request::Complete(mode, when) => Change::CompleteUpload {
            upload: UPLOAD,
            data: object(client),
            precondition: precondition(when),
            versioning: versioning(mode),
        },
        Request::Delete(mode, when) => Change::Delete {
            precondition: precondition(when),
            versioning: versioning(mode),
        },
        Request::DeleteVersion(id) => Change::DeleteVersion { version: id.into() },
        Request::List => Change::Read,
    }
}

fn precondition(when: When) -> Precondition {
    let mut precondition = Precondition::default();
    match when {
        When::Always => {}
        When::Absent => precondition.if_none_match = Some(EtagMatch::Any),
        When::Is(client) => precondition.if_match = Some(EtagMatch::OneOf(vec![client.to_string()])),
    }
    precondition
}

/// Returns the object that a client puts.
#[must_use]
pub fn object(client: u8) -> ObjectData {
    let part = PartData {
        number: 1,
        folder: folder(client),
        size: 1,
        etag: client.to_string(),
        holders: Drives::one(0),
        checksums: Vec::new(),
    };
    ObjectData {
        etag: client.to_string(),
        size: 1,
        data_shards: 1,
        parts: vec![part],
        ..ObjectData::default()
    }
}

/// Returns the data folder of the object that a client puts.
#[must_use]
pub fn folder(client: u8) -> Folder {
    Folder::from(client) + 1
}
