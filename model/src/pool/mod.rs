//! Key over several pools: where it is, how it is created in one of them, and how it moves (`specs/pool.md`).
//!
//! Each pool has one erasure set for a key, and the key one register on each of these sets, with the ballots of
//! one space. [`place`] is what such a register holds, [`view`] what is concluded from all of them together,
//! [`coordinator`] the side of the node that serves a request. A drive is the one of [`crate::protocol`]: it knows
//! nothing of pools.

pub mod coordinator;
pub mod mutant;
pub mod place;
#[cfg(feature = "mutants")]
pub mod renamed;
pub mod view;

pub use coordinator::{Coordinator, Effect, Event, Task};
pub use place::Placed;
pub use view::{Answers, Base, Placement, View, decide_read};
