//! Checks the protocol's machines exhaustively within stated bounds (`specs/model.md`), and that each way
//! to break the protocol is noticed (`specs/mutants.md`).

#![allow(clippy::disallowed_methods)] // measures how long a check takes

mod actions;
mod audit;
mod bounds;
mod change;
mod healing;
mod mutants;
mod order;
mod rules;
mod settle;
mod steps;
mod walks;
mod wipes;
mod world;
