//! The store's protocol as pure state machines: no I/O, no clock, no randomness.
//!
//! The server runs these machines; `cargo test -p model` checks the same machines exhaustively within
//! stated bounds. `specs/register.md` says in prose what they hold, rule by rule.

#![warn(missing_docs)]

pub mod bucket;
pub mod configuration;
pub mod formation;
pub mod list;
pub mod lock;
pub mod mutation;
pub mod pool;
pub mod protocol;
pub mod record;
pub mod trace;
pub mod upload;
