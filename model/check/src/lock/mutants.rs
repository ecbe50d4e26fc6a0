//! Mutants of the protocol of locks, and the rules that catch them.

use super::bounds::{NONE, world};
use super::rules::Rule;
use super::state::{Faults, World};
use crate::topic::Break;
use model::lock::Terms;
use model::lock::mutant::{Mutant, Mutation};

/// Returns the same world without a mutant.
fn sound(world: &World) -> World {
    World {
        mutation: Mutation::NONE,
        terms: Terms {
            deadline: 2,
            ..world.terms
        },
        faults: Faults {
            steps: 0,
            ..world.faults
        },
        ..world.clone()
    }
}

fn with(mutant: Mutant, world: World) -> World {
    World {
        mutation: mutant.into(),
        ..world
    }
}

/// Returns the world with holders that count on a lease for `deadline` ticks.
fn with_deadline(deadline: u64, world: World) -> World {
    World {
        terms: Terms {
            deadline,
            ..world.terms
        },
        ..world
    }
}

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    let restarting = Faults { restarts: 1, ..NONE };
    let stepping = Faults { steps: 1, ..NONE };
    vec![
        (
            "lock granted at n/2",
            &[Exclusive],
            with(Mutant::GrantedByHalf, world(2, &[1, 1], NONE)),
        ),
        (
            "a server that restarts grants at once",
            &[Exclusive, RestartIsQuiet],
            with(Mutant::RestartGrants, world(1, &[1, 1], restarting)),
        ),
        (
            "a server that restarts renews at once",
            &[Exclusive, LostIsKnown],
            with(
                Mutant::RestartRenews,
                world(3, &[1, 1], restarting).with_clocks_that_agree(),
            ),
        ),
        (
            "a lease is ignored",
            &[Exclusive],
            with(Mutant::LeaseIgnored, world(1, &[1, 1], NONE)),
        ),
        (
            "a lease is kept until it is released",
            &[FreeAfterExpiry],
            with(Mutant::NeverExpires, world(1, &[1, 1], NONE)),
        ),
        (
            "a server that has restarted stays quiet",
            &[FreeAfterExpiry],
            with(Mutant::QuietForEver, world(1, &[1, 1], restarting)),
        ),
        (
            "a release by anybody",
            &[Exclusive],
            with(Mutant::ReleasedByAnybody, world(1, &[2, 2], NONE)),
        ),
        (
            "expiry by a clock that is set",
            &[Exclusive, LostIsKnown],
            world(1, &[1, 1], stepping),
        ),
        (
            "a deadline as long as a lease",
            &[Exclusive],
            with_deadline(4, world(1, &[1, 1], NONE)),
        ),
        (
            "a deadline longer than clocks allow",
            &[Exclusive],
            with_deadline(3, world(1, &[1, 1], NONE)),
        ),
        (
            "a deadline from the answer",
            &[Exclusive],
            with(
                Mutant::DeadlineFromAnswer,
                world(3, &[1, 1], NONE).with_clocks_that_agree(),
            ),
        ),
        (
            "renewed by one server",
            &[Exclusive, LostIsKnown],
            with(Mutant::RenewedByOne, world(3, &[1, 1], NONE).with_clocks_that_agree()),
        ),
        (
            "a holder believes until it is refused",
            &[Exclusive, LostIsKnown],
            with(Mutant::BelievesUntilRefused, world(1, &[1, 1], NONE)),
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
