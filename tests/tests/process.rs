//! Kill and shutdown of the process.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{Server, clients, http, server::binary};

/// Number of times that the server is killed.
const KILLS: u64 = 8;

/// Killed under load eight times, the server keeps every acknowledged object intact.
#[test]
fn kill_under_load() {
    let mut server = Server::start(4);
    let state = server.folder().join("state.json");
    let state = state.to_str().unwrap();
    for round in 0..KILLS {
        let mut client = clients::command(&server, "crash.py", &[state]);
        let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(client.stdout.take().unwrap());
        let mut line = String::new();
        // An empty line: the verification has failed, and the client has ended.
        lines.read_line(&mut line).unwrap();
        println!("round {round}: {line}");
        thread::sleep(Duration::from_millis(400 + 137 * round));
        server.kill();
        let output = client.wait_with_output().unwrap();
        clients::check("crash.py", &[state], &output);
        assert!(line.starts_with("loading"), "{line}");
        server.restart();
    }
    let output = clients::command(&server, "crash.py", &[state, "0.2"]).output().unwrap();
    clients::check("crash.py", &[state, "0.2"], &output);
    let acknowledged = String::from_utf8_lossy(&output.stdout);
    let count: u64 = acknowledged
        .trim()
        .rsplit(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap();
    assert!(
        count >= 10 * KILLS,
        "only {count} writes were acknowledged: the load was none"
    );
}

/// Replaying the trace of several lives, killed under load, gives the recorded outputs; a tampered trace does not.
#[test]
fn a_recorded_run_replays() {
    let mut server = Server::prepare(4);
    let trace = server.folder().join("trace");
    let trace = trace.to_str().unwrap().to_owned();
    server.add_arguments(&["--trace", &trace]);
    server.restart();
    let state = server.folder().join("state.json");
    let state = state.to_str().unwrap().to_owned();
    for _ in 0..3 {
        let mut client = clients::command(&server, "crash.py", &[&state]);
        let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(client.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        thread::sleep(Duration::from_millis(700));
        server.kill();
        let output = client.wait_with_output().unwrap();
        clients::check("crash.py", &[&state], &output);
        server.restart();
    }
    clients::run(&server, "conformance.py", &["test_round_trip"]);
    assert!(server.terminate().success());

    let replay = || {
        let output = Command::new(binary()).args(["replay", &trace]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = replay();
    assert_eq!(code, Some(0), "{text}");
    let steps: u64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(steps > 1000, "{text}");

    // Turns a drive's acceptance into a refusal, which contradicts the coordinator's record.
    let recorded = std::fs::read_to_string(&trace).unwrap();
    let forged = recorded.replacen("\"reply\":\"Accepted\"", "\"reply\":\"Done\"", 1);
    assert_ne!(forged, recorded);
    std::fs::write(&trace, forged).unwrap();
    let (code, text) = replay();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not follow from those before it: trace."), "{text}");
}

#[test]
fn sigterm_ends_with_success() {
    let mut server = Server::start(4);
    clients::run(&server, "conformance.py", &["test_round_trip"]);
    let started = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20));
    server.restart();
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn requests_in_flight_finish_after_sigterm() {
    let mut server = Server::start(4);
    let mut client = clients::command(&server, "drain.py", &[]);
    let client = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "half\n");
    // The bytes may still be in the socket's buffer: wait until the request has been read.
    thread::sleep(Duration::from_millis(500));
    server.signal_terminate();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        http::status(server.port(), "GET", "/minio/health/live"),
        None,
        "new connections are taken"
    );
    client.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = client.wait_with_output().unwrap();
    clients::check("drain.py", &[], &output);
    assert_eq!(server.wait_ended().code(), Some(0));
}
