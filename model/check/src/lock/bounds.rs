//! Short notation for worlds, and the worlds that are explored.

use super::state::{Faults, World};
use crate::rules::Seen;
use model::lock::Terms;
use model::lock::mutant::Mutation;

pub const NONE: Faults = Faults { restarts: 0, steps: 0 };

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    vec![
        world(1, &[2, 2], restarting),
        world(1, &[2, 2], NONE).with_pauses(),
        world(2, &[1, 1], NONE),
        world(2, &[1, 1], restarting).with_one_clock(),
        world(3, &[1, 1], NONE).with_clocks_that_agree().with_pauses(),
        world(3, &[1, 1], restarting).with_clocks_that_agree(),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let restarting = Faults { restarts: 1, ..NONE };
    vec![
        world(2, &[1, 1], restarting),
        world(2, &[1, 1], NONE).with_pauses(),
        world(2, &[1, 1], Faults { restarts: 2, ..NONE }).with_one_clock(),
        world(2, &[2, 2], NONE).with_one_clock(),
        world(3, &[2, 1], restarting).with_clocks_that_agree(),
        world(3, &[1, 1], NONE).with_one_clock(),
        world(3, &[1, 1], restarting).with_one_clock(),
    ]
}

/// Creates a world in which a clock may be one tick ahead of another: a lease lasts four ticks, and a holder counts on
/// it for two.
#[must_use]
pub fn world(servers: u32, attempts: &[u8], faults: Faults) -> World {
    World {
        servers,
        attempts: attempts.to_vec(),
        one_clock: false,
        lead: 1,
        pauses: false,
        terms: Terms {
            expiry: 4,
            deadline: 2,
            refresh: 1,
        },
        faults,
        mutation: Mutation::NONE,
        seen: Seen::default(),
    }
}

impl World {
    /// Makes all servers share one clock.
    #[must_use]
    pub fn with_one_clock(self) -> World {
        World {
            one_clock: true,
            ..self
        }
    }

    /// Keeps all clocks equal: a holder counts on a lease for its whole duration.
    #[must_use]
    pub fn with_clocks_that_agree(self) -> World {
        let terms = Terms {
            expiry: 2,
            deadline: 2,
            refresh: 1,
        };
        World { lead: 0, terms, ..self }
    }

    /// Allows clients to be paused beyond their deadlines.
    #[must_use]
    pub fn with_pauses(self) -> World {
        World { pauses: true, ..self }
    }

    /// Returns the bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let attempts: Vec<String> = self.attempts.iter().map(u8::to_string).collect();
        let mut words = format!("{} servers, attempts {}", self.servers, attempts.join("+"));
        words += &crate::explore::departures(&[
            (u8::from(self.one_clock), "one clock"),
            (u8::from(self.lead == 0), "clocks agree"),
            (u8::from(self.pauses), "pauses"),
            (self.faults.restarts, "restarts"),
            (self.faults.steps, "steps"),
        ]);
        words
    }
}
