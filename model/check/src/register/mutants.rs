//! Mutants of the protocol, and the rules that catch them.

use super::bounds::{NONE, enough, world};
use super::rules::Rule;
use super::state::{Faults, World};
use super::walks::walk;
use crate::topic::{Break, Walked};
use model::protocol::Quorums;
use model::protocol::mutant::{Mutant, Mutation};

/// Returns the same world without a mutant.
fn sound(world: &World) -> World {
    let mut world = world.clone();
    world.mutation = Mutation::NONE;
    world.broken = false;
    world.quorums.fill(Quorums::of(world.drives));
    for change in &mut world.changes {
        change.shards_late = 0;
        change.write = enough(world.drives, change.data);
    }
    world
}

fn with(mutant: Mutant, mut world: World) -> World {
    world.mutation = mutant.into();
    world.broken = true;
    if mutant == Mutant::AcceptWithoutShard {
        world
            .changes
            .iter_mut()
            .for_each(|change| change.shards_late = world.drives);
    }
    world
}

/// Returns the world with other quorums: A, Q and W.
fn with_quorums(mut world: World, accept: u8, prepare: u8, write: u8) -> World {
    let quorums = Quorums {
        drives: world.drives,
        accept,
        prepare,
    };
    world.quorums.fill(quorums);
    world.changes.iter_mut().for_each(|change| change.write = write);
    world.broken = true;
    world
}

/// Returns the world with each operation's quorums derived from its own K, as if quorums depended on the version.
fn with_quorums_of_versions(world: World) -> World {
    let mut world = world;
    for (quorums, change) in world.quorums.iter_mut().zip(&world.changes) {
        *quorums = Quorums {
            drives: world.drives,
            accept: change.write,
            prepare: world.drives - change.write + 1,
        };
    }
    world.broken = true;
    world
}

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    let wiping = Faults { wipes: 1, ..NONE };
    let rotting = Faults { rots: 1, ..NONE };
    let doubling = Faults { doubles: 1, ..NONE };
    let silent = Faults { silences: 1, ..NONE };
    let given_up = Faults { deadlines: 1, ..silent };
    vec![
        (
            "no fencing",
            &[PromiseHolds, Precondition, Linearizable],
            with(Mutant::NoFencing, world(3, 2, "cc", 1, NONE)),
        ),
        (
            "read without write-back",
            &[Linearizable],
            with(Mutant::ReadWithoutWriteBack, world(2, 1, "pgg", 1, NONE)),
        ),
        (
            "Q - 1",
            &[Linearizable],
            with_quorums(world(4, 2, "pg", 1, NONE), 3, 1, 3),
        ),
        (
            "previous data dropped at accept",
            &[AckedSurvives, NoNegativeEvidence],
            with(Mutant::PreviousDroppedAtAccept, world(3, 2, "pG", 1, NONE).on_a_value()),
        ),
        (
            "roll back without counting",
            &[Chain, Linearizable],
            with(Mutant::RollBackWithoutCounting, world(4, 2, "pG", 2, NONE)),
        ),
        (
            "abort counted by ballot",
            &[Chain, Linearizable],
            with(Mutant::AbortCountedByBallot, world(2, 1, "pGG", 1, lossy)),
        ),
        (
            "404 when fewer than K are seen",
            &[NotFoundIsKnown],
            with(Mutant::NotFoundBelowK, world(4, 2, "pg", 1, NONE)),
        ),
        (
            "best-effort undo",
            &[AckedSurvives, Linearizable],
            with(Mutant::BestEffortUndo, world(2, 1, "pGG", 1, given_up)),
        ),
        (
            "shard sent only with Accept",
            &[AcceptedMeansStaged, AckedSurvives],
            with(Mutant::AcceptWithoutShard, world(2, 1, "pG", 2, lossy)),
        ),
        (
            "W too small",
            &[AcceptedMeansStaged, AckedSurvives],
            with_quorums(world(4, 2, "p", 1, lossy), 3, 2, 2),
        ),
        // With a majority to accept there is no split brain, K = M or not; with K there is.
        (
            "W = K with K = M",
            &[NoSplitBrain],
            with_quorums(world(4, 2, "pp", 1, NONE), 2, 2, 2),
        ),
        (
            "proposed again",
            &[NoResurrection],
            with(Mutant::ProposeAgain, world(3, 2, "pd", 2, silent)),
        ),
        (
            "quorums from the version's K",
            &[BySet, NotFoundIsKnown, Linearizable],
            with_quorums_of_versions(world(4, 2, "pg", 1, NONE).with_data(&[2, 4])),
        ),
        (
            "floor not raised at boot",
            &[PromiseHolds, Precondition, Linearizable],
            with(Mutant::FloorNotRaised, world(3, 2, "cc", 1, rebooting)),
        ),
        (
            "stage acknowledgements instead of grants",
            &[AcceptedMeansStaged, AckedSurvives],
            with(Mutant::TrustStaging, world(3, 2, "px", 2, NONE)),
        ),
        (
            "Discard without accepted = h",
            &[AckedSurvives],
            with(Mutant::DiscardWithoutAccepted, world(3, 2, "px", 2, NONE)),
        ),
        (
            "Discard ignores the floor",
            &[AckedSurvives],
            with(Mutant::DiscardIgnoresFloor, world(3, 2, "px", 2, rebooting)),
        ),
        (
            "precondition on a base not known to be chosen",
            &[Precondition, PrevIsChosen],
            with(Mutant::BaseNotChosen, world(3, 2, "pm", 1, NONE)),
        ),
        (
            "wiped drive authoritative at once",
            &[AuthorityIsEarned, NotFoundIsKnown, Linearizable],
            with(Mutant::WipedSpeaks, world(2, 1, "pg", 1, wiping)),
        ),
        (
            "epoch used before it is at A drives",
            &[EpochFences],
            with(Mutant::EpochUnsettled, world(4, 2, "d", 2, Faults { wipes: 2, ..NONE })),
        ),
        (
            "join without epoch",
            &[EpochFences, PromiseHolds, Chain],
            with(Mutant::JoinWithoutEpoch, world(3, 2, "cc", 1, wiping)),
        ),
        (
            "join with a floor instead",
            &[EpochFences, PromiseHolds, Chain],
            with(Mutant::JoinWithFloor, world(3, 2, "cc", 1, wiping)),
        ),
        (
            "heal of absence from unfenced drives",
            &[AuthorityIsEarned, NotFoundIsKnown],
            with(Mutant::HealUnfenced, world(3, 2, "pg", 1, wiping)),
        ),
        (
            "install without promise",
            &[InstallIsChosen],
            with(Mutant::InstallWithoutPromise, world(3, 2, "ph", 2, NONE)),
        ),
        (
            "install of an unchosen value",
            &[InstallIsChosen],
            with(Mutant::InstallUnchosen, world(3, 2, "ph", 1, NONE)),
        ),
        (
            "shards replaced by a heal",
            &[NeverLowers],
            with(Mutant::InstallReplacesShards, world(3, 2, "ph", 2, NONE)),
        ),
        (
            "dangling version deleted",
            &[Linearizable],
            with(Mutant::DanglingDeleted, world(4, 2, "hG", 2, lossy).on_a_value()),
        ),
        (
            "dangling value called off",
            &[Chain, Linearizable],
            with(Mutant::DanglingCalledOff, world(4, 2, "pG", 2, NONE)),
        ),
        (
            "called off one vote too early",
            &[Chain, Linearizable],
            with(Mutant::CalledOffOneEarly, world(4, 2, "pG", 2, NONE)),
        ),
        (
            "purge without floor",
            &[PurgeIsTotal, PromiseHolds, Chain],
            with(Mutant::PurgeWithoutFloor, world(2, 1, "pdu", 1, NONE).on_a_value()),
        ),
        (
            "promise forgotten by purge",
            &[PromiseHolds],
            with(Mutant::PurgeForgetsPromise, world(2, 1, "dupp", 1, NONE).on_a_value()),
        ),
        (
            "purge at fewer than N",
            &[PurgeIsTotal, Linearizable],
            with(Mutant::PurgeAtFewer, world(3, 2, "duc", 1, NONE).on_a_value()),
        ),
        (
            "plain read that takes a purged drive's none",
            &[Linearizable],
            with(Mutant::ReadTakesPurged, world(2, 1, "pduH", 1, NONE).on_a_value()),
        ),
        (
            "join without a floor",
            &[Linearizable],
            with(Mutant::JoinLeavesFloor, world(2, 1, "pduH", 1, wiping).on_a_value()),
        ),
        (
            "rotten record taken for absence",
            &[AuthorityIsEarned, NotFoundIsKnown],
            with(Mutant::RottenIsAbsent, world(2, 1, "pg", 1, rotting)),
        ),
        (
            "rotten record without a floor",
            &[PromiseHolds, Chain],
            with(Mutant::RottenWithoutFloor, world(3, 2, "cc", 1, rotting)),
        ),
        (
            "hi not raised",
            &[HiCovers, PromiseHolds],
            with(Mutant::HiNotRaised, world(3, 2, "cc", 1, rebooting)),
        ),
        (
            "ballots used again",
            &[OneValuePerBallot],
            with(Mutant::BallotsUsedAgain, world(4, 2, "dd", 1, NONE).on_a_value()),
        ),
        (
            "install below a vote",
            &[HealIsNoOp, PowerLoss],
            with(Mutant::InstallLowersVote, world(3, 2, "pp", 1, doubling).in_brief()),
        ),
        (
            "change made of whatever is there",
            &[OnKnownBase],
            with(Mutant::ChangeOnAnyBase, world(3, 2, "ppG", 1, NONE).in_brief()),
        ),
        (
            "drives that lack the base left alone",
            &[LaggardHealed],
            with(Mutant::LaggardNotHealed, world(3, 2, "pp", 1, NONE).in_brief()),
        ),
        (
            "opened shards kept when a key is read again",
            &[OneDataFolder],
            with(Mutant::OpenedKept, world(3, 2, "pf", 1, NONE).on_a_value()),
        ),
        (
            "Finalize drops nothing",
            &[NoGarbage],
            with(Mutant::FinalizeDropsNothing, world(2, 1, "d", 1, NONE).on_a_value()),
        ),
        (
            "what older votes named forgotten",
            &[NoGarbage],
            with(Mutant::SupersededForgotten, world(3, 2, "pd", 1, NONE).on_a_value()),
        ),
        (
            "what older votes named dropped at once",
            &[AcceptedMeansStaged],
            with(Mutant::SupersededDroppedAtAccept, world(4, 2, "pdG", 1, NONE)),
        ),
        (
            "reply before durable",
            &[PowerLoss],
            with(Mutant::ReplyBeforeDurable, world(3, 2, "p", 1, rebooting)),
        ),
    ]
}

/// Returns the mutants, with the worlds in which they must be caught.
pub(super) fn mutants() -> Vec<Break> {
    let breaks = table().into_iter().map(|(name, rules, world)| {
        let sound = sound(&world);
        Break::new(name, rules, world, sound)
    });
    let lossy = Faults { losses: 1, ..NONE };
    let wiping = Faults { wipes: 1, ..NONE };
    let unending = [
        (
            "heal of what is known to be chosen alone",
            "live.heals",
            with(Mutant::HealOnlyChosen, world(3, 2, "ph", 1, NONE)),
        ),
        (
            "drives that fail waited for",
            "live.resolves",
            with(Mutant::FailureIgnored, world(3, 2, "ph", 1, NONE)),
        ),
        (
            "a change's base brought to a drive that forgot",
            "live.heals",
            with(Mutant::BaseToForgetful, world(3, 2, "pph", 1, wiping).in_brief()),
        ),
        (
            "changes sent again to drives that refuse them",
            "live.resolves",
            with(Mutant::ChangesAgain, world(4, 2, "ph", 1, lossy).in_brief()),
        ),
    ];
    let unending = unending.map(|(name, rule, world)| {
        let world = world.with_rescues();
        let sound = sound(&world);
        Break::new(name, &[rule], world, sound)
    });
    breaks.chain(unending).collect()
}

/// Returns the mutants that random walks must catch.
pub(super) fn walked() -> Vec<Walked> {
    let silences = Faults { silences: 6, ..NONE };
    let rots = Faults { rots: 1, ..NONE };
    let walked = [
        // A healer that leaves undecided votes alone.
        (
            "heal of what is known to be chosen alone",
            "live.heals",
            with(Mutant::HealOnlyChosen, world(5, 3, "pphG", 30, silences)),
        ),
        // A clean-up that does not return to the drives that refuse its first ballot.
        (
            "clean-up of some drives",
            "drive.no-garbage",
            with(Mutant::CleanUpOfSome, world(5, 3, "ppG", 30, rots).with_clean_ups()),
        ),
    ];
    let walked = walked.into_iter().map(|(name, rule, world)| {
        Walked::new(name, rule, world.bounds(), 300, move |seed| {
            let _ = walk(&world, seed);
        })
    });
    walked.collect()
}
