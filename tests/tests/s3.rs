//! S3 as its clients see it, on four drives.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use tests::{Server, clients, http};

#[test]
fn conformance() {
    let server = Server::start(4);
    clients::run(&server, "conformance.py", &[]);
    // What clients do wrong is no business of operators.
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("request failed"), "{log}");
}

/// The table of bad input in `specs/s3.md`.
#[test]
fn bad_input() {
    clients::run(&Server::start(4), "inputs.py", &[]);
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

/// A tree up and down, and 200 MiB in parts and back, while the server stays small.
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

#[test]
fn unsigned_requests_are_denied() {
    let server = Server::start(1);
    let answer = http::request(server.port(), "GET", "/bucket/key").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": "))
            .map(|(_, value)| value.to_owned())
    };
    let id = header("x-amz-request-id").unwrap();
    assert_eq!(
        body,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>requests must be signed</Message><Resource>/bucket/key</Resource>\
             <RequestId>{id}</RequestId></Error>"
        )
    );
    assert_eq!(header("content-type").as_deref(), Some("application/xml"));
    assert_eq!(header("server").as_deref(), Some("impl-object-store"));
}
