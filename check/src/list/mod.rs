//! Listings beside writes: sets of drives that hold several keys each, and one client that lists them page by page.

pub mod bounds;
mod chart;
mod order;
pub mod rules;
mod steps;
pub mod world;
