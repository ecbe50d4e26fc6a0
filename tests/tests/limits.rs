//! What the server takes of memory, and whom it serves, when clients are many, slow, or send much.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use tests::{Server, clients};

fn peak_mib(server: &Server) -> u64 {
    let peak_mib = server.peak_memory_bytes() >> 20;
    println!("the server has taken {peak_mib} MiB at most");
    peak_mib
}

/// 600 uploads of one byte a second each, and readers that do not read: others are served meanwhile.
#[test]
fn slow_clients() {
    let mut server = Server::prepare(4);
    server.add_arguments(&["--memlimit", "1GiB"]);
    server.restart();
    clients::run(&server, "limits.py", &["slow"]);
    assert!(peak_mib(&server) < 300);
}

/// More uploads and downloads at once than the memory is for: some wait, some are told to slow down, and the
/// server takes no more than it was given.
#[test]
fn overload() {
    let mut server = Server::prepare(4);
    server.add_arguments(&["--memlimit", "256MiB"]);
    server.set_variable("MINIO_API_REQUESTS_DEADLINE", "1s");
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    server.restart();
    clients::run(&server, "limits.py", &["overload"]);
    assert!(peak_mib(&server) < 256);
}

/// No more requests at once than were allowed; health and scrapes are answered all the same, and tell of it.
#[test]
fn requests_at_once() {
    let mut server = Server::prepare(1);
    server.set_variable("MINIO_API_REQUESTS_MAX", "4");
    server.set_variable("MINIO_API_REQUESTS_DEADLINE", "2s");
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    server.restart();
    clients::run(&server, "limits.py", &["requests"]);
}

/// Clients that send half of their headers, or of a body, or nothing, or read nothing: none holds a connection for
/// longer than it may, and nothing of theirs is stored. Those that are merely slow are served.
#[test]
fn clients_that_stand_still() {
    let mut server = Server::prepare(1);
    server.add_arguments(&["--idle-timeout", "2s"]);
    server.set_variable("MINIO_READ_HEADER_TIMEOUT", "1s");
    server.restart();
    clients::run(&server, "timeouts.py", &["2", "1"]);
}

/// 5 GiB in one request, there and back. Takes a minute and 10 GiB: `LARGE=1` runs it.
#[test]
fn five_gib_in_one_request() {
    if std::env::var_os("LARGE").is_none() {
        return;
    }
    let mut server = Server::prepare(4);
    server.add_arguments(&["--memlimit", "512MiB"]);
    server.restart();
    clients::run(&server, "limits.py", &["large"]);
    assert!(peak_mib(&server) < 200);
}
