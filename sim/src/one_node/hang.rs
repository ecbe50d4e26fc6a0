//! The rule `live.one-hung-drive`, as a bound in virtual time: while one drive of a set hangs and the others are
//! healthy, an operation waits for it at most a moment once the drive is suspected, and a second before.

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

/// Bound of an operation that begins before the drive can be suspected: its wait of up to a second, and its work.
const FIRST_MAX: Duration = Duration::from_millis(1500);
/// Bound of an operation that begins when the drive is suspected.
const THEN_MAX: Duration = Duration::from_millis(250);
/// Time after the first operation that met the hanging drive until it is suspected at the latest, by calls of every
/// kind.
const SUSPECTED: Duration = Duration::from_secs(3);

/// Record of the drives that hang and of the operations that met them.
#[derive(Debug, Default)]
pub struct Hangs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Raised when something changes: a drive is struck or works again, a life begins.
    epoch: u64,
    /// Drives that something has ever gone wrong with.
    struck: BTreeSet<usize>,
    /// When an operation first met the drive that hangs.
    met: Option<Duration>,
    /// Operations that were held to the bounds, and those of them that began when the drive was suspected.
    checked: (u64, u64),
}

/// An operation that is to be held to a bound.
#[derive(Debug)]
pub struct Watched {
    epoch: u64,
    began: Duration,
    limit: Duration,
}

/// Tells whether of each set at most one drive was ever struck by a fault, and hangs or is well now; and one hangs.
/// Another one that has missed writes lacks them for good: then a reader may need the very drive that hangs.
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
    /// Notes that something goes wrong with these drives.
    pub fn struck(&self, drives: impl IntoIterator<Item = usize>) {
        self.state().struck.extend(drives);
        self.changed();
    }

    /// Notes that a drive works again, or that the node has started again.
    pub fn changed(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.met = None;
    }

    /// Begins an operation, if it is one that meets a hanging drive and healthy ones.
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

    /// Ends an operation: unless something has changed meanwhile, it kept its bound.
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

    /// Numbers of operations that were held to the bounds: all, and those that met a suspected drive.
    pub fn checked(&self) -> (u64, u64) {
        self.state().checked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }
}
