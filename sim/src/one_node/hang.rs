//! Check of `live.one-hung-drive`: while one drive of a set hangs and the others are healthy, an operation has a bound.

use super::{
    gremlin::calm_faults,
    plan::{Kind, Plan},
};
use crate::{
    Faults, SimDrive, World,
    hang::{Bounds, Hangs, Watched},
};
use madsim::time::Duration;
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

const BOUNDS: Bounds = Bounds {
    rule: "live.one-hung-drive",
    first_max: Duration::from_millis(1500),
    then_max: Duration::from_millis(250),
    suspected_after: Duration::from_secs(3),
};

/// Drives that hang, and the operations that met them.
#[derive(Debug)]
pub struct HungDrives {
    hangs: Hangs,
    /// Drives that a fault has ever struck.
    struck: Mutex<BTreeSet<usize>>,
}

impl Default for HungDrives {
    fn default() -> HungDrives {
        HungDrives {
            hangs: Hangs::new(BOUNDS),
            struck: Mutex::default(),
        }
    }
}

impl HungDrives {
    /// Records that a fault strikes these drives.
    pub fn struck(&self, drives: impl IntoIterator<Item = usize>) {
        self.struck_drives().extend(drives);
        self.changed();
    }

    /// Records that a drive works again, or that the node has started again.
    pub fn changed(&self) {
        self.hangs.changed();
    }

    /// Begins an operation; returns its bound if one drive hangs and the others are healthy.
    pub fn begin(&self, world: &World, plan: &Plan, drives: &[SimDrive]) -> Option<Watched> {
        let is_bounded = hangs_alone(&self.struck_drives(), plan, drives);
        is_bounded.then(|| self.hangs.begin(world))
    }

    /// Ends an operation, and checks its bound unless the faults have changed meanwhile.
    pub fn end(&self, world: &World, drives: &[SimDrive], watched: Option<&Watched>, what: &str) {
        if let Some(watched) = watched
            && !drives.iter().any(SimDrive::is_cut)
        {
            self.hangs.end(world, watched, what);
        }
    }

    /// Returns [`Hangs::checked`].
    pub fn checked(&self) -> (u64, u64) {
        self.hangs.checked()
    }

    fn struck_drives(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.struck.lock().expect("no panic")
    }
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
