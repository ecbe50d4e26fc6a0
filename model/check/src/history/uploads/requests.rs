//! Requests of clients, their replies, and the sequential specification of a key.

use model::protocol::Folder;
use model::record::{ObjectData, Part, PartData, Precondition};
use model::upload::Completion;
use stateright::semantics::SequentialSpec;

/// Number of drives.
pub const DRIVES: u8 = 3;
/// K and M of all objects and parts.
pub const SHARDS: (u8, u8) = (2, 1);
/// The version that the key starts with.
pub const INITIAL: u8 = 9;

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    Put,
    Delete,
    Get,
    /// Store part 1 of this upload again.
    Part(u8),
    /// Complete this upload: with its initial parts, or with part 1 as the first client stores it.
    Complete {
        upload: u8,
        /// True if it names the new part 1.
        replaced: bool,
    },
    Abort(u8),
}

impl Request {
    /// Returns the upload that it ends.
    #[must_use]
    pub fn ends(self) -> Option<u8> {
        match self {
            Request::Complete { upload, .. } | Request::Abort(upload) => Some(upload),
            _ => None,
        }
    }
}

/// A reply to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Success.
    Done,
    /// The upload is not open.
    NoSuchUpload,
    /// A part does not exist as named.
    InvalidPart,
    /// The current version: of this client, [`INITIAL`], or none.
    Value(Option<u8>),
}

/// A key as its clients see it. Parts are visible to completions only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The client that wrote the current version.
    pub value: Option<u8>,
    /// The open uploads.
    pub open: Vec<u8>,
}

impl Key {
    fn end(&mut self, upload: u8) -> bool {
        let before = self.open.len();
        self.open.retain(|open| *open != upload);
        self.open.len() < before
    }
}

impl SequentialSpec for Key {
    /// The client and its request.
    type Op = (u8, Request);
    type Ret = Told;

    fn invoke(&mut self, (client, request): &(u8, Request)) -> Told {
        match *request {
            Request::Put => self.value = Some(*client),
            Request::Delete => self.value = None,
            Request::Get => return Told::Value(self.value),
            Request::Complete { upload, .. } => {
                if !self.end(upload) {
                    return Told::NoSuchUpload;
                }
                self.value = Some(*client);
            }
            Request::Abort(upload) => {
                if !self.end(upload) {
                    return Told::NoSuchUpload;
                }
            }
            Request::Part(_) => {}
        }
        Told::Done
    }

    fn is_valid_step(&mut self, op: &(u8, Request), told: &Told) -> bool {
        match (op.1, told) {
            // The reply only implies that the upload is open.
            (Request::Complete { upload, .. }, Told::InvalidPart) => self.open.contains(&upload),
            _ => self.invoke(op) == *told,
        }
    }
}

/// Returns the folder of a part: `by` is 0 for the initial part, else the number of its client plus 1.
#[must_use]
pub fn part_folder(upload: u8, number: u16, by: u8) -> Folder {
    Folder::from(upload) * 1000 + Folder::from(number) * 100 + Folder::from(by)
}

/// Returns upload, number and `by` of a part's folder.
#[must_use]
pub fn part_of(folder: Folder) -> Option<(u8, u16, u8)> {
    let (upload, rest) = ((folder / 1000) as u8, folder % 1000);
    (upload > 0).then_some((upload, (rest / 100) as u16, (rest % 100) as u8))
}

/// Returns the ETag of a part's folder.
#[must_use]
pub fn etag_of(folder: Folder) -> String {
    format!("{}", folder % 1000)
}

/// Returns a part whose shards are staged.
#[must_use]
pub fn part(folder: Folder) -> Part {
    let number = part_of(folder).map_or(1, |(_, number, _)| number);
    Part {
        data_shards: SHARDS.0,
        parity_shards: SHARDS.1,
        time_nanos: 0,
        data: part_data(folder, number),
    }
}

fn part_data(folder: Folder, number: u16) -> PartData {
    PartData {
        number,
        folder,
        size: 1,
        etag: etag_of(folder),
        holders: model::protocol::Drives::all(DRIVES),
        checksums: Vec::new(),
    }
}

/// Returns the object that a client puts.
#[must_use]
pub fn object(client: u8) -> ObjectData {
    ObjectData {
        etag: client.to_string(),
        size: 1,
        data_shards: SHARDS.0,
        parity_shards: SHARDS.1,
        parts: vec![part_data(Folder::from(client), 1)],
        ..ObjectData::default()
    }
}

/// Returns a client's completion, which names the parts in these folders.
#[must_use]
pub fn completion(client: u8, folders: &[Folder]) -> Completion {
    let named = |folder: &Folder| Some((part_of(*folder)?.1, etag_of(*folder)));
    Completion {
        parts: folders.iter().filter_map(named).collect(),
        etag: client.to_string(),
        precondition: Precondition::default(),
        ..Completion::default()
    }
}
