//! The configurations that are exhausted, and what must happen in them.

use check::configuration::bounds::{NONE, larger};
use check::configuration::world::Kind::{Change, Serve};
use check::configuration::world::{Faults, World, world};
use check::explore::exhaust;
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let losing = Faults { losses: 1, ..NONE };
    let without = Faults {
        no_acceptors: 1,
        ..NONE
    };
    check(vec![
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0), Serve(0, 0)], NONE),
        world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], without),
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], losing),
        world(&[&[0, 1]], &[Change, Change, Serve(1, 0)], losing),
        world(&[&[0, 1], &[1, 2]], &[Change, Change, Serve(2, 1)], NONE),
        world(&[&[0, 1], &[1, 2]], &[Change, Serve(2, 1), Serve(0, 0)], losing),
        world(&[&[0, 0, 1, 1], &[1, 1, 2, 2]], &[Change, Serve(2, 1)], NONE),
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
