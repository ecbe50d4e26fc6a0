//! Locks: a lease at more than half of the nodes (`specs/lock.md`).
//!
//! They save work that would be done twice. Nothing that is stored depends on them (`lock.not-for-safety`).
//!
//! Time is a count of ticks of the node's own monotonic clock, which runs on while the machine is suspended and is
//! never set. Ticks of different nodes are never compared.

pub mod client;
pub mod mutant;
pub mod server;

pub use client::{Client, Effect, Over};
pub use server::{Kind, Lease, Request, Server};

/// Owner of a lock: 128 random bits, drawn anew for each attempt to take it.
pub type Owner = u128;

/// Durations in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// A lease, on its server's clock.
    pub expiry: u64,
    /// A holder's belief, on its own clock, from the moment that it sent what was granted. Shorter than `expiry` by
    /// what the two clocks may differ in that time.
    pub deadline: u64,
    /// Interval of renewals. Shorter than `deadline`.
    pub refresh: u64,
}
