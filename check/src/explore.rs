//! Exploring a world to its end.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What a check came to.
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Actions on the longest shortest way to a state.
    pub depth: usize,
    /// Wall clock.
    pub seconds: f64,
    /// The broken rules that were found, with the lengths of their shortest counterexamples.
    pub broken: Vec<(&'static str, usize)>,
}

/// Explores a world, breadth first, until each of the rules `until` is broken, or any rule at all if none is given.
/// `TRACE=1` prints counterexamples.
///
/// # Panics
/// If the time limit is hit: nothing is proven then.
#[allow(clippy::disallowed_methods)] // measures how long a check takes, and prints what a test asked for
pub fn explore<M>(world: M, until: &[&'static str], limit: Duration) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let rules: BTreeSet<&str> = world
        .properties()
        .iter()
        .filter(|property| property.expectation == Expectation::Always)
        .map(|property| property.name)
        .collect();
    let stop = if until.is_empty() {
        HasDiscoveries::AnyFailures
    } else {
        HasDiscoveries::AllOf(until.iter().copied().collect())
    };
    let start = Instant::now();
    let checker = world
        .checker()
        .threads(2)
        .timeout(limit)
        .finish_when(stop)
        .spawn_bfs()
        .join();
    // A checker that ran into its limit says that it is done.
    assert!(
        start.elapsed() < limit,
        "the limit of {} s was hit: nothing is proven",
        limit.as_secs()
    );
    assert!(checker.is_done());
    let mut broken = Vec::new();
    for (name, path) in checker.discoveries() {
        if rules.contains(name) {
            let actions = path.into_actions();
            if std::env::var_os("TRACE").is_some() {
                println!("{name}: {actions:#?}");
            }
            broken.push((name, actions.len()));
        }
    }
    Found {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: start.elapsed().as_secs_f64(),
        broken,
    }
}

/// Exhausts worlds, each with its bounds in words, and prints a table: no rule is broken, and every occasion for one
/// arises in some world. `ONLY=wipes` tries the worlds with that in their bounds alone, and asks for no occasions.
///
/// # Panics
/// If a rule is broken, an occasion never arises, or a world takes longer than `limit`.
pub fn exhaust<M>(worlds: Vec<(String, M)>, limit: Duration)
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut occasions, mut seen) = (BTreeSet::new(), BTreeSet::new());
    println!("{:<40} {:>9} {:>5} {:>6}", "configuration", "states", "depth", "s");
    for (bounds, world) in worlds.into_iter().filter(|(bounds, _)| bounds.contains(&only)) {
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
    /// The bounds of the world in words.
    pub bounds: String,
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
    M: Model + Send + Sync + 'static,
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
        let Break { name, bounds, .. } = tried;
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
