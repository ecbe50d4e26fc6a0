//! When a tombstone may be forgotten.

use super::mutant::{Mutant, Mutation};
use super::{Ballot, Quorums, Snapshot, Value};
use std::collections::BTreeMap;

/// The ballot of the tombstone that the drives may purge, from what *all* N of them have said with authority.
///
/// Each has it and knows that it is chosen, or has nothing and refuses everything up to it: it has purged it
/// already. One that lags may have, or vote for, what the tombstone deleted; it is healed first
/// (`delete.purge-is-total`).
#[must_use]
pub fn purgeable<V: Value>(
    quorums: Quorums,
    answers: &BTreeMap<u8, Snapshot<V>>,
    mutation: Mutation,
) -> Option<Ballot> {
    let needed = usize::from(quorums.drives) - usize::from(mutation.is(Mutant::PurgeAtFewer));
    let top = answers.values().max_by_key(|s| s.accepted.ballot)?;
    let ballot = top.accepted.ballot;
    let has_it = |s: &&Snapshot<V>| {
        let keeps = s.accepted.ballot == ballot && s.committed;
        let purged = s.accepted.ballot.is_zero() && s.floor >= ballot;
        s.authoritative && (keeps || purged)
    };
    let total = answers.values().filter(has_it).count() >= needed;
    (total && !ballot.is_zero() && top.accepted.value.is_absent()).then_some(ballot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fixture::snapshots;

    #[test]
    fn a_tombstone_is_purged_once_all_drives_have_it() {
        let may = |words: &str| purgeable(Quorums::of(4), &snapshots(2, 2, words), Mutation::NONE).map(|b| b.round);
        assert_eq!(may("90@5* 90@5* 90@5* 90@5*"), Some(5));
        assert_eq!(may("90@5* 90@5* -^5 -^7"), Some(5));
        assert_eq!(may("90@5* 90@5* 90@5* ?"), None);
        assert_eq!(may("90@5* 90@5* 90@5* 90@5<1@2"), None);
        assert_eq!(may("90@5* 90@5* 90@5* 90@5*~"), None);
        assert_eq!(may("90@5* 90@5* 90@5* 1@2*"), None);
        assert_eq!(may("90@5* 90@5* 90@5* -^4"), None);
        assert_eq!(may("1@5* 1@5* 1@5* 1@5*"), None);
        assert_eq!(may("- - - -"), None);
    }
}
