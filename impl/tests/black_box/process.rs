//! The process: started twice, asked how it is, asked without a signature.

use crate::{client, prepare, start};
use std::{
    io::Read,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};
use tests::{Server, http, server::free_port};

#[test]
fn a_second_process_on_the_same_drives_is_refused() {
    let server = start(4);
    let mut second = server
        .command(free_port())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = second.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > Duration::from_secs(30) {
            second.kill().unwrap();
            second.wait().unwrap();
            panic!("the second server runs");
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(1));
    let mut message = String::new();
    second.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert!(
        message.contains("in use") || message.contains("another process"),
        "{message}"
    );
    // The first one goes on.
    assert_eq!(http::status(server.port(), "GET", "/minio/health/ready"), Some(200));
}

#[test]
fn health_endpoints_need_no_signature() {
    let server = start(4);
    for method in ["GET", "HEAD"] {
        for path in ["live", "ready", "cluster", "cluster/read"] {
            let path = format!("/minio/health/{path}");
            assert_eq!(http::status(server.port(), method, &path), Some(200), "{method} {path}");
        }
    }
    let answer = http::request(server.port(), "GET", "/minio/health/cluster").unwrap();
    assert!(
        answer.to_ascii_lowercase().contains("x-minio-write-quorum: 3\r\n"),
        "{answer}"
    );
    let answer = http::request(server.port(), "GET", "/minio/health/cluster/read").unwrap();
    assert!(
        answer.to_ascii_lowercase().contains("x-minio-read-quorum: 2\r\n"),
        "{answer}"
    );
}

#[test]
fn unsigned_requests_are_denied() {
    let server = start(1);
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

/// After SIGTERM load balancers are told to go elsewhere while requests are still served.
#[test]
fn it_is_not_ready_for_a_moment_before_the_port_closes() {
    let mut server = prepare(1);
    server.set_variable("MINIO_SHUTDOWN_DELAY", "2s");
    server.restart();
    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    assert_eq!(http::status(server.port(), "GET", "/minio/health/ready"), Some(200));
    let signalled = Instant::now();
    server.signal_terminate();
    let answer = wait_until_not_ready(&server);
    assert!(answer.ends_with("the server is about to stop\n"), "{answer}");
    client.put("photos", "late", b"hello").unwrap();
    assert_eq!(http::status(server.port(), "GET", "/minio/health/live"), Some(200));
    assert_eq!(server.wait_ended().code(), Some(0));
    assert!(signalled.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_second_signal_ends_the_moment() {
    let mut server = prepare(1);
    server.add_arguments(&["--shutdown-delay", "10m"]);
    server.restart();
    server.signal_terminate();
    wait_until_not_ready(&server);
    let signalled = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(signalled.elapsed() < Duration::from_secs(60));
}

/// The answer that says so.
fn wait_until_not_ready(server: &Server) -> String {
    let began = Instant::now();
    loop {
        let answer = http::request(server.port(), "GET", "/minio/health/ready").expect("an answer");
        if answer.starts_with("HTTP/1.1 503 ") {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{answer}");
        thread::sleep(Duration::from_millis(10));
    }
}
