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
        world("ca"),
        world("cp"),
        world("cd"),
        world("cu"),
        world("uC"),
        world("cb"),
        world("ua"),
        world("c").with_lag(),
        world("a").with_lag(),
        world("c").with_lost(1),
        world("ca").with_lost(1),
        world("cp").with_heal(),
    ];
    let rows = worlds.into_iter().map(|world| (world.bounds(), world)).collect();
    exhaust(rows, LIMIT);
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
