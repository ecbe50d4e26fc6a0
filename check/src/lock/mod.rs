//! Locks under clocks that go apart, restarts and pauses (`specs/lock.md`).
//!
//! What is stored does not depend on them (`lock.not-for-safety`): the worlds of registers and buckets have no locks at
//! all, which is as if every server granted everything.

pub mod bounds;
mod chart;
mod order;
pub mod rules;
mod steps;
pub mod world;
