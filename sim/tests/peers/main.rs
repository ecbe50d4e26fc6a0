//! Seeds of the scenario of nodes that call each other (`sim::peers`), its scenes, and the mutants that must be
//! noticed.

mod mutants;

use sim::{
    peers::{SOMETIMES, Seen, mutants::scenes, peers},
    run::Scenario,
};
use std::sync::{Arc, Mutex};

/// Fewest seeds of which all that may happen must have happened.
const SEEDS_MIN: usize = 50;

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, |world| async move { drop(peers(world).await) });
}

#[test]
fn calls_are_what_they_say() {
    let all: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let runs = all.clone();
    Scenario::new("calls_are_what_they_say").seeds(50).check(move |world| {
        let runs = runs.clone();
        async move {
            let seen = peers(world).await;
            runs.lock().expect("no panic").push(seen);
        }
    });
    let runs = all.lock().expect("no panic");
    let mut total = Seen::new();
    for (what, count) in runs.iter().flatten() {
        *total.entry(what).or_default() += count;
    }
    println!("{total:?}");
    let missing: Vec<_> = SOMETIMES.iter().filter(|what| !total.contains_key(**what)).collect();
    assert!(
        missing.is_empty() || runs.len() < SEEDS_MIN,
        "no seed has seen {missing:?}: {total:?}"
    );
}

#[test]
fn scenes_hold() {
    for (name, scene) in scenes() {
        let caught = Scenario::new("scenes_hold").first_failure(0..5, scene);
        assert!(caught.is_none(), "{name}: {caught:?}");
    }
}
