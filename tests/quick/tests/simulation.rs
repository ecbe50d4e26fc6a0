//! Some seeds of the scenarios, and some mutants of the server. `cargo test -p sim` runs all.

use check::tables::Table;
use sim::{
    cluster::{self, cluster},
    drive::Unsynced,
    formation::{self, formation},
    one_node::{
        FOUND, Kind,
        mutants::{AnyMutant, broken, mutants},
        names, one_node,
    },
    peers::{self, peers},
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

#[test]
fn calls_between_nodes_are_what_they_say() {
    Scenario::new("calls_between_nodes_are_what_they_say")
        .seeds(10)
        .check(|world| async move { drop(peers(world).await) });
}

#[test]
fn a_cluster_keeps_what_it_acknowledged() {
    Scenario::new("a_cluster_keeps_what_it_acknowledged")
        .seeds(10)
        .check(|world| async move { drop(cluster(world).await) });
}

#[test]
fn a_first_start_forms_one_deployment() {
    Scenario::new("a_first_start_forms_one_deployment")
        .seeds(20)
        .check(|world| async move { drop(formation(world).await) });
}

#[test]
fn the_page_has_the_table_of_mutants() {
    let (columns, rows) = names::table();
    Table::new("mutants.md", "mutants of the server".to_owned(), columns, 2, rows).check_rows();
    let (columns, rows) = peers::mutants::table();
    Table::new("mutants.md", "mutants of peers".to_owned(), columns, 2, rows).check_rows();
    let (columns, rows) = cluster::mutants::table();
    Table::new("mutants.md", "mutants of a cluster".to_owned(), columns, 2, rows).check_rows();
    let (columns, rows) = formation::mutants::table();
    Table::new("mutants.md", "mutants of a first start".to_owned(), columns, 2, rows).check_rows();
}

/// Mutants that about the first ten seeds notice, one of each kind.
const QUICK: [AnyMutant; 5] = [
    AnyMutant::Files(Unsynced::Index),
    AnyMutant::Server(OfflineIsAbsent),
    AnyMutant::Server(AcceptQuorumTooSmall),
    AnyMutant::Server(OneShardForAll),
    AnyMutant::Server(ConditionApart),
];

#[test]
fn some_mutants_are_caught() {
    let scenario = Scenario::new("some_mutants_are_caught");
    let missed: Vec<AnyMutant> = mutants()
        .filter(|(mutant, _)| QUICK.contains(mutant))
        .filter(|(mutant, focus)| scenario.first_failure(0..100, broken(*mutant, *focus)).is_none())
        .map(|(mutant, _)| mutant)
        .collect();
    assert_eq!(missed, [], "mutants that no seed noticed");
}
