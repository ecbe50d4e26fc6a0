//! Mutants of versions, and the rules that catch them.

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
    let mut dropping = world("pe pe");
    dropping.protocol = DriveMutant::FinalizeDropsKept.into();
    vec![
        (
            "suspended put takes the place of the latest",
            &[Kept],
            with(Mutant::SuspendedReplacesLatest, world("ps l").on_versions()),
        ),
        (
            "put with versioning takes the null's place",
            &[Kept],
            with(Mutant::EnabledReplacesNull, world("pe l").on_versions()),
        ),
        (
            "delete of a version takes the one before it",
            &[Kept],
            with(Mutant::DeleteTakesPredecessor, world("de x10 l").on_versions()),
        ),
        (
            "times from the raw clock",
            &[OrderIsChain],
            with(Mutant::RawClock, world("pe pe")),
        ),
        (
            "completed whether or not it is open",
            &[Linearizable],
            with(Mutant::CompleteUnopened, world("ce ce")),
        ),
        (
            "anybody's marker taken for one's own",
            &[Linearizable],
            with(Mutant::AnyMarkerIsOwn, world("de de l").with_lost(1)),
        ),
        (
            "condition that overlooks a marker",
            &[Precondition],
            with(Mutant::ConditionOverlooksMarker, world("pe de pem")),
        ),
        (
            "change proposed again",
            &[NoResurrection],
            with(Mutant::ChangeProposedAgain, world("pe x10").with_lost(1)),
        ),
        (
            "replaces what it keeps",
            &[ReplacedIsGone],
            with(Mutant::ReplacesKept, world("pe ps")),
        ),
        ("all that was named before dropped", &[DataKept], dropping),
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
