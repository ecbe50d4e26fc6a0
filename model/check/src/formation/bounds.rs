//! Short notation for worlds, and the worlds that are explored.

use super::state::{Faults, World};
use crate::rules::Seen;
use model::formation::mutant::Mutation;

pub const NONE: Faults = Faults {
    restarts: 0,
    crashes: 0,
    silences: 0,
    wipes: 0,
    swaps: 0,
};

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    let crashing = Faults {
        crashes: 1,
        ..restarting
    };
    let wiping = Faults { wipes: 1, ..restarting };
    let silent = Faults {
        silences: 1,
        ..restarting
    };
    let swapping = Faults { swaps: 2, ..NONE };
    vec![
        world(&[1, 1], wiping),
        world(&[1, 1], Faults { restarts: 2, ..silent }),
        world(
            &[1, 1],
            Faults {
                silences: 1,
                wipes: 1,
                ..crashing
            },
        ),
        world(
            &[1, 1],
            Faults {
                silences: 1,
                ..crashing
            },
        )
        .with_refused(1, 0),
        world(&[1, 2], crashing).with_refused(0, 0).with_refused(1, 1),
        world(&[1, 3], Faults { wipes: 1, ..crashing }),
        world(
            &[2, 2],
            Faults {
                silences: 1,
                wipes: 1,
                ..crashing
            },
        ),
        world(&[1, 1, 1], crashing),
        world(&[1, 1, 1], wiping),
        world(&[1, 1, 1], silent),
        world(&[1, 1, 1], Faults { restarts: 2, ..NONE }),
        world(
            &[1, 1],
            Faults {
                silences: 1,
                ..swapping
            },
        ),
        world(&[1, 1, 1], swapping),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    let crashing = Faults {
        crashes: 1,
        ..restarting
    };
    vec![
        world(&[1, 1], Faults { restarts: 3, ..NONE }),
        world(
            &[1, 1],
            Faults {
                restarts: 2,
                silences: 2,
                ..NONE
            },
        ),
        world(&[1, 1, 1], Faults { wipes: 1, ..crashing }),
        world(
            &[1, 1, 1],
            Faults {
                wipes: 1,
                silences: 1,
                ..restarting
            },
        ),
        world(&[1, 1, 1], crashing).with_refused(2, 0),
        world(&[1, 1, 1, 1], restarting),
        world(&[1, 2, 2], Faults { wipes: 1, ..restarting }),
    ]
}

/// Creates a world from the number of drives of each node.
#[must_use]
pub fn world(sizes: &[u8], faults: Faults) -> World {
    World {
        sizes: sizes.to_vec(),
        refused: Vec::new(),
        faults,
        overlaps: false,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}

impl World {
    /// Puts something else on a drive.
    #[must_use]
    pub fn with_refused(mut self, node: u8, drive: u8) -> World {
        self.refused.push((node, drive));
        self
    }

    /// Returns the bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(u8::to_string).collect();
        let mut words = format!("drives {}", sizes.join("+"));
        for (node, drive) in &self.refused {
            words += &format!(", {node}/{drive} refused");
        }
        words += &crate::explore::departures(&[
            (self.faults.restarts, "restarts"),
            (self.faults.crashes, "crashes"),
            (self.faults.silences, "silences"),
            (self.faults.wipes, "wipes"),
            (self.faults.swaps, "swaps"),
            (u8::from(self.overlaps), "overlaps"),
        ]);
        words
    }
}
