//! One key on the sets of several pools: the machines of `model::pool` over real drives.

mod actions;
mod audit;
pub mod bounds;
mod chart;
pub mod content;
mod mutants;
mod order;
pub mod rules;
mod settle;
pub mod state;
mod steps;
pub mod walks;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that pools are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("pool", bounds::worlds(), bounds::larger(), mutants::mutants())
}
