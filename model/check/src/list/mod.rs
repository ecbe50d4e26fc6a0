//! Listings during writes: sets of drives that hold several keys each, and one client that lists them page by page.

pub mod bounds;
mod chart;
mod mutants;
mod order;
pub mod rules;
pub mod state;
mod steps;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that listings are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("list", bounds::worlds(), bounds::larger(), mutants::mutants())
}
