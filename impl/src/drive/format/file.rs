//! The content of `format.json`.

use super::{Layout, error::Refusal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The value of `format` that is ours. MinIO's are refused by name, and it refuses ours.
pub const FORMAT: &str = "erasure-register";
/// The version of a drive's layout that this program writes. It reads version 2 too, which has neither nodes nor
/// acceptors. Version 1, with a folder for each shard's file, was never released.
pub const VERSION: u64 = 3;
const VERSION_OF_ONE_NODE: u64 = 2;
/// The highest level that this program knows: the versions of rows and values that it reads.
pub const LEVEL: u32 = 1;

/// Content of a `format.json` of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) layout: Layout,
    pub(super) this: u128,
    /// The highest version of rows and values that may be written (`format.level-before-use`).
    pub(super) level: u32,
    /// When it was formatted the drive was a file system of its own.
    pub(super) is_own_device: bool,
    /// Every drive of the deployment has been formatted.
    pub(super) complete: bool,
}

impl Format {
    /// The format of a drive of a new deployment, which is not complete.
    pub(super) fn begun(layout: Layout, this: u128) -> Format {
        Format {
            layout,
            this,
            level: LEVEL,
            is_own_device: false,
            complete: false,
        }
    }

    /// Returns whether both are of drives of one deployment, which agree on its drives.
    pub(super) fn is_of_same(&self, other: &Format) -> bool {
        self.layout == other.layout
    }

    pub(super) fn to_json(&self) -> String {
        let Layout {
            deployment,
            pool,
            nodes,
            sets,
            acceptors,
        } = &self.layout;
        let uuid = |id: &u128| Uuid::from_u128(*id);
        let file = FormatFile {
            version: VERSION.to_string(),
            format: FORMAT.to_owned(),
            complete: self.complete,
            id: uuid(deployment),
            this: uuid(&self.this),
            level: self.level,
            own_device: self.is_own_device,
            pool: *pool,
            nodes: *nodes,
            acceptors: acceptors.iter().map(uuid).collect(),
            sets: sets.iter().map(|set| set.iter().map(uuid).collect()).collect(),
            checksum: UNSEALED.to_owned(),
        };
        // Strings, numbers, bools and lists of them: no value of these types fails.
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
    #[serde(default = "level_of_one_node")]
    level: u32,
    #[serde(default)]
    own_device: bool,
    #[serde(default)]
    pool: u16,
    #[serde(default = "one")]
    nodes: u16,
    #[serde(default)]
    acceptors: Vec<Uuid>,
    sets: Vec<Vec<Uuid>>,
    checksum: String,
}

fn level_of_one_node() -> u32 {
    1
}

fn one() -> u16 {
    1
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
        Ok(VERSION | VERSION_OF_ONE_NODE) => {}
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
    if file.level > LEVEL {
        let (found, known) = (file.level, LEVEL);
        return Err(Refusal::NewerLevel { found, known });
    }
    let sets = file.sets.iter().map(|set| set.iter().map(Uuid::as_u128).collect());
    let format = Format {
        layout: Layout {
            deployment: file.id.as_u128(),
            pool: file.pool,
            nodes: file.nodes,
            sets: sets.collect(),
            acceptors: file.acceptors.iter().map(Uuid::as_u128).collect(),
        },
        this: file.this.as_u128(),
        level: file.level,
        is_own_device: file.own_device,
        complete: file.complete,
    };
    if let Err(reason) = format.layout.check() {
        return corrupt(&reason);
    }
    if format.layout.position(format.this).is_none() {
        return corrupt(&"the drive is not among the drives that it names");
    }
    Ok(Parsed::Ours(format))
}
