//! Short notation for worlds, and the worlds that are explored.

use super::state::{Faults, Kind, World};
use crate::rules::Seen;
use model::bucket::mutant::Mutation;
use model::protocol::Quorums;

pub const NONE: Faults = Faults { losses: 0, boots: 0 };

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    let lossy = Faults { losses: 1, ..NONE };
    let rebooting = Faults { boots: 1, ..NONE };
    vec![
        world(1, 1, "pdcd", NONE),
        world(1, 2, "pdd", NONE),
        world(1, 2, "pud", NONE),
        world(1, 2, "pdcp", NONE),
        world(1, 3, "ppd", NONE),
        world(1, 3, "pd", lossy).cold(),
        world(1, 3, "pd", Faults { losses: 2, ..NONE }),
        world(1, 3, "pd", rebooting).cold(),
        world(2, 2, "pqd", NONE),
        world(1, 4, "pd", lossy),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let lossy = Faults { losses: 1, ..NONE };
    vec![
        world(1, 1, "pdcpd", NONE),
        world(1, 2, "pdd", lossy),
        world(1, 3, "pdd", NONE),
        world(1, 3, "pud", NONE),
        world(1, 3, "pdcp", NONE),
        world(1, 2, "pddc", NONE),
        world(1, 2, "pddd", NONE),
        world(1, 3, "pdd", lossy),
        world(2, 2, "pdd", NONE),
        world(1, 4, "pdd", NONE),
    ]
}

/// Creates a world from the number of sets, N and the operations by letter: p and q put the key of the first and of the
/// second set, u deletes the first one, c creates and d deletes the bucket.
///
/// # Panics
/// If there is no such operation.
#[must_use]
pub fn world(sets: u8, drives: u8, kinds: &str, faults: Faults) -> World {
    let kind = |letter| match letter {
        'p' => Kind::Put(0),
        'q' => Kind::Put(1),
        'u' => Kind::Unput(0),
        'c' => Kind::Create,
        'd' => Kind::Delete,
        _ => panic!("no operation {letter}"),
    };
    World {
        sets,
        drives,
        kinds: kinds.chars().map(kind).collect(),
        warm: true,
        faults,
        survey: Quorums::of(drives),
        named: true,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}

impl World {
    /// Makes the drives begin without knowledge of the bucket.
    #[must_use]
    pub fn cold(self) -> World {
        World { warm: false, ..self }
    }

    /// Returns the bounds in words: sets x drives and the operations by letter.
    #[must_use]
    pub fn bounds(&self) -> String {
        let letter = |kind: &Kind| match kind {
            Kind::Put(0) => 'p',
            Kind::Put(_) => 'q',
            Kind::Unput(_) => 'u',
            Kind::Create => 'c',
            Kind::Delete => 'd',
        };
        let kinds: String = self.kinds.iter().map(letter).collect();
        let mut words = format!("{}x{} {kinds}", self.sets, self.drives);
        words += &crate::explore::departures(&[
            (u8::from(!self.warm), "cold"),
            (self.faults.losses, "losses"),
            (self.faults.boots, "boots"),
        ]);
        words
    }
}
