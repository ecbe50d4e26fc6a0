//! The books of who voted for what. Drives are counted here, and never by the protocol's own quorum code.

use super::mail::Mail;
use model::protocol::{Ballot, Drives, Request};
use std::collections::BTreeMap;

/// More than half of so many drives.
#[must_use]
pub fn majority(drives: u8) -> usize {
    usize::from(drives) / 2 + 1
}

/// A ballot's votes in one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record<V> {
    /// What was voted for.
    pub value: V,
    /// What it follows.
    pub prev: V,
    /// Who voted.
    pub voters: Drives,
    /// Whether more than half of the set did, at some moment.
    pub chosen: bool,
}

impl<V> Record<V> {
    /// A proposal that nobody has voted for.
    #[must_use]
    pub fn proposed(value: V, prev: V) -> Self {
        Record {
            value,
            prev,
            voters: Drives::NONE,
            chosen: false,
        }
    }

    /// A value that is chosen at the start.
    #[must_use]
    pub fn chosen(value: V, prev: V) -> Self {
        Record {
            chosen: true,
            ..Record::proposed(value, prev)
        }
    }
}

/// Forgets ballots that at most half of a set can have voted for, now or later. `mail` is all that is on its way; `key`
/// makes the key of a ballot's votes from a request and its ballot.
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
