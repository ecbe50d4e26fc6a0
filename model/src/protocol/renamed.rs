//! Renaming of drives: what the checker needs to treat states alike that differ only in which drive is
//! called which. Not compiled into a server.

use super::coordinator::{Missing, Phase};
use super::{Coordinator, Drives, Fetch, Operation, Snapshot, Value};
use std::collections::BTreeMap;

/// The new index of each drive, by old index.
#[derive(Clone, Copy, Debug)]
pub struct Renaming<'a>(pub &'a [u8]);

impl Renaming<'_> {
    /// A set of drives under their new names.
    #[must_use]
    pub fn drives(self, drives: Drives) -> Drives {
        drives.iter().map(|old| self.0[usize::from(old)]).collect()
    }

    /// Returns what drives said, under their new names.
    #[must_use]
    pub fn snapshots<V: Clone>(self, snapshots: &BTreeMap<u8, Snapshot<V>>) -> BTreeMap<u8, Snapshot<V>> {
        let renamed = snapshots.iter().map(|(old, s)| (self.0[usize::from(*old)], s.clone()));
        renamed.collect()
    }

    /// Gives drives that did not do what they were asked to their new names.
    pub(crate) fn missing(self, missing: &mut Missing) {
        missing.contended = self.drives(missing.contended);
        missing.failed = self.drives(missing.failed);
    }
}

impl Fetch {
    /// Gives shards the numbers of their drives.
    pub fn rename(&mut self, to: Renaming<'_>) {
        let (untried, open) = self.numbers();
        (*untried, *open) = (to.drives(*untried), to.drives(*open));
    }
}

/// A drive as a coordinator sees it: its grant; then whether it accepted, stands in a higher ballot's
/// way, failed, or holds the staged folder.
pub type Sight<'a, V> = (Option<&'a Snapshot<V>>, [bool; 4]);

impl Missing {
    /// Returns whether a drive is among those that know of a higher ballot, and among those that failed.
    pub(crate) fn sight_of(&self, drive: u8) -> (bool, bool) {
        (self.contended.contains(drive), self.failed.contains(drive))
    }
}

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Returns what the machine knows of a drive in this round.
    #[must_use]
    pub fn sight_of(&self, drive: u8) -> Sight<'_, V> {
        match &self.phase {
            Phase::Fencing { stored, missing } => {
                let (contended, failed) = missing.sight_of(drive);
                (None, [stored.contains(drive), contended, failed, false])
            }
            Phase::Preparing { grants, missing, .. } => {
                let (contended, failed) = missing.sight_of(drive);
                (grants.get(&drive), [false, contended, failed, false])
            }
            Phase::Voting {
                accepted,
                missing,
                holders,
                ..
            } => {
                let (contended, failed) = missing.sight_of(drive);
                (
                    None,
                    [accepted.contains(drive), contended, failed, holders.contains(drive)],
                )
            }
            Phase::Starting | Phase::Done => (None, [false; 4]),
        }
    }

    /// Returns whether the machine waits for grants.
    #[must_use]
    pub fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing { .. })
    }

    /// Renames the drives. Values are named by their change, so they stay as they are.
    pub fn rename(&mut self, to: Renaming<'_>) {
        match &mut self.phase {
            Phase::Fencing { stored, missing } => {
                *stored = to.drives(*stored);
                to.missing(missing);
            }
            Phase::Preparing { grants, missing, .. } => {
                *grants = to.snapshots(grants);
                to.missing(missing);
            }
            Phase::Voting {
                accepted,
                missing,
                holders,
                ..
            } => {
                *accepted = to.drives(*accepted);
                to.missing(missing);
                *holders = to.drives(*holders);
            }
            Phase::Starting | Phase::Done => {}
        }
    }
}
