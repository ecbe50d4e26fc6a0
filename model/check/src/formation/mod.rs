//! The first start of a deployment over nodes (`specs/format.md`).
//!
//! Drives are formatted or not, and hold nothing else: what they serve once they are complete is the register's world.

mod audit;
pub mod bounds;
mod chart;
mod mutants;
pub mod rules;
pub mod state;
mod steps;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that a first start is checked in, and its mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("formation", bounds::worlds(), bounds::larger(), mutants::mutants())
}
