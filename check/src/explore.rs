//! Exploring a world to its end.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A world whose bounds and ways can be told.
pub trait Charted: Model {
    /// Its bounds in words.
    fn bounds(&self) -> String;

    /// The actions of a way, a line each.
    fn chart(&self, path: &[(Self::State, Option<Self::Action>)]) -> Vec<String>
    where
        Self::Action: Debug,
    {
        let actions = path.iter().filter_map(|(_, action)| action.as_ref());
        actions.map(|action| self.format_action(action)).collect()
    }
}

/// What departs from the plain case, in words behind the rest of a world's bounds: each with how often, unless never.
#[must_use]
pub fn departures(counts: &[(u8, &str)]) -> String {
    let mut words = String::new();
    for (count, what) in counts {
        match count {
            0 => {}
            1 => words += &format!(", {what}"),
            _ => words += &format!(", {what} {count}"),
        }
    }
    words
}

/// What a check came to.
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Actions on the longest shortest way to a state.
    pub depth: usize,
    /// Wall clock.
    pub seconds: f64,
    /// Whether all states were seen, or all that was to be found was.
    pub ended: bool,
    /// The broken rules that were found, with the lengths of their shortest counterexamples.
    pub broken: Vec<(&'static str, usize)>,
    /// The counterexamples, a line an action.
    pub charts: Vec<Vec<String>>,
}

/// A way through a world, state by state.
type Way<M> = Vec<(<M as Model>::State, Option<<M as Model>::Action>)>;

/// Explores a world, breadth first, until each of the rules `until` is broken, or any rule at all if none is given; or
/// until time is up, or there are more than `states_max` states.
#[allow(clippy::disallowed_methods)] // measures how long it takes
pub fn search<M>(world: M, until: &[&'static str], limit: Duration, states_max: Option<usize>) -> Found
where
    M: Charted + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let rules = rules(&world);
    let stop = if until.is_empty() {
        HasDiscoveries::AnyFailures
    } else {
        HasDiscoveries::AllOf(until.iter().copied().collect())
    };
    let start = Instant::now();
    let mut builder = world.checker().threads(2).timeout(limit).finish_when(stop);
    if let Some(states_max) = states_max {
        builder = builder.target_state_count(states_max);
    }
    let checker = builder.spawn_bfs().join();
    let elapsed = start.elapsed();
    let (mut broken, mut charts) = (Vec::new(), Vec::new());
    for (name, path) in checker.discoveries() {
        if rules.contains(name) {
            let way: Way<M> = path.into_vec();
            broken.push((name, way.len() - 1));
            charts.push(checker.model().chart(&way));
        }
    }
    let states = checker.unique_state_count();
    // A checker that ran into its limit says that it is done.
    let cut = elapsed >= limit || states_max.is_some_and(|max| checker.state_count() >= max);
    Found {
        states,
        depth: checker.max_depth(),
        seconds: elapsed.as_secs_f64(),
        ended: checker.is_done() && !cut,
        broken,
        charts,
    }
}

/// The shortest way on which a rule is broken.
pub fn path_to<M>(world: &M, rule: &'static str, limit: Duration) -> Option<Way<M>>
where
    M: Charted + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let stop = HasDiscoveries::AllOf(std::iter::once(rule).collect());
    let builder = world.clone().checker().timeout(limit).finish_when(stop);
    let checker = builder.spawn_bfs().join();
    checker.discovery(rule).map(|path| path.into_vec())
}

fn rules<M: Model>(world: &M) -> BTreeSet<&'static str> {
    let properties = world.properties();
    let always = properties
        .iter()
        .filter(|property| property.expectation == Expectation::Always);
    always.map(|property| property.name).collect()
}

/// As [`search`], to its end. `TRACE=1` prints counterexamples.
///
/// # Panics
/// If the time limit is hit: nothing is proven then.
pub fn explore<M>(world: M, until: &[&'static str], limit: Duration) -> Found
where
    M: Charted + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let found = search(world, until, limit, None);
    assert!(
        found.ended || !found.broken.is_empty(),
        "the limit of {} s was hit: nothing is proven",
        limit.as_secs()
    );
    if std::env::var_os("TRACE").is_some() {
        for ((rule, _), chart) in found.broken.iter().zip(&found.charts) {
            println!("{rule}:");
            for (line, number) in chart.iter().zip(1..) {
                println!("  {number:>3}  {line}");
            }
        }
    }
    found
}

/// Exhausts worlds and prints a table: no rule is broken, and every occasion for one
/// arises in some world. `ONLY=wipes` tries the worlds with that in their bounds alone, and asks for no occasions.
///
/// # Panics
/// If a rule is broken, an occasion never arises, or a world takes longer than `limit`.
pub fn exhaust<M>(worlds: Vec<M>, limit: Duration)
where
    M: Charted + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut occasions, mut seen) = (BTreeSet::new(), BTreeSet::new());
    println!("{:<40} {:>9} {:>5} {:>6}", "configuration", "states", "depth", "s");
    for world in worlds.into_iter().filter(|world| world.bounds().contains(&only)) {
        let bounds = world.bounds();
        let found = explore(world.clone(), &[], limit);
        println!(
            "{bounds:<40} {:>9} {:>5} {:>6.1}",
            found.states, found.depth, found.seconds
        );
        assert_eq!(found.broken, [], "{bounds}");
        let any = world.init_states().remove(0);
        for property in world.properties() {
            if property.expectation == Expectation::Sometimes {
                occasions.insert(property.name);
                seen.extend((property.condition)(&world, &any).then_some(property.name));
            }
        }
    }
    if only.is_empty() {
        let never: Vec<_> = occasions.difference(&seen).collect();
        assert_eq!(never, [&""; 0], "rules hold for want of an occasion");
    }
}

/// A way to break the protocol, and where it must be noticed.
pub struct Break<M> {
    /// What is broken.
    pub name: &'static str,
    /// The rules that must be found broken.
    pub rules: Vec<&'static str>,
    /// The world with the break.
    pub world: M,
    /// The same world without it.
    pub sound: M,
}

/// Explores each broken world until its rules are found broken, and the sound one to its end, and prints a table.
/// `ONLY=wiped` tries the breaks with that in their names alone.
///
/// # Panics
/// If a break breaks no rule, or a sound world does; or if one takes longer than `limit`.
pub fn catch<M>(breaks: Vec<Break<M>>, limit: Duration)
where
    M: Charted + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let only = std::env::var("ONLY").unwrap_or_default();
    println!(
        "{:<46} {:<34} {:<30} {:>6} {:>5}",
        "mutant", "bounds", "rule", "length", "s"
    );
    let mut missed = Vec::new();
    for tried in breaks.into_iter().filter(|tried| tried.name.contains(&only)) {
        let (name, bounds) = (tried.name, tried.world.bounds());
        let found = explore(tried.world, &tried.rules, limit);
        for rule in tried.rules {
            match found.broken.iter().find(|(broken, _)| *broken == rule) {
                Some((_, length)) => {
                    println!("{name:<46} {bounds:<34} {rule:<30} {length:>6} {:>5.1}", found.seconds);
                }
                None => missed.push((name, rule, found.states)),
            }
        }
        let without = explore(tried.sound, &[], limit);
        assert_eq!(without.broken, [], "{name}: what was caught is not the break");
    }
    assert_eq!(missed, [], "mutants that broke no rule");
}
