//! Small server for the tests of the simulation itself: an append-only log that acknowledges records once synced.
#![allow(dead_code, reason = "each test binary uses its part")]

use madsim::rand::{Rng, thread_rng};
use sim::World;
use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::runtime::{File, Files, Lane, OpenMode, Rt, run};

/// Mount of each node's drive.
pub const MOUNT: &str = "/drive";

/// Records that the log has acknowledged or may have written.
#[derive(Default)]
pub struct Promises {
    /// Acknowledged records, in order.
    pub acknowledged: Vec<Vec<u8>>,
    /// Records in progress, which recovery may find or not.
    pub pending: Vec<Vec<u8>>,
}

impl Promises {
    fn acknowledge(&mut self, group: Vec<Vec<u8>>) {
        self.pending.clear();
        self.acknowledged.extend(group);
    }
}

/// Behaviour of the log before it acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Honesty {
    /// Syncs first.
    Syncs,
    /// Does not sync: the canary.
    Forgets,
}

/// Appends groups of records forever. At the start, compares the recovered records with its promises.
pub async fn serve_log(rt: Rt, honesty: Honesty, promises: Arc<Mutex<Promises>>) {
    let executor = rt.executor(MOUNT);
    let files = rt.files();
    let (recovered, opened) = (promises.clone(), files.clone());
    let started = run(&executor, Lane::Commit, move || {
        let log = recover(&*opened)?;
        check(&log.records, &mut recovered.lock().expect("no panic"));
        Ok::<_, io::Error>(log)
    });
    let Ok(Log { file, records, mut end }) = started.await.expect("recovery does not panic") else {
        rt.trace(&|| "the drive failed during recovery".to_owned());
        return std::future::pending().await;
    };
    rt.trace(&|| format!("recovered {} records, {end} bytes", records.len()));
    loop {
        let group: Vec<Vec<u8>> = (0..thread_rng().gen_range(1..5)).map(|_| record()).collect();
        let bytes: Vec<u8> = group.iter().flat_map(|payload| encode(payload)).collect();
        promises.lock().expect("no panic").pending.clone_from(&group);
        let (file, at) = (file.clone(), end);
        end += bytes.len() as u64;
        let appended = run(&executor, Lane::Commit, move || {
            file.write_at(at, &bytes)?;
            if honesty == Honesty::Syncs { file.sync() } else { Ok(()) }
        });
        if appended.await.expect("an append does not panic").is_err() {
            rt.trace(&|| "the drive failed".to_owned());
            return std::future::pending().await;
        }
        promises.lock().expect("no panic").acknowledge(group);
        rt.sleep(Duration::from_millis(thread_rng().gen_range(0..20))).await;
    }
}

/// Scenario of nodes with logs that lose power or are killed again and again, also in the middle of a write.
pub async fn power_failures(world: World, nodes: u32, honesty: Honesty) {
    for node in 1..=nodes {
        world.drive(node, MOUNT);
        world.set_clock_offset(node, thread_rng().gen_range(-5_000_000_000..5_000_000_000));
        world.set_clock_drift(node, thread_rng().gen_range(-1000..1000));
        let promises = Arc::new(Mutex::new(Promises::default()));
        world.start(node, move |rt| serve_log(rt, honesty, promises.clone()));
    }
    for _ in 0..10 {
        let node = thread_rng().gen_range(1..=nodes);
        if thread_rng().gen_bool(0.5) {
            world.drive(node, MOUNT).cut_after(thread_rng().gen_range(0..20));
        }
        madsim::time::sleep(Duration::from_millis(thread_rng().gen_range(1..300))).await;
        match thread_rng().gen_range(0..4) {
            // A cut drive fails until its power is cycled, so it must not be only killed.
            0 if !world.drive(node, MOUNT).is_cut() => world.kill(node),
            _ => world.power_off(node),
        }
        madsim::time::sleep(Duration::from_millis(20)).await;
        world.restart(node);
    }
    for node in 1..=nodes {
        world.power_off(node);
        world.restart(node);
    }
    madsim::time::sleep(Duration::from_millis(500)).await;
}

/// Scenario of two nodes that talk over TCP: each echoes what it receives, and counts the echoes it gets.
pub async fn chatter(world: World) {
    let addr = |node| SocketAddr::new(world.ip(node), 9000);
    for node in 1..=2 {
        let peer = addr(3 - node);
        let here = addr(node);
        world.start(node, move |rt| chat(rt, here, peer));
    }
    for _ in 0..5 {
        madsim::time::sleep(Duration::from_millis(thread_rng().gen_range(100..900))).await;
        let node = thread_rng().gen_range(1..=2);
        world.kill(node);
        madsim::time::sleep(Duration::from_millis(thread_rng().gen_range(1..200))).await;
        world.restart(node);
    }
    madsim::time::sleep(Duration::from_secs(1)).await;
}

async fn chat(rt: Rt, here: SocketAddr, peer: SocketAddr) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = rt.listen(here).await.expect("the address is free");
    let echo_rt = rt.clone();
    store::runtime::spawn(&rt, "accept", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            store::runtime::spawn(&echo_rt, "echo", async move {
                let mut buf = [0u8; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..n]).await.is_err() || stream.flush().await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    loop {
        let message = record();
        let answered = store::runtime::timeout(&rt, Duration::from_millis(200), async {
            let mut stream = rt.connect(peer).await?;
            stream.write_all(&message).await?;
            stream.flush().await?;
            let mut answer = vec![0; message.len()];
            stream.read_exact(&mut answer).await?;
            assert_eq!(answer, message);
            Ok::<_, io::Error>(())
        });
        let answer = answered.await;
        let said = match &answer {
            None => "no answer".to_owned(),
            Some(Ok(())) => format!("echo of {} bytes", message.len()),
            Some(Err(error)) => format!("failed: {:?}", error.kind()),
        };
        rt.trace(&|| format!("{said} at {} ns", rt.wall_nanos()));
        rt.sleep(Duration::from_millis(50)).await;
    }
}

fn record() -> Vec<u8> {
    let len = if thread_rng().gen_bool(0.2) { 5000 } else { 100 };
    (0..thread_rng().gen_range(1..len))
        .map(|_| thread_rng().r#gen())
        .collect()
}

/// Encodes a record: length, checksum, payload.
fn encode(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_le_bytes();
    [&len, &checksum(payload).to_le_bytes()[..], payload].concat()
}

/// FNV-1a hash.
fn checksum(payload: &[u8]) -> u64 {
    payload.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct Log {
    file: Arc<dyn File>,
    records: Vec<Vec<u8>>,
    /// Length in bytes.
    end: u64,
}

/// Opens the log and truncates a torn tail; returns its records and its length.
fn recover(files: &dyn Files) -> io::Result<Log> {
    let folder = Path::new(MOUNT).join("log");
    files.create_dir_all(&folder)?;
    let file = files.open(&folder.join("records"), OpenMode::Create)?;
    files.sync_dir(&folder)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(0, &mut bytes)?;
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some((len, rest)) = bytes[at..].split_first_chunk::<4>() {
        let Some((sum, rest)) = rest.split_first_chunk::<8>() else {
            break;
        };
        let Some(payload) = rest.get(..u32::from_le_bytes(*len) as usize) else {
            break;
        };
        if payload.is_empty() || checksum(payload) != u64::from_le_bytes(*sum) {
            break;
        }
        at += 12 + payload.len();
        records.push(payload.to_vec());
    }
    // Truncate before anything is appended: a torn record behind new ones could otherwise be read later.
    file.set_len(at as u64)?;
    file.sync()?;
    Ok(Log {
        file,
        records,
        end: at as u64,
    })
}

/// Checks that all acknowledged records are there, in order, followed at most by a prefix of those in progress.
fn check(records: &[Vec<u8>], promises: &mut Promises) {
    let acknowledged = promises.acknowledged.len();
    assert!(
        records.len() >= acknowledged,
        "{} of {acknowledged} records are left",
        records.len()
    );
    assert!(
        records[..acknowledged] == promises.acknowledged[..],
        "an acknowledged record has changed"
    );
    assert!(
        promises.pending.starts_with(&records[acknowledged..]),
        "a record came from nowhere"
    );
    promises.acknowledged = records.to_vec();
    promises.pending.clear();
}
