//! Multipart uploads of one key: `model::upload` and `model::record` over registers that are taken as atomic, and
//! drives that lag behind.

mod actions;
mod audit;
pub mod bounds;
mod chart;
pub mod client;
mod drive;
pub mod requests;
pub mod rules;
pub mod world;
