//! Requests to the store and its answers.

use model::record::{Checksum, ChecksumKind, ObjectData, Part, PartData, Record, Upload};
use std::{collections::BTreeMap, sync::Arc};

/// Storage class of an object: the number of shards that it may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// The deployment's standard parity.
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`: the deployment's reduced parity.
    Reduced,
}

/// Options that are known when a write begins.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// The parity to use.
    pub class: StorageClass,
    /// The size in bytes, if the client has told it.
    pub size: Option<u64>,
    /// For [`super::Store::create_upload`]: the checksum that parts carry, and whether the object's is
    /// over the whole object.
    pub checksum: Option<(ChecksumKind, bool)>,
}

/// Properties that are known when a write ends.
#[derive(Clone, Debug, Default)]
pub struct WriteMeta {
    /// ETag, without quotes.
    pub etag: String,
    /// By lower-case name, as [`ObjectData::headers`].
    pub headers: BTreeMap<String, String>,
    /// Verified or computed.
    pub checksums: Vec<Checksum>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// Time of creation, in nanoseconds since the Unix epoch.
    pub created_nanos: u64,
}

/// A version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// 0 is the null version.
    pub version: u128,
    /// Last modified, in nanoseconds since the Unix epoch.
    pub time_nanos: u64,
    /// ETag, size, headers, checksums, parts.
    pub data: Arc<ObjectData>,
}

/// Result of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The key had existed.
    pub existed: bool,
}

/// Query of a listing of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Roll up keys that have this after the prefix.
    pub delimiter: Option<String>,
    /// Only keys and common prefixes after this one.
    pub after: Option<String>,
    /// Maximum number of keys and common prefixes together.
    pub limit: usize,
}

/// Answer to [`ListQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in order.
    pub objects: Vec<ObjectInfo>,
    /// Common prefixes in order, each ending with the delimiter.
    pub common_prefixes: Vec<String>,
    /// Last key or common prefix returned, to go on `after`; `None` at the end.
    pub next: Option<String>,
}

/// An open upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// Its key.
    pub key: String,
    /// Its id.
    pub id: u128,
    /// Time at which it was begun, in nanoseconds since the Unix epoch.
    pub started_nanos: u64,
    /// Headers of the object to be.
    pub headers: BTreeMap<String, String>,
    /// The checksum that its parts carry, and whether the object's is over the whole object.
    pub checksum: Option<(ChecksumKind, bool)>,
}

/// Query of a listing of open uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Roll up keys that have this after the prefix.
    pub delimiter: Option<String>,
    /// Only uploads after this key …
    pub key_after: Option<String>,
    /// … or of this very key after this upload.
    pub upload_after: Option<u128>,
    /// Maximum number of uploads and common prefixes together.
    pub limit: usize,
}

/// Answer to [`UploadsQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// Uploads in order.
    pub uploads: Vec<UploadInfo>,
    /// Common prefixes in order.
    pub common_prefixes: Vec<String>,
    /// Key (or common prefix) and upload to go on after; `None` at the end.
    pub next: Option<(String, Option<u128>)>,
}

/// A stored part of an open upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// Time of the write, in nanoseconds since the Unix epoch.
    pub time_nanos: u64,
    /// Number, size, ETag, checksums.
    pub data: PartData,
}

impl From<Part> for PartInfo {
    fn from(part: Part) -> PartInfo {
        PartInfo {
            time_nanos: part.time_nanos,
            data: part.data,
        }
    }
}

/// A part that a completion names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u16,
    /// The ETag that the client was given, without quotes.
    pub etag: String,
}

/// Health: whether requests would succeed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Reads of objects at the deployment's parity.
    pub readable: bool,
    /// Enough drives serve for writes.
    pub writable: bool,
    /// Drives online.
    pub drives_online: usize,
    /// Drives in all.
    pub drives: usize,
    /// Write quorum of the first set.
    pub write_quorum: u8,
    /// Read quorum of the first set.
    pub read_quorum: u8,
}

/// Returns the latest version that a record shows to a reader without a version id.
pub(super) fn latest_info(key: &str, record: &Record) -> Option<ObjectInfo> {
    let (version, data) = record.object()?.latest_data()?;
    Some(ObjectInfo {
        key: key.to_owned(),
        version: version.id,
        time_nanos: version.time_nanos,
        data: data.clone(),
    })
}

/// Describes an open upload of `key`.
pub(super) fn upload_info(key: &str, upload: &Upload) -> UploadInfo {
    UploadInfo {
        key: key.to_owned(),
        id: upload.id,
        started_nanos: upload.started_nanos,
        headers: upload.headers.clone(),
        checksum: upload.checksum,
    }
}
