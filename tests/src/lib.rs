//! Black box: runs the real server binary on temporary drives and drives it over HTTP with real clients.
#![allow(
    clippy::disallowed_methods,
    reason = "tests run on the host, not on the server's Runtime"
)]

pub mod clients;
pub mod damage;
pub mod http;
pub mod server;

pub use server::{Server, binary};
