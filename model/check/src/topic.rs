//! The topics of the protocol, each with the worlds that it is checked in and the mutants that must be caught.
//!
//! The searches are instantiated here for all worlds, so that they are compiled once for all tests and tools.

use crate::explore::{Found, counterexamples, search};
use crate::harness::{Charted, Checked, Rules};
use crate::rules::{Listed, Named};
use crate::tables::{self, Figures, Table};
use stateright::Model;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Time limit of one exploration. Exceeding it is a failure: nothing would be proven of that world.
const LIMIT: Duration = Duration::from_secs(600);

/// A world of any topic.
pub trait AnyWorld {
    /// Returns the bounds in words.
    fn bounds(&self) -> String;

    /// Searches the world as [`search`] does.
    fn search(&self, until: &[&'static str], limit: Duration, states_max: Option<usize>) -> Found;

    /// Returns charts of shortest paths to the broken rules of `found`, as [`counterexamples`] does.
    fn counterexamples(&self, found: &Found, limit: Duration) -> String;

    /// Returns the witnesses for its rules, each with whether a search of this world has reached it.
    fn occasions(&self) -> Vec<(&'static str, bool)>;

    /// Serves stateright's explorer at `address` until the process ends.
    fn serve(&self, address: &str);
}

impl<W: Charted> AnyWorld for W {
    fn bounds(&self) -> String {
        Charted::bounds(self)
    }

    fn search(&self, until: &[&'static str], limit: Duration, states_max: Option<usize>) -> Found {
        search(self.clone(), until, limit, states_max)
    }

    fn counterexamples(&self, found: &Found, limit: Duration) -> String {
        counterexamples(self, found, limit)
    }

    fn occasions(&self) -> Vec<(&'static str, bool)> {
        let all = <W::Rule as Rules>::Occasion::ALL.iter();
        all.map(|occasion| (occasion.name(), self.seen().has(*occasion)))
            .collect()
    }

    fn serve(&self, address: &str) {
        Checked(self.clone()).checker().serve(address);
    }
}

/// Explores a world exhaustively, or until each of the rules `until` is broken. `TRACE=1` prints counterexamples.
///
/// # Panics
/// If the time limit is exceeded: nothing is proven then.
pub fn explore(world: &dyn AnyWorld, until: &[&'static str]) -> Found {
    let found = world.search(until, LIMIT, None);
    assert!(
        found.ended || !found.broken.is_empty(),
        "{}: the limit of {} s was hit: nothing is proven",
        world.bounds(),
        LIMIT.as_secs()
    );
    if std::env::var_os("TRACE").is_some() {
        print!("{}", world.counterexamples(&found, LIMIT));
    }
    found
}

/// A mutant of the protocol, and the world in which it must be caught.
pub struct Break {
    /// Description of the mutant.
    pub name: &'static str,
    /// The rules that must be found broken.
    pub rules: Vec<&'static str>,
    /// The world with the mutant.
    pub world: Box<dyn AnyWorld>,
    /// The same world without the mutant.
    pub sound: Box<dyn AnyWorld>,
}

impl Break {
    /// Creates a mutant from its name, the rules that must be found broken, and the world with and without it.
    pub fn new<R: Named, M: AnyWorld + 'static>(name: &'static str, rules: &[R], world: M, sound: M) -> Self {
        Break {
            name,
            rules: rules.iter().map(|rule| rule.name()).collect(),
            world: Box::new(world),
            sound: Box::new(sound),
        }
    }
}

/// A mutant that random walks must catch: exhaustive searches do not get as far.
pub struct Walked {
    name: &'static str,
    rule: &'static str,
    bounds: String,
    seeds: u64,
    walk: Box<dyn Fn(u64)>,
}

impl Walked {
    /// Creates a mutant from its name, the rule that must be found broken, the bounds of its world, and the number of
    /// seeds to try. A walk that breaks a rule panics with the rule's name.
    pub fn new(
        name: &'static str,
        rule: &'static str,
        bounds: String,
        seeds: u64,
        walk: impl Fn(u64) + 'static,
    ) -> Self {
        Walked {
            name,
            rule,
            bounds,
            seeds,
            walk: Box::new(walk),
        }
    }

    /// Returns its row in the table of mutants, without the figures.
    pub(crate) fn row(&self) -> String {
        tables::broken(self.name, &format!("walks of {}", self.bounds), self.rule)
    }

    /// Walks until the rule is broken; returns the seconds that took, or `None` if it never is.
    #[allow(clippy::disallowed_methods)] // measures how long it takes
    fn seconds(&self) -> Option<f64> {
        let start = Instant::now();
        for seed in 0..self.seeds {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.walk)(seed))) else {
                continue;
            };
            if !panic
                .downcast_ref::<String>()
                .is_some_and(|said| said.contains(self.rule))
            {
                resume_unwind(panic);
            }
            return Some(start.elapsed().as_secs_f64());
        }
        None
    }
}

pub struct Topic {
    /// Name of the topic and its module.
    pub name: &'static str,
    /// The worlds that the tests explore exhaustively, in seconds each.
    pub worlds: Vec<Box<dyn AnyWorld>>,
    /// Worlds that take minutes or more.
    pub larger: Vec<Box<dyn AnyWorld>>,
    pub mutants: Vec<Break>,
    /// Mutants that random walks must catch.
    pub walked: Vec<Walked>,
}

impl Topic {
    pub fn new<M: AnyWorld + 'static>(name: &'static str, worlds: Vec<M>, larger: Vec<M>, mutants: Vec<Break>) -> Self {
        let boxed = |worlds: Vec<M>| {
            let worlds = worlds.into_iter();
            worlds.map(|world| Box::new(world) as Box<dyn AnyWorld>).collect()
        };
        Topic {
            name,
            worlds: boxed(worlds),
            larger: boxed(larger),
            mutants,
            walked: Vec::new(),
        }
    }

    /// Adds mutants that random walks must catch.
    #[must_use]
    pub fn with_walked(self, walked: Vec<Walked>) -> Self {
        Topic { walked, ..self }
    }

    /// Checks that `specs/model.md` and `specs/mutants.md` have exactly one row for each world and mutant, without
    /// exploring any. With `UPDATE_SPECS=1` it writes them.
    ///
    /// # Panics
    /// If rows are missing or superfluous.
    pub fn check_tables(&self) {
        Table::of_worlds(self).check_rows();
        Table::of_mutants(self).check_rows();
    }

    /// Explores the worlds exhaustively and prints a table: no rule is broken, every witness is reached in some world,
    /// and the numbers of states are about those of `specs/model.md`; with `UPDATE_SPECS=1` they are written there.
    /// `ONLY=wipes` restricts it to worlds whose bounds contain that, and skips the check of witnesses.
    ///
    /// # Panics
    /// If a rule is broken, a witness is never reached, a world takes too long, or the page disagrees.
    pub fn exhaust(&self) {
        let found = exhaust(&self.worlds);
        Table::of_worlds(self).enter(&found, tables::is_same_world);
    }

    /// Explores the larger worlds as [`exhaust`](Self::exhaust) does the others.
    ///
    /// # Panics
    /// As [`exhaust`](Self::exhaust) does.
    pub fn exhaust_larger(&self) {
        let found = exhaust(&self.larger).into_iter();
        let found = found.map(|(bounds, figures)| (tables::starred(&bounds), figures));
        Table::of_worlds(self).enter(&found.collect(), tables::is_same_world);
    }

    /// Explores worlds exhaustively, in their order, until `budget` states have been generated, and prints a table.
    /// Returns the number of worlds that were exhausted. One that takes more than half of the budget is skipped:
    /// nothing is proven of it.
    ///
    /// # Panics
    /// If a rule is broken in any of them.
    #[must_use]
    pub fn exhaust_small(&self, budget: usize) -> usize {
        let (mut exhausted, mut generated) = (0, 0);
        for world in &self.worlds {
            if generated >= budget {
                break;
            }
            let found = world.search(&[], LIMIT, Some(budget / 2));
            generated += found.generated;
            assert_eq!(found.broken, [], "{}", world.bounds());
            if found.ended {
                exhausted += 1;
                print_row(&**world, &found);
            }
        }
        exhausted
    }

    /// Explores each mutant's world until its rules are found broken, and the world without the mutant exhaustively,
    /// and prints a table; with `UPDATE_SPECS=1` it is written to `specs/mutants.md`. `ONLY=wiped` restricts it to the
    /// mutants whose names contain that.
    ///
    /// # Panics
    /// If a mutant breaks no rule, a world without its mutant breaks one, or one takes too long.
    pub fn catch(&self) {
        let only = std::env::var("ONLY").unwrap_or_default();
        let (mut missed, mut caught) = (Vec::new(), Figures::new());
        for tried in self.mutants.iter().filter(|tried| tried.name.contains(&only)) {
            let found = explore(&*tried.world, &tried.rules);
            missed.extend(tried.missed(&found));
            caught.extend(tried.figures(&found));
            let without = explore(&*tried.sound, &[]);
            assert_eq!(without.broken, [], "{}: what was caught is not the mutant", tried.name);
        }
        for tried in self.walked.iter().filter(|tried| tried.name.contains(&only)) {
            match tried.seconds() {
                Some(seconds) => {
                    caught.insert(tried.row(), vec!["–".to_owned(), format!("{seconds:.1}")]);
                }
                None => missed.push((tried.name, tried.rule)),
            }
        }
        assert_eq!(missed, [], "mutants that broke no rule");
        Table::of_mutants(self).enter(&caught, tables::is_same_mutant);
    }

    /// Searches the worlds of mutants up to `states_max` generated states each, with and without the mutant, until
    /// `count` mutants have broken all of their rules. Returns the number of these.
    ///
    /// # Panics
    /// If a rule is broken without the mutant.
    #[must_use]
    pub fn catch_some(&self, count: usize, states_max: usize) -> usize {
        let mut caught = 0;
        for tried in &self.mutants {
            if caught == count {
                break;
            }
            let found = tried.world.search(&tried.rules, LIMIT, Some(states_max));
            let without = tried.sound.search(&[], LIMIT, Some(states_max));
            assert_eq!(without.broken, [], "{}: its sound world", tried.name);
            caught += usize::from(tried.missed(&found).is_empty());
        }
        caught
    }
}

impl Break {
    /// Prints a row for each of its rules that was found broken; returns the others.
    fn missed(&self, found: &Found) -> Vec<(&'static str, &'static str)> {
        let mut missed = Vec::new();
        for rule in &self.rules {
            match found.broken.iter().find(|(broken, _)| broken == rule) {
                Some((_, length)) => println!(
                    "{:<46} {:<34} {rule:<30} {length:>6} {:>5.1}",
                    self.name,
                    self.world.bounds(),
                    found.seconds
                ),
                None => missed.push((self.name, *rule)),
            }
        }
        missed
    }

    /// Returns the figures of its rules that were found broken, by row.
    fn figures(&self, found: &Found) -> Figures {
        let rows = found.broken.iter().filter(|(rule, _)| self.rules.contains(rule));
        let rows = rows.map(|(rule, length)| {
            let figures = vec![length.to_string(), format!("{:.1}", found.seconds)];
            (tables::broken(self.name, &self.world.bounds(), rule), figures)
        });
        rows.collect()
    }
}

/// Explores worlds exhaustively; returns the figures of each by its bounds.
fn exhaust(worlds: &[Box<dyn AnyWorld>]) -> Figures {
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut occasions, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut exhausted = Figures::new();
    println!("{:<40} {:>9} {:>5} {:>6}", "configuration", "states", "depth", "s");
    for world in worlds.iter().filter(|world| world.bounds().contains(&only)) {
        let found = explore(&**world, &[]);
        print_row(&**world, &found);
        assert_eq!(found.broken, [], "{}", world.bounds());
        exhausted.insert(world.bounds(), tables::figures_of_world(&found));
        for (occasion, has_arisen) in world.occasions() {
            occasions.insert(occasion);
            seen.extend(has_arisen.then_some(occasion));
        }
    }
    if only.is_empty() {
        let never: Vec<_> = occasions.difference(&seen).collect();
        assert_eq!(never, [&""; 0], "rules hold for want of an occasion");
    }
    exhausted
}

fn print_row(world: &dyn AnyWorld, found: &Found) {
    println!(
        "{:<40} {:>9} {:>5} {:>6.1}",
        world.bounds(),
        found.states,
        found.depth,
        found.seconds
    );
}
