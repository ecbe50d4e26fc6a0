//! Reasons why a drive did not do what it was asked.

use serde::{Deserialize, Serialize};

/// Reason why a call to a drive failed. Only [`DriveError::NotFound`] is knowledge of what the drive holds; after every
/// other one that is *unknown*, never *absent* (`read.not-found-is-known`). Callers decide by the variant, never by its
/// text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DriveError {
    /// The drive does not serve, with the reason for operators. It may have done what it was asked.
    #[error("drive offline: {0}")]
    Offline(String),
    /// The drive did not answer within the caller's time limit. It may yet do what it was asked.
    #[error("the drive did not answer in time")]
    TimedOut,
    /// Too many calls wait for the drive already. This one was not begun.
    #[error("too many calls wait for the drive")]
    Busy,
    /// The drive has no room for this; reads, deletes and finalizes go on.
    #[error("drive full")]
    Full,
    /// The drive is known not to hold this shard.
    #[error("no such shard")]
    NotFound,
    /// A vote names the folder that was to be removed.
    #[error("a vote names this data folder")]
    StillReferenced,
    /// The drive has not committed the vote that this call follows from. It will: ask again later.
    #[error("the drive has not committed the vote that this follows from")]
    Behind,
    /// The drive holds the shard and serves, but cannot read or write this one. The text is for operators.
    #[error("damaged shard: {0}")]
    Damaged(String),
    /// The call makes no sense: the caller has a bug. Nothing was done.
    #[error("invalid call to a drive: {0}")]
    Invalid(String),
}
