//! The erasure-coded register: one per object key, part and bucket.
//!
//! A register lives on the N drives of an erasure set. [`acceptor`] is a drive's side, [`coordinator`]
//! the side of the node that serves a request, which runs an [`operation`]; [`mod@resolve`] takes the decisions
//! of both reads and writes on what drives report. Bytes of objects never pass through here: machines see
//! ballots, values and the names of data folders.

pub mod acceptor;
pub mod ballot;
pub mod chain;
pub mod coordinator;
pub mod drive;
pub mod fetch;
pub mod join;
pub mod message;
pub mod mutant;
pub mod operation;
pub mod purge;
pub mod quorum;
#[cfg(feature = "mutants")]
pub mod renamed;
pub mod resolve;
pub mod value;

pub use acceptor::{Acceptor, DriveEffect, KeyState, Register};
pub use ballot::Ballot;
pub use chain::{Brief, Chained};
pub use coordinator::Coordinator;
pub use drive::{DriveState, Membership, Recovering};
pub use fetch::Fetch;
pub use message::{Nack, Reply, Request, Snapshot, Vote};
pub use operation::{Decision, Effect, Event, Operation, Outcome, Unavailable};
pub use quorum::{Drives, Quorums, write_quorum};
pub use resolve::{ReadDecision, Resolution, decide_read, resolve};
pub use value::{Folder, FolderNeed, Value};

#[cfg(test)]
pub(crate) mod fixture;
