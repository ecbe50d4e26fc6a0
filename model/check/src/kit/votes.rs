//! The ledger of votes. It counts drives itself and never calls the protocol's quorum code.

use super::mail::Mail;
use model::protocol::{Ballot, Drives, Request};
use std::collections::BTreeMap;

/// Returns the size of a majority of `drives`.
#[must_use]
pub fn majority(drives: u8) -> usize {
    usize::from(drives) / 2 + 1
}

/// The votes of one set in one ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record<V> {
    /// The proposed value.
    pub value: V,
    /// The value that it follows.
    pub prev: V,
    pub voters: Drives,
    /// True if a majority of the set voted for it, at some moment.
    pub chosen: bool,
}

impl<V> Record<V> {
    /// Creates a proposal without votes.
    #[must_use]
    pub fn proposed(value: V, prev: V) -> Self {
        Record {
            value,
            prev,
            voters: Drives::NONE,
            chosen: false,
        }
    }

    /// Creates a record of a value that is chosen at the start.
    #[must_use]
    pub fn chosen(value: V, prev: V) -> Self {
        Record {
            chosen: true,
            ..Record::proposed(value, prev)
        }
    }
}

/// Drops ballots that can no longer reach a majority. `mail` is all messages in flight; `key` makes the key of a
/// ballot's votes from a request and its ballot.
pub fn forget_hopeless<K: Ord + Copy, V, W>(
    votes: &mut BTreeMap<K, Record<V>>,
    mail: &[&Mail<W>],
    key: impl Fn(&Mail<W>, Ballot) -> K,
    majority: impl Fn(K) -> usize,
) {
    votes.retain(|at, record| {
        let mut voters = record.voters;
        for letter in mail {
            if matches!(&letter.request, Request::Accept { vote, .. } if key(letter, vote.ballot) == *at) {
                voters = voters.iter().chain(letter.to.iter()).collect();
            }
        }
        record.chosen || voters.count() >= majority(*at)
    });
}
