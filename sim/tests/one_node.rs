//! One node, four drives at EC:2: puts, gets, deletes and listings, while the power fails at random
//! moments and drives rot.
//!
//! What must hold: each key's history is linearizable (`register.linearizable`), a listing holds what was
//! there throughout (`list.complete`), every byte that is read is of the version that the answer names
//! (`read.one-data-folder`), and when all is over every key can be read (`put.acked-survives`,
//! `put.survives-power-loss`).

use bytes::Bytes;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep, timeout},
};
use model::record::{EtagMatch, Precondition};
use sim::{
    World,
    linearizable::{Input, Output, Recorder},
    listing::{self, Listing},
    run::Scenario,
};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::{
    node::{self, NodeConfig},
    object::{ListQuery, PutOptions, Store, StoreError, WriteMeta},
    runtime::{self, Rt},
};

const NODE: u32 = 1;
const BUCKET: &str = "bucket";
const KEYS: [&str; 6] = ["a", "a/b", "a/c", "b", "b/b/b", "c"];
const CLIENTS: usize = 4;

#[test]
fn determinism() {
    Scenario::new("determinism").check_determinism(3, power_fails);
}

#[test]
fn acknowledged_objects_survive_power_loss_and_rot() {
    Scenario::new("acknowledged_objects_survive_power_loss_and_rot")
        .seeds(200)
        .check(power_fails);
}

/// What the clients and the supervisor share, outside of the node: it survives power loss.
struct Shared {
    world: World,
    histories: Recorder<u64>,
    listings: Mutex<Vec<Listing>>,
    next_value: AtomicU64,
    phase: Mutex<Phase>,
    /// Whether the node has reached the end of its phase.
    reached: AtomicBool,
}

/// What the node does once it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Clients work until the power fails.
    Work,
    /// Nobody works; what the last life left is finished, and the store closed.
    Settle,
    /// Every key is read.
    Verify,
}

async fn power_fails(world: World) {
    let shared = Arc::new(Shared {
        world: world.clone(),
        histories: Recorder::default(),
        listings: Mutex::default(),
        next_value: AtomicU64::new(1),
        phase: Mutex::new(Phase::Work),
        reached: AtomicBool::new(false),
    });
    let drives: Vec<_> = paths().into_iter().map(|path| world.drive(NODE, path)).collect();
    // Only these rot: no more than M.
    let mut victims = drives.clone();
    victims.shuffle(&mut thread_rng());
    victims.truncate(thread_rng().gen_range(0..=2));
    // A rotten index takes a drive away from the votes, so until all is settled only one may go.
    let index_may_rot = thread_rng().gen_bool(0.3);

    let server = shared.clone();
    world.start(NODE, move |rt| live(rt, server.clone()));
    for _ in 0..thread_rng().gen_range(2..6) {
        let life = Duration::from_millis(thread_rng().gen_range(5..1500));
        let mut cut = false;
        if thread_rng().gen_bool(0.4) {
            // In the middle of whatever is being written, an index commit more often than not.
            let drive = drives.choose(&mut thread_rng()).expect("there are drives");
            drive.cut_after(thread_rng().gen_range(0..300));
            cut = timeout(life, drive.until_cut()).await.is_ok();
            if !cut {
                drive.cut_after(u64::MAX);
            }
        } else {
            sleep(life).await;
        }
        if cut || thread_rng().gen_bool(0.8) {
            world.power_off(NODE);
        } else {
            world.kill(NODE);
        }
        for (n, victim) in victims.iter().enumerate() {
            if n == 0 && index_may_rot && thread_rng().gen_bool(0.3) {
                victim.rot_anywhere();
            } else if thread_rng().gen_bool(0.5) {
                victim.rot_below("data");
            }
        }
        world.restart(NODE);
    }
    sleep(Duration::from_millis(200)).await;
    world.power_off(NODE);
    pass(&shared, Phase::Settle).await;
    for victim in &victims {
        for _ in 0..20 {
            victim.rot_anywhere();
        }
    }
    pass(&shared, Phase::Verify).await;

    let histories = shared.histories.histories();
    shared
        .histories
        .check()
        .unwrap_or_else(|(key, violation)| panic!("register.linearizable: {key}: {violation}"));
    for listing in shared.listings.lock().expect("no panic").iter() {
        listing::check(&histories, listing).unwrap_or_else(|why| panic!("list.complete: {why}: {listing:?}"));
    }
}

/// Restarts the node for a phase and waits until it is through.
async fn pass(shared: &Arc<Shared>, phase: Phase) {
    *shared.phase.lock().expect("no panic") = phase;
    shared.reached.store(false, Ordering::Relaxed);
    shared.world.restart(NODE);
    while !shared.reached.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50)).await;
    }
    shared.world.kill(NODE);
}

/// One life of the node.
async fn live(rt: Rt, shared: Arc<Shared>) {
    let config = NodeConfig {
        drives: paths(),
        set_size: 4,
        standard_parity: 2,
        reduced_parity: 1,
    };
    let node = match node::open(rt.clone(), config).await {
        Ok(node) => node,
        // The power fails while it starts.
        Err(error) if shared.world.drives(NODE).iter().any(sim::SimDrive::is_cut) => {
            shared.world.event(NODE, &format!("no start: {error}"));
            return std::future::pending().await;
        }
        Err(error) => panic!("a node with at most two bad drives starts: {error}"),
    };
    let phase = *shared.phase.lock().expect("no panic");
    let recovered = node.recover(Duration::ZERO).await;
    shared.world.event(NODE, &format!("recovered {recovered:?}"));
    let store = node.store.clone();
    match phase {
        Phase::Work => {
            while !matches!(store.create_bucket(BUCKET).await, Ok(_) | Err(StoreError::BucketExists)) {
                rt.sleep(Duration::from_millis(10)).await;
            }
            for client in 0..CLIENTS {
                runtime::spawn(&rt, "client", work(client, store.clone(), shared.clone()));
            }
            std::future::pending::<()>().await;
        }
        Phase::Settle => store.close().await,
        Phase::Verify => verify(&store, &shared).await,
    }
    shared.reached.store(true, Ordering::Relaxed);
    std::future::pending::<()>().await;
}

async fn work(client: usize, store: Arc<Store>, shared: Arc<Shared>) {
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let what = thread_rng().gen_range(0..100);
        let result = match what {
            0..45 => put(&store, &shared, key).await,
            45..55 => delete(&store, &shared, key).await,
            55..90 => get(&store, &shared, key).await.map(drop),
            _ => list(&store, &shared).await,
        };
        shared
            .world
            .event(NODE, &format!("client {client}: {key} {what} {result:?}"));
        store
            .rt()
            .sleep(Duration::from_millis(thread_rng().gen_range(0..30)))
            .await;
    }
}

async fn put(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let value = shared.next_value.fetch_add(1, Ordering::Relaxed);
    let body = body_of(value);
    let (precondition, input) = match thread_rng().gen_range(0..10) {
        0..2 => {
            let only_new = Precondition {
                if_none_match: Some(EtagMatch::Any),
                ..Precondition::default()
            };
            (
                only_new,
                Input::Compare {
                    expected: None,
                    new: Some(value),
                },
            )
        }
        2..4 => {
            let expected = thread_rng().gen_range(1..=value);
            let only_over = EtagMatch::OneOf(vec![expected.to_string()]);
            let precondition = Precondition {
                if_match: Some(only_over),
                ..Precondition::default()
            };
            (
                precondition,
                Input::Compare {
                    expected: Some(expected),
                    new: Some(value),
                },
            )
        }
        _ => (Precondition::default(), Input::Put(value)),
    };
    let size = thread_rng().gen_bool(0.5).then_some(body.len() as u64);
    let mut writer = store
        .put(
            BUCKET,
            key,
            PutOptions {
                size,
                ..PutOptions::default()
            },
        )
        .await?;
    for chunk in body.chunks(thread_rng().gen_range(1..400_000)) {
        writer.write(Bytes::copy_from_slice(chunk)).await?;
    }
    if thread_rng().gen_bool(0.05) {
        return Ok(()); // A client that vanishes before the end.
    }
    let meta = WriteMeta {
        etag: value.to_string(),
        ..WriteMeta::default()
    };
    let ticket = shared.histories.invoke(key, shared.world.now(), input);
    let outcome = writer.commit(meta, precondition).await.map(drop);
    match &outcome {
        Ok(()) => shared.histories.complete(&ticket, shared.world.now(), Output::Done),
        Err(StoreError::PreconditionFailed | StoreError::NoSuchKey) => {
            shared.histories.complete(&ticket, shared.world.now(), Output::Refused);
        }
        // Not done, says the store; the checker may as well try both.
        Err(_) => {}
    }
    outcome
}

async fn delete(store: &Store, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let ticket = shared.histories.invoke(key, shared.world.now(), Input::Delete);
    store.delete(BUCKET, key, Precondition::default()).await?;
    shared.histories.complete(&ticket, shared.world.now(), Output::Done);
    Ok(())
}

/// Reads a key and holds its bytes against the value that its ETag names.
async fn get(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<Option<u64>, StoreError> {
    let ticket = shared.histories.invoke(key, shared.world.now(), Input::Get);
    let found = match store.get(BUCKET, key).await {
        Err(StoreError::NoSuchKey) => None,
        Err(error) => return Err(error),
        Ok(reader) => {
            let value: u64 = reader.info().data.etag.parse().expect("an ETag of ours");
            let expected = body_of(value);
            assert_eq!(
                reader.info().data.size,
                expected.len() as u64,
                "{key}: size of value {value}"
            );
            let mut stream = reader.stream(0..expected.len() as u64).await?;
            let mut read = Vec::new();
            while let Some(bytes) = stream.next().await {
                read.extend_from_slice(&bytes?);
            }
            assert!(
                read == expected,
                "read.one-data-folder: {key}: bytes of value {value} differ"
            );
            Some(value)
        }
    };
    shared
        .histories
        .complete(&ticket, shared.world.now(), Output::Value(found));
    Ok(found)
}

async fn list(store: &Store, shared: &Shared) -> Result<(), StoreError> {
    let invoked = shared.world.now();
    let prefix = (*["", "a", "a/", "b"].choose(&mut thread_rng()).expect("prefixes")).to_owned();
    let after = thread_rng().gen_bool(0.3).then(|| "a/b".to_owned());
    let limit = thread_rng().gen_range(1..8);
    let query = ListQuery {
        prefix: prefix.clone(),
        after: after.clone(),
        limit,
        ..ListQuery::default()
    };
    let found = store.list(BUCKET, &query).await?;
    let keys = found.objects.into_iter().map(|object| object.key).collect();
    let completed = shared.world.now();
    let listing = Listing {
        invoked,
        completed,
        prefix,
        after,
        truncated: found.next.is_some(),
        keys,
    };
    shared.listings.lock().expect("no panic").push(listing);
    Ok(())
}

/// Everything is readable, whatever two drives have become.
async fn verify(store: &Arc<Store>, shared: &Shared) {
    if let Err(error) = store.bucket(BUCKET).await {
        assert_eq!(error, StoreError::NoSuchBucket, "the buckets can be read");
        assert!(shared.histories.histories().is_empty(), "the bucket is lost");
        return;
    }
    for key in KEYS {
        get(store, shared, key)
            .await
            .unwrap_or_else(|error| panic!("put.acked-survives: {key}: {error}"));
    }
    list(store, shared).await.expect("a listing of the survivors");
}

/// The bytes of a value: of all kinds of sizes, small shards and files, one stripe and several.
fn body_of(value: u64) -> Vec<u8> {
    let mut state = value.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let len = match value % 16 {
        0 => 0,
        1..8 => value * 131 % 4096,
        8..12 => 20_000 + value * 7919 % 100_000,
        12..15 => 1_000_000 + value * 104_729 % 200_000,
        _ => 3 * (1 << 20) + value % 1000,
    };
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut body: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    body.truncate(len as usize);
    body
}

fn paths() -> Vec<PathBuf> {
    (1..=4).map(|n| PathBuf::from(format!("/d{n}"))).collect()
}
