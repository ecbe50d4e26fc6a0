//! Errors of sets and of the store: kinds that `api` maps to S3 codes, in one place.

use model::protocol::Unavailable;

/// Error of an operation on a set, or on buckets and objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such bucket.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket exists.
    #[error("the bucket exists")]
    BucketExists,
    /// The bucket holds objects.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// No such key.
    #[error("no such key")]
    NoSuchKey,
    /// No such open upload.
    #[error("no such upload")]
    NoSuchUpload,
    /// A part is missing or has another ETag than the one named.
    #[error("part {0} is missing or differs")]
    InvalidPart(u16),
    /// A condition on the version to be replaced does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// Not done: too few drives for a read quorum. Nothing is known to be absent.
    #[error("unreadable now: {0}")]
    Unreadable(String),
    /// Not done: too few drives for a write quorum.
    #[error("unwritable now: {0}")]
    Unwritable(String),
    /// The outcome is not known: it may be done, now or later.
    #[error("the outcome is unknown: {0:?}")]
    Ambiguous(Unavailable),
    /// Too few drives have room.
    #[error("the drives are full")]
    Full,
    /// Not built yet.
    #[error("{0} is not built yet")]
    NotYet(&'static str),
    /// A defect of ours; logged where it arose.
    #[error("internal error: {0}")]
    Internal(String),
}
