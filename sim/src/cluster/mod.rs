//! Scenario of a cluster: several nodes, each a whole server, under faults of nodes, clocks, network and drives, with
//! clients on all of them.
//!
//! Checked: each key's history is linearizable whichever node answers (`register.linearizable`), listings have every
//! key (`list.complete`), every byte that is read is of the version that the answer names (`read.one-data-folder`),
//! what the machines did is what the protocol says (`trace.same-outputs`), and once the faults are over every node
//! reads every key (`put.acked-survives`), every key is settled and written (`live.resolves`), and nothing is left
//! behind (`drive.no-garbage`). `plan.rs` says what may be struck, and why no more. `mutants.rs` lists the mutants
//! that must be noticed.

mod faults;
mod http;
mod life;
pub mod mutants;
mod node;
mod plan;
mod wrong;

pub use life::{Report, cluster, cluster_as};
pub use plan::{FAULTS, Fault, Plan};
