//! What is decided from what drives report: the one place where a value is called chosen.

use super::{Quorums, Snapshot, Value, Vote};
use std::collections::BTreeMap;

/// What a coordinator may do, from the snapshots that came with its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution<V> {
    /// This vote is known to be chosen.
    Chosen(Vote<V>),
    /// Accept this value, following `prev`, under one's own ballot; then start again.
    Repeat {
        /// The value to carry on: the highest accepted one (roll forward, adopt), or the one before it
        /// (roll back).
        value: V,
        /// The chosen vote before it.
        prev: Vote<V>,
    },
    /// The highest accepted value may be chosen, but too few of its shards answered to carry it on.
    /// `over`, if given, is what an operation that removes that value's version may adopt anyway.
    Stuck {
        /// The value and what it follows.
        top: Vote<V>,
        /// The chosen vote before it.
        prev: Vote<V>,
    },
    /// Fewer than Q authoritative snapshots.
    TooFew,
}

/// Resolves a register from granted snapshots, by drive index.
pub fn resolve<V: Value>(quorums: Quorums, grants: &BTreeMap<u8, Snapshot<V>>) -> Resolution<V> {
    let _ = (quorums, grants);
    unimplemented!("resolve")
}

/// What a reader may conclude from snapshots taken without a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadDecision<V> {
    /// This vote was chosen at some moment between the read's start and now, and no later one was
    /// acknowledged before it began.
    Chosen(Vote<V>),
    /// Only Prepare and Resolve can tell.
    Undecided,
    /// Fewer than Q drives have given an authoritative answer.
    TooFew,
}

/// Decides a plain read, from snapshots by drive index.
pub fn decide_read<V: Value>(quorums: Quorums, answers: &BTreeMap<u8, Snapshot<V>>) -> ReadDecision<V> {
    let _ = (quorums, answers);
    unimplemented!("decide_read")
}
