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
                for (fault, count) in report.faults {
                    *counted.faults.entry(fault).or_default() += count;
                }
            }
        });
    let Report { done, failed, faults } = total.lock().expect("no panic").clone();
    println!("{done} operations were done, {failed} failed; faults: {faults:?}");
    assert!(done > failed, "{done} operations were done, {failed} failed");
    // A few seeds cannot have all.
    assert!(done < 10_000 || faults.len() == FAULTS.len(), "{faults:?}");
}
