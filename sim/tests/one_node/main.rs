//! Seeds of the scenario of one node (`sim::one_node`), and the mutants that it must notice.

mod http;
mod mutants;

use sim::{
    one_node::{
        FOUND, Kind, NODE,
        mutants::{compactions, hangs_alone, log_rot},
        one_node, one_node_as,
    },
    run::Scenario,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, |world| one_node(world, Kind::Honest));
}

#[test]
fn acknowledged_objects_survive() {
    Scenario::new("acknowledged_objects_survive")
        .known(FOUND.iter().map(|(seed, _)| *seed))
        .seeds(500)
        .check(|world| one_node(world, Kind::Honest));
}

/// Replays the machines beside the run (`trace.same-outputs`). Few operations begin in a round that a drive refuses,
/// although the node restarts again and again (`live.rounds-keep-up`).
#[test]
fn runs_are_replayed() {
    let counts: Arc<[AtomicU64; 3]> = Arc::default();
    let counted = counts.clone();
    Scenario::new("runs_are_replayed").seeds(10).check(move |world| {
        let counted = counted.clone();
        async move {
            one_node(world.clone(), Kind::Honest).await;
            let (operations, refused) = world.refused_rounds();
            for (count, more) in counted.iter().zip([world.replayed().1, operations, refused]) {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    });
    let [steps, operations, refused] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(steps > 1000);
    assert!(
        refused * 10 < operations,
        "live.rounds-keep-up: {refused} of {operations} operations were below a drive's floor"
    );
}

/// `live.one-hung-drive`: every seed asserts the bounds where they apply; with this plan they apply all the time.
#[test]
fn one_hung_drive_costs_a_moment() {
    let checked = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counted = checked.clone();
    Scenario::new("one_hung_drive_costs_a_moment")
        .seeds(20)
        .check(move |world| {
            let counted = counted.clone();
            async move {
                let (all, suspected) = one_node_as(world, Kind::Honest, hangs_alone).await.hung;
                counted.0.fetch_add(all, Ordering::Relaxed);
                counted.1.fetch_add(suspected, Ordering::Relaxed);
            }
        });
    let (all, suspected) = (checked.0.load(Ordering::Relaxed), checked.1.load(Ordering::Relaxed));
    assert!(
        suspected > 1000,
        "{all} operations met a drive that hangs, {suspected} a suspected one"
    );
}

/// An index whose log has rotted is refused, and the node survives it (`drive.log-replayed`).
#[test]
fn rotten_logs_are_refused() {
    let struck = Arc::new(AtomicU64::new(0));
    let counted = struck.clone();
    Scenario::new("rotten_logs_are_refused").seeds(20).check(move |world| {
        let counted = counted.clone();
        async move {
            one_node_as(world.clone(), Kind::Honest, log_rot).await;
            let trace = world.trace();
            let rot = trace
                .iter()
                .filter(|line| line.contains("bitrot in .minio.sys/index.log"));
            counted.fetch_add(rot.count() as u64, Ordering::Relaxed);
        }
    });
    let struck = struck.load(Ordering::Relaxed);
    assert!(struck > 100, "{struck} bits");
}

/// Compacts indexes concurrently with commits, through power losses (`drive.compaction-keeps-all`).
#[test]
fn indexes_are_compacted() {
    let compacted = Arc::new(AtomicU64::new(0));
    let counted = compacted.clone();
    Scenario::new("indexes_are_compacted").seeds(20).check(move |world| {
        let counted = counted.clone();
        async move {
            one_node_as(world.clone(), Kind::Honest, compactions).await;
            let drives = world.drives(NODE);
            counted.fetch_add(drives.iter().map(|drive| drive.compactions()).sum(), Ordering::Relaxed);
        }
    });
    let compacted = compacted.load(Ordering::Relaxed);
    assert!(compacted > 100, "{compacted} compactions");
}

/// A drive with lying syncs forgets votes, which no protocol survives, so the history need not be linearizable. Even so
/// no byte is wrong, every operation ends, and nothing panics.
#[test]
fn a_lying_drive_gives_no_wrong_byte() {
    Scenario::new("a_lying_drive_gives_no_wrong_byte")
        .seeds(40)
        .check(|world| one_node(world, Kind::Lying));
}
