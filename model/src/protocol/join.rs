//! Return of a drive into its set that lost everything, or is new in its slot.
//!
//! Whatever its slot promised and voted for is forgotten, and may count towards what others have chosen or will
//! choose. So it joins under a new epoch that is above all of it, and speaks for a key only once it knows it
//! again. The driver asks for standings, stores the epoch at the others with Fence, and then lets the drive in as
//! [`super::DriveState::joined`].

use super::mutant::{Mutant, Mutation};
use super::{Drives, Quorums, Snapshot, Value};
use std::collections::BTreeMap;

/// The epoch to join under, from the epochs of *other* drives of the set that are whole; asked for since the drive
/// last lost everything. None while fewer than Q have told.
///
/// An epoch is stored at A drives before the first ballot of it is issued, so Q of the others meet one of them for
/// every epoch that the slot has seen in use (`drive.epoch-fences`). Their rounds would not do: the forgotten
/// promise may have been the highest.
#[must_use]
pub fn join_epoch(quorums: Quorums, whole: &BTreeMap<u8, u64>, mutation: Mutation) -> Option<u64> {
    let highest = *whole.values().max()?;
    let old = mutation.is(Mutant::JoinWithoutEpoch) || mutation.is(Mutant::JoinWithFloor);
    (whole.len() >= usize::from(quorums.prepare)).then_some(highest + u64::from(!old))
}

/// Returns whether the drive may come in: the other drives that have stored its epoch make A together with itself.
#[must_use]
pub fn may_join(quorums: Quorums, fenced: Drives) -> bool {
    fenced.count() + 1 >= usize::from(quorums.accept)
}

/// Returns whether an answer to a Read counts for a key's absence. The drive has to have been fenced before: until then
/// it may still cast the vote that makes an old ballot chosen (`heal.no-negative-evidence`).
#[must_use]
pub fn lacks<V: Value>(join: u64, snapshot: &Snapshot<V>, mutation: Mutation) -> bool {
    let fenced = snapshot.epoch >= join || mutation.is(Mutant::HealUnfenced);
    snapshot.authoritative && fenced && snapshot.accepted.ballot.is_zero()
}

/// Returns whether a recovering drive may take a key for absent: `lacking` are the other drives of which an answer
/// [`lacks`] it. If one of them has a vote, the key has to be resolved and installed instead.
#[must_use]
pub fn absence_is_known(quorums: Quorums, lacking: Drives) -> bool {
    lacking.count() >= usize::from(quorums.prepare)
}
