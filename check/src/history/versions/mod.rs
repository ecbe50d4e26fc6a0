//! The versions of one key: `model::record::Op` over a register that is taken as atomic.

mod audit;
pub mod bounds;
mod chart;
pub mod requests;
pub mod rules;
pub mod world;
