//! The topics of the protocol: each with the worlds that it is checked in, and the mutants that must be caught.
//!
//! The searches of all worlds are compiled here, once, for every test and tool that runs them.

use crate::explore::{Found, counterexamples, search};
use crate::harness::{Charted, Checked, Rules};
use crate::rules::{Listed, Named};
use crate::tables::{self, Figures, Table};
use stateright::Model;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Time limit of one exploration: a world that takes longer is a failure, since nothing is proven of it.
const LIMIT: Duration = Duration::from_secs(600);

/// A world of any topic.
pub trait AnyWorld {
    /// Its bounds in words.
    fn bounds(&self) -> String;

    /// Searches it as [`search`] does.
    fn search(&self, until: &[&'static str], limit: Duration, states_max: Option<usize>) -> Found;

    /// Charts of the shortest ways to the broken rules of `found`, as [`counterexamples`] makes them.
    fn counterexamples(&self, found: &Found, limit: Duration) -> String;

    /// The occasions for its rules, each with whether it has arisen in a search of this world.
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

/// Explores a world to its end, or until each of the rules `until` is broken. `TRACE=1` prints counterexamples.
///
/// # Panics
/// If the time limit is hit: nothing is proven then.
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

/// A mutant of the protocol, and where it must be caught.
pub struct Break {
    /// What is broken.
    pub name: &'static str,
    /// The rules that must be found broken.
    pub rules: Vec<&'static str>,
    /// The world with the mutant.
    pub world: Box<dyn AnyWorld>,
    /// The same world without it.
    pub sound: Box<dyn AnyWorld>,
}

impl Break {
    /// A mutant by its name, the rules that must be found broken, and the world with and without it.
    pub fn new<R: Named, M: AnyWorld + 'static>(name: &'static str, rules: &[R], world: M, sound: M) -> Self {
        Break {
            name,
            rules: rules.iter().map(|rule| rule.name()).collect(),
            world: Box::new(world),
            sound: Box::new(sound),
        }
    }
}

/// A mutant that random walks must notice: searches do not get as far.
pub struct Walked {
    name: &'static str,
    rule: &'static str,
    bounds: String,
    seeds: u64,
    walk: Box<dyn Fn(u64)>,
}

impl Walked {
    /// A mutant by its name, the rule that must be found broken, its world's bounds, and how many seeds to try. A walk
    /// that breaks a rule panics with its name.
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

    /// Its row in the table of mutants, but for the figures.
    pub(crate) fn row(&self) -> String {
        tables::broken(self.name, &format!("walks of {}", self.bounds), self.rule)
    }

    /// Walks until the rule is broken; returns after how many seconds, or none if it never is.
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

/// A topic of the protocol.
pub struct Topic {
    /// Its name: that of its module.
    pub name: &'static str,
    /// The worlds that the tests exhaust, in seconds each.
    pub worlds: Vec<Box<dyn AnyWorld>>,
    /// Worlds that take minutes or more.
    pub larger: Vec<Box<dyn AnyWorld>>,
    /// Its mutants.
    pub mutants: Vec<Break>,
    /// Mutants that random walks must notice.
    pub walked: Vec<Walked>,
}

impl Topic {
    /// A topic from its worlds and mutants.
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

    /// The topic with mutants that random walks must notice.
    #[must_use]
    pub fn with_walked(self, walked: Vec<Walked>) -> Self {
        Topic { walked, ..self }
    }

    /// Checks that `specs/model.md` and `specs/mutants.md` have a row for each world and mutant, and no others, without
    /// exploring any. With `UPDATE_SPECS=1` it writes them.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_tables(&self) {
        Table::of_worlds(self).check_rows();
        Table::of_mutants(self).check_rows();
    }

    /// Exhausts the worlds and prints a table: no rule is broken, every occasion for one arises in some world, and
    /// `specs/model.md` has about as many states; with `UPDATE_SPECS=1` they are written there.
    /// `ONLY=wipes` tries the worlds with that in their bounds alone, and asks for no occasions.
    ///
    /// # Panics
    /// If a rule is broken, an occasion never arises, a world takes too long, or the page tells of another one.
    pub fn exhaust(&self) {
        let found = exhaust(&self.worlds);
        Table::of_worlds(self).enter(&found, tables::is_same_world);
    }

    /// Exhausts the larger worlds as [`exhaust`](Self::exhaust) does the others.
    ///
    /// # Panics
    /// If a rule is broken, an occasion never arises, a world takes too long, or the page tells of another one.
    pub fn exhaust_larger(&self) {
        let found = exhaust(&self.larger).into_iter();
        let found = found.map(|(bounds, figures)| (tables::starred(&bounds), figures));
        Table::of_worlds(self).enter(&found.collect(), tables::is_same_world);
    }

    /// Exhausts worlds, in their order, until `budget` states have been generated, prints a table, and returns how
    /// many worlds were exhausted. One that takes more than half of the budget is left out: nothing is proven of
    /// it.
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

    /// Explores each mutant's world until its rules are found broken, and the sound one to its end, and prints a
    /// table; with `UPDATE_SPECS=1` it is written to `specs/mutants.md`. `ONLY=wiped` tries the mutants with that in
    /// their names alone.
    ///
    /// # Panics
    /// If a mutant breaks no rule, or a sound world does; or if one takes too long.
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

    /// Catches the mutants of which `states_max` generated states are enough to see each of their rules broken, and at
    /// most `count` of them; returns how many. The sound worlds are searched up to as many states.
    ///
    /// # Panics
    /// If a rule is broken in a sound world.
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

    /// The figures of its rules that were found broken, by row.
    fn figures(&self, found: &Found) -> Figures {
        let rows = found.broken.iter().filter(|(rule, _)| self.rules.contains(rule));
        let rows = rows.map(|(rule, length)| {
            let figures = vec![length.to_string(), format!("{:.1}", found.seconds)];
            (tables::broken(self.name, &self.world.bounds(), rule), figures)
        });
        rows.collect()
    }
}

/// Exhausts worlds; returns the figures of each by its bounds.
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
