//! The configurations of versions that are exhausted, and the ways to break them.

use check::explore::{Break, catch, exhaust};
use check::history::versions::bounds::world;
use check::history::versions::rules::Rule;
use check::history::versions::world::World;
use model::protocol::mutant::{Mutant as DriveMutant, Mutation as DriveMutation};
use model::record::mutant::{Mutant, Mutation};
use std::time::Duration;

/// For one exploration.
const LIMIT: Duration = Duration::from_secs(100);

#[test]
fn every_rule_holds() {
    let worlds = vec![
        world("pu pu du l").with_lost(2),
        world("pe pe de l").with_lost(2),
        world("pe ps ds l").on_versions().with_lost(1),
        world("ps ps de x0").on_versions().with_lost(2),
        world("pe x10 x0 l").on_versions().with_lost(2),
        world("de x10 pen l").on_versions().with_lost(1),
        world("pe pem dsn l").on_versions().with_lost(1),
        world("du x90 ps x0").on_versions().with_lost(2),
        world("ce pe x10 l").with_lost(2),
        world("cs ps ds l").on_versions().with_lost(1),
        world("cu du pun x0").with_lost(2),
        world("pe x99 de cs l").on_versions().with_lost(1),
        world("pe de ps x10 x0").on_versions().with_lost(1),
        world("ce ds pum x0 l").on_versions().with_lost(1),
    ];
    exhaust(worlds, LIMIT);
}

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

#[test]
fn every_mutant_is_caught() {
    let breaks = table().into_iter().map(|(name, rules, broken)| {
        let mut sound = broken.clone();
        (sound.mutation, sound.protocol) = (Mutation::NONE, DriveMutation::NONE);
        Break::new(name, rules, broken, sound)
    });
    catch(breaks.collect(), LIMIT);
}
