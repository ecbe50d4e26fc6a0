//! The configurations that are exhausted, and what must happen in them.

use check::explore::{exhaust, explore};
use check::pool::bounds::{NONE, world};
use check::pool::world::{Faults, World};
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let worlds = vec![
        world(&[1, 1], "cCg", 2, NONE),
        world(&[1, 1], "bg", 2, NONE).on_a_value(),
    ];
    let rows = worlds.into_iter().map(|world: World| (world.bounds(), world)).collect();
    exhaust(rows, Duration::from_secs(100));
}

/// One configuration from the environment: `SIZES OPS ROUNDS`, then the faults in their order.
#[test]
#[ignore = "for finding bounds by hand: BOUNDS='22 cCg 1 0 0 0' [ON_A_VALUE=1]"]
fn by_hand() {
    let text = std::env::var("BOUNDS").expect("BOUNDS is set");
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words.get(at).map_or(0, |word| word.parse().expect("a number"));
    let sizes: Vec<u8> = words[0].bytes().map(|size| size - b'0').collect();
    let faults = Faults {
        boots: number(3),
        crashes: number(4),
        silences: number(5),
    };
    let mut world = world(&sizes, words[1], number(2), faults);
    if std::env::var_os("ON_A_VALUE").is_some() {
        world = world.on_a_value();
    }
    let found = explore(world.clone(), &[], Duration::from_secs(60));
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?} {:?}",
        found.states,
        found.depth,
        found.seconds,
        found.broken,
        world.occasions()
    );
}
