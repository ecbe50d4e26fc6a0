//! The configurations of versions that are exhausted, and the ways to break them.

use check::explore::{Break, catch, exhaust};
use check::history::versions::bounds::world;
use check::history::versions::rules::Rule;
use check::history::versions::world::World;
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
    ];
    let rows = worlds.into_iter().map(|world| (world.bounds(), world)).collect();
    exhaust(rows, LIMIT);
}

/// A mutant's name, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, &'static [Rule], Mutant, World);

fn table() -> Vec<Row> {
    use Rule::*;
    vec![
        (
            "suspended put takes the place of the latest",
            &[Kept],
            Mutant::SuspendedReplacesLatest,
            world("ps l").on_versions(),
        ),
        (
            "put with versioning takes the place of the null version",
            &[Kept],
            Mutant::EnabledReplacesNull,
            world("pe l").on_versions(),
        ),
        (
            "delete of a version takes the one before it",
            &[Kept],
            Mutant::DeleteTakesPredecessor,
            world("de x10 l").on_versions(),
        ),
        (
            "times from the raw clock",
            &[OrderIsChain],
            Mutant::RawClock,
            world("pe pe"),
        ),
        (
            "completed whether or not it is open",
            &[Linearizable],
            Mutant::CompleteUnopened,
            world("ce ce"),
        ),
        (
            "says that it replaces what it keeps",
            &[ReplacedIsGone],
            Mutant::ReplacesKept,
            world("pe ps"),
        ),
    ]
}

#[test]
fn every_mutant_is_caught() {
    let breaks = table().into_iter().map(|(name, rules, mutant, sound)| {
        let mut broken = sound.clone();
        broken.mutation = mutant.into();
        assert_eq!(sound.mutation, Mutation::NONE);
        Break {
            name,
            rules: rules.iter().map(|rule| rule.name()).collect(),
            bounds: sound.bounds(),
            sound,
            world: broken,
        }
    });
    catch(breaks.collect(), LIMIT);
}
