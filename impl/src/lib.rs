//! The store: an erasure-coded S3 object store on the state machines of `model`.

pub mod access;
pub mod admin;
pub mod api;
pub mod background;
pub mod cli;
pub mod config;
pub mod digest;
pub mod drive;
pub mod erasure;
pub mod metrics;
pub mod node;
pub mod runtime;
pub mod set;
pub mod stats;
pub mod store;
pub mod topology;
pub mod wire;
