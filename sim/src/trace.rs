//! Trace of a run, to read, and to prove that a seed determines it.

use crate::lock;
use madsim::time::TimeHandle;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

/// Events of a run, and a digest of its file operations, which are too many to keep.
#[derive(Default)]
pub(crate) struct Trace(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    events: Vec<String>,
    operations: u64,
    digest: DefaultHasher,
}

impl Trace {
    /// Records `{virtual ns} n{node} {what}`.
    pub(crate) fn event(&self, node: u32, what: &str) {
        lock(&self.0).events.push(format!("{:>15} n{node} {what}", now_nanos()));
    }

    /// Adds an operation and its time to the digest.
    pub(crate) fn operation(&self, node: u32, what: &str, detail: impl Hash) {
        let mut lines = lock(&self.0);
        lines.operations += 1;
        (now_nanos(), node, what, detail).hash(&mut lines.digest);
    }

    /// Returns all lines; the last one holds the count and the digest of the file operations.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = lock(&self.0);
        let summary = format!(
            "{} file operations, digest {:016x}",
            lines.operations,
            lines.digest.finish()
        );
        lines.events.iter().cloned().chain([summary]).collect()
    }
}

/// Returns the virtual time since the run began; zero outside the simulation.
fn now_nanos() -> u128 {
    TimeHandle::try_current().map_or(0, |time| time.elapsed().as_nanos())
}
