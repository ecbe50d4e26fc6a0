//! Deterministic simulation of the store: a whole cluster in one thread, whose clock, randomness, network and
//! drives follow from a seed. `specs/simulation.md` describes it.
//!
//! - [`World`]: the nodes with their clocks and drives, and the trace of the run.
//! - [`cluster`]: fault injection into several nodes that serve clients together.
//! - [`drive`]: simulated drives with power loss, bitrot, ENOSPC, lying syncs and hangs.
//! - [`formation`]: fault injection into the first start of several nodes.
//! - [`linearizable`], [`listing`]: checks of the histories that clients record.
//! - [`mutants`]: ways to break the server, each of which a scenario must notice.
//! - [`net`]: simulated hosts on links with latency, bandwidth and partitions.
//! - [`one_node`]: fault injection into a single node that serves clients.
//! - [`peers`]: fault injection between nodes that call each other.
//! - [`run`]: runs many seeds, and replays one.
//! - [`s3`]: S3 clients of simulated hosts.
//! - [`workload`]: what clients do, and what they were told.

#[cfg(not(madsim))]
compile_error!("the simulation needs `--cfg madsim`; .cargo/config.toml sets it unless RUSTFLAGS replaces that");

mod clock;
pub mod cluster;
pub mod drive;
mod executor;
mod faults;
pub mod formation;
mod hang;
pub mod linearizable;
pub mod listing;
pub mod mutants;
pub mod net;
pub mod one_node;
pub mod peers;
pub mod run;
mod runtime;
pub mod s3;
mod tls;
mod trace;
pub mod workload;
mod world;

pub use drive::{Faults, Rot, SimDrive};
pub use world::World;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, ignoring poison: a panic elsewhere ends the run anyway, and the trace must still be readable then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
