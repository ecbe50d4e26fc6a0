//! Process: double start, health checks, signals, limits.

use crate::{client, prepare, start};
use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{
    Server, http,
    s3::Client,
    server::{SECRET_KEY, free_port},
};

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
    // The first server continues.
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

/// After SIGTERM the readiness check fails, for load balancers, while requests are still served.
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

/// Waits until the readiness check fails, and returns its response.
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

/// A server whose port is taken touches no drive.
#[test]
fn a_taken_port_is_found_before_drives_are_formatted() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = prepare(4);
    let output = server.command(taken.local_addr().unwrap().port()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot listen on "), "{error}");
    for drive in server.drives() {
        assert_eq!(fs::read_dir(drive).unwrap().count(), 0, "{}", drive.display());
    }
}

/// `docker run --env-file` keeps quotes in values; they must not become part of a folder's name.
#[test]
fn quotes_of_an_env_file_are_no_part_of_a_path() {
    let server = prepare(1);
    let run = |volumes: &str| {
        let port = free_port();
        let mut command = server.command(port);
        command.current_dir(server.folder()).env("MINIO_VOLUMES", volumes);
        (
            port,
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(),
        )
    };
    for half in ["\"/tmp/store", "\"", "store'"] {
        let (_, refused) = run(half);
        let output = refused.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{half}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("quote"), "{half}: {error}");
    }
    let store = server.folder().join("store");
    let (port, mut quoted) = run(&format!("\"{}\"", store.display()));
    let began = Instant::now();
    while http::status(port, "GET", "/minio/health/ready") != Some(200) {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not serve");
        thread::sleep(Duration::from_millis(20));
    }
    quoted.kill().unwrap();
    quoted.wait().unwrap();
    assert!(store.join(".minio.sys/format.json").exists());
    for entry in fs::read_dir(server.folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(['"', '\'']), "{name}");
    }
}

/// Configuration is read from a file of environment variables.
#[test]
fn a_file_of_variables() {
    let mut server = prepare(1);
    let file = server.folder().join("variables");
    let lines = format!(
        "# all of it\nexport MINIO_ROOT_USER=\"from-a-file\"\nMINIO_ROOT_PASSWORD='{SECRET_KEY}'\n\
         MINIO_ACCESS_LOG=on\n"
    );
    fs::write(&file, lines).unwrap();
    server.set_variable("MINIO_CONFIG_ENV_FILE", file.to_str().unwrap());
    server.restart();
    let mut client = Client::new(([127, 0, 0, 1], server.port()).into(), "from-a-file", SECRET_KEY);
    client.create_bucket("photos").unwrap();
    assert!(server.log().contains("createbucket"), "{}", server.log());
    assert!(server.terminate().success());
    server.set_variable("MINIO_CONFIG_ENV_FILE", "/none/of/it");
    let output = server.command(free_port()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: MINIO_CONFIG_ENV_FILE: cannot read /none/of/it"),
        "{error}"
    );
}

/// Returns the command of the server under `ulimit`, with its log on standard error.
fn limited(server: &Server, limit: &str, port: u16) -> Command {
    let plain = server.command(port);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn wait_until_live(port: u16) {
    let began = Instant::now();
    while http::status(port, "GET", "/minio/health/live") != Some(200) {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not serve");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_limit_of_open_files_is_raised() {
    let mut server = prepare(1);
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    let port = free_port();
    let mut child = limited(&server, "-Sn 64", port).spawn().unwrap();
    wait_until_live(port);
    let text = http::request(port, "GET", "/minio/v2/metrics/node").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let name = "minio_node_file_descriptor_limit_total{";
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let limit: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(limit > 64.0, "{line}");
}

/// Without free descriptors the server continues, and does not flood the log.
#[test]
fn what_cannot_be_accepted_is_logged_once_a_second() {
    let server = prepare(1);
    let port = free_port();
    let mut child = limited(&server, "-n 48", port).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_live(port);
    let connections: Vec<TcpStream> = (0..100)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok())
        .collect();
    thread::sleep(Duration::from_millis(2500));
    drop(connections);
    wait_until_live(port);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let lines = log.matches("cannot accept a connection").count();
    assert!((1..=5).contains(&lines), "{lines} lines:\n{log}");
}
