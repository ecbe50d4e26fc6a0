//! One register on a set of drives: all machines of `model::protocol`.

mod actions;
mod audit;
pub mod bounds;
pub mod change;
pub(crate) mod chart;
mod healing;
mod mutants;
mod opening;
pub(crate) mod order;
mod rescue;
pub mod rules;
mod settle;
pub mod state;
mod steps;
pub mod walks;
mod wipes;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that the register is checked in, and its mutants.
#[must_use]
pub fn topic() -> Topic {
    let topic = Topic::new("register", bounds::worlds(), bounds::larger(), mutants::mutants());
    topic.with_walked(mutants::walked())
}
