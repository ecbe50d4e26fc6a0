//! Searches the protocol further than its tests: `cargo run -p model --release --example deep -- --minutes 60`.
//!
//! Explores the larger worlds of each topic, each exhaustively or for its share of the time; then, where a topic has
//! them, walks at random through worlds that are too large for a search. Ends at a broken rule, with the chart of a
//! counterexample or the seed of the walk.

#![allow(clippy::disallowed_methods)] // a tool that runs for as long as it is told

use check::explore::Found;
use check::topic::AnyWorld;
use check::{pool, register};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Searches the protocol further than the tests.

Usage: cargo run -p model --release --example deep -- --minutes N [--world NAME]

Each world has an equal share of the time that is left when its turn comes, and of that each of its bounds;
a world that is seen to its end leaves the rest of its share to the next.

Worlds:
  uploads        completions, aborts and parts of an upload
  versions       puts, deletes and lists of a key with versions
  bucket         writers of keys race deletions and creations of their bucket
  lock           clients and lock servers whose clocks go apart
  configuration  changes spread over nodes that serve meanwhile
  formation      nodes that form a deployment, and restart meanwhile
  list           a client that lists the keys of sets while they are written
  pool           a key that is created in several pools and moved; half of the time random walks
  register       one key on the drives of a set; half of the time random walks through sets of 16 drives

What it prints: the bounds as in specs/model.md, the states that were seen, how many steps deep, the seconds,
and 'not to its end' if time or memory was up before all states were seen.

It fails (1) as soon as a rule is broken: it prints the rule and the shortest way there, a line a step. A walk
that breaks a rule panics with the rule and the seed.
";

/// Number of states above which a world may not fit into memory: a queued state takes some KiB.
const STATES_MAX: usize = 40_000_000;

/// Time limit of the search for a shortest path to a broken rule, after which nothing else is searched.
const SHORTEST_MAX: Duration = Duration::from_secs(600);

/// The command line.
struct Asked {
    minutes: u64,
    world: Option<String>,
}

struct Topic {
    name: &'static str,
    worlds: Vec<Box<dyn AnyWorld>>,
    /// Walks by seed, which return the number of answered operations. A broken rule panics.
    walks: Vec<Box<dyn Fn(u64) -> usize>>,
}

impl Topic {
    fn new(topic: check::topic::Topic) -> Topic {
        Topic {
            name: topic.name,
            worlds: topic.larger,
            walks: Vec::new(),
        }
    }

    fn with_walks<M: 'static>(mut self, worlds: Vec<M>, walk: fn(&M, u64) -> usize) -> Topic {
        let walks = worlds
            .into_iter()
            .map(|world| Box::new(move |seed| walk(&world, seed)) as Box<dyn Fn(u64) -> usize>);
        self.walks = walks.collect();
        self
    }

    /// Searches within the time limit; returns false if a rule is broken.
    fn go_through(&self, limit: Duration) -> bool {
        println!("{:<48} {:>10} {:>5} {:>7}", self.name, "states", "depth", "s");
        let start = Instant::now();
        let searching = if self.walks.is_empty() { limit } else { limit / 2 };
        let left = || searching.saturating_sub(start.elapsed());
        for (world, still) in self.worlds.iter().zip((1..=self.worlds.len() as u32).rev()) {
            let found = world.search(&[], left() / still, Some(STATES_MAX));
            let cut = if found.ended { "" } else { "  not to its end" };
            let Found {
                states, depth, seconds, ..
            } = found;
            println!("  {:<46} {states:>10} {depth:>5} {seconds:>7.1}{cut}", world.bounds());
            if !found.broken.is_empty() {
                print!("broken: {}", world.counterexamples(&found, SHORTEST_MAX));
                return false;
            }
        }
        if !self.walks.is_empty() {
            self.walk(start + limit);
        }
        true
    }

    /// Walks until `end`.
    fn walk(&self, end: Instant) {
        let first = u64::from(std::process::id()) << 32;
        let (mut walks, mut answered) = (0u64, 0);
        while Instant::now() < end {
            for walk in &self.walks {
                // A panic names the rule and the seed.
                answered += walk(first + walks);
                walks += 1;
            }
        }
        println!("  {walks} random walks, seeds from {first} on: {answered} operations were answered");
    }
}

/// Returns the topics; those with walks, which use up their time, are last.
fn topics() -> Vec<Topic> {
    let with_walks = |topic: check::topic::Topic| match topic.name {
        "pool" => Topic::new(topic).with_walks(pool::bounds::wide(), pool::walks::walk),
        "register" => Topic::new(topic).with_walks(register::bounds::wide(), register::walks::walk),
        _ => Topic::new(topic),
    };
    check::topics().into_iter().map(with_walks).collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let asked = match parse(&arguments) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("error: {error}; --help tells more");
            return ExitCode::from(2);
        }
    };
    let mut topics = topics();
    if let Some(wanted) = &asked.world {
        topics.retain(|topic| topic.name == wanted);
    }
    if topics.is_empty() {
        eprintln!("error: there is no such world; --help lists them");
        return ExitCode::from(2);
    }
    let end = Instant::now() + Duration::from_secs(60 * asked.minutes);
    for (topic, still) in topics.iter().zip((1..=topics.len() as u32).rev()) {
        let left = end.saturating_duration_since(Instant::now());
        if !topic.go_through(left / still) {
            return ExitCode::FAILURE;
        }
    }
    println!("no rule is broken");
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let (mut minutes, mut world) = (None, None);
    let mut words = arguments.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--minutes" => {
                let given = value.parse().ok().filter(|minutes| *minutes > 0);
                minutes = Some(given.ok_or(format!("{value} is no number of minutes"))?);
            }
            "--world" => world = Some(value.clone()),
            _ => return Err(format!("there is no {flag}")),
        }
    }
    let minutes = minutes.ok_or("--minutes N says how long")?;
    Ok(Asked { minutes, world })
}
