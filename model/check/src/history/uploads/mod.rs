//! Multipart uploads of one key: `model::upload` and `model::record` over registers that are taken as atomic, and
//! drives that lag behind.

mod actions;
mod audit;
pub mod bounds;
mod chart;
pub mod client;
mod drive;
mod mutants;
pub mod requests;
pub mod rules;
pub mod state;
pub mod world;

use crate::topic::Topic;

/// Returns the worlds that uploads are checked in, and their mutants.
#[must_use]
pub fn topic() -> Topic {
    Topic::new("uploads", bounds::worlds(), bounds::larger(), mutants::mutants())
}
