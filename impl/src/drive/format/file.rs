//! The content of `format.json`.

use super::error::{Given, Refusal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The value of `format` that is ours. MinIO's are refused by name, and it refuses ours.
pub const FORMAT: &str = "erasure-register";
/// The version of a drive's layout that this program reads and writes. Version 1, with a folder for each shard's file,
/// was never released.
pub const VERSION: u64 = 2;

/// Content of a `format.json` of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) deployment: u128,
    pub(super) this: u128,
    /// Never empty, and of one size.
    pub(super) sets: Vec<Vec<u128>>,
    /// Every drive of the deployment has been formatted.
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

    /// Returns the drives' UUIDs in the order of the paths.
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

    /// Returns whether both are of drives of one deployment, which agree on its drives.
    pub(super) fn is_of_same(&self, other: &Format) -> bool {
        self.deployment == other.deployment && self.sets == other.sets
    }

    /// Returns a hash of the deployment, its drives and their places.
    pub(super) fn fingerprint(&self) -> u128 {
        let ids = [self.deployment, self.set_size() as u128]
            .into_iter()
            .chain(self.drives());
        let bytes: Vec<u8> = ids.flat_map(u128::to_be_bytes).collect();
        xxh3_128(&bytes)
    }

    /// The place of a drive in the deployment, from 0.
    pub(super) fn position(&self, drive: u128) -> Option<usize> {
        self.drives().position(|other| other == drive)
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
            checksum: UNSEALED.to_owned(),
        };
        // Strings, a bool and lists of them: no value of these types fails.
        seal(serde_json::to_string_pretty(&file).unwrap_or_default() + "\n")
    }
}

pub(super) enum Parsed {
    Ours(Format),
    /// Not usable, with the reason. The drive is offline: others may still serve.
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
    checksum: String,
}

/// Fields common to every version and kind of `format.json`. Ours have a checksum.
#[derive(Deserialize)]
struct Kind {
    version: String,
    format: String,
    checksum: Option<String>,
}

/// Stands for the checksum while it is computed.
const UNSEALED: &str = "00000000000000000000000000000000";

/// Fills in the checksum, over the text in which it is zero (`format.unreadable-is-offline`): a flipped bit in
/// a UUID would otherwise be another drive, and one in the version a newer program.
pub(super) fn seal(unsealed: String) -> String {
    let checksum = format!("{:032x}", xxh3_128(unsealed.as_bytes()));
    match unsealed.rfind(UNSEALED) {
        Some(at) => [&unsealed[..at], &checksum, &unsealed[at + UNSEALED.len()..]].concat(),
        None => unsealed,
    }
}

fn is_sealed(bytes: &[u8], checksum: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let at = text.rfind(checksum).filter(|_| checksum.len() == UNSEALED.len());
    at.is_some_and(|at| {
        let unsealed = [&text[..at], UNSEALED, &text[at + checksum.len()..]].concat();
        seal(unsealed).as_bytes() == bytes
    })
}

/// # Errors
/// The format of somebody else, or of another version.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Refusal> {
    let corrupt = |error: &dyn std::fmt::Display| Ok(Parsed::Corrupt(error.to_string()));
    let kind: Kind = match serde_json::from_slice(bytes) {
        Ok(kind) => kind,
        Err(error) => return corrupt(&error),
    };
    let format = kind.format;
    let sealed = kind.checksum.map(|checksum| is_sealed(bytes, &checksum));
    match &*format {
        _ if sealed == Some(false) => return corrupt(&"it does not match its checksum"),
        FORMAT if sealed.is_none() => return corrupt(&"it has no checksum"),
        FORMAT => {}
        "xl" | "xl-single" | "fs" => return Err(Refusal::MinioFormat { format }),
        _ => return Err(Refusal::UnknownFormat { format }),
    }
    match kind.version.parse::<u64>() {
        Ok(VERSION) => {}
        Ok(found) if found > VERSION => {
            let known = VERSION;
            return Err(Refusal::NewerVersion { found, known });
        }
        Ok(found) if found > 0 => return Err(Refusal::OlderVersion { found }),
        _ => return corrupt(&format_args!("version {:?}", kind.version)),
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
