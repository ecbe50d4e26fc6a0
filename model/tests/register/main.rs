//! Checks the protocol's machines exhaustively within stated bounds (`specs/model.md`).

#![allow(clippy::disallowed_methods)] // measures how long a check takes

mod audit;
mod change;
mod order;
mod rules;
mod settle;
mod world;

use change::{Change, Kind};
use model::protocol::Quorums;
use model::protocol::mutant::Mutation;
use rules::{Occasion, Rule};
use stateright::{Checker, HasDiscoveries, Model};
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::World;

/// A world without faults: N, K, the operations by letter (see [`change`]) and the rounds of each.
fn world(drives: u8, data: u8, ops: &str, rounds: u8) -> World {
    let change = |(index, letter): (usize, char)| Change {
        name: index as u8 + 1,
        kind: kind(letter),
        data,
        write: if data * 2 == drives { data + 1 } else { data },
        shards_late: 0,
    };
    let changes: Vec<Change> = ops.chars().enumerate().map(change).collect();
    World {
        drives,
        quorums: vec![Quorums::of(drives); changes.len()],
        changes,
        initial: false,
        rounds,
        losses: 0,
        boots: 0,
        crashes: 0,
        silences: 0,
        doubles: 0,
        deadlines: 0,
        mutation: Mutation::NONE,
        broken: false,
        seen: Arc::default(),
    }
}

fn kind(letter: char) -> Kind {
    match letter {
        'p' => Kind::Put,
        'c' => Kind::Create,
        'm' => Kind::Match(1),
        'i' => Kind::Match(change::INITIAL),
        'd' => Kind::Delete,
        'g' => Kind::Get,
        'G' => Kind::PreparedGet,
        'k' => Kind::Recover,
        'x' => Kind::CleanUp(1),
        _ => panic!("no operation {letter}"),
    }
}

#[test]
fn probe() {
    let env = |key: &str, or: u8| std::env::var(key).ok().map_or(or, |v| v.parse().unwrap());
    let ops = std::env::var("OPS").unwrap_or("pg".into());
    let mut w = world(env("N", 3), env("K", 2), &ops, env("R", 1));
    w.losses = env("LOSS", 0);
    w.boots = env("BOOT", 0);
    w.crashes = env("CRASH", 0);
    w.silences = env("SIL", 0);
    w.doubles = env("DBL", 0);
    w.deadlines = env("DL", 0);
    w.initial = env("INIT", 0) == 1;
    let seen = w.seen.clone();
    let start = Instant::now();
    let checker = w
        .checker()
        .threads(2)
        .timeout(Duration::from_secs(u64::from(env("SECS", 60))))
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let secs = start.elapsed().as_secs_f64();
    println!("{ops}: unique {} total {} depth {} {secs:.1}s", checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let bits = seen.load(std::sync::atomic::Ordering::Relaxed);
    for o in Occasion::ALL { if bits >> *o as u32 & 1 == 1 { println!("  seen {}", o.name()); } }
    for (name, path) in checker.discoveries() {
        if [Rule::Linearizable, Rule::OneValuePerBallot, Rule::Chain, Rule::PrevIsChosen, Rule::AcceptedMeansStaged, Rule::AckedSurvives, Rule::Precondition, Rule::PowerLoss, Rule::PromiseHolds, Rule::HiCovers, Rule::NotFoundIsKnown, Rule::NoResurrection, Rule::NoSplitBrain, Rule::BySet].iter().any(|r| r.name() == name) {
            println!("VIOLATED {name}");
            for action in path.into_actions() { println!("   {action:?}"); }
        }
    }
}
