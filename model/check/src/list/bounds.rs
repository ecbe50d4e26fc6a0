//! Short notation for worlds: sizes, keys and operations by letter, faults.

use super::state::{Spec, Start, World};
use crate::explore::departures;
use crate::register::bounds::enough;
use crate::register::change::Kind;
use crate::rules::Seen;
use model::list::mutant::Mutation;
use model::protocol::Quorums;
use model::protocol::mutant::Mutation as RegisterMutation;

/// Parses the initial content of a key: `p` put on all drives, a digit put on all but that drive, `o` put on A drives
/// that do not know that it is chosen, `d` deleted on all but the last drive, `n` never written.
fn start(letter: char) -> Start {
    match letter {
        'n' => Start::Never,
        'p' => Start::Put(None),
        'o' => Start::Open,
        'd' => Start::Deleted,
        digit => Start::Put(Some(
            digit.to_digit(8).unwrap_or_else(|| panic!("no start {digit}")) as u8
        )),
    }
}

fn letter(start: Start) -> char {
    match start {
        Start::Never => 'n',
        Start::Put(None) => 'p',
        Start::Put(Some(drive)) => char::from(b'0' + drive),
        Start::Open => 'o',
        Start::Deleted => 'd',
    }
}

/// Creates a world from N, the initial content of each set's keys, the operations by letter and key, and the number of
/// keys on a page.
pub fn world(drives: u8, sets: &[&str], ops: &[(char, u8)], limit: usize) -> World {
    let mut keys = Vec::new();
    // Keys alternate between the sets, so that the pages of one set end between keys of another.
    let longest = sets.iter().map(|set| set.len()).max().unwrap_or(0);
    for place in 0..longest {
        for (set, letters) in (0u8..).zip(sets) {
            let Some(letter) = letters.chars().nth(place) else {
                continue;
            };
            keys.push(Spec {
                set,
                start: start(letter),
            });
        }
    }
    let kind = |letter| match letter {
        'p' => Kind::Put,
        'd' => Kind::Delete,
        'g' => Kind::PreparedGet,
        _ => panic!("no operation {letter}"),
    };
    World {
        drives,
        data: if drives > 1 { drives - 1 } else { 1 },
        keys,
        ops: ops.iter().map(|(letter, key)| (kind(*letter), *key)).collect(),
        limit,
        rounds: 1,
        crashes: 0,
        recovering: None,
        quorums: Quorums::of(drives),
        mutation: Mutation::NONE,
        register_mutation: RegisterMutation::NONE,
        seen: Seen::default(),
    }
}

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    vec![
        world(3, &["012"], &[], 1),
        world(3, &["1o1"], &[('p', 2)], 1),
        world(3, &["1dn"], &[('p', 3)], 1),
        world(3, &["0p2"], &[('d', 2)], 2),
        world(3, &["n"], &[('p', 1), ('d', 1)], 1),
        world(3, &["n"], &[('p', 1), ('g', 1)], 1).crashing(1),
        world(4, &["1p"], &[('d', 1)], 1),
        world(3, &["1p1d"], &[], 1).recovering(2, &[]),
        world(3, &["11p"], &[('p', 3)], 2).recovering(2, &[1]),
        world(1, &["pnp", "ppn"], &[('p', 3), ('d', 4)], 1),
    ]
}

/// Returns the worlds that take minutes.
#[must_use]
pub fn larger() -> Vec<World> {
    vec![
        world(3, &["n1"], &[('p', 1), ('d', 2)], 1),
        world(3, &["n1"], &[('p', 1), ('g', 1)], 1).crashing(1),
        world(4, &["1o2"], &[('p', 2)], 1),
        world(3, &["1p1"], &[('p', 2)], 1).recovering(2, &[]),
    ]
}

impl World {
    /// Returns W, the number of shards that must be staged before a write's first vote.
    pub(super) fn write(&self) -> u8 {
        enough(self.drives, self.data)
    }

    /// Sets the number of coordinators that may crash.
    pub fn crashing(self, crashes: u8) -> World {
        World { crashes, ..self }
    }

    /// Makes the last drive of the first set one that has lost everything and joined again; it has passed the keys up
    /// to `cursor`, and does not know `unknown` of them.
    pub fn recovering(self, cursor: u8, unknown: &[u8]) -> World {
        World {
            recovering: Some((cursor, unknown.to_vec())),
            ..self
        }
    }

    /// Returns the bounds in words.
    pub(super) fn words(&self) -> String {
        let sets = self.sets();
        let of_set = |set: u8| -> String {
            let own = self.keys.iter().filter(|key| key.set == set);
            own.map(|key| letter(key.start)).collect()
        };
        let starts: Vec<String> = (0..sets).map(of_set).collect();
        let ops = self.ops.iter().map(|(kind, key)| {
            let letter = match kind {
                Kind::Delete => 'd',
                Kind::PreparedGet => 'g',
                _ => 'p',
            };
            format!(" {letter}{key}")
        });
        let ops: String = ops.collect();
        let mut words = format!(
            "{}x{} {}{ops}, pages of {}",
            sets,
            self.drives,
            starts.join("/"),
            self.limit
        );
        words += &departures(&[(self.crashes, "crashes")]);
        if let Some((cursor, unknown)) = &self.recovering {
            words += &format!(", recovered through {cursor}");
            if !unknown.is_empty() {
                words += &format!(" but {unknown:?}");
            }
        }
        words
    }
}
