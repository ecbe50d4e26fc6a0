//! Mutants of the server that the scenario of one node must notice (`specs/mutants.md`).

use super::{
    life::one_node_as,
    names::name,
    plan::{Budget, Fault, Kind, Plan},
};
use crate::{
    World,
    drive::Unsynced,
    mutants::{Broken, Mutants, Running},
};
use madsim::time::Duration;
use model::protocol::mutant::Mutant as Break;
use store::runtime::{Mutant, Mutant::*};

/// Changes a plan so that the faults that reveal a mutant are frequent.
pub type Focus = fn(&mut Plan);

/// Mutant of the server: a switch in its code, or files below it that are not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyMutant {
    Server(Mutant),
    Files(Unsynced),
}

impl From<Mutant> for AnyMutant {
    fn from(mutant: Mutant) -> AnyMutant {
        AnyMutant::Server(mutant)
    }
}

/// Number of seeds for each mutant. When this was written each was noticed within 190: a change of the server moves the
/// seeds that notice a mutant, but not their frequency.
const SEEDS: u64 = 300;

/// Returns every mutant with its focus: a rare combination of faults must not depend on a lucky seed.
pub fn mutants() -> Mutants {
    mutants_of(|_| true)
}

/// Returns mutants that about the first ten seeds notice, one of each kind.
pub fn some_mutants() -> Mutants {
    mutants_of(|mutant| QUICK.contains(mutant))
}

/// Returns those that no seed has noticed, too: for measurements.
pub fn mutants_and_unnoticed() -> Mutants {
    let unnoticed = UNNOTICED.map(Protocol).into_iter().chain(UNNOTICED.map(Unlocked));
    mutants().and(unnoticed.map(|mutant| named(mutant.into(), as_drawn)))
}

fn mutants_of(is_wanted: impl Fn(&AnyMutant) -> bool) -> Mutants {
    let files = FILES.map(|(unsynced, focus)| (AnyMutant::Files(unsynced), focus));
    let server = SERVER.map(|(mutant, focus)| (AnyMutant::Server(mutant), focus));
    let wanted = files.into_iter().chain(server).filter(|(mutant, _)| is_wanted(mutant));
    let mutants = wanted.map(|(mutant, focus)| named(mutant, focus));
    Mutants::new("mutants of the server", SEEDS, mutants)
}

fn named(mutant: AnyMutant, focus: Focus) -> Broken {
    Broken::new(mutant, name(mutant), broken(mutant, focus))
}

const QUICK: [AnyMutant; 5] = [
    AnyMutant::Files(Unsynced::Index),
    AnyMutant::Server(OfflineIsAbsent),
    AnyMutant::Server(AcceptQuorumTooSmall),
    AnyMutant::Server(OneShardForAll),
    AnyMutant::Server(ConditionApart),
];

const FILES: [(Unsynced, Focus); 4] = [
    (Unsynced::ShardFiles, as_drawn),
    (Unsynced::ShardFolders, as_drawn),
    (Unsynced::Index, as_drawn),
    (Unsynced::Log, power_loss),
];

const SERVER: [(Mutant, Focus); 36] = [
    (ReplyBeforeCommit, power_loss),
    (IndexNotVerified, index_rot),
    (RemovedUnderJob, vanishing),
    (SweepRemovesHeld, as_drawn),
    (LogNotReplayed, power_loss),
    (LogNotVerified, log_rot),
    (LogGenerationKept, checkpoints),
    (CheckpointMissesRow, checkpoints),
    (CompactionMissesChanges, compactions),
    (CompactionNotSynced, compactions),
    (CompactionNameNotSynced, compactions),
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
    (NeverSuspected, hangs_alone),
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

pub fn as_drawn(_: &mut Plan) {}

fn power_loss(plan: &mut Plan) {
    (plan.cut, plan.power) = (0.9, 1.0);
}

/// Power losses and very frequent checkpoints of the index.
fn checkpoints(plan: &mut Plan) {
    power_loss(plan);
    plan.log_rows = Some(50);
}

/// Power losses and very frequent compactions of the index.
pub fn compactions(plan: &mut Plan) {
    (plan.cut, plan.power) = (0.9, 1.0);
    plan.compaction = Some(Duration::from_millis(20));
}

fn index_rot(plan: &mut Plan) {
    plan.index_rot = 0.9;
}

/// Rot in the log of one drive at the end of each life, and no other damage that could take the drive out first.
pub fn log_rot(plan: &mut Plan) {
    (plan.drives, plan.set_size, plan.parity) = (4, 4, 2);
    plan.sets = vec![Budget {
        victims: vec![0],
        absentees: vec![0],
    }];
    (plan.log_rot, plan.lives) = (true, 8);
    plan.faults.clear();
    (plan.wipe, plan.swap, plan.late_drive) = (0.0, 0.0, 0.0);
    (plan.index_rot, plan.data_rot) = (0.0, 0.0);
    // A checkpoint would leave few entries to strike.
    (plan.log_rows, plan.compaction) = (None, None);
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

/// Many writers in short lives, so that votes often compete.
pub fn crowd(plan: &mut Plan) {
    (plan.clients, plan.life_max) = (16, Duration::from_millis(500));
    (plan.pause_max, plan.quiet_max) = (Duration::from_micros(200), plan.life_max / 10);
}

/// Clients that are hosts of their own.
pub fn over_http(plan: &mut Plan) {
    plan.http = true;
}

/// One drive of a set hangs now and then; no other faults.
pub fn hangs_alone(plan: &mut Plan) {
    plan.sets.iter_mut().for_each(|set| set.absentees.truncate(1));
    plan.faults = vec![(Fault::Hang, 1)];
    (plan.cut, plan.wipe, plan.swap, plan.late_drive) = (0.0, 0.0, 0.0, 0.0);
    (plan.index_rot, plan.data_rot) = (0.0, 0.0);
    (plan.life_max, plan.quiet_max) = (Duration::from_secs(20), Duration::from_secs(7));
    plan.pause_max = Duration::from_millis(200);
}

fn hangs(plan: &mut Plan) {
    plan.faults = vec![(Fault::Hang, 1)];
}

/// Mutants of the protocol that no seed has noticed: writers of a key queue in the one node, so that few of its votes
/// ever compete. Some are noticed once no lock is kept (`Unlocked`); the checker notices all.
const UNNOTICED: [Break; 6] = [
    Break::PreviousDroppedAtAccept,
    Break::DiscardWithoutAccepted,
    Break::BestEffortUndo,
    Break::RollBackWithoutCounting,
    Break::ReadWithoutWriteBack,
    Break::ProposeAgain,
];

/// Returns the scenario with a mutant.
pub fn broken(mutant: impl Into<AnyMutant>, focus: Focus) -> impl Fn(World) -> Running {
    let mutant = mutant.into();
    move |world| {
        match mutant {
            AnyMutant::Server(mutant) => world.set_mutation(mutant.into()),
            AnyMutant::Files(unsynced) => world.set_unsynced(unsynced),
        }
        Box::pin(async move {
            one_node_as(world, Kind::Honest, focus).await;
        })
    }
}
