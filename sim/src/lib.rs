//! The store under deterministic simulation: a cluster in one thread, whose clock, chance, network and
//! drives obey a seed. `specs/simulation.md` describes it.
//!
//! - [`World`]: the nodes, their clocks and drives, and the trace of what happened.
//! - [`drive`]: drives that lose power, rot, fill up, lie and hang.
//! - [`linearizable`], [`listing`]: was what the clients saw possible?
//! - [`net`]: hosts that talk over links with latency, bandwidth and cuts.
//! - [`one_node`]: a node that serves clients while everything breaks.
//! - [`run`]: many seeds, and how to replay one.

#[cfg(not(madsim))]
compile_error!("the simulation needs `--cfg madsim`; .cargo/config.toml sets it unless RUSTFLAGS replaces that");

mod clock;
pub mod drive;
mod executor;
pub mod linearizable;
pub mod listing;
pub mod net;
pub mod one_node;
pub mod run;
mod runtime;
mod trace;
mod world;

pub use drive::{Faults, Rot, SimDrive};
pub use world::World;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic elsewhere ends the run anyway, and the trace must still be readable then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
