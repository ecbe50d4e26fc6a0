//! One key on the sets of several pools: the machines of `model::pool` over real drives.

mod actions;
mod audit;
pub mod bounds;
mod chart;
pub mod content;
mod order;
pub mod rules;
mod settle;
mod steps;
pub mod walks;
pub mod world;
