//! The configurations that are exhausted, and what must happen in them.

use check::explore::{exhaust, explore};
use check::pool::bounds::{NONE, world};
use check::pool::world::{Faults, Start};
use std::time::Duration;

#[test]
fn every_rule_holds() {
    use Start::*;
    let boots = Faults { boots: 1, ..NONE };
    let crashes = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    let worlds = vec![
        world(&[1, 1], "cCg", 2, NONE),
        world(&[1, 2], "cCg", 1, NONE),
        world(&[1, 2], "cC", 2, boots),
        world(&[1, 2], "cC", 2, crashes),
        world(&[3, 3], "cC", 1, NONE),
        world(&[1, 1], "cCdG", 1, NONE),
        world(&[1, 2], "bp", 1, boots).on(Value),
        world(&[2, 1], "bG", 1, NONE).on(Value),
        world(&[1, 2], "bG", 1, crashes).on(Value),
        world(&[3, 3], "b", 1, NONE).on(Value),
        world(&[1, 1], "bag", 1, NONE).on(Value),
        world(&[1, 2], "bb", 1, NONE).on(Value),
        world(&[1, 2], "br", 1, NONE).on(Value),
        world(&[1, 1], "bdC", 1, NONE).on(Value),
        world(&[1, 1, 1], "er", 1, NONE).on(Value),
        world(&[1, 1, 1], "eb", 1, NONE).on(Value),
        world(&[1, 2], "dug", 1, NONE).on(Forwarded),
        world(&[1, 2], "rpG", 1, NONE).on(Forwarded),
        world(&[1, 1], "rag", 1, NONE).on(Forwarded),
        world(&[1, 2], "dc", 2, boots).on(Forwarded),
        world(&[2, 2], "rp", 1, NONE).on(Forwarded),
        world(&[1, 1, 1], "eG", 1, NONE).on(Forwarded),
        world(&[1, 2], "Cug", 1, NONE).on(StaleCopy),
        world(&[1, 2], "cCr", 1, NONE).on(StaleCopy),
    ];
    exhaust(worlds, Duration::from_secs(100));
}

/// One configuration from the environment: `SIZES OPS ROUNDS`, then the faults in their order.
#[test]
#[ignore = "for finding bounds by hand: BOUNDS='22 cCg 1 0 0 0' [ON=value]"]
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
    match std::env::var("ON").as_deref() {
        Ok("value") => world = world.on(Start::Value),
        Ok("stale") => world = world.on(Start::StaleCopy),
        Ok("deleted") => world = world.on(Start::Deleted),
        Ok("forwarded") => world = world.on(Start::Forwarded),
        _ => {}
    }
    if words[2].len() == words[1].len() {
        let rounds: Vec<u8> = words[2].bytes().map(|rounds| rounds - b'0').collect();
        world = world.with_rounds(&rounds);
    }
    let found = explore(world.clone(), &[], Duration::from_secs(600));
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?} {:?}",
        found.states,
        found.depth,
        found.seconds,
        found.broken,
        world.occasions()
    );
}
