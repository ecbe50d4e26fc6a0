//! Breadth-first search of a world for broken rules.

use crate::harness::{Charted, Checked, World};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Formats counts that depart from the plain case, to be appended to the bounds of a world: each label with its count,
/// zeros left out.
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

/// The result of a search.
pub struct Found {
    /// Number of distinct states.
    pub states: usize,
    /// Number of states that were generated, duplicates included.
    pub generated: usize,
    /// Number of actions on the longest of the shortest paths to a state.
    pub depth: usize,
    /// Elapsed wall-clock time.
    pub seconds: f64,
    /// True if no limit cut the search short: all states were seen, or all wanted violations were found.
    pub ended: bool,
    /// The rules that were found broken, with the lengths of the paths that the checker found: those of [`path_to`] may
    /// be a few steps shorter.
    pub broken: Vec<(&'static str, usize)>,
    /// The charts of these paths.
    pub charts: Vec<Vec<String>>,
}

/// A path through a world, as stateright gives it.
type Way<W> = Vec<(<W as World>::State, Option<<W as World>::Action>)>;

/// Explores a world breadth-first until each of the rules `until` is broken, or any rule if `until` is empty; or until
/// the time limit or `states_max` states are reached.
#[allow(clippy::disallowed_methods)] // measures how long it takes
pub fn search<W: Charted>(world: W, until: &[&'static str], limit: Duration, states_max: Option<usize>) -> Found {
    let world = Checked(world);
    let rules = always(&world);
    let stop = if until.is_empty() {
        HasDiscoveries::AnyFailures
    } else {
        HasDiscoveries::AllOf(until.iter().copied().collect())
    };
    let start = Instant::now();
    let mut builder = world.checker().threads(threads()).timeout(limit).finish_when(stop);
    if let Some(states_max) = states_max {
        builder = builder.target_state_count(states_max);
    }
    let checker = builder.spawn_bfs().join();
    let elapsed = start.elapsed();
    let (mut broken, mut charts) = (Vec::new(), Vec::new());
    for (name, path) in checker.discoveries() {
        if rules.contains(name) {
            let way: Way<W> = path.into_vec();
            broken.push((name, way.len() - 1));
            charts.push(checker.model().0.chart(&way));
        }
    }
    let states = checker.unique_state_count();
    // At its limit the checker reports that it is done.
    let cut = elapsed >= limit || states_max.is_some_and(|max| checker.state_count() >= max);
    Found {
        states,
        generated: checker.state_count(),
        depth: checker.max_depth(),
        seconds: elapsed.as_secs_f64(),
        ended: checker.is_done() && !cut,
        broken,
        charts,
    }
}

/// Returns the number of threads of a search. One thread (`THREADS=1`) gives the same states, depth and counterexamples
/// on every run, so figures that are written into `specs/` come from one.
pub(crate) fn threads() -> usize {
    let asked = std::env::var("THREADS").ok();
    let default = if crate::tables::updates() { 1 } else { 2 };
    asked.and_then(|threads| threads.parse().ok()).unwrap_or(default)
}

/// Returns a shortest path on which a rule is broken. This needs a search of its own: stateright keeps the last
/// violating path that it finds before it stops.
#[allow(clippy::disallowed_methods)] // gives up when time is up
pub fn path_to<W: Charted>(world: &W, rule: &'static str, limit: Duration) -> Option<Way<W>> {
    let end = Instant::now() + limit;
    let checked = Checked(world.clone());
    let properties = checked.properties();
    let property = properties.iter().find(|property| property.name == rule)?;
    // For each state its predecessor and the index of the action that led from there.
    let mut origins: BTreeMap<u64, Option<(u64, usize)>> = BTreeMap::new();
    let mut waiting = VecDeque::from([world.initial()]);
    origins.insert(fingerprint(&waiting[0]), None);
    let mut actions = Vec::new();
    while let Some(state) = waiting.pop_front() {
        let at = fingerprint(&state);
        if !(property.condition)(&checked, &state) {
            return Some(retrace(world, &origins, at));
        }
        if Instant::now() > end {
            return None;
        }
        world.enabled(&state, &mut actions);
        for (index, action) in actions.drain(..).enumerate() {
            let Some(next) = world.next(&state, action) else {
                continue;
            };
            if let Entry::Vacant(origin) = origins.entry(fingerprint(&next)) {
                origin.insert(Some((at, index)));
                waiting.push_back(next);
            }
        }
    }
    None
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Returns the path to a state.
fn retrace<W: World>(world: &W, origins: &BTreeMap<u64, Option<(u64, usize)>>, mut at: u64) -> Way<W> {
    let mut taken = Vec::new();
    while let Some((before, index)) = origins[&at] {
        taken.push(index);
        at = before;
    }
    let mut state = world.initial();
    let mut way = Vec::new();
    for index in taken.into_iter().rev() {
        let mut actions = Vec::new();
        world.enabled(&state, &mut actions);
        let action = actions.swap_remove(index);
        let next = world.next(&state, action).expect("it led on");
        way.push((state, Some(action)));
        state = next;
    }
    way.push((state, None));
    way
}

/// Formats a counterexample for each broken rule, as a chart with numbered lines: a shortest path, if one is found
/// within the limit, else the checker's.
pub fn counterexamples<W: Charted>(world: &W, found: &Found, limit: Duration) -> String {
    let mut text = String::new();
    for ((rule, _), theirs) in found.broken.iter().zip(&found.charts) {
        let shortest = path_to(world, rule, limit).map(|way| world.chart(&way));
        text += &format!("{rule}:\n");
        for (line, number) in shortest.as_ref().unwrap_or(theirs).iter().zip(1..) {
            text += &format!("  {number:>3}  {line}\n");
        }
    }
    text
}

fn always<W: Charted>(world: &Checked<W>) -> BTreeSet<&'static str> {
    let properties = world.properties();
    let always = properties
        .iter()
        .filter(|property| property.expectation == Expectation::Always);
    always.map(|property| property.name).collect()
}
