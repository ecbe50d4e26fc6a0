//! The configurations that are exhausted, and what must happen in them.

use check::bucket::world::{Faults, World, world};
use check::explore::exhaust;
use std::time::Duration;

/// No faults.
pub const NONE: Faults = Faults { losses: 0, boots: 0 };

#[test]
fn every_rule_holds() {
    let lossy = Faults { losses: 1, ..NONE };
    let worlds = vec![
        world(1, 2, "pd", NONE),
        world(1, 3, "pd", NONE),
        world(1, 2, "pdd", NONE),
        world(1, 2, "pdc", NONE),
        world(1, 3, "pd", lossy),
        world(2, 2, "pd", NONE),
    ];
    let rows = worlds.into_iter().map(|world: World| (world.bounds(), world)).collect();
    exhaust(rows, Duration::from_secs(100));
}
