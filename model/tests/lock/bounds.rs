//! The configurations that are exhausted, and what must happen in them.

use check::explore::exhaust;
use check::lock::bounds::{NONE, larger};
use check::lock::world::{Faults, World, world};
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let restarting = Faults { restarts: 1, ..NONE };
    check(vec![
        world(1, &[2, 2], restarting),
        world(1, &[2, 2], NONE).with_pauses(),
        world(2, &[1, 1], NONE),
        world(2, &[1, 1], restarting).with_one_clock(),
        world(3, &[1, 1], NONE).with_clocks_that_agree().with_pauses(),
        world(3, &[1, 1], restarting).with_clocks_that_agree(),
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
