//! Runs scenarios: one thread for each seed; a failure is reported with the command that replays it.
//!
//! A scenario is a test of `cargo test`:
//!
//! ```no_run
//! sim::run::Scenario::new("nothing_synced_is_lost").seeds(20).check(|world| async move {
//!     world.start(1, |rt| async move { drop(rt) });
//! });
//! ```
//!
//! `SIM_SEED=17` runs that seed alone, `SIM_SEEDS=1000` more of them, `SIM_FIRST=5000` others.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the outside of the simulation: threads and trace files"
)]

use crate::{World, executor::panic_message, lock};
use madsim::{Config, runtime::Runtime};
use std::{
    collections::BTreeMap,
    env, fs,
    future::Future,
    num::NonZero,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Number of failing seeds after which the remaining ones are skipped.
const FAILURES_MAX: usize = 3;
/// Environment variable of a child process: path to which it writes the trace of its one seed.
const CHILD: &str = "SIM_DETERMINISM_TRACE";

/// A named scenario and the seeds to run.
pub struct Scenario {
    name: &'static str,
    seeds: u64,
    known: Vec<u64>,
    limit: Duration,
}

/// Outcome of a run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Message of the panic.
    pub message: String,
    /// Trace up to the failure.
    pub trace: Vec<String>,
}

impl Failure {
    /// Returns the rule in backticks that the message names before its first colon; else the text before that colon.
    pub fn noticed_as(&self) -> String {
        let message = &self.message;
        let named = message.split(": ").map(|part| part.rsplit(' ').next().unwrap_or(part));
        let is_rule = |word: &&str| {
            let letters = word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || b".-".contains(&byte));
            letters && word.split('.').filter(|part| !part.is_empty()).count() == 2
        };
        match named.clone().find(is_rule) {
            Some(rule) => format!("`{rule}`"),
            None => message.split([':', '\n']).next().unwrap_or(message).to_owned(),
        }
    }
}

/// Default limit of a run, in virtual time: a longer run fails.
const LIMIT_DEFAULT: Duration = Duration::from_secs(3600);

/// Runs `scenario` with `seed` in a fresh thread (hash maps are seeded by thread); returns its trace.
///
/// # Errors
/// When it panics, runs longer than `limit` (virtual), deadlocks, or ends with a job's panic that was not taken
/// with [`World::take_job_panics`].
pub fn simulate<F>(
    seed: u64,
    limit: Duration,
    scenario: impl FnOnce(World) -> F + Send + 'static,
) -> Result<Vec<String>, Failure>
where
    F: Future<Output = ()> + 'static,
{
    let world = World::new(seed);
    let inside = world.clone();
    let simulation = move || {
        let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
        runtime.set_time_limit(limit);
        // Dropped before the runtime.
        let _abandoned = Abandon(inside.clone());
        let world = inside.clone();
        runtime.block_on(async {
            scenario(world.clone()).await;
            world.end().await;
        });
        let panics = inside.take_job_panics();
        assert!(panics.is_empty(), "jobs panicked: {panics:?}");
        if let (Some(violation), _) = inside.replayed() {
            panic!("the replay of the machines: {violation}");
        }
    };
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let ended = thread.spawn(simulation).expect("the machine has a thread left").join();
    match ended {
        Ok(()) => Ok(world.trace()),
        Err(panic) => {
            let mut message = panic_message(&*panic);
            // A violation that the replay found precedes what clients saw of it.
            if let (Some(violation), _) = world.replayed() {
                message = format!("the replay of the machines: {violation}; then: {message}");
            }
            let trace = world.trace();
            Err(Failure { message, trace })
        }
    }
}

/// Abandons a world when it is dropped.
struct Abandon(World);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Scenario {
    /// Makes a scenario with the name of its test function (as `cargo test` prints it), 10 seeds, and a limit of an
    /// hour of virtual time.
    pub fn new(name: &'static str) -> Self {
        Scenario {
            name,
            seeds: 10,
            known: Vec::new(),
            limit: LIMIT_DEFAULT,
        }
    }

    /// Sets the number of seeds to run unless the environment says otherwise.
    pub fn seeds(self, seeds: u64) -> Self {
        Scenario { seeds, ..self }
    }

    /// Adds seeds that once found a bug. They run before the others, unless the environment asks for seeds.
    pub fn known(self, seeds: impl IntoIterator<Item = u64>) -> Self {
        let known = seeds.into_iter().collect();
        Scenario { known, ..self }
    }

    /// Sets the limit of a run, in virtual time.
    pub fn limit(self, limit: Duration) -> Self {
        Scenario { limit, ..self }
    }

    /// Runs the seeds. The first one runs twice: if its traces differ, all other results are worthless.
    ///
    /// # Panics
    /// When a seed fails, after printing how to replay it.
    pub fn check<F, S>(&self, scenario: S)
    where
        S: Fn(World) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let run = self.runner(scenario);
        let seeds: Vec<u64> = match (from_env("SIM_SEED"), from_env("SIM_FIRST"), from_env("SIM_SEEDS")) {
            (Some(seed), _, _) => vec![seed],
            (None, None, None) => self.known.iter().copied().chain(0..self.seeds).collect(),
            (None, first, count) => {
                let first = first.unwrap_or(0);
                (first..first + count.unwrap_or(self.seeds)).collect()
            }
        };
        if let Some(first) = seeds.first() {
            let (once, again) = (run(*first), run(*first));
            assert_equal(
                self.name,
                *first,
                trace_of(&once),
                trace_of(&again),
                "twice in one process",
            );
            if seeds.len() == 1 {
                let path = write_trace(self.name, *first, trace_of(&once));
                println!("trace of seed {first}: {}", path.display());
            }
        }
        let failures = failures(&seeds, FAILURES_MAX, &run);
        for (seed, failure) in &failures {
            self.report(*seed, failure);
        }
        let failed: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        assert!(
            failed.is_empty(),
            "{}: seeds {failed:?} failed; see above how to replay them",
            self.name
        );
    }

    /// Returns the first of the seeds that fails, and its failure: for mutants.
    pub fn first_failure<F, S>(&self, seeds: impl IntoIterator<Item = u64>, scenario: S) -> Option<(u64, Failure)>
    where
        S: Fn(World) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let run = self.runner(scenario);
        let seeds: Vec<u64> = seeds.into_iter().collect();
        failures(&seeds, 1, &run).into_iter().next()
    }

    /// Checks that a seed decides the trace: twice in this process and once in another it is byte-equal; another seed
    /// gives a different one.
    ///
    /// # Panics
    /// When this does not hold.
    pub fn check_determinism<F, S>(&self, seed: u64, scenario: S)
    where
        S: Fn(World) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let run = self.runner(scenario);
        let run = |seed| run(seed).unwrap_or_else(|failure| panic!("seed {seed} failed: {}", failure.message));
        let here = run(seed);
        if let Some(path) = env::var_os(CHILD) {
            return fs::write(path, here.join("\n")).expect("the trace can be written");
        }
        assert_equal(self.name, seed, &here, &run(seed), "twice in one process");
        let there = self.run_in_another_process(seed);
        assert_equal(self.name, seed, &here, &there, "in two processes");
        assert_ne!(
            here,
            run(seed + 1),
            "{}: the trace does not depend on the seed",
            self.name
        );
    }

    /// Returns a function that runs `scenario` with a seed.
    fn runner<F, S>(&self, scenario: S) -> impl Fn(u64) -> Result<Vec<String>, Failure> + Sync
    where
        S: Fn(World) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (scenario, limit) = (Arc::new(scenario), self.limit);
        move |seed| {
            let scenario = scenario.clone();
            simulate(seed, limit, move |world| scenario(world))
        }
    }

    fn run_in_another_process(&self, seed: u64) -> Vec<String> {
        let path = trace_path(&format!("{}-child", self.name), seed);
        let exe = env::current_exe().expect("a running test has a path");
        let output = Command::new(exe)
            .args([self.name, "--exact", "--test-threads=1"])
            .env(CHILD, &path)
            .output()
            .expect("the test binary runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the other process failed: {said}");
        let trace = fs::read_to_string(&path).unwrap_or_else(|_| {
            panic!(
                "no trace from the other process: is `{}` the name of the test? {said}",
                self.name
            )
        });
        fs::remove_file(&path).ok();
        trace.lines().map(str::to_owned).collect()
    }

    fn report(&self, seed: u64, failure: &Failure) {
        let path = write_trace(self.name, seed, &failure.trace);
        eprintln!(
            "{}: seed {seed} failed at commit {}: {}",
            self.name,
            commit(),
            failure.message
        );
        eprintln!("  trace:  {}", path.display());
        eprintln!(
            "  replay: SIM_SEED={seed} cargo test -p {} {} -- {} --exact --nocapture",
            env::var("CARGO_PKG_NAME").unwrap_or("sim".to_owned()),
            test_target(),
            self.name
        );
    }
}

/// Runs seeds in parallel, one per processor, until `limit` of them have failed; returns the failures in the order
/// of `seeds`. Runs are independent, so their overlap changes nothing.
fn failures(
    seeds: &[u64],
    limit: usize,
    run: &(impl Fn(u64) -> Result<Vec<String>, Failure> + Sync),
) -> Vec<(u64, Failure)> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while lock(&failed).len() < limit {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = seeds.get(at) else { return };
            if let Err(failure) = run(*seed) {
                lock(&failed).insert(at, (*seed, failure));
            }
        }
    };
    let jobs = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    failed.into_inner().unwrap_or_default().into_values().collect()
}

fn trace_of(result: &Result<Vec<String>, Failure>) -> &[String] {
    match result {
        Ok(trace) => trace,
        Err(failure) => &failure.trace,
    }
}

/// # Panics
/// At the first line in which the traces differ.
fn assert_equal(name: &str, seed: u64, a: &[String], b: &[String], how: &str) {
    if a == b {
        return;
    }
    let line = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    panic!(
        "{name}: seed {seed}, run {how}, differs in line {line}:\n  {:?}\n  {:?}",
        a.get(line),
        b.get(line)
    );
}

pub(crate) fn from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}

/// Returns the `cargo test` option that selects this test binary, from its file name: `log-1f3a…` is `--test log`.
fn test_target() -> String {
    let exe = env::current_exe().unwrap_or_default();
    let stem = exe.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match stem.rsplit_once('-') {
        Some(("sim", _)) | None => "--lib".to_owned(),
        Some((target, _)) => format!("--test {target}"),
    }
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

fn write_trace(name: &str, seed: u64, trace: &[String]) -> PathBuf {
    let path = trace_path(name, seed);
    if let Err(error) = fs::write(&path, trace.join("\n")) {
        eprintln!("cannot write {}: {error}", path.display());
    }
    path
}

/// Returns `target/sim/{name}-{seed}.trace` of the workspace.
fn trace_path(name: &str, seed: u64) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = manifest.parent().unwrap_or(manifest).join("target/sim");
    fs::create_dir_all(&folder).ok();
    folder.join(format!("{}-{seed}.trace", name.replace("::", ".")))
}
