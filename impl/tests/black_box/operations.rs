//! Operator's view: metrics, the admin API, the access log, and a lost drive in each of them.

use crate::{BINARY, client, prepare, start, start_with};
use std::{
    fs,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};
use tests::{
    Server, http,
    s3::Client,
    server::{ACCESS_KEY, SECRET_KEY},
};

const NODE: &str = "/minio/v2/metrics/node";
const CLUSTER: &str = "/minio/v2/metrics/cluster";

/// Runs `impl admin …` against the server.
fn admin(server: &Server, secret: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .arg("admin")
        .args(arguments)
        .args(["--endpoint", &server.endpoint()]);
    command
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", secret);
    command.env_remove("MINIO_SITE_REGION").output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the token that `impl admin prometheus` writes.
fn token(server: &Server, secret: &str) -> String {
    let configuration = stdout(&admin(server, secret, &["prometheus"]));
    let target = format!("targets: ['127.0.0.1:{}']", server.port());
    assert!(configuration.contains(&target), "{configuration}");
    let line = configuration
        .lines()
        .find_map(|line| line.trim().strip_prefix("bearer_token: "));
    line.expect("a token").to_owned()
}

fn scrape(server: &Server, path: &str, token: &str) -> String {
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let answer = http::request_with(server.port(), "GET", path, &authorization).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    body.to_owned()
}

/// Returns the sum of a metric's samples whose labels contain `label`; `None` if there are none.
fn metric(text: &str, name: &str, label: &str) -> Option<f64> {
    let samples = text.lines().filter(|line| {
        let (own, _) = line.split_once(['{', ' ']).unwrap_or((line, ""));
        own == name && line.contains(label)
    });
    let values: Vec<f64> = samples
        .map(|line| line.rsplit_once(' ').expect("a value").1.parse().expect("a number"))
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Checks each line against Prometheus's text format, and that no family and no sample occurs twice.
fn check_format(text: &str) {
    let (mut families, mut samples) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(!families.contains(&name), "{name} comes twice");
            families.push(name);
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let name = sample.split('{').next().expect("a name");
            let family = families.last().copied().expect("a family");
            let ending = name.strip_prefix(family);
            assert!(
                ["", "_bucket", "_sum", "_count"].map(Some).contains(&ending),
                "{line} in {family}"
            );
            assert!(!samples.contains(&sample), "{sample} comes twice");
            samples.push(sample);
        }
    }
    assert!(families.len() > 30, "only {} families", families.len());
}

#[test]
fn counters_move_with_requests() {
    let server = start(4);
    let token = token(&server, SECRET_KEY);
    let before = scrape(&server, NODE, &token);
    check_format(&before);
    assert_eq!(metric(&before, "minio_s3_requests_total", "putobject"), None);

    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    let large = vec![7; 3 << 20];
    client.put("photos", "large", &large).unwrap();
    client.put("photos", "small", b"hello").unwrap();
    assert_eq!(client.get("photos", "large").unwrap(), large);
    assert_eq!(client.get("photos", "missing").unwrap_err().status(), Some(404));
    let mut stranger = Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, "not-the-secret");
    assert_eq!(stranger.get("photos", "small").unwrap_err().status(), Some(403));

    let after = scrape(&server, CLUSTER, &token);
    check_format(&after);
    let is =
        |name: &str, label: &str, value: f64| assert_eq!(metric(&after, name, label), Some(value), "{name}{label}");
    is("minio_s3_requests_total", "api=\"createbucket\"", 1.0);
    is("minio_s3_requests_total", "api=\"putobject\"", 2.0);
    is("minio_s3_requests_total", "api=\"getobject\"", 2.0);
    is("minio_s3_requests_4xx_errors_total", "api=\"getobject\"", 1.0);
    is("minio_s3_requests_errors_total", "api=\"putobject\"", 0.0);
    is("minio_s3_requests_canceled_total", "", 0.0);
    is("minio_s3_requests_inflight_total", "", 0.0);
    is("minio_s3_requests_rejected_auth_total", "", 1.0);
    is("impl_s3_errors_total", "code=\"NoSuchKey\"", 1.0);
    is("impl_s3_requests_seconds_count", "api=\"getobject\"", 2.0);
    is(
        "minio_s3_requests_ttfb_seconds_distribution",
        "api=\"putobject\",le=\"+Inf\"",
        2.0,
    );
    is("minio_cluster_health_status", "", 1.0);
    is("minio_cluster_drive_online_total", "", 4.0);
    is("minio_cluster_write_quorum", "", 3.0);
    is("minio_cluster_bucket_total", "", 1.0);
    is("minio_node_drive_online_total", "", 4.0);
    // All four are on one device, whose space counts once; the log warns of it.
    let all = metric(&after, "minio_node_drive_total_bytes", "").unwrap();
    is("minio_cluster_capacity_raw_total_bytes", "", all / 4.0);
    let log = server.log();
    let shared = log
        .lines()
        .filter(|line| line.contains("drives of one set are on one device"));
    assert_eq!(shared.count(), 1, "{log}");
    let at_least = |name: &str, least: f64| {
        let value = metric(&after, name, "").unwrap_or_else(|| panic!("no {name}"));
        assert!(value >= least, "{name} is {value}");
    };
    at_least("minio_s3_traffic_received_bytes", (3 << 20) as f64 + 5.0);
    at_least("minio_s3_traffic_sent_bytes", (3 << 20) as f64);
    at_least("minio_node_drive_free_bytes", 1.0);
    at_least("minio_node_process_resident_memory_bytes", 1e6);
    at_least("minio_node_process_starttime_seconds", 1.7e9);
    at_least("impl_drive_commit_seconds_count", 4.0);
    at_least("impl_drive_commit_messages_sum", 4.0);
    at_least("impl_drive_sync_seconds_count", 4.0);
}

#[test]
fn scraping_needs_a_token_unless_it_is_public() {
    let server = start(1);
    for path in [NODE, CLUSTER] {
        let status = |header: &str| {
            let answer = http::request_with(server.port(), "GET", path, header).expect("an answer");
            answer.split(' ').nth(1).map(str::to_owned)
        };
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let forbidden = Some("403".to_owned());
        assert_eq!(status(""), forbidden);
        assert_eq!(status(&bearer("")), forbidden);
        assert_eq!(status(&bearer(&token(&server, "not-the-secret"))), forbidden);
        let good = token(&server, SECRET_KEY);
        assert_eq!(status(&format!("Authorization: Basic {good}\r\n")), forbidden);
        assert_eq!(status(&bearer(&good)), Some("200".to_owned()));
    }
    assert_eq!(http::status(server.port(), "GET", "/minio/v2/metrics/none"), Some(403));

    let public = start_with(1, &[("MINIO_PROMETHEUS_AUTH_TYPE", "public")]);
    assert_eq!(http::status(public.port(), "GET", NODE), Some(200));
    assert_eq!(http::status(public.port(), "HEAD", CLUSTER), Some(200));
    assert_eq!(http::status(public.port(), "POST", CLUSTER), Some(405));
    assert_eq!(http::status(public.port(), "GET", "/minio/v2/metrics/none"), Some(404));
}

#[test]
fn a_lost_drive_is_seen_everywhere() {
    let mut server = start_with(4, &[("MINIO_PROMETHEUS_AUTH_TYPE", "public")]);
    client(&server).create_bucket("photos").unwrap();
    let table = stdout(&admin(&server, SECRET_KEY, &["info"]));
    assert!(table.contains("State      online\n"), "{table}");
    assert!(table.contains("4 of 4 online, 1 set × 4, EC:2"), "{table}");
    assert!(table.contains("Buckets    1\n"), "{table}");

    let lost = server.drives()[1].clone();
    fs::remove_dir_all(&lost).unwrap();
    let began = Instant::now();
    let cluster = loop {
        let text = scrape(&server, CLUSTER, "");
        if metric(&text, "minio_cluster_drive_offline_total", "") == Some(1.0) {
            break text;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the loss is not noticed");
        thread::sleep(Duration::from_millis(100));
    };
    let name = format!("drive=\"{}\"", lost.display());
    assert_eq!(metric(&cluster, "impl_node_drive_online", &name), Some(0.0));
    assert_eq!(metric(&cluster, "minio_node_drive_free_bytes", &name), None);
    assert_eq!(metric(&cluster, "minio_cluster_health_status", ""), Some(1.0));
    assert_eq!(
        metric(&cluster, "minio_cluster_health_erasure_set_online_drives", ""),
        Some(3.0)
    );

    let json = stdout(&admin(&server, SECRET_KEY, &["info", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(info["mode"], "online");
    assert_eq!(info["backend"]["offlineDisks"], 1);
    let drive = &info["servers"][0]["drives"][1];
    assert_eq!(drive["path"], lost.to_str().unwrap());
    assert_eq!(drive["state"], "offline");
    assert!(drive["reason"].as_str().unwrap().contains("format.json"), "{drive}");
    let table = stdout(&admin(&server, SECRET_KEY, &["info"]));
    assert!(table.contains("online, with drives missing"), "{table}");
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("drive offline")).collect();
    assert!(lines.len() == 1 && lines[0].contains(lost.to_str().unwrap()), "{log}");

    assert!(server.terminate().success());
    server.restart();
    let log = server.log();
    let summary = log.lines().find(|line| line.contains("started with drives offline"));
    assert!(
        summary.is_some_and(|line| line.contains(lost.to_str().unwrap())),
        "{log}"
    );
}

#[test]
fn the_admin_api_needs_a_signature_and_root() {
    let server = start(1);
    let stranger = admin(&server, "not-the-secret", &["info"]);
    assert_eq!(stranger.status.code(), Some(1));
    let error = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(
        error.starts_with("error: ") && error.contains("(SignatureDoesNotMatch)"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(http::status(server.port(), "GET", "/minio/admin/v3/info"), Some(403));
    let mut client = client(&server);
    let mut status = |method, path| client.request(method, path, &[], &[], b"").unwrap().status;
    assert_eq!(status("GET", "/minio/admin/v3/info"), 200);
    assert_eq!(status("POST", "/minio/admin/v3/service"), 501);
    // Paths that begin like the admin API's address no bucket, with any method.
    assert_eq!(status("PUT", "/minio"), 400);
    assert_eq!(status("GET", "/minio/key"), 400);
}

/// A script that saves the output must notice a failed write.
#[test]
fn what_cannot_be_written_is_an_error() {
    let server = start(1);
    let mut command = Command::new(BINARY);
    command.args(["admin", "info", "--json", "--endpoint", &server.endpoint()]);
    command
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot write to standard output: "), "{error}");
}

#[test]
fn the_access_log_is_written_on_request() {
    let without = start(1);
    client(&without).create_bucket("photos").unwrap();
    assert!(!without.log().contains("createbucket"), "{}", without.log());

    let invalid = start_with(1, &[("RUST_LOG", "store=loud")]);
    let line = "RUST_LOG is not understood";
    assert!(invalid.log().contains(line), "{}", invalid.log());
    assert!(!without.log().contains(line), "{}", without.log());

    let server = start_with(1, &[("MINIO_ACCESS_LOG", "on"), ("RUST_LOG", "warn")]);
    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    client.put("photos", "a key", b"hello").unwrap();
    let secret = [("X-Amz-Signature", "0123456789abcdef")];
    let refused = client.request("GET", "/photos/a key", &secret, &[], b"").unwrap();
    assert!(refused.status >= 400);
    client.get("photos", "none").unwrap_err();
    let log = server.log();
    let line = |words: &[&str]| {
        let found = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("no line with {words:?}:\n{log}"));
    };
    line(&[
        "method=PUT",
        "path=\"/photos/a%20key\"",
        "status=200",
        "received_bytes=5",
        ACCESS_KEY,
        "api=\"putobject\"",
    ]);
    line(&[
        "method=GET",
        "path=\"/photos/none\"",
        "status=404",
        "code=\"NoSuchKey\"",
        "remote=127.0.0.1:",
        "end=\"complete\"",
    ]);
    assert!(!log.contains("0123456789abcdef"), "a signature is in the log:\n{log}");
}

/// An upload without activity is removed with its parts; activity keeps it.
#[test]
fn abandoned_uploads_are_removed() {
    let mut server = prepare(4);
    server.set_variable("MINIO_API_STALE_UPLOADS_EXPIRY", "4s");
    server.set_variable("MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL", "1s");
    server.restart();
    let mut client = client(&server);
    client.create_bucket("photos").unwrap();
    let answer = client
        .request("POST", "/photos/large", &[("uploads", "")], &[], b"")
        .unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    let (_, rest) = text.split_once("<UploadId>").expect("an upload");
    let upload = rest.split_once('<').expect("an id").0.to_owned();
    // Each part restarts the expiry.
    for number in ["1", "2", "3", "4"] {
        let query = [("partNumber", number), ("uploadId", upload.as_str())];
        let body = vec![7; 1 << 20];
        let answer = client.request("PUT", "/photos/large", &query, &[], &body);
        assert_eq!(answer.unwrap().status, 200, "part {number}");
        thread::sleep(Duration::from_millis(1500));
    }
    let shards = || {
        let data = server.drives()[0].join("data");
        let folders = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
        folders
            .map(|folder| fs::read_dir(folder).unwrap().count())
            .sum::<usize>()
    };
    assert!(shards() > 0);
    let began = Instant::now();
    let mut list_parts = || {
        let query = [("uploadId", upload.as_str())];
        client.request("GET", "/photos/large", &query, &[], b"").unwrap().status
    };
    assert_eq!(list_parts(), 200);
    while list_parts() != 404 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not removed");
        thread::sleep(Duration::from_millis(100));
    }
    while shards() > 0 {
        assert!(began.elapsed() < Duration::from_secs(90), "its parts are not removed");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(server.log().contains("nobody went on with"), "{}", server.log());
}
