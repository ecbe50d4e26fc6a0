//! Locks under clocks that go apart, restarts and pauses (`specs/lock.md`).
//!
//! What is stored does not depend on them (`lock.not-for-safety`): the worlds of registers and buckets have no locks at
//! all, which is as if every server granted everything.

pub mod bounds;
mod chart;
mod mutants;
mod order;
pub mod rules;
pub mod state;
mod steps;
pub mod world;

use crate::topic::Topic;

/// The worlds that this topic is checked in, and its mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("lock", bounds::worlds(), bounds::larger(), mutants::mutants())
}
