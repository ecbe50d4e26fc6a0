//! The binary as scripts and operators see it, without any client that has to be installed: the command line, the
//! process, metrics and the admin API, and objects with a client written for the tests. And authorization, in-process.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

mod authorization;
mod cli;
mod logging;
mod objects;
mod operations;
mod process;

use tests::{Server, s3::Client, server, server::ACCESS_KEY, server::SECRET_KEY};

/// The binary of this build.
const BINARY: &str = env!("CARGO_BIN_EXE_impl");

/// A server on so many new drives, ready.
fn start(drives: usize) -> Server {
    server::use_binary(BINARY);
    Server::start(drives)
}

/// The same with further environment variables.
fn start_with(drives: usize, env: &[(&str, &str)]) -> Server {
    server::use_binary(BINARY);
    Server::start_with(drives, env)
}

/// The folders of a server that does not run yet.
fn prepare(drives: usize) -> Server {
    server::use_binary(BINARY);
    Server::prepare(drives)
}

fn client(server: &Server) -> Client {
    Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, SECRET_KEY)
}
