//! Bounded models ("worlds") in which the protocol's state machines are explored with stateright.
//!
//! A world surrounds the server's own machines (`model`) with their environment: a network that loses and reorders
//! messages, clients, drives that crash, lose power or lose all of their data. It keeps the ledger that the rules are
//! checked against, and never calls the protocol's quorum code. The tests of `model` explore worlds exhaustively within
//! stated bounds, and break the protocol on purpose; its examples open them in stateright's explorer and search
//! further.
//!
//! Each world is a module, from the bottom up: `rules`, the invariants; `state`, its bounds, state and actions; `steps`
//! and others, the effects of actions; `audit`, the checks of the invariants; `order`, symmetry reduction; `world`,
//! with the arguments for its other reductions; `bounds` and `mutants`, the configurations that are explored; `chart`,
//! paths in words. [`harness`] is the stateright model that all of them share. A state consists of a *system*, which is
//! checked, and a *ledger*, which it is checked against: the ledger reads the system and changes nothing in it. [`kit`]
//! has parts that are shared by the worlds which run the register itself.

pub mod bucket;
pub mod chart;
pub mod configuration;
pub mod explore;
pub mod explorer;
pub mod formation;
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

#[must_use]
pub fn topics() -> Vec<Topic> {
    vec![
        history::uploads::topic(),
        history::versions::topic(),
        bucket::topic(),
        lock::topic(),
        configuration::topic(),
        formation::topic(),
        list::topic(),
        pool::topic(),
        register::topic(),
    ]
}

/// Returns the topic of that name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn topic(name: &str) -> Topic {
    let found = topics().into_iter().find(|topic| topic.name == name);
    found.unwrap_or_else(|| panic!("there is no topic {name}"))
}
