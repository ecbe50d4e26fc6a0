//! Background jobs over a store, one per file. Nothing below knows of them.

pub mod recovery;
pub mod stale_uploads;
