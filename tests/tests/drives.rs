//! Lost and rotten drives: EC:2 on four drives reads through any two, and never says what is not true.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::fs;
use tests::{Server, clients, damage, http};

fn run(server: &Server, phase: &str) {
    clients::run(server, "drives.py", &[phase]);
}

fn filled() -> Server {
    let server = Server::start(4);
    run(&server, "fill");
    run(&server, "verify");
    server
}

#[test]
fn one_drive_is_removed_under_the_running_server() {
    let server = filled();
    fs::remove_dir_all(&server.drives()[1]).unwrap();
    run(&server, "verify");
    run(&server, "work");
    run(&server, "verify");
    assert_eq!(http::status(server.port(), "GET", "/minio/health/cluster"), Some(200));
}

#[test]
fn two_drives_are_removed_under_the_running_server() {
    let server = filled();
    fs::remove_dir_all(&server.drives()[0]).unwrap();
    fs::remove_dir_all(&server.drives()[3]).unwrap();
    run(&server, "writes_refused");
    run(&server, "verify");
    run(&server, "writes_refused");
    let status = |path| http::status(server.port(), "GET", path);
    assert_eq!(status("/minio/health/live"), Some(200));
    assert_eq!(status("/minio/health/ready"), Some(503));
    assert_eq!(status("/minio/health/cluster"), Some(503));
    assert_eq!(status("/minio/health/cluster/read"), Some(200));
}

#[test]
fn two_drives_are_rotten_at_restart() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [0, 2] {
        let files = damage::rot(&server.drives()[drive]);
        assert!(files > 1, "nothing to rot");
    }
    server.restart_damaged();
    run(&server, "verify");
}

#[test]
fn the_indices_of_two_drives_are_rotten_at_restart() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [1, 3] {
        damage::rot(&server.drives()[drive].join(".minio.sys/index.redb"));
    }
    server.restart_damaged();
    run(&server, "verify");
}

/// The indices are whole, so that every read meets rotten shards.
#[test]
fn the_shards_of_two_drives_are_rotten() {
    let server = filled();
    for drive in [1, 2] {
        assert!(damage::rot(&server.drives()[drive].join("data")) > 0, "nothing to rot");
    }
    run(&server, "verify");
    run(&server, "work");
}

#[test]
fn of_rotten_shards_on_three_drives_come_errors_or_right_bytes() {
    let server = filled();
    for drive in [0, 1, 3] {
        assert!(damage::rot(&server.drives()[drive].join("data")) > 0, "nothing to rot");
    }
    let output = clients::command(&server, "drives.py", &["verify_or_error"])
        .output()
        .unwrap();
    clients::check("drives.py", &["verify_or_error"], &output);
    // Small objects are in the indices, and right; larger ones are lost.
    let outcomes = String::from_utf8_lossy(&output.stdout);
    assert!(outcomes.contains("'right'") && outcomes.contains("503"), "{outcomes}");
}

#[test]
fn of_three_rotten_drives_come_errors_or_right_bytes() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [0, 1, 3] {
        damage::rot(&server.drives()[drive]);
    }
    server.restart_damaged();
    run(&server, "verify_or_error");
}
