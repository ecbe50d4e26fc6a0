//! S3 API as its clients see it, on four drives.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use tests::{Server, clients};

#[test]
fn conformance() {
    let server = Server::start(4);
    clients::run(&server, "conformance.py", &[]);
    // Client errors must not be logged.
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("request failed"), "{log}");
}

/// Table of bad input in `specs/s3.md`.
#[test]
fn bad_input() {
    clients::run(&Server::start(4), "inputs.py", &[]);
}

/// Table of tolerance in `specs/s3.md`.
#[test]
fn tolerance() {
    clients::run(&Server::start(4), "tolerance.py", &[]);
}

#[test]
fn attributes_parts_and_checksums() {
    clients::run(&Server::start(4), "parts.py", &[]);
}

#[test]
fn a_region_and_buckets_as_hosts() {
    let mut server = Server::prepare(1);
    server.set_variable("MINIO_SITE_REGION", "eu-west-3");
    server.set_variable("MINIO_DOMAIN", "s3.test,store.example");
    server.restart();
    clients::run(&server, "addressing.py", &[]);
}

#[test]
fn a_single_drive_serves_too() {
    let server = Server::start(1);
    clients::run(
        &server,
        "conformance.py",
        &["test_round_trip", "test_multipart", "test_listing"],
    );
}

/// Copies a folder tree up and down, and 200 MiB in parts, while the server's memory stays small.
#[test]
fn aws_cli() {
    let server = Server::start(4);
    let files = server.folder().join("files");
    std::fs::create_dir(&files).unwrap();
    clients::run(&server, "aws.sh", &[files.to_str().unwrap()]);
    let peak_mib = server.peak_memory_bytes() >> 20;
    assert!(peak_mib < 400, "the server has taken {peak_mib} MiB");
}

#[test]
fn listing_of_20_000_keys() {
    clients::run(&Server::start(4), "listing.py", &[]);
}
