//! Short notation for worlds, and the worlds that are explored.

use super::state::Kind::{Change, Serve};
use super::state::{Faults, Kind, World};
use crate::rules::Seen;
use model::configuration::mutant::Mutation;

pub const NONE: Faults = Faults {
    losses: 0,
    no_acceptors: 0,
};

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    let losing = Faults { losses: 1, ..NONE };
    let without = Faults {
        no_acceptors: 1,
        ..NONE
    };
    vec![
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0), Serve(0, 0)], NONE),
        world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], without),
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], losing),
        world(&[&[0, 1]], &[Change, Change, Serve(1, 0)], losing),
        world(&[&[0, 1], &[1, 2]], &[Change, Change, Serve(2, 1)], NONE),
        world(&[&[0, 1], &[1, 2]], &[Change, Serve(2, 1), Serve(0, 0)], losing),
        world(&[&[0, 0, 1, 1], &[1, 1, 2, 2]], &[Change, Serve(2, 1)], NONE),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let losing = Faults { losses: 1, ..NONE };
    vec![
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0), Serve(0, 0)], losing),
        world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], losing),
        world(&[&[0, 1], &[1, 2]], &[Change, Change, Serve(2, 1)], losing),
        world(
            &[&[0, 1, 2]],
            &[Change, Change, Serve(2, 0)],
            Faults {
                no_acceptors: 1,
                ..losing
            },
        ),
        world(&[&[0, 1, 2, 3]], &[Change, Change, Serve(3, 0)], NONE),
    ]
}

/// Creates a world from the nodes, by set and drive, and the operations.
#[must_use]
pub fn world(layout: &[&[u32]], kinds: &[Kind], faults: Faults) -> World {
    World {
        layout: layout.iter().map(|drives| drives.to_vec()).collect(),
        kinds: kinds.to_vec(),
        faults,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}

impl World {
    /// Returns the bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let set = |drives: &Vec<u32>| drives.iter().map(u32::to_string).collect::<String>();
        let sets: Vec<String> = self.layout.iter().map(set).collect();
        let word = |kind: &Kind| match kind {
            Kind::Change => "c".to_owned(),
            Kind::Serve(node, set) => format!("s{node}/{set}"),
        };
        let kinds: Vec<String> = self.kinds.iter().map(word).collect();
        let mut words = format!("sets {}, {}", sets.join(" "), kinds.join(" "));
        words += &crate::explore::departures(&[
            (self.faults.losses, "losses"),
            (self.faults.no_acceptors, "acceptors lost"),
        ]);
        words
    }
}
