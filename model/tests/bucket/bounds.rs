//! The configurations that are exhausted, and what must happen in them.

use check::bucket::bounds::{NONE, larger};
use check::bucket::world::{Faults, World, world};
use check::explore::exhaust;
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    check(vec![
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
    ]);
}

/// What takes longer.
#[test]
#[ignore = "minutes"]
fn every_rule_holds_in_larger_worlds() {
    check(larger());
}

fn check(worlds: Vec<World>) {
    exhaust(worlds, Duration::from_secs(580));
}
