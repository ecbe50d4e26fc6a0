//! The changes that the server makes to records.

use super::mutant::{Mutant, Mutation};
use super::{Bucket, Content, Object, ObjectData, Part, Record, Upload, Version, VersionKind, Versioning, staged};
use crate::protocol::{Decision, Drives, Folder, Operation, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A condition on the version that a write would replace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Precondition {
    /// The key must exist, with one of these ETags.
    pub if_match: Option<EtagMatch>,
    /// The key must not exist, or have none of these ETags.
    pub if_none_match: Option<EtagMatch>,
}

/// `*`, or a list of ETags without quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EtagMatch {
    /// `*`.
    Any,
    /// Any of these.
    OneOf(Vec<String>),
}

impl EtagMatch {
    /// Returns whether an existing object's ETag matches.
    #[must_use]
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            EtagMatch::Any => true,
            EtagMatch::OneOf(etags) => etags.iter().any(|e| e == etag),
        }
    }
}

/// Refusal of a change on a base.
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
    /// No such bucket.
    NoSuchBucket,
}

/// Operation of the server on a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Op {
    /// Names the change: 128 random bits.
    pub change: u128,
    /// The wall clock when the operation began, in nanoseconds since the Unix epoch.
    pub now_nanos: u64,
    /// Kind of change.
    pub kind: Change,
    /// The mutant that is switched on, if any. No part of a trace.
    #[serde(skip)]
    pub mutation: Mutation,
}

/// Kind of change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    /// No change: finds out what is chosen, and finishes what is not.
    Read,
    /// Vote for the base again, unchanged: fences writers that came before, so that what the chosen value
    /// does not name may be dropped (staging clean-up).
    Touch,
    /// Put an object of one part, already staged; its holders are filled in.
    Put {
        /// The object.
        data: ObjectData,
        /// Condition on the version to be replaced.
        precondition: Precondition,
        /// Treatment of the versions that exist.
        versioning: Versioning,
    },
    /// Delete the key: its null version, or by a marker.
    Delete {
        /// Condition on the version to be replaced.
        precondition: Precondition,
        /// Treatment of the versions that exist.
        versioning: Versioning,
    },
    /// Delete one version, or one marker, for good.
    DeleteVersion {
        /// Its id.
        version: u128,
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
        /// Condition on the version to be replaced.
        precondition: Precondition,
        /// Treatment of the versions that exist.
        versioning: Versioning,
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
    fn is_for_all(&self) -> bool {
        self.kind == Change::Touch
    }

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
            Change::Put {
                data,
                precondition,
                versioning,
            } => {
                if let Err(refusal) = check(precondition, base, self.mutation) {
                    return Decision::Refuse(refusal);
                }
                let mut data = data.clone();
                if let Some(part) = data.parts.first_mut() {
                    part.holders = holders;
                }
                let object = base.object().cloned().unwrap_or_default();
                self.add(object, VersionKind::Data(Arc::new(data)), *versioning)
            }
            Change::Delete {
                precondition,
                versioning,
            } => {
                if let Err(refusal) = check(precondition, base, self.mutation) {
                    return Decision::Refuse(refusal);
                }
                if *versioning == Versioning::Unversioned {
                    return self.remove(base, Version::NULL);
                }
                let object = base.object().cloned().unwrap_or_default();
                self.add(object, VersionKind::DeleteMarker, *versioning)
            }
            Change::DeleteVersion { version } => self.remove(base, *version),
            Change::OpenUpload(upload) => {
                let mut object = base.object().cloned().unwrap_or_default();
                object.uploads.push(upload.clone());
                self.write(object)
            }
            Change::AbortUpload(id) => match without_upload(base, *id) {
                None => Decision::Refuse(Refusal::NoSuchUpload),
                Some(object) => self.write(object),
            },
            Change::CompleteUpload {
                upload,
                data,
                precondition,
                versioning,
            } => {
                let object = match without_upload(base, *upload) {
                    Some(object) => object,
                    None if self.mutation.is(Mutant::CompleteUnopened) => base.object().cloned().unwrap_or_default(),
                    None => return Decision::Refuse(Refusal::NoSuchUpload),
                };
                match check(precondition, base, self.mutation) {
                    Err(refusal) => Decision::Refuse(refusal),
                    Ok(()) => self.add(object, VersionKind::Data(Arc::new(data.clone())), *versioning),
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
        let has_version = |id| value.object().is_some_and(|object| object.version(id).is_some());
        match &self.kind {
            // That there is no such version is what its delete promises, whoever deleted it.
            Change::Delete {
                precondition,
                versioning: Versioning::Unversioned,
            } => *precondition == Precondition::default() && !has_version(Version::NULL),
            Change::Delete { .. } if self.mutation.is(Mutant::AnyMarkerIsOwn) => {
                latest(value, Mutation::NONE).is_none()
            }
            Change::DeleteVersion { version } => !has_version(*version),
            Change::DeleteBucket { incarnation } => value.bucket().is_none_or(|b| b.incarnation != *incarnation),
            Change::CreateBucket { incarnation } => value.bucket().is_some_and(|b| b.incarnation == *incarnation),
            Change::OpenUpload(upload) => value.object().is_some_and(|object| object.upload(upload.id).is_some()),
            _ => value
                .object()
                .is_some_and(|object| object.versions.iter().any(|v| v.change == self.change)),
        }
    }

    /// Returns whether the operation takes out of the history whatever `top`'s last change brought in.
    fn replaces(&self, top: &Record) -> bool {
        let removed = match &self.kind {
            Change::Put {
                precondition,
                versioning,
                ..
            }
            | Change::Delete {
                precondition,
                versioning,
            } => (*precondition == Precondition::default() && versioning.version() == Version::NULL)
                .then_some(Version::NULL),
            Change::DeleteVersion { version } => Some(*version),
            _ => None,
        };
        let (Some(removed), Some(object)) = (removed, top.object()) else {
            return false;
        };
        let mut last = object.versions.iter().filter(|version| version.change == top.name());
        object.uploads.is_empty()
            && (last.all(|version| version.id == removed) || self.mutation.is(Mutant::ReplacesKept))
    }
}

impl Op {
    /// A change under this name, of an operation that began at this time.
    #[must_use]
    pub fn new(change: u128, now_nanos: u64, kind: Change) -> Op {
        Op {
            change,
            now_nanos,
            kind,
            mutation: Mutation::NONE,
        }
    }

    /// The same operation with the protocol broken in one way.
    #[must_use]
    pub fn with_mutation(self, mutation: Mutation) -> Op {
        Op { mutation, ..self }
    }

    /// The history with one more entry, the latest. The only entry that it may take the place of is the null
    /// version, and only by another null version (`version.kept`).
    fn add(&self, mut object: Object, kind: VersionKind, versioning: Versioning) -> Decision<Record, Refusal> {
        let time_nanos = self.time_after(&object);
        let id = versioning.version();
        let replaces_null = id == Version::NULL || self.mutation.is(Mutant::EnabledReplacesNull);
        if self.mutation.is(Mutant::SuspendedReplacesLatest) && versioning == Versioning::Suspended {
            object.versions.pop();
        } else if replaces_null {
            object.versions.retain(|version| version.id != Version::NULL);
        }
        object.versions.push(Version {
            id,
            change: self.change,
            time_nanos,
            kind,
        });
        self.write(object)
    }

    /// The base without one of its versions.
    fn remove(&self, base: &Record, id: u128) -> Decision<Record, Refusal> {
        let Some(object) = base.object().filter(|object| object.version(id).is_some()) else {
            return Decision::Keep;
        };
        let mut object = object.clone();
        if self.mutation.is(Mutant::DeleteTakesPredecessor) {
            let at = object.versions.iter().position(|version| version.id == id);
            if let Some(before) = at.and_then(|at| at.checked_sub(1)) {
                object.versions.remove(before);
            }
        }
        object.versions.retain(|version| version.id != id);
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
        if self.mutation.is(Mutant::RawClock) {
            return self.now_nanos;
        }
        object
            .latest()
            .map_or(self.now_nanos, |latest| self.now_nanos.max(latest.time_nanos + 1))
    }
}

/// The history of `base` without an upload that is open in it; `None` if it is not.
fn without_upload(base: &Record, id: u128) -> Option<Object> {
    let mut object = base.object().filter(|object| object.upload(id).is_some())?.clone();
    object.uploads.retain(|upload| upload.id != id);
    Some(object)
}

/// The ETag of the version that a write would replace, if the key exists.
fn latest(base: &Record, mutation: Mutation) -> Option<&ObjectData> {
    let object = base.object()?;
    if mutation.is(Mutant::ConditionOverlooksMarker) {
        return object.versions.iter().rev().find_map(Version::data).map(|data| &**data);
    }
    object.latest_data().map(|(_, data)| &**data)
}

/// Evaluates a precondition on a base (`put.precondition-on-predecessor`).
fn check(precondition: &Precondition, base: &Record, mutation: Mutation) -> Result<(), Refusal> {
    debug_assert!(
        base.bucket().is_none() && base.part().is_none() || base.is_absent(),
        "an object's register"
    );
    let etag = latest(base, mutation).map(|data| data.etag.as_str());
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
