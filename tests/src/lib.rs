//! Shared code of the black-box tests and the benchmark: the real server binary on temporary drives, and clients.
#![allow(
    clippy::disallowed_methods,
    reason = "tests run on the host, not on the server's Runtime"
)]

pub mod clients;
pub mod cluster;
pub mod damage;
pub mod http;
pub mod load;
pub mod mounts;
pub mod s3;
pub mod server;

pub use cluster::Cluster;
pub use mounts::Mounts;
pub use server::{Server, binary};
