//! Determinism of a seed. Runs before the other tests of this package, which prove nothing without it.

mod common;

use common::{Honesty, chatter, power_failures};
use sim::{World, run::Scenario};
use std::collections::HashMap;

// `sim.seed-decides`
#[test]
fn a_seed_decides_the_trace_of_drives() {
    Scenario::new("a_seed_decides_the_trace_of_drives")
        .check_determinism(1, |world| power_failures(world, 3, Honesty::Syncs));
}

#[test]
fn a_seed_decides_the_trace_of_connections() {
    Scenario::new("a_seed_decides_the_trace_of_connections").check_determinism(1, chatter);
}

#[test]
fn a_seed_decides_the_order_of_hash_maps() {
    Scenario::new("a_seed_decides_the_order_of_hash_maps").check_determinism(1, |world: World| async move {
        let map: HashMap<u32, u32> = (0..50).map(|n| (n, n)).collect();
        world.event(0, &format!("{map:?}"));
    });
}
