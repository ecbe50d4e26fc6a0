//! Minimal HTTP client for requests that need no signature.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Sends a request without a body; returns the whole answer, or `None` if there is none.
#[must_use]
pub fn request(port: u16, method: &str, path: &str) -> Option<String> {
    request_with(port, method, path, "")
}

/// Like [`request`], with further header lines, each with its line end.
#[must_use]
pub fn request_with(port: u16, method: &str, path: &str, headers: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned()).filter(|answer| !answer.is_empty())
}

/// Sends a request without a body; returns the status of the answer.
#[must_use]
pub fn status(port: u16, method: &str, path: &str) -> Option<u16> {
    let answer = request(port, method, path)?;
    answer.split(' ').nth(1)?.parse().ok()
}
