//! Mutants of the protocol of buckets, and the rules that catch them.

use super::bounds::{NONE, world};
use super::rules::Rule;
use super::state::{Faults, World};
use crate::topic::Break;
use model::bucket::mutant::{Mutant, Mutation};
use model::protocol::Quorums;

/// Returns the same world without a mutant.
fn sound(world: &World) -> World {
    World {
        mutation: Mutation::NONE,
        named: true,
        survey: Quorums::of(world.drives),
        ..world.clone()
    }
}

fn with(mutant: Mutant, world: World) -> World {
    World {
        mutation: mutant.into(),
        ..world
    }
}

/// Returns the world with deletions that need one drive fewer than Q.
fn with_fewer(mut world: World) -> World {
    world.survey.prepare -= 1;
    world
}

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    vec![
        (
            "bucket listed on unfenced drives",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::SurveyUnfenced, world(1, 3, "pd", NONE)),
        ),
        (
            "a second deletion that does not list",
            &[DeletedIsEmpty, Linearizable],
            with(Mutant::RemoveUnlisted, world(1, 2, "pdd", NONE)),
        ),
        (
            "what is undecided taken for absent",
            &[DeletedIsEmpty],
            with(Mutant::UndecidedIsEmpty, world(1, 3, "pd", NONE)),
        ),
        (
            "bucket listed at Q - 1",
            &[DeletedIsEmpty],
            with_fewer(world(1, 3, "pd", NONE)),
        ),
        (
            "bucket listed in one set",
            &[DeletedIsEmpty],
            with(Mutant::SurveyOneSet, world(2, 2, "pqd", NONE)),
        ),
        (
            "a deletion called off ends a later one",
            &[DeletedIsEmpty],
            with(Mutant::RemoveInAnyTurn, world(1, 2, "pdd", NONE)),
        ),
        (
            "live again in the same turn",
            &[Usable],
            with(Mutant::ReopenInSameTurn, world(1, 2, "pd", NONE)),
        ),
        (
            "a refused writer only waits",
            &[Usable],
            with(Mutant::WriterWaitsOnly, world(1, 2, "pd", NONE)),
        ),
        (
            "a lost gate is open",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::ForgottenIsOpen, world(1, 3, "pd", lossy)),
        ),
        (
            "a gate is closed before it is durable",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::ClosedLazily, world(1, 3, "pd", rebooting)),
        ),
        (
            "a late answer opens a gate",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::AnswerLowers, world(1, 3, "pd", NONE).cold()),
        ),
        (
            "an answer outlives the loss of the gate",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::AnswerOutlivesLoss, world(1, 2, "pd", lossy).cold()),
        ),
        (
            "a gate for all incarnations",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::AnyIncarnation, world(1, 1, "pdcp", NONE)),
        ),
        (
            "keys that do not name the incarnation",
            &[IncarnationsApart],
            World {
                named: false,
                ..world(1, 1, "pdcd", NONE)
            },
        ),
        (
            "the gate asked at Prepare alone",
            &[DeletedIsEmpty, GateHolds],
            with(Mutant::VoteUngated, world(1, 3, "pd", NONE)),
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
