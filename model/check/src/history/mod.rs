//! The histories that a register of the server holds: versions of an object, and its uploads.
//!
//! A register is taken for what `crate::register` shows it to be: a value that changes in one step, by a vote that is
//! chosen now, later or never. The values, and what makes one of another, are the server's own (`model::record`,
//! `model::upload`).

pub mod exact;
pub mod uploads;
pub mod versions;
