//! Mutants of listings, and the rules that catch them.

use super::bounds::world;
use super::rules::Rule;
use super::state::World;
use crate::topic::Break;
use model::list::mutant::{Mutant, Mutation};
use model::protocol::Quorums;
use model::protocol::mutant::{Mutant as OfRegister, Mutation as RegisterMutation};

fn with(mutant: Mutant, world: World) -> World {
    World {
        mutation: mutant.into(),
        ..world
    }
}

fn sound(world: &World) -> World {
    World {
        mutation: Mutation::NONE,
        register_mutation: RegisterMutation::NONE,
        quorums: Quorums::of(world.drives),
        ..world.clone()
    }
}

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    let plain = || world(3, &["012"], &[], 1);
    let mut at_fewer = plain();
    at_fewer.quorums.prepare -= 1;
    vec![
        ("listed at Q - 1", &[Complete, AsRead, SpeaksForRange], at_fewer),
        (
            "pages taken to speak as far as the longest",
            &[Complete, SpeaksForRange],
            with(Mutant::LongestSpan, plain()),
        ),
        (
            "sets taken to speak as far as the furthest",
            &[Complete],
            with(Mutant::LongestSet, world(1, &["pnp", "ppp"], &[], 1)),
        ),
        (
            "the last key of a page begins the next",
            &[InOrder],
            with(Mutant::LastKeyAgain, plain()),
        ),
        (
            "undecided left out of a listing",
            &[Complete, AsRead],
            with(Mutant::UndecidedLeftOut, world(3, &["o"], &[], 1)),
        ),
        (
            "undecided listed",
            &[AsRead],
            World {
                register_mutation: OfRegister::ReadWithoutWriteBack.into(),
                ..world(3, &["p"], &[('p', 1), ('g', 1)], 1)
            },
        ),
        (
            "seen on one page left out",
            &[Complete, AsRead],
            with(Mutant::SeenOnceLeftOut, plain()),
        ),
        (
            "a page from before the listing",
            &[Complete, AsRead],
            with(Mutant::PageFromBefore, world(3, &["n"], &[('p', 1)], 1)),
        ),
        (
            "a recovering drive speaks for all",
            &[Complete, SpeaksForRange],
            with(Mutant::RecoveringSpeaks, world(3, &["p1"], &[], 1).recovering(1, &[])),
        ),
        (
            "a recovering drive passes over what it lost",
            &[Complete, SpeaksForRange],
            with(Mutant::UnknownPassedOver, world(3, &["1p"], &[], 1).recovering(2, &[1])),
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
