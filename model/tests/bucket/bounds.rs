//! The configurations that are exhausted, and what must happen in them.

use check::bucket::world::{Faults, World, world};
use check::explore::exhaust;
use std::time::Duration;

/// No faults.
pub const NONE: Faults = Faults { losses: 0, boots: 0 };

#[test]
fn every_rule_holds() {
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    let worlds = vec![
        world(1, 3, "pd", NONE),
        world(1, 2, "pdd", NONE),
        world(1, 3, "pdd", NONE),
        world(1, 2, "ppd", NONE),
        world(1, 3, "ppd", NONE),
        world(1, 3, "pud", NONE),
        world(1, 2, "pddc", NONE),
        world(1, 2, "pdcp", NONE),
        world(1, 3, "pdcp", NONE),
        world(1, 3, "pd", lossy),
        world(1, 3, "pdd", lossy),
        world(1, 3, "pd", Faults { losses: 2, ..NONE }),
        world(1, 3, "pd", rebooting),
        world(1, 2, "pddd", NONE),
        world(2, 2, "pqd", NONE),
        world(2, 2, "pdd", NONE),
        world(1, 4, "pd", NONE),
        world(1, 4, "pdd", NONE),
    ];
    let rows = worlds.into_iter().map(|world: World| (world.bounds(), world)).collect();
    exhaust(rows, Duration::from_secs(100));
}
