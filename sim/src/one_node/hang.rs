//! The rule `live.one-hung-drive`, as a bound in virtual time: while one drive of a set hangs and the others are
//! healthy, an operation waits for it at most a moment once the drive is suspected, and a second before.

use super::plan::{Fault, Plan};
use crate::{SimDrive, World};
use madsim::time::Duration;
use std::sync::Mutex;

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
    /// Raised when something changes: a drive hangs or works again, a life begins.
    epoch: u64,
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

/// Tells whether a plan strikes drives with nothing but hanging, and of each set only one: another that has hung before
/// lacks what was written meanwhile, and then a reader may need the very drive that hangs.
fn hangs_alone(plan: &Plan) -> bool {
    let others = plan.wipe + plan.late_drive + plan.index_rot + plan.data_rot + plan.swap;
    let faults = plan.faults.iter();
    faults.clone().any(|(fault, _)| *fault == Fault::Hang)
        && faults
            .clone()
            .all(|(fault, _)| matches!(fault, Fault::Hang | Fault::ClockStep))
        && others == 0.0
        && plan.sets.iter().all(|set| set.absentees.len() <= 1)
        && plan.set_size > 1
}

impl Hangs {
    /// Notes that a drive hangs now, or no longer, or that the node has started again.
    pub fn changed(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.epoch += 1;
        state.met = None;
    }

    /// Begins an operation, if it is one that meets a hanging drive and healthy ones.
    pub fn begin(&self, world: &World, plan: &Plan, drives: &[SimDrive]) -> Option<Watched> {
        let hung = |set: &[SimDrive]| set.iter().filter(|drive| drive.faults().hung).count();
        let most = drives.chunks(plan.set_size).map(hung).max();
        if most != Some(1) || !hangs_alone(plan) || drives.iter().any(SimDrive::is_cut) {
            return None;
        }
        let began = world.now();
        let mut state = self.0.lock().expect("no panic");
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
        let mut state = self.0.lock().expect("no panic");
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
        self.0.lock().expect("no panic").checked
    }
}
