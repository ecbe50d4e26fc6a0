//! The bounds of runs that take long.

use super::world::{Faults, World, world};

/// No faults.
pub const NONE: Faults = Faults { losses: 0, boots: 0 };

/// The worlds that the tests exhaust.
#[must_use]
pub fn worlds() -> Vec<World> {
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    vec![
        world(1, 1, "pdcd", NONE),
        world(1, 2, "pdd", NONE),
        world(1, 2, "pud", NONE),
        world(1, 2, "pdcp", NONE),
        world(1, 3, "ppd", NONE),
        world(1, 3, "pd", lossy).cold(),
        world(1, 3, "pd", Faults { losses: 2, ..NONE }),
        world(1, 3, "pd", rebooting).cold(),
        world(2, 2, "pqd", NONE),
        world(1, 4, "pd", lossy),
    ]
}

/// Returns what takes minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let lossy = Faults { losses: 1, ..NONE };
    vec![
        world(1, 1, "pdcpd", NONE),
        world(1, 2, "pdd", lossy),
        world(1, 3, "pdd", NONE),
        world(1, 3, "pud", NONE),
        world(1, 3, "pdcp", NONE),
        world(1, 2, "pddc", NONE),
        world(1, 2, "pddd", NONE),
        world(1, 3, "pdd", lossy),
        world(2, 2, "pdd", NONE),
        world(1, 4, "pdd", NONE),
    ]
}
