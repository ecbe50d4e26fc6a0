//! Searches the register further than its tests: `cargo run -p model --release --example deep -- --minutes 60`.
//!
//! First larger worlds, each to its end or for its share of the time; then, for the rest, random ways through sets of
//! 16 drives. A rule that is broken ends it, with a chart of the way there or the seed of the walk.

#![allow(clippy::disallowed_methods)] // a tool that runs for as long as it is told

use check::explore::{Found, chart_of, search};
use check::register::bounds::{NONE, world};
use check::register::walks::walk;
use check::register::world::{Faults, World};
use model::protocol::Drives;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Searches the protocol of the register further than the tests.

Usage: cargo run -p model --release --example deep -- --minutes N
";

/// Above it a world may not fit into memory: a state that waits takes some KiB.
const STATES_MAX: usize = 40_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let minutes = match &arguments[..] {
        [flag, minutes] if flag == "--minutes" => minutes.parse::<u64>().ok(),
        _ => None,
    };
    let Some(minutes) = minutes.filter(|minutes| *minutes > 0) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let left = || end.saturating_duration_since(Instant::now());
    println!("{:<44} {:>10} {:>5} {:>7}", "world", "states", "depth", "s");
    let worlds = larger();
    for (world, still) in worlds.iter().zip((1..=worlds.len() as u32).rev()) {
        // Half of the time is for the random ways.
        let found = search(world.clone(), &[], left() / (2 * still), Some(STATES_MAX));
        let Found {
            states, depth, seconds, ..
        } = found;
        let cut = if found.ended { "" } else { "  not to its end" };
        println!("{:<44} {states:>10} {depth:>5} {seconds:>7.1}{cut}", world.bounds());
        if let Some((rule, _)) = found.broken.first() {
            let is_broken = || format!("{rule} is broken\n");
            print!("{}", chart_of(world, rule, left()).unwrap_or_else(is_broken));
            return ExitCode::FAILURE;
        }
    }
    let wide = wide();
    let (mut walks, mut answered) = (0u64, 0);
    let first = u64::from(std::process::id()) << 32;
    while !left().is_zero() {
        for world in &wide {
            // Its panic names the rule, and the seed.
            answered += walk(world, first + walks);
            walks += 1;
        }
    }
    println!(
        "{walks} random ways through sets of 16 drives, seeds from {first} on: {answered} operations were answered"
    );
    println!("no rule is broken");
    ExitCode::SUCCESS
}

/// Worlds that take minutes or more.
fn larger() -> Vec<World> {
    let boots = Faults { boots: 1, ..NONE };
    let wipes = Faults { wipes: 1, ..NONE };
    let rots = Faults { rots: 2, ..NONE };
    vec![
        world(3, 2, "pdg", 2, NONE),
        world(3, 2, "pcd", 1, boots),
        world(4, 2, "ppG", 1, NONE),
        world(5, 3, "ppG", 1, NONE),
        world(3, 2, "pdG", 1, wipes),
        world(3, 2, "duh", 2, rots).on_a_value(),
        world(3, 2, "phg", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "ppG", 2, boots),
        world(4, 2, "phg", 1, Faults { losses: 1, ..wipes }),
    ]
}

/// Sets of 16 drives under all faults.
fn wide() -> Vec<World> {
    let faults = Faults {
        losses: 0,
        boots: 3,
        crashes: 1,
        silences: 10,
        doubles: 10,
        deadlines: 1,
        failures: 3,
        wipes: 1,
        rots: 1,
    };
    let staged = |mut world: World, least: u8| {
        world.stagings = vec![Drives::all(world.drives), Drives::all(least)];
        world
    };
    vec![
        staged(world(16, 8, "ppdcghG", 30, faults), 9),
        staged(world(16, 12, "ppdcghG", 30, Faults { wipes: 0, ..faults }), 12),
    ]
}
