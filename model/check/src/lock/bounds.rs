//! The bounds of runs that take long.

use super::world::{Faults, World, world};

/// No faults.
pub const NONE: Faults = Faults { restarts: 0, steps: 0 };

/// The worlds that the tests exhaust.
#[must_use]
pub fn worlds() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    vec![
        world(1, &[2, 2], restarting),
        world(1, &[2, 2], NONE).with_pauses(),
        world(2, &[1, 1], NONE),
        world(2, &[1, 1], restarting).with_one_clock(),
        world(3, &[1, 1], NONE).with_clocks_that_agree().with_pauses(),
        world(3, &[1, 1], restarting).with_clocks_that_agree(),
    ]
}

/// Returns what takes minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    vec![
        world(2, &[1, 1], restarting),
        world(2, &[1, 1], NONE).with_pauses(),
        world(2, &[1, 1], Faults { restarts: 2, ..NONE }).with_one_clock(),
        world(2, &[2, 2], NONE).with_one_clock(),
        world(3, &[2, 1], restarting).with_clocks_that_agree(),
        world(3, &[1, 1], NONE).with_one_clock(),
        world(3, &[1, 1], restarting).with_one_clock(),
    ]
}
