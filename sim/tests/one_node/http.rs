//! Seeds whose clients are hosts of their own (`sim.clients-are-hosts`).

use sim::{
    one_node::{
        Kind,
        mutants::{broken, over_http},
        one_node_as,
    },
    run::Scenario,
    workload::Answered,
};
use std::sync::{Arc, Mutex};
use store::runtime::Mutant;

#[test]
fn determinism() {
    Scenario::new("http::determinism").check_determinism(3, |world| async {
        one_node_as(world, Kind::Honest, over_http).await;
    });
}

/// Requests of every kind succeed, and conditions refuse some.
#[test]
fn every_kind_of_request_is_answered() {
    let answered = Arc::new(Mutex::new(Answered::new()));
    let counted = answered.clone();
    Scenario::new("http::every_kind_of_request_is_answered")
        .seeds(20)
        .check(move |world| {
            let counted = counted.clone();
            async move {
                let report = one_node_as(world, Kind::Honest, over_http).await;
                for (answer, count) in report.answered {
                    *counted.lock().expect("no panic").entry(answer).or_default() += count;
                }
            }
        });
    let answered = answered.lock().expect("no panic");
    let plain = ["put", "get", "delete", "list", "complete", "abort"].map(|what| (what, "done"));
    let conditional = ["conditional put", "conditional delete"];
    let conditional = conditional
        .into_iter()
        .flat_map(|what| [(what, "done"), (what, "refused")]);
    for answer in plain.into_iter().chain(conditional) {
        let count = answered.get(&answer).copied().unwrap_or(0);
        assert!(count >= 5, "{answer:?}: {answered:?}");
    }
}

/// What such clients are told suffices to notice a mutant of the server.
#[test]
fn a_mutant_is_caught_by_what_clients_are_told() {
    let scenario = Scenario::new("http::a_mutant_is_caught_by_what_clients_are_told");
    let caught = (0..100).any(|seed| {
        let failure = scenario.first_failure([seed], broken(Mutant::OfflineIsAbsent, over_http));
        failure.is_some_and(|(_, failure)| failure.message.contains("register.linearizable"))
    });
    assert!(caught);
}
