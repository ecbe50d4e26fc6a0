//! Worlds in which the protocol's machines are explored.
//!
//! A world surrounds the server's own machines (`model`) with what the outside may do to them: a network that loses
//! and reorders, clients, drives that crash, lose power or everything. It keeps the books that the rules are judged
//! by, and never asks the protocol's quorum code. The tests of `model` exhaust worlds within stated bounds and break
//! the protocol on purpose; its examples open them in stateright's explorer and search further.
//!
//! Each world is a module, from the bottom up: `rules`, what it is held to; `state`, its bounds, what there is and what
//! may happen; `steps` and others, what comes of it; `audit`, what the rules demand; `order`, which states are one;
//! `world`, with the arguments for its reductions; `bounds` and `mutants`, where it is explored; `chart`, a way in
//! words. [`harness`] is what stateright sees of all of them. A state is a *system*, which is judged, and a *ledger*,
//! which it is judged by: the ledger reads the system and changes nothing in it. [`kit`] has the pieces of the worlds
//! that run the register itself.

pub mod bucket;
pub mod chart;
pub mod configuration;
pub mod explore;
pub mod explorer;
pub mod harness;
pub mod history;
pub mod kit;
pub mod list;
pub mod lock;
pub mod pool;
pub mod register;
mod rng;
pub mod rules;
pub mod tables;
pub mod topic;

use topic::Topic;

/// All topics.
#[must_use]
pub fn topics() -> Vec<Topic> {
    vec![
        history::uploads::topic(),
        history::versions::topic(),
        bucket::topic(),
        lock::topic(),
        configuration::topic(),
        list::topic(),
        pool::topic(),
        register::topic(),
    ]
}

/// The topic of that name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn topic(name: &str) -> Topic {
    let found = topics().into_iter().find(|topic| topic.name == name);
    found.unwrap_or_else(|| panic!("there is no topic {name}"))
}
