//! The store: an erasure-coded S3 object store on the state machines of `model`.

#![warn(missing_docs)]

pub mod access;
pub mod admin;
pub mod api;
pub mod background;
pub mod cli;
pub mod config;
pub mod digest;
pub mod drive;
pub mod erasure;
pub mod http;
pub mod metrics;
pub mod monitor;
pub mod node;
pub mod peer;
pub mod runtime;
pub mod s3;
pub mod server;
pub mod set;
pub mod sigv4;
pub mod stats;
pub mod store;
pub mod topology;
