//! Seeds of the scenario of a cluster (`sim::cluster`).

mod mutants;

use sim::{
    cluster::{FAULTS, Report, cluster},
    run::Scenario,
};
use std::sync::{Arc, Mutex};

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, |world| async {
        cluster(world).await;
    });
}

/// Runs the seeds. Most operations succeed, and every kind of fault strikes.
#[test]
fn acknowledged_objects_survive() {
    let total = Arc::new(Mutex::new(Report::default()));
    let counted = total.clone();
    Scenario::new("acknowledged_objects_survive")
        .seeds(300)
        .check(move |world| {
            let counted = counted.clone();
            async move {
                let report = cluster(world).await;
                let mut counted = counted.lock().expect("no panic");
                counted.done += report.done;
                counted.failed += report.failed;
                counted.done_beside += report.done_beside;
                counted.lasted += report.lasted;
                for (fault, count) in report.faults {
                    *counted.faults.entry(fault).or_default() += count;
                }
            }
        });
    let Report {
        done,
        failed,
        done_beside,
        faults,
        lasted,
    } = total.lock().expect("no panic").clone();
    println!("{done} operations were done, {done_beside} beside a lost set, {failed} failed, in {lasted:?}");
    println!("faults: {faults:?}");
    assert!(done > failed, "{done} operations were done, {failed} failed");
    // A few seeds cannot have all.
    let is_complete = faults.len() == FAULTS.len() && done_beside > 0;
    assert!(done < 10_000 || is_complete, "{done_beside}, {faults:?}");
}
