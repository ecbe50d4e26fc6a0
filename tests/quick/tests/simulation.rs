//! Some seeds of the scenarios, and some mutants of the server. `cargo test -p sim` runs all.

use sim::{
    cluster::{self, cluster},
    formation::{self, formation},
    one_node::{self, FOUND, Kind, one_node},
    peers::{self, peers},
    run::Scenario,
};

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
    one_node::mutants::mutants().check_rows();
    peers::mutants::mutants().check_rows();
    cluster::mutants::mutants().check_rows();
    formation::mutants::mutants().check_rows();
}

#[test]
fn some_mutants_are_caught() {
    one_node::mutants::some_mutants().catch();
}
