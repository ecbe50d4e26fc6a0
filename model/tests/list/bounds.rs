//! The configurations that are exhausted.

use check::explore::exhaust;
use check::list::bounds::{larger, world};
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let worlds = vec![
        world(3, &["012"], &[], 1),
        world(3, &["1o1"], &[('p', 2)], 1),
        world(3, &["1dn"], &[('p', 3)], 1),
        world(3, &["0p2"], &[('d', 2)], 2),
        world(3, &["n"], &[('p', 1), ('d', 1)], 1),
        world(3, &["n"], &[('p', 1), ('g', 1)], 1).crashing(1),
        world(4, &["1p"], &[('d', 1)], 1),
        world(3, &["1p1d"], &[], 1).recovering(2, &[]),
        world(3, &["11p"], &[('p', 3)], 2).recovering(2, &[1]),
        world(1, &["pnp", "ppn"], &[('p', 3), ('d', 4)], 1),
    ];
    exhaust(worlds, Duration::from_secs(100));
}

/// What takes longer.
#[test]
#[ignore = "minutes"]
fn every_rule_holds_in_larger_worlds() {
    exhaust(larger(), Duration::from_secs(580));
}
