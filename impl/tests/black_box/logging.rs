//! Log lines that cannot be written: they block nothing, end nothing, and lost ones are counted.

use crate::client;
use std::{
    fs::{self, File},
    io::{PipeReader, Read},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tests::{Server, http};

/// Exceeds the bytes of log lines that the server's queue and its pipe hold: with no reader, lines are lost.
const QUEUED_BYTES: usize = 9 << 20;

/// Prepares a server with one drive and an access log.
fn prepare() -> Server {
    let mut server = crate::prepare(1);
    server.add_arguments(&["--access-log"]);
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    server
}

/// Checks that requests of several kinds succeed.
fn serves(server: &Server, bucket: &str) {
    let mut client = client(server);
    client.create_bucket(bucket).unwrap();
    for number in 0..20 {
        let key = format!("key {number}");
        client.put(bucket, &key, b"hello").unwrap();
        assert_eq!(client.get(bucket, &key).unwrap(), b"hello");
        assert_eq!(client.get(bucket, "none").unwrap_err().status(), Some(404));
    }
}

/// Returns the metric of lost log lines.
fn dropped(server: &Server) -> u64 {
    let text = http::request(server.port(), "GET", "/minio/v2/metrics/node").expect("an answer");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("impl_log_lines_dropped_total{"));
    let value = line.expect("the metric").rsplit(' ').next().expect("a value");
    value.parse().expect("a number")
}

/// Checks that an upload that is half sent at SIGTERM is stored, and that the server then exits.
fn drains(server: &mut Server, bucket: &str) {
    let body = vec![7; 3 << 20];
    let mut uploading = client(server);
    // The connection must be accepted before the signal: those in the listen queue are refused.
    uploading.list_buckets().unwrap();
    let signalled = &*server;
    uploading
        .put_in_halves(bucket, "half", &body, &mut || {
            signalled.signal_terminate();
            // The server accepts no connections once it has handled the signal.
            let began = Instant::now();
            while http::status(signalled.port(), "GET", "/minio/health/live").is_some() {
                assert!(began.elapsed() < Duration::from_secs(30), "SIGTERM does nothing");
                thread::sleep(Duration::from_millis(20));
            }
        })
        .unwrap();
    let began = Instant::now();
    assert_eq!(server.wait_ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20));
    server.restart();
    assert_eq!(client(server).get(bucket, "half").unwrap(), body);
}

/// Fills the queue of log lines while nothing reads them. Each line is nearly as long as a path may be.
fn flood(server: &Server) {
    let path = format!("/photos/{}", "x".repeat(30_000));
    let mut client = client(server);
    for _ in 0..QUEUED_BYTES.div_ceil(path.len()) {
        let answer = client.request("GET", &path, &[], &[], b"").unwrap();
        assert_eq!(answer.status, 400);
    }
}

#[test]
fn a_reader_that_has_gone_away() {
    let mut server = prepare();
    let (reader, writer) = std::io::pipe().unwrap();
    server.restart_writing_to(writer.try_clone().unwrap(), writer);
    drop(reader);
    serves(&server, "photos");
    assert!(dropped(&server) > 40, "{} lines", dropped(&server));
    drains(&mut server, "photos");
}

#[test]
fn a_full_disk() {
    let mut server = prepare();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    server.restart_writing_to(full(), full());
    serves(&server, "photos");
    assert!(dropped(&server) > 40, "{} lines", dropped(&server));
    drains(&mut server, "photos");
}

#[test]
fn a_reader_that_sleeps() {
    let mut server = prepare();
    let (reader, writer) = full_pipe();
    server.restart_writing_to(writer.try_clone().unwrap(), writer);
    serves(&server, "photos");
    assert_eq!(dropped(&server), 0, "they wait in the queue");
    flood(&server);
    let lost = dropped(&server);
    assert!(lost > 0);
    serves(&server, "more");
    drains(&mut server, "photos");
    drop(reader);
}

#[test]
fn a_reader_that_wakes_up_is_told_what_was_lost() {
    let mut server = prepare();
    let (mut reader, writer) = full_pipe();
    server.restart_writing_to(writer.try_clone().unwrap(), writer);
    serves(&server, "photos");
    flood(&server);
    let lost = dropped(&server);
    assert!(lost > 0);
    let read = Arc::new(Mutex::new(Vec::new()));
    let into = read.clone();
    let reading = thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => break,
                count => into.lock().unwrap().extend_from_slice(&piece[..count]),
            }
        }
    });
    let text = || String::from_utf8_lossy(&read.lock().unwrap()).into_owned();
    wait_for("nobody is told of the loss", || text().contains("log lines were lost"));
    let lost = dropped(&server);
    assert_eq!(server.terminate().code(), Some(0));
    reading.join().unwrap();
    let text = text();
    let notices: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("log lines were lost"))
        .collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains(&format!("lines={lost}")),
        "{} of {lost}",
        notices[0]
    );
    assert!(text.trim_end().ends_with("stopped"), "the last line is there too");
}

/// Returns a pipe whose buffer is full.
fn full_pipe() -> (PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Exactly the capacity, in whole lines: a longer write would block.
    let capacity = 64 << 10;
    std::io::Write::write_all(&mut writer, "\n".repeat(capacity).as_bytes()).unwrap();
    (reader, writer)
}

/// Returns names and contents of the files in a folder.
fn log_files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort();
    files
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_log_file_is_rotated_and_reopened() {
    let mut server = prepare();
    let logs = server.folder().join("logs");
    fs::create_dir(&logs).unwrap();
    let file = logs.join("store.log");
    server.add_arguments(&["--log-file", file.to_str().unwrap(), "--log-file-size", "64KiB"]);
    server.set_variable("MINIO_LOG_FILE_COUNT", "2");
    server.restart();
    serves(&server, "photos");
    assert!(!server.log().contains("createbucket"), "{}", server.log());
    // Rotates like logrotate.
    wait_for("no line in the file", || {
        fs::read_to_string(&file).unwrap().matches("api=\"getobject\"").count() == 40
    });
    fs::rename(&file, logs.join("store.old")).unwrap();
    server.signal("-HUP");
    wait_for("the file is not opened anew", || file.exists());
    let mut client = client(&server);
    let path = format!("/photos/{}", "y".repeat(30_000));
    for _ in 0..9 {
        assert_eq!(client.request("GET", &path, &[], &[], b"").unwrap().status, 400);
    }
    assert_eq!(server.terminate().code(), Some(0));
    let files = log_files(&logs);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["store.log", "store.log.1", "store.log.2", "store.old"]);
    for (name, text) in &files[..3] {
        assert!((1..=64 << 10).contains(&text.len()), "{name}: {}", text.len());
        assert!(text.ends_with('\n'), "{name}");
    }
    assert!(files[0].1.contains("stopped"), "{}", files[0].1);
    assert!(!files[3].1.contains("yyyy"), "what was renamed is not written to");

    // An error at startup is in the file and on standard error.
    server.set_variable("MINIO_DOMAIN", "not a domain");
    let output = server.command(server.port()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: MINIO_DOMAIN"), "{error}");
    assert!(fs::read_to_string(&file).unwrap().contains("MINIO_DOMAIN"));
}

#[test]
fn a_log_file_that_cannot_be_opened_is_an_error() {
    let mut server = prepare();
    server.add_arguments(&["--log-file", "/dev/null/log"]);
    let output = server.command(1).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot log to /dev/null/log: "), "{error}");
}
