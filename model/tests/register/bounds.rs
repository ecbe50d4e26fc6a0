//! The configurations that are exhausted, and what must happen in them.

use crate::change::{Change, INITIAL, Kind};
use crate::rules::{Occasion, Rule};
use crate::world::{Faults, World};
use model::protocol::Quorums;
use model::protocol::mutant::Mutation;
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No faults: lost, delayed and reordered requests are no faults.
pub const NONE: Faults = Faults {
    losses: 0,
    boots: 0,
    crashes: 0,
    silences: 0,
    doubles: 0,
    deadlines: 0,
    failures: 0,
    wipes: 0,
    rots: 0,
};

/// A world: N, K, the operations by letter and how many ballots each may use.
pub fn world(drives: u8, data: u8, ops: &str, rounds: u8, faults: Faults) -> World {
    let changes: Vec<Change> = ops
        .chars()
        .enumerate()
        .map(|(index, op)| Change {
            name: index as u8 + 1,
            kind: kind(op),
            data,
            write: enough(drives, data),
            shards_late: 0,
        })
        .collect();
    World {
        drives,
        quorums: vec![Quorums::of(drives); changes.len()],
        changes,
        initial: false,
        stagings: Vec::new(),
        rounds,
        faults,
        mutation: Mutation::NONE,
        broken: false,
        seen: Arc::default(),
    }
}

/// W.
pub fn enough(drives: u8, data: u8) -> u8 {
    if data * 2 == drives { data + 1 } else { data }
}

/// The operations by letter.
const KINDS: [(char, Kind); 11] = [
    ('p', Kind::Put),
    ('c', Kind::Create),
    // A put if the value is the first operation's, or the one that the key starts with.
    ('m', Kind::Match(1)),
    ('i', Kind::Match(INITIAL)),
    ('d', Kind::Delete),
    ('g', Kind::Get),
    ('G', Kind::PreparedGet),
    ('r', Kind::Recover),
    ('h', Kind::Heal),
    ('u', Kind::Purge),
    // Of the first operation's shards.
    ('x', Kind::CleanUp(1)),
];

fn kind(letter: char) -> Kind {
    let found = KINDS.iter().find(|(l, _)| *l == letter);
    found.unwrap_or_else(|| panic!("no operation {letter}")).1
}

fn letter(kind: Kind) -> char {
    KINDS
        .iter()
        .find(|(_, k)| *k == kind)
        .map_or('?', |(letter, _)| *letter)
}

impl World {
    /// The bounds in words: N,K, the operations and the ballots of each; then what departs from the plain
    /// case.
    pub fn bounds(&self) -> String {
        let letters: String = self.changes.iter().map(|change| letter(change.kind)).collect();
        let data: BTreeSet<u8> = self.changes.iter().filter(|c| c.has_data()).map(|c| c.data).collect();
        let data = if data.is_empty() {
            BTreeSet::from([self.changes[0].data])
        } else {
            data
        };
        let data: Vec<String> = data.iter().map(u8::to_string).collect();
        let mut words = format!("{},{} {letters} {}", self.drives, data.join("/"), self.rounds);
        let faults = self.faults;
        for (count, what) in [
            (u8::from(self.initial), "on a value"),
            (faults.losses, "losses"),
            (faults.boots, "boots"),
            (faults.crashes, "crashes"),
            (faults.silences, "silences"),
            (faults.doubles, "doubles"),
            (faults.deadlines, "deadlines"),
            (faults.failures, "failures"),
            (faults.wipes, "wipes"),
            (faults.rots, "rots"),
        ] {
            match count {
                0 => {}
                1 => words += &format!(", {what}"),
                _ => words += &format!(", {what} {count}"),
            }
        }
        words
    }

    /// The key starts with a value.
    pub fn on_a_value(mut self) -> World {
        self.initial = true;
        self
    }

    /// K of each operation's value.
    pub fn with_data(mut self, data: &[u8]) -> World {
        for (change, data) in self.changes.iter_mut().zip(data) {
            change.data = *data;
            change.write = enough(self.drives, *data);
        }
        self
    }
}

/// What a check came to.
pub struct Found {
    pub states: usize,
    pub depth: usize,
    pub seconds: f64,
    /// The broken rules that were found, with the lengths of their shortest counterexamples.
    pub broken: Vec<(&'static str, usize)>,
}

/// Explores a world until each of `until` is broken, or any rule at all if none is given.
pub fn explore(world: World, until: &[Rule], limit_seconds: u64) -> Found {
    let stop = if until.is_empty() {
        HasDiscoveries::AnyFailures
    } else {
        HasDiscoveries::AllOf(until.iter().map(|rule| rule.name()).collect())
    };
    let start = Instant::now();
    let limit = Duration::from_secs(limit_seconds);
    let checker = world
        .checker()
        .threads(2)
        .timeout(limit)
        .finish_when(stop)
        .spawn_bfs()
        .join();
    // A checker that ran into its limit says that it is done.
    assert!(
        start.elapsed() < limit,
        "the limit of {limit_seconds} s was hit: nothing is proven"
    );
    assert!(checker.is_done());
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    let mut broken = Vec::new();
    for (name, path) in checker.discoveries() {
        if rules.contains(name) {
            let actions = path.into_actions();
            if std::env::var_os("TRACE").is_some() {
                println!("{name}: {actions:#?}");
            }
            broken.push((name, actions.len()));
        }
    }
    Found {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: start.elapsed().as_secs_f64(),
        broken,
    }
}

/// Exhausts worlds: no rule is broken, and every occasion for one arises in some world.
fn exhaust(worlds: &[World]) {
    let mut seen = BTreeSet::new();
    println!("{:<40} {:>9} {:>5} {:>6}", "configuration", "states", "depth", "s");
    // `ONLY=wipes` tries the configurations of that name alone.
    let only = std::env::var("ONLY").unwrap_or_default();
    for world in worlds.iter().filter(|world| world.bounds().contains(&only)) {
        let name = world.bounds();
        let occasions = world.seen.clone();
        let found = explore(world.clone(), &[], 600);
        println!(
            "{name:<40} {:>9} {:>5} {:>6.1}",
            found.states, found.depth, found.seconds
        );
        assert_eq!(found.broken, [], "{name}");
        let bits = occasions.load(std::sync::atomic::Ordering::Relaxed);
        let arose = Occasion::ALL.iter().filter(|o| bits >> **o as u32 & 1 == 1);
        seen.extend(arose.map(|o| o.name()));
    }
    if !only.is_empty() {
        return;
    }
    let never: Vec<_> = Occasion::ALL
        .iter()
        .map(|o| o.name())
        .filter(|name| !seen.contains(name))
        .collect();
    assert_eq!(never, [""; 0], "rules hold for want of an occasion");
}

#[test]
fn every_rule_holds() {
    let silenced = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    let given_up = Faults {
        deadlines: 1,
        ..silenced
    };
    exhaust(&[
        world(2, 1, "pgg", 1, NONE),
        world(2, 1, "pgg", 2, Faults { boots: 1, ..NONE }),
        world(2, 1, "pG", 3, Faults { boots: 2, ..NONE }),
        world(2, 1, "pp", 2, Faults { crashes: 1, ..NONE }),
        world(3, 2, "ppG", 1, NONE),
        world(3, 2, "pcd", 1, NONE),
        world(3, 2, "pm", 2, NONE),
        world(3, 2, "px", 2, NONE),
        world(3, 2, "pxG", 1, NONE),
        world(3, 2, "px", 2, Faults { boots: 1, ..NONE }),
        world(
            2,
            1,
            "px",
            2,
            Faults {
                losses: 1,
                boots: 1,
                ..NONE
            },
        ),
        world(3, 2, "pp", 2, Faults { doubles: 1, ..NONE }),
        world(3, 2, "pG", 2, Faults { boots: 1, ..NONE }),
        world(3, 2, "pG", 2, given_up),
        world(3, 2, "pr", 2, silenced),
        world(3, 2, "pG", 2, Faults { failures: 2, ..NONE }),
        world(3, 2, "pp", 2, Faults { failures: 1, ..NONE }),
        world(3, 2, "pdg", 1, NONE),
        world(3, 2, "cc", 2, Faults { boots: 1, ..NONE }),
        world(4, 2, "pG", 2, Faults { losses: 1, ..NONE }),
        world(4, 3, "pG", 2, NONE),
        world(5, 3, "pp", 1, NONE),
        world(4, 2, "pg", 2, NONE),
        world(3, 2, "pg", 2, Faults { boots: 1, ..NONE }).on_a_value(),
        world(3, 2, "idg", 1, NONE).on_a_value(),
        world(4, 2, "ppG", 1, NONE).with_data(&[2, 3]),
        world(2, 1, "pgg", 1, Faults { wipes: 1, ..NONE }),
        world(2, 1, "pG", 3, Faults { wipes: 2, ..NONE }),
        world(
            2,
            1,
            "pG",
            2,
            Faults {
                boots: 1,
                wipes: 1,
                ..NONE
            },
        ),
        world(3, 2, "cc", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "pg", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "pG", 2, Faults { wipes: 1, ..NONE }),
        world(4, 2, "p", 2, Faults { wipes: 2, ..NONE }),
        world(3, 2, "ph", 2, NONE),
        world(2, 1, "phg", 2, Faults { losses: 1, ..NONE }),
        world(2, 1, "phg", 1, Faults { wipes: 1, ..NONE }),
        world(3, 2, "phG", 1, Faults { wipes: 1, ..NONE }),
        world(2, 1, "pgg", 1, Faults { rots: 1, ..NONE }),
        world(3, 2, "cc", 2, Faults { rots: 1, ..NONE }),
        world(2, 1, "phg", 2, Faults { rots: 1, ..NONE }),
        world(3, 2, "pdu", 1, NONE),
        world(2, 1, "pdug", 1, NONE).on_a_value(),
        world(3, 2, "dug", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(2, 1, "pdug", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(2, 1, "duhg", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(
            2,
            1,
            "dup",
            2,
            Faults {
                losses: 1,
                boots: 1,
                ..NONE
            },
        )
        .on_a_value(),
        world(3, 2, "duc", 2, NONE).on_a_value(),
        world(3, 2, "dh", 2, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(3, 2, "pdug", 1, NONE).on_a_value(),
    ]);
}

/// One configuration from the environment: `N K OPS ROUNDS`, then the faults in their order.
#[test]
#[ignore = "for finding bounds by hand: BOUNDS='3 2 ppG 2 0 0 0 0 0 0 0' [ON_A_VALUE=1]"]
fn by_hand() {
    let text = std::env::var("BOUNDS").expect("BOUNDS is set");
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words.get(at).map_or(0, |word| word.parse().expect("a number"));
    let faults = Faults {
        losses: number(4),
        boots: number(5),
        crashes: number(6),
        silences: number(7),
        doubles: number(8),
        deadlines: number(9),
        failures: number(10),
        wipes: number(11),
        rots: number(12),
    };
    let mut world = world(number(0), number(1), words[2], number(3), faults);
    if std::env::var_os("ON_A_VALUE").is_some() {
        world = world.on_a_value();
    }
    let found = explore(world, &[], 600);
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?}",
        found.states, found.depth, found.seconds, found.broken
    );
}
