//! The store: an erasure-coded S3 object store on the state machines of `model`.

pub mod cli;
pub mod config;
pub mod drive;
pub mod erasure;
pub mod object;
pub mod runtime;
pub mod topology;
