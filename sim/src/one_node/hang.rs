//! Check of `live.one-hung-drive`, as a bound in virtual time: while one drive of a set hangs and the others are
//! healthy, an operation waits for it up to a second, and only briefly once the drive is suspected.

use super::{
    gremlin::calm_faults,
    plan::{Kind, Plan},
};
use crate::{Faults, SimDrive, World};
use madsim::time::Duration;
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

/// Bound of an operation that begins before the drive is sure to be suspected: a wait of up to a second, and its work.
const FIRST_MAX: Duration = Duration::from_millis(1500);
/// Bound of an operation that begins once the drive is suspected.
const THEN_MAX: Duration = Duration::from_millis(250);
/// Longest time from the first operation that met the hanging drive until calls of every kind suspect it.
const SUSPECTED: Duration = Duration::from_secs(3);

/// Hanging drives, and the operations that met them.
#[derive(Debug, Default)]
pub struct Hangs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Raised when a drive is struck or works again, and when a life begins.
    epoch: u64,
    /// Drives that a fault has ever struck.
    struck: BTreeSet<usize>,
    /// Time at which an operation first met the drive that hangs.
    met: Option<Duration>,
    /// Number of operations held to the bounds, and of those among them that began once the drive was suspected.
    checked: (u64, u64),
}

/// Operation that is held to a bound.
#[derive(Debug)]
pub struct Watched {
    epoch: u64,
    began: Duration,
    limit: Duration,
}

/// Returns whether a drive hangs, and in each set at most one drive was ever struck by a fault and all others are
/// healthy. A second drive that has missed writes lacks them for good: a reader might then need the one that hangs.
fn hangs_alone(struck: &BTreeSet<usize>, plan: &Plan, drives: &[SimDrive]) -> bool {
    let alone = |set: usize| struck.range(set * plan.set_size..(set + 1) * plan.set_size).count() <= 1;
    let faults: Vec<Faults> = drives.iter().map(SimDrive::faults).collect();
    let well = |faults: &Faults| faults.hung || *faults == calm_faults();
    plan.kind == Kind::Honest
        && plan.set_size > 1
        && (0..plan.sets.len()).all(alone)
        && faults.iter().all(well)
        && faults.iter().any(|faults| faults.hung)
        && !drives.iter().any(SimDrive::is_cut)
}

impl Hangs {
    /// Records that a fault strikes these drives.
    pub fn struck(&self, drives: impl IntoIterator<Item = usize>) {
        self.state().struck.extend(drives);
        self.changed();
    }

    /// Records that a drive works again, or that the node has started again.
    pub fn changed(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.met = None;
    }

    /// Begins an operation; returns its bound if one drive hangs and the others are healthy.
    pub fn begin(&self, world: &World, plan: &Plan, drives: &[SimDrive]) -> Option<Watched> {
        let mut state = self.state();
        if !hangs_alone(&state.struck, plan, drives) {
            return None;
        }
        let began = world.now();
        let met = *state.met.get_or_insert(began);
        let limit = if began > met + SUSPECTED { THEN_MAX } else { FIRST_MAX };
        Some(Watched {
            epoch: state.epoch,
            began,
            limit,
        })
    }

    /// Ends an operation, and checks its bound unless the faults have changed meanwhile.
    pub fn end(&self, world: &World, drives: &[SimDrive], watched: Option<Watched>, what: &str) {
        let Some(Watched { epoch, began, limit }) = watched else {
            return;
        };
        let mut state = self.state();
        if state.epoch != epoch || drives.iter().any(SimDrive::is_cut) {
            return;
        }
        state.checked.0 += 1;
        state.checked.1 += u64::from(limit == THEN_MAX);
        let took = world.now() - began;
        assert!(
            took <= limit,
            "live.one-hung-drive: {what} has taken {took:?}, more than {limit:?}"
        );
    }

    /// Returns the number of operations held to the bounds: all, and those that met a suspected drive.
    pub fn checked(&self) -> (u64, u64) {
        self.state().checked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }
}
