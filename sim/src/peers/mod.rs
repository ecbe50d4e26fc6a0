//! Scenario of nodes that call each other (`store::peer`) while links are cut and slow, connections are reset, and
//! processes and hosts stop, die and come back.
//!
//! Checked in every seed: a call is run at most once, also over restarts (`peer.once`); small calls are run in the
//! order in which they were made (`peer.order`), none long after its caller has stopped waiting
//! (`peer.expired-is-not-run`); an answer is its own call's (`peer.own-answer`); what counts as not run was never run,
//! and what was answered was (`peer.unknown-is-not-failed`); every call ends by its deadline (`peer.deadline`); and
//! once the faults are over, every node reaches every other (`peer.reconnects`).
//!
//! `scenes.rs` has what chance does not bring about: floods of calls and answers. `attacks.rs` has strangers.
//! `mutants.rs` lists the mutants that must be noticed.

mod attacks;
mod gremlin;
mod history;
mod host;
mod life;
pub mod mutants;
mod plan;
mod scenes;
mod service;

pub use history::Seen;
pub use life::{SOMETIMES, peers, peers_as};
pub use plan::Plan;
