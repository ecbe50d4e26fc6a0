//! Renaming of drives: what the checker needs to treat states alike that differ only in which drive of a set is called
//! which. Not compiled into a server.

use super::coordinator::{Coordinator, Phase};
use crate::pool::Placed;
use crate::protocol::renamed::{Renaming, Sight};
use crate::protocol::{Operation, Value};

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Returns what the machine knows of a drive of a pool in this round.
    #[must_use]
    pub fn sight_of(&self, of: u8, drive: u8) -> Sight<'_, Placed<V>> {
        match &self.phase {
            Phase::Preparing { answers, missing, .. } => {
                let (contended, failed) = missing[usize::from(of)].sight_of(drive);
                (answers[usize::from(of)].get(&drive), [false, contended, failed, false])
            }
            Phase::Voting {
                pool,
                accepted,
                missing,
                ..
            } if *pool == of => {
                let (contended, failed) = missing.sight_of(drive);
                (None, [accepted.contains(drive), contended, failed, false])
            }
            _ => (None, [false; 4]),
        }
    }

    /// Returns whether the machine waits for grants.
    #[must_use]
    pub fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing { .. })
    }

    /// Renames the drives of a pool.
    pub fn rename(&mut self, of: u8, to: Renaming<'_>) {
        match &mut self.phase {
            Phase::Preparing { answers, missing, .. } => {
                let answers = &mut answers[usize::from(of)];
                *answers = to.snapshots(answers);
                to.missing(&mut missing[usize::from(of)]);
            }
            Phase::Voting {
                pool,
                accepted,
                missing,
                ..
            } if *pool == of => {
                *accepted = to.drives(*accepted);
                to.missing(missing);
            }
            _ => {}
        }
    }
}
