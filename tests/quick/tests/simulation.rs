//! Some seeds of the scenario of one node, and some mutants of the server. `cargo test -p sim` runs all of them.
#![allow(missing_docs, reason = "a test")]

use sim::{
    drive::Unsynced,
    one_node::{
        FOUND, Kind,
        mutants::{Broken, broken, mutants},
        one_node,
    },
    run::Scenario,
};
use store::runtime::Mutant::*;

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, |world| one_node(world, Kind::Honest));
}

#[test]
fn acknowledged_objects_survive() {
    Scenario::new("acknowledged_objects_survive")
        .known(FOUND.iter().map(|(seed, _)| *seed))
        .seeds(10)
        .check(|world| one_node(world, Kind::Honest));
}

/// Mutants that one of the first ten seeds or so has noticed, one of each kind.
const QUICK: [Broken; 5] = [
    Broken::Files(Unsynced::Index),
    Broken::Server(OfflineIsAbsent),
    Broken::Server(AcceptQuorumTooSmall),
    Broken::Server(OneShardForAll),
    Broken::Server(ConditionApart),
];

#[test]
fn some_mutants_are_caught() {
    let scenario = Scenario::new("some_mutants_are_caught");
    let missed: Vec<Broken> = mutants()
        .filter(|(mutant, _)| QUICK.contains(mutant))
        .filter(|(mutant, focus)| scenario.first_failure(0..100, broken(*mutant, *focus)).is_none())
        .map(|(mutant, _)| mutant)
        .collect();
    assert_eq!(missed, [], "mutants that no seed noticed");
}
