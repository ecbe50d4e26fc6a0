//! Mutants of uploads, and the rules that catch them.

use super::bounds::world;
use super::rules::Rule;
use super::state::World;
use crate::topic::Break;
use model::protocol::mutant::{Mutant as DriveMutant, Mutation as DriveMutation};
use model::record::mutant::{Mutant, Mutation};

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], World);

fn with(mutant: Mutant, mut world: World) -> World {
    world.mutation = mutant.into();
    world
}

fn table() -> Vec<Row> {
    use Rule::*;
    let mut healed = world("cp").with_heal();
    healed.protocol = DriveMutant::InstallDropsParts.into();
    let finalized = World {
        heals: 0,
        ..healed.clone()
    };
    vec![
        (
            "completed in two votes",
            &[Once],
            with(Mutant::CompleteInTwoVotes, world("cc")),
        ),
        (
            "completed whether or not it is open",
            &[Once, Linearizable],
            with(Mutant::CompleteUnopened, world("ca")),
        ),
        (
            "completed with whatever part is there",
            &[PartsAsNamed],
            with(Mutant::CompleteTakesAnyPart, world("uc")),
        ),
        (
            "upload looked for before its parts are read",
            &[InvalidPartIsKnown],
            with(Mutant::CompleteReadsKeyFirst, world("ca")),
        ),
        (
            "ambiguous completion proposed again",
            &[Linearizable],
            with(Mutant::EndProposedAgain, world("c").with_lost(1)),
        ),
        (
            "part not checked again before its vote",
            &[PartNeedsOpen],
            with(Mutant::PartNotCheckedAgain, world("ua")),
        ),
        (
            "abort cleans up before it is chosen",
            &[PartsKept, EndIsKnown],
            with(Mutant::AbortCleansEarly, world("ca")),
        ),
        (
            "clean-up by a drive that has not heard of the end",
            &[PartsKept, EndIsKnown],
            with(Mutant::EndUnheard, world("c").with_lag()),
        ),
        (
            "clean-up of what the version names",
            &[PartsKept],
            with(Mutant::EndDropsNamed, world("c")),
        ),
        (
            "replaced part dropped",
            &[PartsKept],
            with(Mutant::ReplacedPartDropped, world("cu")),
        ),
        ("heal drops parts of an open upload", &[PartsKept], healed),
        ("the next choice drops parts of an open upload", &[PartsKept], finalized),
    ]
}

/// Returns the mutants, with the worlds in which they must be caught.
pub(super) fn mutants() -> Vec<Break> {
    let breaks = table().into_iter().map(|(name, rules, broken)| {
        let mut sound = broken.clone();
        (sound.mutation, sound.protocol) = (Mutation::NONE, DriveMutation::NONE);
        Break::new(name, rules, broken, sound)
    });
    breaks.collect()
}
