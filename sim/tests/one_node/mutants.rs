//! Each way to break the server is noticed (`specs/mutants.md`).

use crate::{life::one_node, plan::Kind};
use model::protocol::mutant::Mutant as Break;
use sim::{World, run::Scenario};
use std::{env, time::Instant};
use store::runtime::{Mutant, Mutant::*};

/// Every mutant, and from which seed on how many seeds are tried.
const MUTANTS: [(Mutant, u64, u64); 18] = [
    (ShardFileNotSynced, 0, 2000),
    (ShardFolderNotSynced, 0, 2000),
    (IndexNotSynced, 0, 2000),
    (ReplyBeforeCommit, 0, 2000),
    (IndexNotVerified, 0, 2000),
    (SweepRemovesHeld, 0, 2000),
    (EndUploadDropsNamed, 0, 2000),
    (WipedIsMember, 0, 2000),
    (FrameHashIgnored, 0, 2000),
    (FolderReused, 0, 2000),
    (OfflineIsAbsent, 0, 2000),
    (ListFromFewer, 0, 2000),
    (AbandonAfterAccept, 0, 2000),
    (WriteQuorumTooSmall, 0, 2000),
    (AcceptQuorumTooSmall, 0, 2000),
    (PrepareQuorumTooSmall, 0, 2000),
    (CompleteInTwoVotes, 0, 2000),
    (NoDeadline, 0, 2000),
];

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
