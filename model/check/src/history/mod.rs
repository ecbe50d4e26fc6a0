//! Histories in a register of the server: versions of an object, and its uploads.
//!
//! A register is taken as `crate::register` shows it to be: a value that changes in one step, by a vote that is chosen
//! now, later or never. The values and their changes are the server's own (`model::record`, `model::upload`).

pub mod exact;
pub mod uploads;
pub mod versions;
