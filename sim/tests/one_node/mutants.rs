//! Mutants of the server, each of which must be noticed (`specs/mutants.md`).

use sim::{
    one_node::mutants::{as_drawn, broken, crowd, mutants, mutants_and_unnoticed},
    run::{Failure, Scenario},
};
use store::runtime::{Mutant, Mutant::*};

#[test]
fn the_page_has_the_table_of_mutants() {
    mutants().check_rows();
}

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    mutants().check();
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
fn measure_mutants() {
    mutants_and_unnoticed().measure();
}
