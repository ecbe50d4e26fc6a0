//! Scenario of one node under fault injection: power loss, bitrot, hanging and full drives, EIO, drives that are
//! removed, wiped or swapped, clock steps, clients that are cancelled.
//!
//! Checked: each key's history is linearizable (`register.linearizable`), an operation that was reported as not done
//! never becomes visible, an upload ends once (`multipart.once`), a listing has every key that existed throughout
//! (`list.complete`), every byte that is read is of the version that the answer names (`read.one-data-folder`), and
//! once the faults are over every key can be read (`put.acked-survives`, `put.survives-power-loss`) and written
//! (`live.resolves`). `plan.rs` says which drives a seed may strike, and why no more.
//!
//! `mutants.rs` lists the mutants that the scenario must notice.

mod gremlin;
mod hang;
mod life;
mod log;
pub mod mutants;
pub(crate) mod names;
mod plan;
mod remote;

pub use life::{NODE, Report, one_node, one_node_as};
pub use plan::{Kind, Plan};

/// Seeds that found bugs in the server, with the bugs. They run first.
pub const FOUND: [(u64, &str); 9] = [
    (
        136,
        "a flipped bit of format.json: the whole node refused to start, naming a wrong slot",
    ),
    (
        139,
        "a flipped bit of format.json: the whole node refused to start, naming an unknown format",
    ),
    (
        145,
        "a client that went away during a sync of its shard: the folder was removed under it, the drive went offline",
    ),
    (
        605,
        "a drive that was closed right after a clean-up left a file that it had been about to remove",
    ),
    (
        118_158,
        "a crash while the reserve was being made: it kept no room, and the full drive could not delete",
    ),
    (
        128_291,
        "a crash at the end of an index's repair: what was verified by then was refused at the next start",
    ),
    (
        131_575,
        "a reserve that was made on a smaller file system: it kept too little room for the drive to delete once full",
    ),
    (
        200_024,
        "a start looked for folders that no vote names before it had settled votes, and left what those called off",
    ),
    (200_052, "a drive that a clean-up's vote reached late kept the folder"),
];
