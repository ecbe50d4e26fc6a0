//! Mutants of a first start, and the rules that catch them.

use super::bounds::{NONE, world};
use super::rules::Rule;
use super::state::{Faults, World};
use crate::topic::Break;
use model::formation::mutant::{Mutant, Mutation};

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn with(mutant: Mutant, world: World) -> World {
    World {
        mutation: mutant.into(),
        ..world
    }
}

/// Returns the same world without a mutant.
fn sound(world: &World) -> World {
    World {
        mutation: Mutation::NONE,
        overlaps: false,
        ..world.clone()
    }
}

fn table() -> Vec<Row> {
    use Rule::*;
    let restarting = Faults { restarts: 1, ..NONE };
    let crashing = Faults {
        crashes: 1,
        ..restarting
    };
    let wiping = Faults { wipes: 1, ..NONE };
    let silent = Faults {
        silences: 1,
        ..restarting
    };
    vec![
        (
            "begun before all nodes are looked at",
            &[OneDeployment],
            with(Mutant::BeginsBeforeLooking, world(&[1, 1], restarting)),
        ),
        (
            "begun before all nodes are looked at",
            &[RefuseChangesNothing],
            with(Mutant::BeginsBeforeLooking, world(&[1, 1], NONE).with_refused(1, 0)),
        ),
        (
            "begun by looks that nobody has confirmed",
            &[OneDeployment],
            with(
                Mutant::BeginsUnconfirmed,
                world(&[1, 1, 1], Faults { swaps: 2, ..NONE }),
            ),
        ),
        (
            "begun beside a refused drive",
            &[RefuseChangesNothing],
            with(Mutant::BeginsBesideRefused, world(&[1, 1], NONE).with_refused(1, 0)),
        ),
        (
            "another deployment made of one that was begun",
            &[OneDeployment, Ends],
            with(Mutant::MakesAnother, world(&[1, 1], restarting)),
        ),
        (
            "begun again after a drive was complete",
            &[WipedIsUnknown],
            with(Mutant::BeginsAfterComplete, world(&[1, 1, 1], wiping)),
        ),
        (
            "completed once most nodes have begun",
            &[CompleteAfterAll],
            with(Mutant::CompletesEarly, world(&[1, 1, 1], NONE)),
        ),
        (
            "an earlier leader obeyed",
            &[OneLeader, OneDeployment],
            with(Mutant::ObeysEarlierLeaders, world(&[1, 1], restarting)),
        ),
        (
            "a leader obeyed whatever it has looked at",
            &[OneLeader],
            with(Mutant::ObeysEarlierLooks, world(&[1, 1], silent)),
        ),
        (
            "a leader obeyed that has not looked",
            &[OneLeader],
            with(Mutant::ObeysStrangers, world(&[1, 1], crashing)),
        ),
        (
            "a node looked at while it begins",
            &[OneLeader, OneDeployment],
            World {
                overlaps: true,
                ..world(&[1, 1], restarting)
            },
        ),
        (
            "a node completes when another has begun",
            &[CompleteAfterAll],
            with(Mutant::FinishesAfterBegun, world(&[1, 1, 1], NONE)),
        ),
        (
            "a node with a complete drive waits for another",
            &[Ends],
            with(Mutant::WaitsForOthers, world(&[1, 3], Faults { crashes: 1, ..wiping })),
        ),
        (
            "an empty drive completed beside complete ones",
            &[WipedIsUnknown],
            with(Mutant::AdoptsEmpty, world(&[1, 1], wiping)),
        ),
        (
            "the only complete drive serves",
            &[WipedIsUnknown],
            with(Mutant::ServesAlone, world(&[1, 1], wiping)),
        ),
    ]
}

/// Returns the mutants, with the worlds in which they must be caught.
pub(super) fn mutants() -> Vec<Break> {
    let breaks = table().into_iter().map(|(name, rules, world)| {
        let sound = sound(&world);
        Break::new(name, rules, world, sound)
    });
    breaks.collect()
}
