//! Decision whether a bucket is empty, from drives' listings behind closed gates.

use crate::protocol::mutant::Mutation;
use crate::protocol::{Quorums, ReadDecision, Snapshot, Value, decide_read};
use std::collections::{BTreeMap, BTreeSet};

/// Listing of a bucket's keys by one drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing<K, V> {
    /// The keys of which it has a record.
    pub keys: BTreeMap<K, Snapshot<V>>,
    /// Snapshot for every other key.
    pub rest: Snapshot<V>,
}

/// Vacancy of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vacancy {
    /// Empty, and a change under way can no longer be chosen.
    Empty,
    /// Nothing is known to exist, but something may be chosen.
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
        match decide_read(quorums, &answers.collect(), Mutation::NONE) {
            ReadDecision::Chosen(vote) if vote.value.is_absent() => Vacancy::Empty,
            ReadDecision::Chosen(_) => Vacancy::Occupied,
            ReadDecision::Undecided | ReadDecision::TooFew => Vacancy::Undecided,
        }
    });
    Some(found.max().unwrap_or(Vacancy::Empty))
}
