//! The parts that records are made of. Stored on drives (`specs/format.md`): fields are only ever added,
//! under a new format version.

use crate::protocol::{Drives, Folder};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// An object key: its versions and its open uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    /// Versions in the order of the chain: the latest is last (`version.order-is-chain`).
    pub versions: Vec<Version>,
    /// Open multipart uploads, in the order in which they were begun.
    pub uploads: Vec<Upload>,
}

impl Object {
    /// The latest version, which a read without a version id gets.
    #[must_use]
    pub fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The latest version's data, unless that is a delete marker.
    #[must_use]
    pub fn latest_data(&self) -> Option<(&Version, &Arc<ObjectData>)> {
        let version = self.latest()?;
        Some((version, version.data()?))
    }

    /// The version with this id.
    #[must_use]
    pub fn version(&self, id: u128) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The open upload with this id.
    #[must_use]
    pub fn upload(&self, id: u128) -> Option<&Upload> {
        self.uploads.iter().find(|upload| upload.id == id)
    }
}

/// Treatment of existing versions by a write: a bucket's setting, and what the write needs under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Versioning {
    /// A key has one entry, the null version: a put replaces it, a delete removes it.
    #[default]
    Unversioned,
    /// A put adds a version, a delete adds a marker, and whatever was there stays.
    Enabled {
        /// The id of the version or marker: 128 random bits, not 0.
        version: u128,
    },
    /// A put replaces the null version, a delete puts a null marker in its place. Other versions stay.
    Suspended,
}

impl Versioning {
    /// The id of what a write adds.
    #[must_use]
    pub fn version(self) -> u128 {
        match self {
            Versioning::Enabled { version } => version,
            Versioning::Unversioned | Versioning::Suspended => Version::NULL,
        }
    }
}

/// Entry of a key's history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// [`Version::NULL`], or random.
    pub id: u128,
    /// The change that added it.
    pub change: u128,
    /// Nanoseconds since the Unix epoch; increases along the chain.
    pub time_nanos: u64,
    /// Data, or a marker.
    pub kind: VersionKind,
}

impl Version {
    /// The id of the null version: the one entry of a key without versioning.
    pub const NULL: u128 = 0;

    /// The object's data, unless this is a delete marker.
    #[must_use]
    pub fn data(&self) -> Option<&Arc<ObjectData>> {
        match &self.kind {
            VersionKind::Data(data) => Some(data),
            VersionKind::DeleteMarker => None,
        }
    }
}

/// Content of a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VersionKind {
    /// An object. Shared: it is copied into every record that follows, and out of each for whoever asks.
    Data(Arc<ObjectData>),
    /// Hides the key.
    DeleteMarker,
}

/// An object as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectData {
    /// ETag without quotes: MD5 in hex, or `<hex>-<parts>` of a multipart upload.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// K, remembered per object: a later change of the default leaves it as it is.
    pub data_shards: u8,
    /// Parity shards: M.
    pub parity_shards: u8,
    /// Parts in order of their numbers. A plain put has one, number 1.
    pub parts: Vec<PartData>,
    /// Response headers stored with the object, by lower-case name: `content-type`, `cache-control` …,
    /// `x-amz-meta-*`, and `x-amz-storage-class` unless it is STANDARD.
    pub headers: BTreeMap<String, String>,
    /// Checksums of the whole object.
    pub checksums: Vec<Checksum>,
}

/// Part of an object's data, in a data folder of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartData {
    /// 1 to 10,000.
    pub number: u16,
    /// Its data folder on every drive.
    pub folder: Folder,
    /// Size in bytes.
    pub size: u64,
    /// MD5 in hex, without quotes.
    pub etag: String,
    /// The drives that held its shard when it was accepted.
    pub holders: Drives,
    /// Its checksums.
    pub checksums: Vec<Checksum>,
}

/// A checksum that S3 knows by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// Algorithm of the checksum.
    pub kind: ChecksumKind,
    /// Over the object's bytes; false: over its parts' checksums (composite).
    pub full_object: bool,
    /// Base64, as S3 carries it; composite ones with `-<parts>`.
    pub value: String,
}

/// The checksum algorithms of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: u128,
    /// Time at which it was begun, in nanoseconds since the Unix epoch.
    pub started_nanos: u64,
    /// K of its parts.
    pub data_shards: u8,
    /// M of its parts.
    pub parity_shards: u8,
    /// Headers of the object to be, as in [`ObjectData::headers`].
    pub headers: BTreeMap<String, String>,
    /// The checksum that its parts carry, and whether the object's is over the whole object.
    pub checksum: Option<(ChecksumKind, bool)>,
}

/// A part of an open upload: a register of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Data shards: K.
    pub data_shards: u8,
    /// Parity shards: M.
    pub parity_shards: u8,
    /// Time of the write, in nanoseconds since the Unix epoch.
    pub time_nanos: u64,
    /// Its data.
    pub data: PartData,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// Names this life of the bucket: keys of an earlier one with the same name are not its keys.
    pub incarnation: u128,
    /// Time of creation, in nanoseconds since the Unix epoch.
    pub created_nanos: u64,
}
