//! What clients ask for, what they are told, and what they may expect of a key.

use model::protocol::Folder;
use model::record::{ObjectData, Part, PartData, Precondition};
use model::upload::Completion;
use stateright::semantics::SequentialSpec;

/// The drives of the world.
pub const DRIVES: u8 = 3;
/// K and M of all that is written.
pub const SHARDS: (u8, u8) = (2, 1);
/// The version that the key starts with.
pub const INITIAL: u8 = 9;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Put an object.
    Put,
    /// Delete the object.
    Delete,
    /// Read the object.
    Get,
    /// Store part 1 of this upload anew.
    Part(u8),
    /// Make a version of this upload: of the parts that it began with, or with part 1 as the first client stores it.
    Complete {
        /// The upload.
        upload: u8,
        /// Whether part 1 is the new one.
        replaced: bool,
    },
    /// Forget this upload.
    Abort(u8),
}

impl Request {
    /// The upload that it ends.
    #[must_use]
    pub fn ends(self) -> Option<u8> {
        match self {
            Request::Complete { upload, .. } | Request::Abort(upload) => Some(upload),
            _ => None,
        }
    }
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// It is done.
    Done,
    /// The upload is not open.
    NoSuchUpload,
    /// A part is not there as named.
    InvalidPart,
    /// The version that is there: of this client, [`INITIAL`], or none.
    Value(Option<u8>),
}

/// A key as its clients see it. Parts are seen by completions only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose version is there.
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
    /// The client and what it asks for.
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
            // An open upload is all that this answer tells of the key.
            (Request::Complete { upload, .. }, Told::InvalidPart) => self.open.contains(&upload),
            _ => self.invoke(op) == *told,
        }
    }
}

/// The folder of a part: as the upload begins with it (0), or as client `by - 1` stores it.
#[must_use]
pub fn part_folder(upload: u8, number: u16, by: u8) -> Folder {
    Folder::from(upload) * 1000 + Folder::from(number) * 100 + Folder::from(by)
}

/// Upload, number and maker of a part's folder.
#[must_use]
pub fn part_of(folder: Folder) -> Option<(u8, u16, u8)> {
    let (upload, rest) = ((folder / 1000) as u8, folder % 1000);
    (upload > 0).then_some((upload, (rest / 100) as u16, (rest % 100) as u8))
}

/// The ETag of a part's folder.
#[must_use]
pub fn etag_of(folder: Folder) -> String {
    format!("{}", folder % 1000)
}

/// A part whose shards are staged.
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

/// Returns what a client puts.
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

/// Returns what a client completes: these folders' parts.
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
