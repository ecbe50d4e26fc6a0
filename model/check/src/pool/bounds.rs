//! Short notation for worlds: sizes of the sets, operations by letter, faults.

use super::state::{Faults, Job, Start, World};
use crate::register::change::{Change, Kind};
use crate::rules::Seen;
use crate::topic::AnyWorld;
use model::pool::mutant::{Mutant, Mutation};

/// No faults. Lost, delayed and reordered requests do not count as faults.
pub const NONE: Faults = Faults {
    boots: 0,
    crashes: 0,
    silences: 0,
};

/// Creates a world from the number of drives in each pool's set, the operations by letter and the number of ballots
/// that each may use.
pub fn world(sizes: &[u8], ops: &str, rounds: u8, faults: Faults) -> World {
    let jobs: Vec<Job> = (1u8..)
        .zip(ops.chars())
        .map(|(name, op)| {
            let change = |kind, pool| {
                let change = Change {
                    name,
                    kind,
                    data: 0,
                    write: 0,
                    shards_late: 0,
                };
                Job::Change(change, pool)
            };
            match op {
                'p' => change(Kind::Put, 0),
                'P' => change(Kind::Put, 1),
                'c' => change(Kind::Create, 0),
                'C' => change(Kind::Create, 1),
                'd' => change(Kind::Delete, 0),
                'g' => change(Kind::Get, 0),
                'G' => change(Kind::PreparedGet, 0),
                'r' => Job::Recover,
                'u' => Job::Purge,
                'a' => Job::Move(0),
                'b' => Job::Move(1),
                'e' => Job::Move(2),
                _ => panic!("no operation {op}"),
            }
        })
        .collect();
    // A mover needs one ballot for the copy and its forward, and one for the arrival.
    let more = |job: &Job| rounds + u8::from(matches!(job, Job::Move(_) | Job::Recover));
    World {
        sizes: sizes.to_vec(),
        rounds: jobs.iter().map(more).collect(),
        jobs,
        start: Start::Nothing,
        faults,
        mutation: Mutation::NONE,
        broken: false,
        seen: Seen::default(),
    }
}

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    use Start::*;
    let boots = Faults { boots: 1, ..NONE };
    let crashes = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    vec![
        world(&[1, 1], "cCg", 2, NONE),
        world(&[1, 2], "cCg", 1, NONE),
        world(&[1, 2], "cC", 2, boots),
        world(&[1, 2], "cC", 2, crashes),
        world(&[3, 3], "cC", 1, NONE),
        world(&[1, 1], "cCdG", 1, NONE),
        world(&[1, 2], "bp", 1, boots).on(Value),
        world(&[2, 1], "bG", 1, NONE).on(Value),
        world(&[1, 2], "bG", 1, crashes).on(Value),
        world(&[3, 3], "b", 1, NONE).on(Value),
        world(&[1, 1], "bag", 1, NONE).on(Value),
        world(&[1, 2], "bb", 1, NONE).on(Value),
        world(&[1, 2], "br", 1, NONE).on(Value),
        world(&[1, 1], "bdC", 1, NONE).on(Value),
        world(&[1, 1, 1], "er", 1, NONE).on(Value),
        world(&[1, 1, 1], "eb", 1, NONE).on(Value),
        world(&[1, 2], "dug", 1, NONE).on(Forwarded),
        world(&[1, 2], "rpG", 1, NONE).on(Forwarded),
        world(&[1, 1], "rag", 1, NONE).on(Forwarded),
        world(&[1, 2], "dc", 2, boots).on(Forwarded),
        world(&[2, 2], "rp", 1, NONE).on(Forwarded),
        world(&[1, 1, 1], "eG", 1, NONE).on(Forwarded),
        world(&[1, 2], "Cug", 1, NONE).on(StaleCopy),
        world(&[1, 2], "cCr", 1, NONE).on(StaleCopy),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    use Start::*;
    let boots = Faults { boots: 1, ..NONE };
    let crashes = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    vec![
        world(&[2, 1], "Cug", 1, boots).on(StaleCopy),
        world(&[1, 1, 1], "ebG", 1, NONE).on(Value),
        world(&[2, 2], "bG", 1, boots).on(Value),
        world(&[1, 2], "bpG", 1, crashes).on(Value),
        world(&[1, 2], "cCdG", 1, NONE),
        world(&[2, 2], "cCg", 1, NONE),
        world(&[2, 2], "dug", 1, NONE).on(Forwarded),
        world(&[1, 2], "dcu", 2, NONE).on(Forwarded),
        world(&[3, 3], "cCG", 1, NONE),
        world(&[3, 3], "bp", 1, boots).on(Value),
    ]
}

/// Returns worlds for random walks: many operations under all faults, in sets of 16 drives and over three pools. The
/// last two operations, a recovery and a read, run once the faults have stopped.
#[must_use]
pub fn wide() -> Vec<World> {
    let faults = Faults {
        boots: 2,
        crashes: 2,
        silences: 3,
    };
    vec![
        world(&[16, 16], "cCPdugrG", 12, faults),
        world(&[16, 16], "bpadbCugrG", 12, faults).on(Start::Value),
        world(&[3, 3, 3], "ebpaCdurG", 12, faults).on(Start::Value),
        world(&[2, 1, 3], "rdCbaeurG", 12, faults).on(Start::Forwarded),
    ]
}

fn letter(job: &Job) -> char {
    match job {
        Job::Change(change, pool) => match (change.kind, pool) {
            (Kind::Put, 0) => 'p',
            (Kind::Put, _) => 'P',
            (Kind::Create, 0) => 'c',
            (Kind::Create, _) => 'C',
            (Kind::Delete, _) => 'd',
            (Kind::Get, _) => 'g',
            (Kind::PreparedGet, _) => 'G',
            _ => '?',
        },
        Job::Move(to) => char::from(b"abe"[usize::from(*to)]),
        Job::Recover => 'r',
        Job::Purge => 'u',
    }
}

/// Parses a world: the sizes of the sets and the operations, each as one word, and the ballots of all operations or of
/// each; then, optionally, restarts, crashes and lost replies; and the initial content.
///
/// # Panics
/// If a word is none of these.
#[must_use]
pub fn parse(text: &str) -> Box<dyn AnyWorld> {
    let words: Vec<&str> = text.split(' ').collect();
    let digits = |word: &str| -> Vec<u8> { word.bytes().map(|digit| digit - b'0').collect() };
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0);
    let faults = Faults {
        boots: number(3),
        crashes: number(4),
        silences: number(5),
    };
    let rounds = digits(words[2]);
    let mut parsed = world(&digits(words[0]), words[1], rounds[0], faults);
    if rounds.len() == words[1].len() {
        parsed = parsed.with_rounds(&rounds);
    }
    for word in words[3..].iter().filter(|word| word.parse::<u8>().is_err()) {
        parsed = parsed.on(match *word {
            "value" => Start::Value,
            "stale" => Start::StaleCopy,
            "deleted" => Start::Deleted,
            "forwarded" => Start::Forwarded,
            _ => panic!("{word}?"),
        });
    }
    Box::new(parsed)
}

impl World {
    /// Returns the bounds in words: sets, operations and the ballots of each; then departures from the plain case.
    pub fn bounds(&self) -> String {
        let letters: String = self.jobs.iter().map(letter).collect();
        let sizes: Vec<String> = self.sizes.iter().map(u8::to_string).collect();
        let rounds: String = self.rounds.iter().map(u8::to_string).collect();
        let mut words = format!("{} {letters} {rounds}", sizes.join("+"));
        words += match self.start {
            Start::Nothing => "",
            Start::Value => ", on a value",
            Start::StaleCopy => ", on a stale copy",
            Start::Forwarded => ", forwarded",
            Start::Deleted => ", deleted",
        };
        words += &crate::explore::departures(&[
            (self.faults.boots, "boots"),
            (self.faults.crashes, "crashes"),
            (self.faults.silences, "silences"),
        ]);
        words
    }

    /// Sets the initial content.
    #[must_use]
    pub fn on(self, start: Start) -> World {
        World { start, ..self }
    }

    /// Sets the number of ballots of each operation.
    #[must_use]
    pub fn with_rounds(self, rounds: &[u8]) -> World {
        World {
            rounds: rounds.to_vec(),
            ..self
        }
    }

    /// Adds a mutant.
    #[must_use]
    pub fn with(mut self, mutant: Mutant) -> World {
        self.mutation = mutant.into();
        self.broken = true;
        self
    }

    /// Returns the same world without a mutant.
    #[must_use]
    pub fn sound(&self) -> World {
        World {
            mutation: Mutation::NONE,
            broken: false,
            ..self.clone()
        }
    }
}
