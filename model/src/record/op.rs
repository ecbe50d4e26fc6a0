//! The changes that the server makes to records.

use super::{Bucket, Content, Object, ObjectData, Part, Record, Upload, Version, VersionKind, staged};
use crate::protocol::{Decision, Drives, Folder, Operation, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A condition on the version that a write would replace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    /// The key must exist, with one of these ETags.
    pub if_match: Option<EtagMatch>,
    /// The key must not exist, or have none of these ETags.
    pub if_none_match: Option<EtagMatch>,
}

/// `*`, or a list of ETags without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EtagMatch {
    /// `*`.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl EtagMatch {
    /// Whether an existing object's ETag matches.
    #[must_use]
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            EtagMatch::Any => true,
            EtagMatch::OneOf(etags) => etags.iter().any(|e| e == etag),
        }
    }
}

/// Why a change is refused on a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A precondition does not hold.
    PreconditionFailed,
    /// `If-Match` on a key that is absent.
    NoSuchKey,
    /// The upload is not open.
    NoSuchUpload,
    /// The bucket exists.
    BucketExists,
    /// There is no such bucket.
    NoSuchBucket,
}

/// One operation of the server on a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Names the change: 128 random bits.
    pub change: u128,
    /// The wall clock when the operation began, in nanoseconds since the Unix epoch.
    pub now_nanos: u64,
    /// What to do.
    pub kind: Change,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Nothing: find out what is chosen, and finish what is not.
    Read,
    /// Vote for the base again, unchanged: fences writers that came before, so that what the chosen value
    /// does not name may be dropped (staging clean-up).
    Touch,
    /// Put an object of one part, already staged; its holders are filled in.
    Put {
        /// The object.
        data: ObjectData,
        /// On what condition.
        precondition: Precondition,
    },
    /// Delete the null version.
    Delete {
        /// On what condition.
        precondition: Precondition,
    },
    /// Begin an upload.
    OpenUpload(Upload),
    /// Forget an upload.
    AbortUpload(u128),
    /// Turn an upload into a version, in one vote.
    CompleteUpload {
        /// The upload.
        upload: u128,
        /// The object made of its parts.
        data: ObjectData,
        /// On what condition.
        precondition: Precondition,
    },
    /// Store a part (on the part's own register).
    PutPart(Part),
    /// Make a bucket.
    CreateBucket {
        /// Its incarnation.
        incarnation: u128,
    },
    /// Remove a bucket of this incarnation.
    DeleteBucket {
        /// Its incarnation.
        incarnation: u128,
    },
}

impl Operation<Record> for Op {
    type Refusal = Refusal;

    fn staged(&self) -> Option<(Folder, u8)> {
        match &self.kind {
            Change::Put { data, .. } => data
                .parts
                .first()
                .map(|p| staged(p.folder, data.data_shards, data.parity_shards)),
            Change::PutPart(part) => Some(staged(part.data.folder, part.data_shards, part.parity_shards)),
            _ => None,
        }
    }

    fn decide(&self, base: &Record, holders: Drives) -> Decision<Record, Refusal> {
        match &self.kind {
            Change::Read => Decision::Keep,
            Change::Touch => Decision::Write(base.clone()),
            Change::Put { data, precondition } => match check(precondition, base) {
                Err(refusal) => Decision::Refuse(refusal),
                Ok(()) => {
                    let mut data = data.clone();
                    if let Some(part) = data.parts.first_mut() {
                        part.holders = holders;
                    }
                    self.add_version(base, data, None)
                }
            },
            Change::Delete { precondition } => match check(precondition, base) {
                Err(refusal) => Decision::Refuse(refusal),
                Ok(()) => self.delete(base),
            },
            Change::OpenUpload(upload) => {
                let mut object = base.object().cloned().unwrap_or_default();
                object.uploads.push(upload.clone());
                self.write(object)
            }
            Change::AbortUpload(id) => match base.object().filter(|object| object.upload(*id).is_some()) {
                None => Decision::Refuse(Refusal::NoSuchUpload),
                Some(object) => {
                    let mut object = object.clone();
                    object.uploads.retain(|upload| upload.id != *id);
                    self.write(object)
                }
            },
            Change::CompleteUpload {
                upload,
                data,
                precondition,
            } => {
                if base.object().and_then(|object| object.upload(*upload)).is_none() {
                    return Decision::Refuse(Refusal::NoSuchUpload);
                }
                match check(precondition, base) {
                    Err(refusal) => Decision::Refuse(refusal),
                    Ok(()) => self.add_version(base, data.clone(), Some(*upload)),
                }
            }
            Change::PutPart(part) => {
                let mut part = part.clone();
                part.data.holders = holders;
                Decision::Write(Record::new(self.change, Content::Part(part)))
            }
            Change::CreateBucket { incarnation } => match base.bucket() {
                Some(_) => Decision::Refuse(Refusal::BucketExists),
                None => {
                    let bucket = Bucket {
                        incarnation: *incarnation,
                        created_nanos: self.now_nanos,
                    };
                    Decision::Write(Record::new(self.change, Content::Bucket(bucket)))
                }
            },
            Change::DeleteBucket { incarnation } => match base.bucket() {
                Some(bucket) if bucket.incarnation == *incarnation => {
                    Decision::Write(Record::new(self.change, Content::Absent))
                }
                _ => Decision::Refuse(Refusal::NoSuchBucket),
            },
        }
    }

    fn is_in(&self, value: &Record) -> bool {
        if value.name() == self.change {
            return true;
        }
        match &self.kind {
            // An absent key is what a delete promises, whoever deleted it.
            Change::Delete { precondition } => *precondition == Precondition::default() && latest(value).is_none(),
            Change::DeleteBucket { incarnation } => value.bucket().is_none_or(|b| b.incarnation != *incarnation),
            Change::CreateBucket { incarnation } => value.bucket().is_some_and(|b| b.incarnation == *incarnation),
            Change::OpenUpload(upload) => value.object().is_some_and(|object| object.upload(upload.id).is_some()),
            _ => value
                .object()
                .is_some_and(|object| object.versions.iter().any(|v| v.change == self.change)),
        }
    }

    fn replaces(&self, top: &Record) -> bool {
        match &self.kind {
            Change::Put { precondition, .. } | Change::Delete { precondition } => {
                *precondition == Precondition::default() && top.object().is_some_and(|object| object.uploads.is_empty())
            }
            _ => false,
        }
    }
}

impl Op {
    /// The base with its null version replaced, and `upload` taken out.
    fn add_version(&self, base: &Record, data: ObjectData, upload: Option<u128>) -> Decision<Record, Refusal> {
        let mut object = base.object().cloned().unwrap_or_default();
        let time_nanos = self.time_after(&object);
        object.versions.retain(|version| version.id != 0);
        object.versions.push(Version {
            id: 0,
            change: self.change,
            time_nanos,
            kind: VersionKind::Data(Arc::new(data)),
        });
        object.uploads.retain(|open| Some(open.id) != upload);
        self.write(object)
    }

    /// The base without its null version.
    fn delete(&self, base: &Record) -> Decision<Record, Refusal> {
        let Some(object) = base.object().filter(|object| object.versions.iter().any(|v| v.id == 0)) else {
            return Decision::Keep;
        };
        let mut object = object.clone();
        object.versions.retain(|version| version.id != 0);
        self.write(object)
    }

    /// A record of `object`; a tombstone when nothing is left in it.
    fn write(&self, object: Object) -> Decision<Record, Refusal> {
        let empty = object.versions.is_empty() && object.uploads.is_empty();
        let content = if empty {
            Content::Absent
        } else {
            Content::Object(object)
        };
        Decision::Write(Record::new(self.change, content))
    }

    /// Now, or just after the latest version if the clock is behind it (`version.order-is-chain`).
    fn time_after(&self, object: &Object) -> u64 {
        object
            .latest()
            .map_or(self.now_nanos, |latest| self.now_nanos.max(latest.time_nanos + 1))
    }
}

/// The ETag of the version that a write would replace, if the key exists.
fn latest(base: &Record) -> Option<&ObjectData> {
    base.object()?.latest_data().map(|(_, data)| &**data)
}

/// Evaluates a precondition on a base (`put.precondition-on-predecessor`).
fn check(precondition: &Precondition, base: &Record) -> Result<(), Refusal> {
    debug_assert!(
        base.bucket().is_none() && base.part().is_none() || base.is_absent(),
        "an object's register"
    );
    let etag = latest(base).map(|data| data.etag.as_str());
    if let Some(wanted) = &precondition.if_match {
        match etag {
            None => return Err(Refusal::NoSuchKey),
            Some(etag) if !wanted.matches(etag) => return Err(Refusal::PreconditionFailed),
            Some(_) => {}
        }
    }
    match (&precondition.if_none_match, etag) {
        (Some(unwanted), Some(etag)) if unwanted.matches(etag) => Err(Refusal::PreconditionFailed),
        _ => Ok(()),
    }
}
