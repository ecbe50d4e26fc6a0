//! The versions of one key: `model::record::Op` over a register that is taken as atomic.

mod audit;
pub mod bounds;
mod chart;
mod mutants;
pub mod requests;
pub mod rules;
pub mod state;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that versions are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("versions", bounds::worlds(), bounds::larger(), mutants::mutants())
}
