//! Locks under clock drift, restarts and pauses (`specs/lock.md`).
//!
//! Stored data does not depend on them (`lock.not-for-safety`): the worlds of registers and buckets have no locks at
//! all, as if every server granted every request.

pub mod bounds;
mod chart;
mod mutants;
mod order;
pub mod rules;
pub mod state;
mod steps;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that locks are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("lock", bounds::worlds(), bounds::larger(), mutants::mutants())
}
