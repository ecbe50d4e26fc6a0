//! Seeds of the scenario of a first start over nodes (`sim::formation`).

mod mutants;

use sim::{
    formation::{FAULTS, SOMETIMES, Seen, formation},
    run::Scenario,
};
use std::sync::{Arc, Mutex};

/// Fewest seeds of which all that may happen must have happened.
const SEEDS_MIN: usize = 200;

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, |world| async move { drop(formation(world).await) });
}

/// Runs the seeds. Every kind of fault strikes, and all that is to happen sometimes does.
#[test]
fn a_first_start_forms_one_deployment() {
    let all: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let runs = all.clone();
    Scenario::new("a_first_start_forms_one_deployment")
        .seeds(200)
        .check(move |world| {
            let runs = runs.clone();
            async move {
                let seen = formation(world).await;
                runs.lock().expect("no panic").push(seen);
            }
        });
    let runs = all.lock().expect("no panic");
    let mut seeds = Seen::new();
    for what in runs.iter().flat_map(Seen::keys) {
        *seeds.entry(what).or_default() += 1;
    }
    println!("of {} runs: {seeds:#?}", runs.len());
    let missing: Vec<&str> = SOMETIMES
        .into_iter()
        .chain(FAULTS.map(|fault| fault.name()))
        .filter(|what| !seeds.contains_key(what))
        .collect();
    assert!(
        missing.is_empty() || runs.len() < SEEDS_MIN,
        "no seed has seen {missing:?}"
    );
}
