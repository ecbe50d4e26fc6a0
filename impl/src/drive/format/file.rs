//! The content of `format.json`.

use super::error::{FormatError, Given};
use serde::{Deserialize, Serialize};
use std::path::Path;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The value of `format` that is ours. MinIO's are refused by name, and it refuses ours.
pub const FORMAT: &str = "erasure-register";
/// The newest version of the file that this program reads, and the one that it writes.
pub const VERSION: u64 = 1;

/// What a `format.json` of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) deployment: u128,
    pub(super) this: u128,
    /// Never empty, and of one size.
    pub(super) sets: Vec<Vec<u128>>,
    /// Whether every drive of the deployment has been formatted.
    pub(super) complete: bool,
}

impl Format {
    pub(super) fn new(deployment: u128, drives: usize, set_size: usize, fresh: &mut dyn FnMut() -> u128) -> Format {
        let sets = (0..drives / set_size).map(|_| (0..set_size).map(|_| version_4(fresh())).collect());
        Format {
            deployment: version_4(deployment),
            this: 0,
            sets: sets.collect(),
            complete: false,
        }
    }

    /// In the order of the paths.
    pub(super) fn drives(&self) -> impl Iterator<Item = u128> {
        self.sets.iter().flatten().copied()
    }

    pub(super) fn set_size(&self) -> usize {
        self.sets.first().map_or(0, Vec::len)
    }

    pub(super) fn given(&self) -> Given {
        let (drives, set_size) = (self.drives().count(), self.set_size());
        Given { drives, set_size }
    }

    /// Set and index within it of this drive.
    pub(super) fn place(&self) -> Option<(usize, u8)> {
        self.sets.iter().enumerate().find_map(|(set, drives)| {
            let index = drives.iter().position(|drive| *drive == self.this)?;
            Some((set, u8::try_from(index).ok()?))
        })
    }

    pub(super) fn to_json(&self) -> String {
        let uuid = |id: &u128| Uuid::from_u128(*id);
        let file = FormatFile {
            version: VERSION.to_string(),
            format: FORMAT.to_owned(),
            complete: self.complete,
            id: uuid(&self.deployment),
            this: uuid(&self.this),
            sets: self.sets.iter().map(|set| set.iter().map(uuid).collect()).collect(),
        };
        // Strings, a bool and lists of them: no value of these types fails.
        seal(&serde_json::to_string_pretty(&file).unwrap_or_default())
    }
}

/// What comes before the checksum, which is the file's last line but one.
const CHECKSUM: &str = ",\n  \"checksum\": \"";

/// A JSON object with the checksum of its bytes added.
pub(super) fn seal(json: &str) -> String {
    let body = json.trim_end().trim_end_matches('}').trim_end();
    format!("{body}{}", checksum_line(body.as_bytes()))
}

fn checksum_line(body: &[u8]) -> String {
    format!("{CHECKSUM}{:032x}\"\n}}\n", xxh3_128(body))
}

/// Whether the checksum of the bytes is right (`format.checksum`); `None` if they have none.
fn verify(bytes: &[u8]) -> Option<bool> {
    let at = bytes
        .windows(CHECKSUM.len())
        .rposition(|window| window == CHECKSUM.as_bytes())?;
    let (body, line) = bytes.split_at(at);
    Some(line == checksum_line(body).as_bytes())
}

pub(super) enum Parsed {
    Ours(Format),
    /// Why it is not to be used. The drive is offline: others may still serve.
    Corrupt(String),
}

#[derive(Serialize, Deserialize)]
struct FormatFile {
    version: String,
    format: String,
    complete: bool,
    id: Uuid,
    this: Uuid,
    sets: Vec<Vec<Uuid>>,
}

/// What every version and every kind of `format.json` has.
#[derive(Deserialize)]
struct Kind {
    version: String,
    format: String,
}

/// # Errors
/// The format of somebody else, or of a newer version.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, FormatError> {
    let corrupt = |error: &dyn std::fmt::Display| Ok(Parsed::Corrupt(error.to_string()));
    // First: damage must not make the format look like that of somebody else, for which the start is refused.
    let verified = verify(bytes);
    if verified == Some(false) {
        return corrupt(&"its checksum does not match");
    }
    let kind: Kind = match serde_json::from_slice(bytes) {
        Ok(kind) => kind,
        Err(error) => return corrupt(&error),
    };
    let (path, format) = (path.to_owned(), kind.format);
    match &*format {
        FORMAT => {}
        "xl" | "xl-single" | "fs" => return Err(FormatError::MinioFormat { path, format }),
        _ => return Err(FormatError::UnknownFormat { path, format }),
    }
    match kind.version.parse::<u64>() {
        Ok(VERSION) => {}
        Ok(found) if found > VERSION => {
            let known = VERSION;
            return Err(FormatError::NewerVersion { path, found, known });
        }
        _ => return corrupt(&format_args!("version {:?}", kind.version)),
    }
    if verified.is_none() {
        return corrupt(&"it has no checksum");
    }
    let file: FormatFile = match serde_json::from_slice(bytes) {
        Ok(file) => file,
        Err(error) => return corrupt(&error),
    };
    let sets = file.sets.iter().map(|set| set.iter().map(Uuid::as_u128).collect());
    let format = Format {
        deployment: file.id.as_u128(),
        this: file.this.as_u128(),
        sets: sets.collect(),
        complete: file.complete,
    };
    let set_size = format.set_size();
    if set_size == 0 || set_size > 16 || format.sets.iter().any(|set| set.len() != set_size) {
        return corrupt(&"its erasure sets are not of one size from 1 to 16");
    }
    if format.place().is_none() {
        return corrupt(&"the drive is not among the drives that it names");
    }
    Ok(Parsed::Ours(format))
}

/// Random bits as a UUID of version 4.
fn version_4(random: u128) -> u128 {
    uuid::Builder::from_random_bytes(random.to_be_bytes())
        .into_uuid()
        .as_u128()
}
