//! Decisions from drives' reports: the one place where a value is called chosen.

use super::mutant::{Mutant, Mutation};
use super::value::new_folders;
use super::{Ballot, FolderNeed, Quorums, Snapshot, Value, Vote};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Decision of a coordinator from the snapshots that came with its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution<V> {
    /// Known to be chosen.
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
    /// An operation that removes that value's version may adopt it anyway.
    Stuck {
        /// The highest accepted vote.
        top: Vote<V>,
        /// The chosen vote before it.
        prev: Vote<V>,
    },
    /// Fewer than Q authoritative snapshots.
    TooFew,
}

/// Resolves a register from granted snapshots, by drive index.
pub fn resolve<V: Value>(quorums: Quorums, grants: &BTreeMap<u8, Snapshot<V>>, mutation: Mutation) -> Resolution<V> {
    let voters: Vec<&Snapshot<V>> = grants.values().filter(|s| s.authoritative).collect();
    let Some(tally) = Tally::of(quorums, &voters) else {
        return Resolution::TooFew;
    };
    let (top, prev) = (tally.top.accepted.clone(), tally.top.prev.clone());
    if tally.is_chosen() || mutation.is(Mutant::BaseNotChosen) {
        return Resolution::Chosen(top);
    }
    let new = new_folders(&top.value, &prev.value);
    // Shards count wherever they are: a drive that may not speak for the key may still hold data.
    let visible = |enough: fn(&FolderNeed) -> u8| {
        new.iter().all(|need| {
            let holders = grants.values().filter(|s| s.folders.contains(&need.folder));
            holders.count() >= usize::from(enough(need))
        })
    };
    let never_chosen = match () {
        () if mutation.is(Mutant::RollBackWithoutCounting) => true,
        () if mutation.is(Mutant::AbortCountedByBallot) => tally.votes_for_top + tally.unknown < tally.accept,
        () if mutation.is(Mutant::CalledOffOneEarly) => tally.lineage + tally.unknown <= tally.accept,
        () => !tally.may_be_chosen(),
    };
    if never_chosen {
        let value = if visible(|need| need.write) {
            top.value
        } else {
            prev.value.clone()
        };
        return Resolution::Repeat { value, prev };
    }
    // W shards were staged before the first Accept left, so to adopt stages nothing.
    if visible(|need| need.data) {
        Resolution::Repeat { value: top.value, prev }
    } else if mutation.is(Mutant::DanglingCalledOff) {
        let value = prev.value.clone();
        Resolution::Repeat { value, prev }
    } else {
        Resolution::Stuck { top, prev }
    }
}

/// Decision of a reader from snapshots taken without a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadDecision<V> {
    /// Chosen at some moment between the read's start and now, and no later one was
    /// acknowledged before it began.
    Chosen(Vote<V>),
    /// Only Prepare and Resolve can tell.
    Undecided,
    /// Fewer than Q drives have given an authoritative answer.
    TooFew,
}

/// Decides a plain read, from snapshots by drive index.
pub fn decide_read<V: Value>(
    quorums: Quorums,
    answers: &BTreeMap<u8, Snapshot<V>>,
    mutation: Mutation,
) -> ReadDecision<V> {
    let mut voters: Vec<&Snapshot<V>> = answers.values().filter(|s| s.authoritative).collect();
    if voters.len() < usize::from(quorums.prepare) {
        return ReadDecision::TooFew;
    }
    let top = voters.iter().map(|s| s.accepted.ballot).max().unwrap_or(Ballot::ZERO);
    // Such a drive may have purged the very vote that the others report.
    let taken = mutation.is(Mutant::ReadTakesPurged);
    voters.retain(|s| !s.accepted.ballot.is_zero() || top.is_zero() || s.floor < top || taken);
    let Some(tally) = Tally::of(quorums, &voters) else {
        return ReadDecision::Undecided;
    };
    if mutation.is(Mutant::NotFoundBelowK) && !tally.top_is_readable(answers) {
        return ReadDecision::Chosen(Vote::absent());
    }
    if tally.is_chosen() || mutation.is(Mutant::ReadWithoutWriteBack) {
        ReadDecision::Chosen(tally.top.accepted.clone())
    } else if tally.may_be_chosen() {
        ReadDecision::Undecided
    } else {
        ReadDecision::Chosen(tally.top.prev.clone())
    }
}

/// Tally of Q or more authoritative snapshots about the highest vote among them.
struct Tally<'a, V> {
    top: &'a Snapshot<V>,
    /// A drive knows that `top` is chosen.
    committed: bool,
    /// Drives that voted for `top` in its ballot.
    votes_for_top: usize,
    /// Drives whose value or previous value is `top`'s, under whatever ballot. Votes are counted by this
    /// lineage: a drive that has moved on to a successor, or to a repeat of it, voted for `top` all the same.
    lineage: usize,
    /// Drives that have not spoken.
    unknown: usize,
    accept: usize,
}

impl<'a, V: Value> Tally<'a, V> {
    /// None if fewer than Q drives have spoken.
    fn of(quorums: Quorums, voters: &[&'a Snapshot<V>]) -> Option<Self> {
        if voters.len() < usize::from(quorums.prepare) {
            return None;
        }
        let top: &'a Snapshot<V> = voters.iter().max_by_key(|s| s.accepted.ballot)?;
        let of_top = || voters.iter().filter(|s| s.accepted.ballot == top.accepted.ballot);
        let value = &top.accepted.value;
        let lineage = voters
            .iter()
            .filter(|s| s.accepted.value == *value || s.prev.value == *value);
        Some(Tally {
            top,
            committed: of_top().any(|s| s.committed),
            votes_for_top: of_top().count(),
            lineage: lineage.count(),
            unknown: usize::from(quorums.drives).saturating_sub(voters.len()),
            accept: usize::from(quorums.accept),
        })
    }

    fn is_chosen(&self) -> bool {
        self.committed || self.votes_for_top >= self.accept || self.top.accepted.ballot.is_zero()
    }

    /// Returns whether the drives that voted for its value, with all that have not spoken, could be A.
    fn may_be_chosen(&self) -> bool {
        self.lineage + self.unknown >= self.accept
    }

    /// Returns whether the shards of `top` that are seen rebuild it.
    fn top_is_readable(&self, answers: &BTreeMap<u8, Snapshot<V>>) -> bool {
        self.top.accepted.value.folders().iter().all(|need| {
            let holders = answers.values().filter(|s| s.folders.contains(&need.folder));
            holders.count() >= usize::from(need.data)
        })
    }
}

#[cfg(test)]
mod tests;
