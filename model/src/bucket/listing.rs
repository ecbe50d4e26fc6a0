//! Whether a bucket is empty, from what drives list behind their closed gates.

use crate::protocol::{Quorums, ReadDecision, Snapshot, Value, decide_read};
use std::collections::{BTreeMap, BTreeSet};

/// What one drive has of a bucket's keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing<K, V> {
    /// The keys of which it has a record.
    pub keys: BTreeMap<K, Snapshot<V>>,
    /// What it says of every other key.
    pub rest: Snapshot<V>,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vacancy {
    /// Nothing, and a change that is under way can no longer be chosen.
    Empty,
    /// Nothing is known to be there, but what may be chosen is.
    Undecided,
    /// A key.
    Occupied,
}

/// Decides what one set's part of a bucket holds; none if fewer than Q drives have listed with authority.
pub fn vacancy<K: Ord, V: Value>(quorums: Quorums, listings: &BTreeMap<u8, Listing<K, V>>) -> Option<Vacancy> {
    let with_authority = listings.values().filter(|listing| listing.rest.authoritative);
    if with_authority.count() < usize::from(quorums.prepare) {
        return None;
    }
    let keys: BTreeSet<&K> = listings.values().flat_map(|listing| listing.keys.keys()).collect();
    let found = keys.into_iter().map(|key| {
        let answers = listings
            .iter()
            .map(|(drive, listing)| (*drive, listing.keys.get(key).unwrap_or(&listing.rest).clone()));
        match decide_read(quorums, &answers.collect()) {
            ReadDecision::Chosen(vote) if vote.value.is_absent() => Vacancy::Empty,
            ReadDecision::Chosen(_) => Vacancy::Occupied,
            ReadDecision::Undecided | ReadDecision::TooFew => Vacancy::Undecided,
        }
    });
    Some(found.max().unwrap_or(Vacancy::Empty))
}
