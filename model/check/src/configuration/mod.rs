//! Configuration that changes while nodes serve requests (`specs/configuration.md`).
//!
//! The register is one atomic object, as `register.linearizable` has it; nodes, their copies and the messages between
//! them are modelled one by one.

pub mod bounds;
mod chart;
mod mutants;
pub mod rules;
pub mod state;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that configuration is checked in, and its mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("configuration", bounds::worlds(), bounds::larger(), mutants::mutants())
}
