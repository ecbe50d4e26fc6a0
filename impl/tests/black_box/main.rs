//! The binary as scripts and operators see it, without installed clients: command line, process, metrics and admin API,
//! and objects with the client of these tests. Also authorization and other nodes, in-process.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

mod authorization;
mod cli;
mod logging;
mod objects;
mod operations;
mod peers;
mod process;

use tests::{Server, s3::Client, server, server::ACCESS_KEY, server::SECRET_KEY};

const BINARY: &str = env!("CARGO_BIN_EXE_impl");

/// Starts a server on new drives and waits until it is ready.
fn start(drives: usize) -> Server {
    server::use_binary(BINARY);
    Server::start(drives)
}

/// Starts a server with additional environment variables.
fn start_with(drives: usize, env: &[(&str, &str)]) -> Server {
    server::use_binary(BINARY);
    Server::start_with(drives, env)
}

/// Makes the folders of a server without starting it.
fn prepare(drives: usize) -> Server {
    server::use_binary(BINARY);
    Server::prepare(drives)
}

fn client(server: &Server) -> Client {
    Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, SECRET_KEY)
}
