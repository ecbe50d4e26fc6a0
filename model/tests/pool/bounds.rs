//! The configurations that are exhausted, and what must happen in them.

use check::explore::{exhaust, explore};
use check::pool::bounds::{NONE, world};
use check::pool::world::{Faults, Start, World};
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let worlds = vec![
        world(&[1, 1], "cCg", 2, NONE),
        world(&[1, 1], "bg", 2, NONE).on(Start::Value),
    ];
    let rows = worlds.into_iter().map(|world: World| (world.bounds(), world)).collect();
    exhaust(rows, Duration::from_secs(100));
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
        Ok("forwarded") => world = world.on(Start::Forwarded),
        _ => {}
    }
    if words[2].len() == words[1].len() {
        let rounds: Vec<u8> = words[2].bytes().map(|rounds| rounds - b'0').collect();
        world = world.with_rounds(&rounds);
    }
    let found = explore(world.clone(), &[], Duration::from_secs(40));
    if let Some(path) = show(&world) { println!("{path}"); }
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?} {:?}",
        found.states,
        found.depth,
        found.seconds,
        found.broken,
        world.occasions()
    );
}

fn show(world: &World) -> Option<String> {
    use stateright::{Checker, Model, HasDiscoveries};
    std::env::var_os("SHOW")?;
    let checker = world.clone().checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut out = String::new();
    for (name, path) in checker.discoveries() {
        if world.properties().iter().any(|p| p.name == name && matches!(p.expectation, stateright::Expectation::Sometimes)) { continue; }
        out += &format!("{name}\n");
        let mut last: Option<check::pool::world::State> = None;
        for (state, action) in path.into_vec() {
            if let Some(old) = &last {
                for (at, r) in &state.votes { if old.votes.get(at) != Some(r) { out += &format!("      vote pool {} round {}.{}: {:?} chosen {}\n", at.0, at.1.round, at.1.node, (&r.value, &r.prev), r.chosen); } }
            }
            if let Some(check::pool::world::Action::Deliver{client, mail, drive, ..}) = action {
                let m = &state.clients[client as usize].mail[mail as usize];
                out += &format!("deliver client {client} pool {} drive {drive} {}\n", m.pool, format!("{:?}", m.request).chars().take(90).collect::<String>());
            } else { out += &format!("{action:?}\n"); }
            last = Some(state);
        }
    }
    Some(out)
}
