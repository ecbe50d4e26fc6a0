//! Short notation for worlds: requests by letter, and departures from the plain case.

use super::requests::Request;
use super::state::World;
use crate::rules::Seen;
use crate::topic::AnyWorld;
use model::protocol::mutant::Mutation as ProtocolMutation;
use model::record::mutant::Mutation;

/// The requests by letter.
const REQUESTS: [(char, Request); 8] = [
    ('p', Request::Put),
    ('d', Request::Delete),
    ('g', Request::Get),
    ('u', Request::Part(1)),
    ('a', Request::Abort(1)),
    ('c', complete(1, false)),
    ('C', complete(1, true)),
    // Completion of the second upload.
    ('b', complete(2, false)),
];

const fn complete(upload: u8, replaced: bool) -> Request {
    Request::Complete { upload, replaced }
}

/// Creates a world from the requests by letter, one client each.
///
/// # Panics
/// If a letter is none of them.
#[must_use]
pub fn world(requests: &str) -> World {
    let request = |letter: char| {
        let found = REQUESTS.iter().find(|(known, _)| *known == letter);
        found.unwrap_or_else(|| panic!("no request {letter}")).1
    };
    World {
        requests: requests.chars().map(request).collect(),
        uploads: (if requests.contains('b') { 2 } else { 1 }, 1),
        lags: false,
        lost: 0,
        heals: 0,
        mutation: Mutation::NONE,
        protocol: ProtocolMutation::NONE,
        seen: Seen::default(),
    }
}

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    vec![
        world("cc"),
        world("cc").with_lost(1),
        world("cc").with_heal(),
        world("ca"),
        world("ca").with_lost(1),
        world("ca").with_lag(),
        world("cd"),
        world("cp").with_heal(),
        world("cb"),
        world("cu").with_lost(1),
        world("uC").of_two_parts(),
        world("uCc"),
        world("cpu"),
        world("ua").with_lost(1),
        world("cg"),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    vec![
        world("ccg").with_lost(1),
        world("ca").with_lost(2).with_heal(),
        world("cu").with_lost(1).with_heal().with_lag(),
        world("cpu").with_heal(),
        world("cau").with_lost(1),
        world("uCa").with_lost(1).of_two_parts(),
        world("cb").with_lost(1),
        world("cdu").with_lost(1).with_lag(),
        world("cab"),
    ]
}

/// Parses a world: the requests; then `parts`, `lag`, `heal`, and the number of lost outcomes.
///
/// # Panics
/// If a word is none of these.
#[must_use]
pub fn parse(text: &str) -> Box<dyn AnyWorld> {
    let (requests, words) = text.split_once(' ').unwrap_or((text, ""));
    let parsed = words
        .split_whitespace()
        .fold(world(requests), |world, word| match word {
            "parts" => world.of_two_parts(),
            "lag" => world.with_lag(),
            "heal" => world.with_heal(),
            lost => world.with_lost(lost.parse().expect("a number")),
        });
    Box::new(parsed)
}

impl World {
    /// Gives each upload two parts.
    #[must_use]
    pub fn of_two_parts(mut self) -> World {
        self.uploads.1 = 2;
        self
    }

    /// Makes one drive miss the opening of the uploads.
    #[must_use]
    pub fn with_lag(mut self) -> World {
        self.lags = true;
        self
    }

    /// Sets the number of requests whose outcome is lost.
    #[must_use]
    pub fn with_lost(mut self, lost: u8) -> World {
        self.lost = lost;
        self
    }

    /// Allows one heal of a drive.
    #[must_use]
    pub fn with_heal(mut self) -> World {
        self.heals = 1;
        self
    }

    /// Returns the bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let letter = |request: &Request| {
            REQUESTS
                .iter()
                .find(|(_, known)| known == request)
                .map_or('?', |found| found.0)
        };
        let mut words: String = self.requests.iter().map(letter).collect();
        for (is, what) in [
            (self.uploads.1 > 1, "two parts"),
            (self.lags, "a drive lags"),
            (self.lost > 0, "lost"),
            (self.lost > 1, "2"),
            (self.heals > 0, "heal"),
        ] {
            if is {
                words += if what == "2" { " " } else { ", " };
                words += what;
            }
        }
        words
    }
}
