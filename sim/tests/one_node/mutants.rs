//! Each way to break the server is noticed (`specs/mutants.md`).

use crate::{
    life::one_node_as,
    plan::{Fault, Kind, Plan},
};
use model::protocol::mutant::Mutant as Break;
use sim::{World, run::Scenario};
use std::{env, time::Instant};
use store::runtime::{Mutant, Mutant::*};

/// What of a plan is turned up.
type Focus = fn(&mut Plan);

/// Every mutant, and what of a plan is turned up for it: a rare meeting of faults must not rest on a lucky seed.
const MUTANTS: [(Mutant, Focus); 31] = [
    (ShardFileNotSynced, as_drawn),
    (ShardFolderNotSynced, as_drawn),
    (IndexNotSynced, as_drawn),
    (ReplyBeforeCommit, power_loss),
    (IndexNotVerified, index_rot),
    (RemovedUnderJob, vanishing),
    (SweepRemovesHeld, as_drawn),
    (EndUploadDropsNamed, as_drawn),
    (WipedIsMember, wipes),
    (FrameHashIgnored, as_drawn),
    (FolderReused, as_drawn),
    (OfflineIsAbsent, as_drawn),
    (ListFromFewer, as_drawn),
    (AbandonAfterAccept, vanishing),
    (WriteQuorumTooSmall, as_drawn),
    (AcceptQuorumTooSmall, as_drawn),
    (PrepareQuorumTooSmall, as_drawn),
    (CompleteInTwoVotes, uploads),
    (NoDeadline, hangs),
    (NoShardDeadline, hangs),
    (UnreadableIsAbsent, as_drawn),
    (DeleteErrorSwallowed, as_drawn),
    (OneShardForAll, as_drawn),
    (BadFrameEndsRead, as_drawn),
    (ListShowsUploads, uploads),
    (ConditionApart, as_drawn),
    (Unlocked(Break::ReadWithoutWriteBack), crowd),
    (Unlocked(Break::ProposeAgain), crowd),
    (Protocol(Break::NoFencing), as_drawn),
    (Protocol(Break::ReplyBeforeDurable), as_drawn),
    (Protocol(Break::BaseNotChosen), as_drawn),
];

fn as_drawn(_: &mut Plan) {}

fn power_loss(plan: &mut Plan) {
    (plan.cut, plan.power) = (0.9, 1.0);
}

fn index_rot(plan: &mut Plan) {
    plan.index_rot = 0.9;
}

fn vanishing(plan: &mut Plan) {
    plan.vanish = 0.3;
}

fn wipes(plan: &mut Plan) {
    (plan.wipe, plan.late_drive) = (0.9, 0.5);
}

fn uploads(plan: &mut Plan) {
    plan.uploads = 0.5;
}

fn crowd(plan: &mut Plan) {
    (plan.clients, plan.pause_max) = (8, plan.pause_max / 20);
}

fn hangs(plan: &mut Plan) {
    plan.faults = vec![(Fault::Hang, 1)];
}

/// How many seeds each gets. When this was written each was noticed within 45: a change of the server moves the
/// seeds that notice a mutant, not how many do.
const SEEDS: u64 = 300;

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    let scenario = Scenario::new("every_mutant_is_caught");
    let missed = |(mutant, focus): (Mutant, Focus)| {
        let caught = scenario.first_failure(0..SEEDS, broken(mutant, focus));
        caught.is_none().then_some(mutant)
    };
    let missed: Vec<_> = MUTANTS.into_iter().filter_map(missed).collect();
    assert_eq!(missed, [], "mutants that no seed noticed");
}

/// The replay beside a run sees at once what clients see only after a power loss (`drive.reply-after-durable`).
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

/// The protocol does without locks, and so does the server (`lock.not-for-safety`). That votes meet each other then
/// is seen by the mutants that nobody notices but without locks.
#[test]
fn nothing_rests_on_locks() {
    Scenario::new("nothing_rests_on_locks")
        .seeds(40)
        .check(|world| broken(LocksGranted, as_drawn)(world));
}

/// Those of the protocol that no seed has noticed: writers of a key queue in the one node, so that few of its votes
/// ever meet another. Some are noticed once no lock is kept (`Unlocked`); the checker notices all.
const UNNOTICED: [Break; 6] = [
    Break::PreviousDroppedAtAccept,
    Break::DropWithoutAccepted,
    Break::BestEffortUndo,
    Break::RollBackWithoutCounting,
    Break::ReadWithoutWriteBack,
    Break::ProposeAgain,
];

fn broken(mutant: Mutant, focus: Focus) -> impl Fn(World) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    move |world| {
        world.set_mutation(mutant.into());
        Box::pin(one_node_as(world, Kind::Honest, focus))
    }
}

#[test]
#[ignore = "measures: MUTANT=name or all, SIM_FIRST and SIM_SEEDS the seeds"]
#[allow(clippy::disallowed_methods, reason = "measures real time")]
fn measure_mutants() {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let wanted = env::var("MUTANT").unwrap_or_default();
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(2000));
    let unnoticed = UNNOTICED.map(|mutant| (Protocol(mutant), as_drawn as Focus));
    let unlocked = UNNOTICED.map(|mutant| (Unlocked(mutant), as_drawn as Focus));
    for (mutant, focus) in MUTANTS.into_iter().chain(unnoticed).chain(unlocked) {
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
