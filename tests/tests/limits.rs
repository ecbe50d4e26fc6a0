//! Memory of the server, and its service, under many or slow clients and large requests.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{
    io::{Read, Write},
    os::unix::fs::MetadataExt,
    thread,
    time::{Duration, Instant},
};
use tests::{
    Server, clients,
    s3::Client,
    server::{ACCESS_KEY, SECRET_KEY},
};

const MIB: usize = 1 << 20;

fn peak_mib(server: &Server) -> u64 {
    let peak_mib = server.peak_memory_bytes() >> 20;
    println!("the server has taken {peak_mib} MiB at most");
    peak_mib
}

/// 600 uploads of one byte a second each, and readers that do not read: other clients are served meanwhile.
#[test]
fn slow_clients() {
    let mut server = Server::prepare(4);
    server.add_arguments(&["--memlimit", "1GiB"]);
    server.restart();
    clients::run(&server, "limits.py", &["slow"]);
    assert!(peak_mib(&server) < 300);
}

/// Uploads that pause after 1 MiB, or a little less, hold no more memory than that each; then they continue.
#[test]
fn paused_uploads() {
    for first_bytes in [MIB, MIB - 1] {
        paused_after(first_bytes);
    }
}

fn paused_after(first_bytes: usize) {
    const UPLOADS: usize = 200;
    let mut server = Server::prepare(4);
    // Enough memory for all of them, and a timeout for a busy machine.
    server.add_arguments(&["--memlimit", "16GiB", "--idle-timeout", "10m"]);
    server.restart();
    let mut client = Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, SECRET_KEY);
    client.create_bucket("limits").unwrap();
    let body: Vec<u8> = (0..2 * MIB).map(|at| (at % 251) as u8).collect();
    client.put("limits", "first", &body).unwrap();
    let before = server.memory_bytes();
    let key = |number: usize| format!("paused/{number}");
    let mut uploads: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let mut stream = client.begin_put("limits", &key(number), 2 * MIB).unwrap();
            stream.write_all(&body[..first_bytes]).unwrap();
            stream
        })
        .collect();
    // The body, and the memory of a connection and its request.
    let most = MIB as u64 + (128 << 10);
    let started = Instant::now();
    let held = loop {
        // The allocator returns freed pages to the system some ten seconds later, and only while it is in use.
        thread::sleep(Duration::from_millis(500));
        assert!(client.get("limits", "first").unwrap() == body);
        let held = server.memory_bytes().saturating_sub(before) / UPLOADS as u64;
        if held <= most || started.elapsed() > Duration::from_secs(60) {
            break held;
        }
    };
    println!("{first_bytes} bytes of a body: {} KiB held for each", held >> 10);
    assert!(held <= most, "{held} bytes for each upload of {first_bytes}");
    for number in [0, UPLOADS / 2, UPLOADS - 1] {
        let stream = &mut uploads[number];
        stream.write_all(&body[first_bytes..]).unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        assert!(client.get("limits", &key(number)).unwrap() == body, "{number}");
    }
}

/// More concurrent uploads and downloads than fit the memory limit: some wait, some get 503 SlowDown, and the server
/// stays within the limit.
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

/// The limit of concurrent requests holds; health checks and scrapes are answered nevertheless, and report it.
#[test]
fn requests_at_once() {
    let mut server = Server::prepare(1);
    server.set_variable("MINIO_API_REQUESTS_MAX", "4");
    server.set_variable("MINIO_API_REQUESTS_DEADLINE", "2s");
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    server.restart();
    clients::run(&server, "limits.py", &["requests"]);
}

/// Clients that stop in the headers, in a body or before either, or that read nothing: none holds a connection beyond
/// its timeout, and nothing of theirs is stored. Clients that are merely slow are served.
#[test]
fn clients_that_stand_still() {
    let mut server = Server::prepare(1);
    server.add_arguments(&["--idle-timeout", "2s"]);
    server.set_variable("MINIO_READ_HEADER_TIMEOUT", "1s");
    server.restart();
    clients::run(&server, "timeouts.py", &["2", "1"]);
}

/// 5 GiB in one PUT and one GET. Takes a minute and 10 GiB: `LARGE=1` runs it.
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

/// Objects of one byte take little space in each drive's index, and most of it is freed after they are deleted
/// (`drive.space-comes-back`); puts continue meanwhile. 5,000 objects; 100,000 of them with `LARGE=1`.
#[test]
fn space_comes_back() {
    let objects = if std::env::var_os("LARGE").is_some() {
        100_000
    } else {
        5_000
    };
    let all = objects + objects / 25;
    let server = Server::start(4);
    let empty = index_bytes(&server);
    Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, SECRET_KEY)
        .create_bucket("limits")
        .unwrap();
    let put = |client: &mut Client, key: &str| drop(client.put("limits", key, b"1").unwrap());
    on_all(&server, 0..objects, put);
    let full = index_bytes(&server) - empty;
    println!("{} bytes of index for each object", full / objects);
    assert!(full <= 700 * objects);
    let idle = on_all(&server, objects..all, put);
    on_all(&server, 0..all, |client, key| client.delete("limits", key).unwrap());
    let busy = on_all(&server, objects..all, put);
    println!("the slowest of 100 puts: {idle:?} at first, {busy:?} behind the deletes");
    on_all(&server, objects..all, |client, key| {
        client.delete("limits", key).unwrap()
    });
    let deleted = Instant::now();
    // A wasted mebibyte is too little for a compaction.
    let most = if objects > 50_000 {
        250 * all
    } else {
        250 * all + (1 << 20)
    };
    while index_bytes(&server) > most || !server.log().contains("compacted the index") {
        assert!(
            deleted.elapsed() < Duration::from_secs(60),
            "{} bytes",
            index_bytes(&server)
        );
        thread::sleep(Duration::from_millis(500));
    }
    let left = index_bytes(&server) / all;
    println!(
        "{left} bytes for each tombstone {:?} after the last delete",
        deleted.elapsed()
    );
}

/// Returns the allocated bytes of the largest index of a drive.
fn index_bytes(server: &Server) -> u64 {
    let indexes = server.drives().iter().map(|drive| drive.join(".minio.sys/index.redb"));
    let sizes = indexes.map(|index| index.metadata().unwrap().blocks() * 512);
    sizes.max().unwrap()
}

/// Runs `work` on keys over 16 connections; returns the 99th percentile of its time.
fn on_all(server: &Server, keys: std::ops::Range<u64>, work: impl Fn(&mut Client, &str) + Sync) -> Duration {
    let (address, work) = (([127, 0, 0, 1], server.port()).into(), &work);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let shares = (0..16).map(|share| {
            let keys = keys.clone().skip(share).step_by(16);
            scope.spawn(move || {
                let mut client = Client::new(address, ACCESS_KEY, SECRET_KEY);
                keys.map(|key| {
                    let started = Instant::now();
                    work(&mut client, &format!("object-{key:06}"));
                    started.elapsed()
                })
                .collect::<Vec<_>>()
            })
        });
        let shares: Vec<_> = shares.collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    times.sort_unstable();
    times[times.len() - times.len() / 100 - 1]
}
