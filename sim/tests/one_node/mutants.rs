//! Mutants of the server, each of which must be noticed (`specs/mutants.md`).

use check::tables::{Figures, Table, has_figures};
use sim::{
    one_node::{
        mutants::{AnyMutant, Focus, UNNOTICED, as_drawn, broken, crowd, mutants},
        names,
    },
    run::{Failure, Scenario},
};
use std::{env, time::Instant};
use store::runtime::{Mutant, Mutant::*};

/// Number of seeds for each mutant. When this was written each was noticed within 190: a change of the server moves the
/// seeds that notice a mutant, but not their frequency.
const SEEDS: u64 = 300;

fn table() -> Table {
    let (columns, rows) = names::table();
    Table::new("mutants.md", "mutants of the server".to_owned(), columns, 2, rows)
}

#[test]
fn the_page_has_the_table_of_mutants() {
    table().check_rows();
}

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    let scenario = Scenario::new("every_mutant_is_caught");
    let (mut missed, mut caught) = (Vec::new(), Figures::new());
    for (mutant, focus) in mutants() {
        match scenario.first_failure(0..SEEDS, broken(mutant, focus)) {
            Some((seed, failure)) => {
                let figures = vec![seed.to_string(), failure.noticed_as()];
                caught.insert(names::name(mutant), figures);
            }
            None => missed.push(mutant),
        }
    }
    assert_eq!(missed, [], "mutants that no seed noticed");
    table().enter(&caught, has_figures);
}

#[test]
fn a_failure_is_told_by_its_rule() {
    let noticed_as = |message: &str| {
        let (message, trace) = (message.to_owned(), Vec::new());
        Failure { message, trace }.noticed_as()
    };
    assert_eq!(noticed_as("live.resolves: a put has not ended"), "`live.resolves`");
    assert_eq!(
        noticed_as("jobs panicked: drive.calls-in-order: 3"),
        "`drive.calls-in-order`"
    );
    assert_eq!(
        noticed_as("the buckets cannot be read: Offline"),
        "the buckets cannot be read"
    );
}

/// The replay notices at once what clients would notice only after a power loss (`drive.reply-after-durable`).
#[test]
fn the_replay_notices_a_reply_before_its_commit() {
    let scenario = Scenario::new("the_replay_notices_a_reply_before_its_commit");
    let caught = scenario.first_failure(0..10, |world| {
        world.replay_machines();
        broken(Mutant::ReplyBeforeCommit, as_drawn)(world)
    });
    let (_, failure) = caught.expect("it is noticed");
    assert!(
        failure.message.contains("drive.reply-after-durable"),
        "{}",
        failure.message
    );
}

/// The protocol is safe without locks, and so is the server (`lock.not-for-safety`). Mutants that are noticed only
/// without locks prove that votes do compete then.
#[test]
fn nothing_rests_on_locks() {
    for focus in [as_drawn, crowd] {
        Scenario::new("nothing_rests_on_locks")
            .seeds(20)
            .check(move |world| broken(LocksGranted, focus)(world));
    }
}

#[test]
#[ignore = "measures: MUTANT=name or all, SIM_FIRST and SIM_SEEDS the seeds"]
#[allow(clippy::disallowed_methods, reason = "measures real time")]
fn measure_mutants() {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let wanted = env::var("MUTANT").unwrap_or_default();
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(2000));
    let unnoticed = UNNOTICED.map(|mutant| (AnyMutant::Server(Protocol(mutant)), as_drawn as Focus));
    let unlocked = UNNOTICED.map(|mutant| (AnyMutant::Server(Unlocked(mutant)), as_drawn as Focus));
    for (mutant, focus) in mutants().chain(unnoticed).chain(unlocked) {
        if !format!("{mutant:?}").contains(&wanted) {
            continue;
        }
        let began = Instant::now();
        let caught = Scenario::new("measure_mutants").first_failure(first..first + count, broken(mutant, focus));
        let secs = began.elapsed().as_secs_f64();
        let how = caught.map(|(seed, failure)| (seed, failure.message.chars().take(160).collect::<String>()));
        println!("MUTANT {mutant:?} {secs:.1} s {how:?}");
    }
}
