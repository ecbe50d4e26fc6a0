//! Each way to break the server is noticed (`specs/mutants.md`).

use crate::{life::one_node, plan::Kind};
use model::protocol::mutant::Mutant as Break;
use sim::{World, run::Scenario};
use std::{env, time::Instant};
use store::runtime::{Mutant, Mutant::*};

/// Every mutant, and the seed from which on it is looked for: the first that noticed it when this was written.
const MUTANTS: [(Mutant, u64); 18] = [
    (ShardFileNotSynced, 0),
    (ShardFolderNotSynced, 0),
    (IndexNotSynced, 0),
    (ReplyBeforeCommit, 105),
    (IndexNotVerified, 100),
    (SweepRemovesHeld, 0),
    (EndUploadDropsNamed, 0),
    (WipedIsMember, 128),
    (FrameHashIgnored, 5),
    (FolderReused, 0),
    (OfflineIsAbsent, 4),
    (ListFromFewer, 9),
    (AbandonAfterAccept, 170),
    (WriteQuorumTooSmall, 44),
    (AcceptQuorumTooSmall, 0),
    (PrepareQuorumTooSmall, 0),
    (CompleteInTwoVotes, 41),
    (NoDeadline, 9),
];

/// How many seeds each gets. A change of the server moves the seeds that notice a mutant, not how many do.
const SEEDS: u64 = 60;

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    let scenario = Scenario::new("every_mutant_is_caught");
    let missed = |(mutant, first): &(Mutant, u64)| {
        let seeds = *first..first + SEEDS;
        scenario.first_failure(seeds, broken(*mutant)).is_none()
    };
    let missed: Vec<_> = MUTANTS.into_iter().filter(missed).collect();
    assert_eq!(missed, [], "mutants that no seed noticed");
}

/// Those of the protocol, in the server.
const PROTOCOL: [Break; 9] = [
    Break::NoFencing,
    Break::PreviousDroppedAtAccept,
    Break::DropWithoutAccepted,
    Break::ReplyBeforeDurable,
    Break::BestEffortUndo,
    Break::RollBackWithoutCounting,
    Break::ReadWithoutWriteBack,
    Break::ProposeAgain,
    Break::BaseNotChosen,
];

fn broken(mutant: Mutant) -> impl Fn(World) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    move |world| {
        world.set_mutation(mutant.into());
        Box::pin(one_node(world, Kind::Honest))
    }
}

#[test]
#[ignore = "measures: MUTANT=name or all, SIM_FIRST and SIM_SEEDS the seeds"]
#[allow(clippy::disallowed_methods, reason = "measures real time")]
fn measure_mutants() {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let wanted = env::var("MUTANT").unwrap_or_default();
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(2000));
    let all = MUTANTS.iter().map(|(mutant, ..)| *mutant).chain(PROTOCOL.map(Protocol));
    for mutant in all {
        if !format!("{mutant:?}").contains(&wanted) {
            continue;
        }
        let began = Instant::now();
        let caught = Scenario::new("measure_mutants").first_failure(first..first + count, broken(mutant));
        let secs = began.elapsed().as_secs_f64();
        let how = caught.map(|(seed, failure)| (seed, failure.message.chars().take(160).collect::<String>()));
        println!("MUTANT {mutant:?} {secs:.1} s {how:?}");
    }
}
