//! Short notation for worlds: sizes, operations by letter, faults.

use super::change::{Change, INITIAL, Kind};
use super::state::{Faults, World};
use crate::rules::Seen;
use crate::topic::AnyWorld;
use model::protocol::mutant::Mutation;
use model::protocol::{Drives, Quorums};
use std::collections::BTreeSet;

/// No faults. Lost, delayed and reordered requests do not count as faults.
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

/// Creates a world from N, K, the operations by letter and the number of ballots that each may use.
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
        brief: false,
        rescues: false,
        mutation: Mutation::NONE,
        broken: false,
        seen: Seen::default(),
    }
}

/// Returns W, the number of shards that must be staged before a write's first vote.
pub fn enough(drives: u8, data: u8) -> u8 {
    if data * 2 == drives { data + 1 } else { data }
}

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    let silenced = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    let given_up = Faults {
        deadlines: 1,
        ..silenced
    };
    let rebooted_and = |faults| Faults { boots: 1, ..faults };
    vec![
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
        world(4, 2, "pG", 1, Faults { losses: 1, ..NONE }),
        world(3, 2, "pf", 1, NONE).on_a_value(),
        world(2, 1, "pdf", 1, NONE).on_a_value(),
        world(3, 2, "pf", 1, Faults { losses: 1, ..NONE }).on_a_value(),
        world(4, 3, "pG", 2, NONE),
        world(5, 3, "pph", 1, NONE).with_rescues(),
        world(4, 2, "pph", 1, Faults { losses: 1, ..NONE }).with_rescues(),
        world(4, 2, "pph", 1, Faults { losses: 1, ..NONE })
            .in_brief()
            .with_rescues(),
        world(3, 2, "pph", 1, Faults { wipes: 1, ..NONE }).with_rescues(),
        world(3, 2, "pph", 1, Faults { wipes: 1, ..NONE })
            .in_brief()
            .with_rescues(),
        world(3, 2, "pdh", 1, rebooted_and(Faults { wipes: 1, ..NONE })).with_rescues(),
        world(3, 2, "pxh", 1, rebooted_and(Faults { rots: 1, ..NONE })).with_rescues(),
        world(3, 2, "dph", 1, rebooted_and(Faults { rots: 1, ..NONE }))
            .on_a_value()
            .with_rescues(),
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
        world(2, 1, "phg", 1, Faults { losses: 2, ..NONE }),
        world(2, 1, "phg", 1, Faults { wipes: 1, ..NONE }),
        world(3, 2, "phG", 1, Faults { wipes: 1, ..NONE }),
        world(2, 1, "pgg", 1, Faults { rots: 1, ..NONE }),
        world(3, 2, "cc", 2, Faults { rots: 1, ..NONE }),
        world(2, 1, "phg", 2, Faults { rots: 1, ..NONE }),
        world(3, 2, "pdu", 1, NONE),
        world(2, 1, "pdug", 1, NONE).on_a_value(),
        world(2, 1, "pduH", 1, NONE).on_a_value(),
        world(3, 2, "dug", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(2, 1, "pduH", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
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
        world(3, 2, "ppG", 1, NONE).in_brief(),
        world(3, 2, "pdg", 1, NONE).in_brief(),
        world(3, 2, "cc", 1, Faults { boots: 1, ..NONE }).in_brief(),
        world(2, 1, "pG", 2, Faults { wipes: 1, ..NONE }).in_brief(),
        world(4, 2, "pG", 2, NONE).in_brief(),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let boots = Faults { boots: 1, ..NONE };
    let wipes = Faults { wipes: 1, ..NONE };
    let rots = Faults { rots: 2, ..NONE };
    vec![
        world(3, 2, "pdg", 2, NONE),
        world(3, 2, "pcd", 1, boots),
        world(4, 2, "ppG", 1, NONE),
        world(4, 2, "pG", 2, Faults { losses: 1, ..NONE }),
        world(3, 2, "pdf", 1, NONE).on_a_value(),
        world(5, 3, "ppG", 1, NONE),
        world(3, 2, "pdG", 1, wipes),
        world(3, 2, "duh", 2, rots).on_a_value(),
        world(3, 2, "ppr", 1, wipes).in_brief(),
        world(3, 2, "phg", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "ppG", 2, boots),
        world(4, 2, "phg", 1, Faults { losses: 1, ..wipes }),
    ]
}

/// Returns worlds for random walks: sets of 16 drives under all faults.
#[must_use]
pub fn wide() -> Vec<World> {
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
    let staged = |world: World, least: u8| {
        let mut world = world.with_clean_ups();
        world.stagings = vec![Drives::all(world.drives), Drives::all(least)];
        world
    };
    vec![
        staged(world(16, 8, "ppdcghG", 30, faults), 9),
        staged(world(16, 12, "ppdcghG", 30, Faults { wipes: 0, ..faults }), 12),
        staged(world(16, 8, "ppdcghG", 30, faults), 9).in_brief(),
    ]
}

/// The operations by letter.
const KINDS: [(char, Kind); 13] = [
    ('p', Kind::Put),
    ('c', Kind::Create),
    // Puts on condition that the value is the first operation's, or the initial one.
    ('m', Kind::Match(1)),
    ('i', Kind::Match(INITIAL)),
    ('d', Kind::Delete),
    ('g', Kind::Get),
    ('G', Kind::PreparedGet),
    ('H', Kind::Head),
    ('f', Kind::Fetch),
    ('r', Kind::Recover),
    ('h', Kind::Heal),
    ('u', Kind::Purge),
    // Clean-up of the first operation's shards.
    ('x', Kind::CleanUp(1)),
];

fn kind(letter: char) -> Kind {
    let found = KINDS.iter().find(|(l, _)| *l == letter);
    found.unwrap_or_else(|| panic!("no operation {letter}")).1
}

fn letter(kind: Kind) -> char {
    let kind = match kind {
        Kind::CleanUp(_) => Kind::CleanUp(1),
        other => other,
    };
    KINDS
        .iter()
        .find(|(_, k)| *k == kind)
        .map_or('?', |(letter, _)| *letter)
}

/// Parses a world: N, K, operations, ballots; then, optionally, losses, restarts, crashes, lost replies, duplicated
/// requests, deadlines, failures, wipes and rots; the words `value`, `brief` and `rescued` may stand among these.
///
/// # Panics
/// If a word is none of these.
#[must_use]
pub fn parse(text: &str) -> Box<dyn AnyWorld> {
    let words: Vec<&str> = text.split(' ').collect();
    let numbers: Vec<u8> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let faults = Faults {
        losses: number(3),
        boots: number(4),
        crashes: number(5),
        silences: number(6),
        doubles: number(7),
        deadlines: number(8),
        failures: number(9),
        wipes: number(10),
        rots: number(11),
    };
    let mut parsed = world(number(0), number(1), words[2], number(2), faults);
    for word in words[3..].iter().filter(|word| word.parse::<u8>().is_err()) {
        parsed = match *word {
            "value" => parsed.on_a_value(),
            "brief" => parsed.in_brief(),
            "rescued" => parsed.with_rescues(),
            _ => panic!("{word}?"),
        };
    }
    Box::new(parsed)
}

impl World {
    /// Returns the bounds in words: N,K, the operations and the ballots of each; then departures from the plain case.
    pub fn bounds(&self) -> String {
        let letters: String = self.changes.iter().map(|change| letter(change.kind)).collect();
        let data: BTreeSet<u8> = self.changes.iter().filter(|c| c.has_data()).map(|c| c.data).collect();
        let data = if data.is_empty() {
            BTreeSet::from([self.changes[0].data])
        } else {
            data
        };
        let data: Vec<String> = data.iter().map(u8::to_string).collect();
        let mut words = format!("{},{} {letters}, rounds {}", self.drives, data.join("/"), self.rounds);
        let faults = self.faults;
        words += &crate::explore::departures(&[
            (u8::from(self.initial), "on a value"),
            (u8::from(self.brief), "in brief"),
            (u8::from(self.rescues), "rescued"),
            (faults.losses, "losses"),
            (faults.boots, "boots"),
            (faults.crashes, "crashes"),
            (faults.silences, "silences"),
            (faults.doubles, "doubles"),
            (faults.deadlines, "deadlines"),
            (faults.failures, "failures"),
            (faults.wipes, "wipes"),
            (faults.rots, "rots"),
        ]);
        words
    }

    /// Starts the key with a value.
    pub fn on_a_value(mut self) -> World {
        self.initial = true;
        self
    }

    /// Makes Accepts carry changes of a base.
    pub fn in_brief(mut self) -> World {
        self.brief = true;
        self
    }

    /// Adds, before the last operation, a clean-up of the shards that each of the others has staged.
    ///
    /// # Panics
    /// If there is no last operation.
    #[must_use]
    pub fn with_clean_ups(mut self) -> World {
        let last = self.changes.pop().expect("there is a last operation");
        let staged: Vec<u8> = self.changes.iter().filter(|c| c.has_data()).map(|c| c.name).collect();
        let clean_ups = staged.into_iter().map(|name| Change {
            kind: Kind::CleanUp(name),
            ..last
        });
        self.changes.extend(clean_ups);
        self.changes.push(last);
        for (change, name) in self.changes.iter_mut().zip(1..) {
            change.name = name;
        }
        self.quorums.resize(self.changes.len(), self.quorums[0]);
        self
    }

    /// Sets K of each operation's value.
    pub fn with_data(mut self, data: &[u8]) -> World {
        for (change, data) in self.changes.iter_mut().zip(data) {
            change.data = *data;
            change.write = enough(self.drives, *data);
        }
        self
    }
}
