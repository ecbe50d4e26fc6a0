//! One register on a set of drives: all machines of `model::protocol`.

mod actions;
mod audit;
pub mod bounds;
pub mod change;
pub(crate) mod chart;
mod healing;
mod opening;
pub(crate) mod order;
mod rescue;
pub mod rules;
mod settle;
mod steps;
pub mod walks;
mod wipes;
pub mod world;
