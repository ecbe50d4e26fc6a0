//! Configuration that is changed while nodes serve by it (`specs/configuration.md`).
//!
//! The register is one atomic object, as `register.linearizable` has it; nodes, their copies and what they tell each
//! other are modelled one by one.

pub mod bounds;
mod chart;
pub mod rules;
pub mod world;
