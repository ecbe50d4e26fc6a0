//! Buckets that are created and deleted while their keys are written (`specs/bucket.md`).
//!
//! Gates, votes and listings are modelled drive by drive, with the server's own machines. A bucket's register is one
//! atomic object, as `register.linearizable` has it: a change takes effect at one moment between its invocation and its
//! reply, or at any later one, or never.

pub mod bounds;
mod chart;
mod mutants;
mod order;
mod rescue;
pub mod rules;
pub mod state;
mod steps;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that buckets are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("bucket", bounds::worlds(), bounds::larger(), mutants::mutants())
}
