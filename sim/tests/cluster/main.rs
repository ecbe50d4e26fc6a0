//! Seeds of the scenario of a cluster (`sim::cluster`).

mod mutants;

use sim::{
    cluster::{FAULTS, Report, cluster, cluster_as, mutants::one_hangs},
    run::Scenario,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

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
        ..
    } = total.lock().expect("no panic").clone();
    println!("{done} operations were done, {done_beside} beside a lost set, {failed} failed, in {lasted:?}");
    println!("faults: {faults:?}");
    assert!(done > failed, "{done} operations were done, {failed} failed");
    // A few seeds cannot have all.
    let is_complete = faults.len() == FAULTS.len() && done_beside > 0;
    assert!(done < 10_000 || is_complete, "{done_beside}, {faults:?}");
}

/// `live.one-hung-node`: every seed asserts the bounds where they apply; with this plan they apply all the time.
#[test]
fn one_hung_node_costs_a_moment() {
    let checked = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counted = checked.clone();
    Scenario::new("one_hung_node_costs_a_moment")
        .seeds(8)
        .check(move |world| {
            let counted = counted.clone();
            async move {
                let (all, suspected) = cluster_as(world, one_hangs).await.hung;
                counted.0.fetch_add(all, Ordering::Relaxed);
                counted.1.fetch_add(suspected, Ordering::Relaxed);
            }
        });
    let (all, suspected) = (checked.0.load(Ordering::Relaxed), checked.1.load(Ordering::Relaxed));
    println!("{all} operations met a node that hangs, {suspected} a suspected one");
    assert!(
        suspected > 1000,
        "{all} operations met a node that hangs, {suspected} a suspected one"
    );
}
