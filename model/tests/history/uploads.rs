//! The configurations of uploads that are exhausted, and the ways to break them.

use check::explore::{Break, catch, exhaust, explore};
use check::history::uploads::bounds::world;
use check::history::uploads::rules::Rule;
use check::history::uploads::world::World;
use model::protocol::mutant::{Mutant as DriveMutant, Mutation as DriveMutation};
use model::record::mutant::{Mutant, Mutation};
use std::time::Duration;

/// For one exploration.
const LIMIT: Duration = Duration::from_secs(100);

#[test]
fn every_rule_holds() {
    let worlds = vec![
        world("cc"),
        world("cc").with_lost(1),
        world("cc").with_heal(),
        world("ca"),
        world("ca").with_lost(1),
        world("ca").with_lag(),
        world("cd"),
        world("cp").with_heal(),
        world("cb"),
        world("cu").with_lost(1),
        world("uC").of_two_parts(),
        world("uCc"),
        world("cpu"),
        world("ua").with_lost(1),
        world("cg"),
    ];
    exhaust(worlds, LIMIT);
}

/// One configuration from the environment.
#[test]
#[ignore = "for finding bounds by hand: BOUNDS='cup parts lag heal 1'"]
fn by_hand() {
    let text = std::env::var("BOUNDS").expect("BOUNDS is set");
    let mut words = text.split(' ');
    let mut world = world(words.next().expect("requests"));
    for word in words {
        world = match word {
            "parts" => world.of_two_parts(),
            "lag" => world.with_lag(),
            "heal" => world.with_heal(),
            lost => world.with_lost(lost.parse().expect("a number")),
        };
    }
    let seen = world.clone();
    let found = explore(world, &[], Duration::from_secs(600));
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?}, {:?}",
        found.states,
        found.depth,
        found.seconds,
        found.broken,
        seen.occasions()
    );
}

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

#[test]
fn every_mutant_is_caught() {
    let breaks = table().into_iter().map(|(name, rules, broken)| {
        let mut sound = broken.clone();
        (sound.mutation, sound.protocol) = (Mutation::NONE, DriveMutation::NONE);
        Break::new(name, rules, broken, sound)
    });
    catch(breaks.collect(), LIMIT);
}
