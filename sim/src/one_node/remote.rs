//! Clients that are hosts of their own: they speak S3 to the node's HTTP server over the simulated network, and outlive
//! the node's crashes.
//!
//! What a client is told goes into the histories as the answers of a store do, with less certainty: any answer of a
//! server error, and a request that got none, may have been done.

use super::{
    clients::{body_of, meta, random_page},
    gremlin::random,
    life::{KEYS, NODE, Shared},
    uploads::{self, Step},
};
use crate::{
    linearizable::Input,
    s3::{Condition, S3Client, S3Config, S3Error, etag_of, etag_of_upload},
};
use bytes::Bytes;
use http::HeaderName;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep, timeout},
};
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc};
use store::{
    access::Credentials,
    api::multipart::upload_id,
    http::{Limits, Timeouts},
    runtime::Rt,
    server::{self, ServeConfig, WatchConfig},
    store::{CompletedPart, Store, StoreError},
};

/// First node of the clients, and the node that reads every key at the end.
const CLIENTS: u32 = 100;
const READER: u32 = 99;
const PORT: u16 = 9000;
/// Size of a body from which on no other value has its ETag.
const OWN_ETAG_BYTES_MIN: usize = 8;
/// Time limit of a request without faults.
const CALM_PATIENCE: Duration = Duration::from_secs(20);

/// Serves S3 until the node ends.
pub async fn serve(rt: Rt, store: Arc<Store>, shared: Arc<Shared>) {
    let listener = rt.listen(address(&shared)).await.expect("a free port");
    let config = ServeConfig {
        listener,
        credentials: credentials(),
        region: None,
        domains: Default::default(),
        origins: Default::default(),
        limits: Limits {
            requests: 64,
            stream_bytes: 64 << 20,
            wait: Duration::from_secs(5),
        },
        timeouts: Timeouts::default(),
        tls: None,
        peers: None,
        watch: WatchConfig::default(),
        is_leaving: Arc::default(),
    };
    let served = server::serve(rt, store, config, std::future::pending()).await;
    panic!("the server has ended: {served:?}");
}

fn address(shared: &Shared) -> SocketAddr {
    SocketAddr::new(shared.world.ip(NODE), PORT)
}

fn credentials() -> Credentials {
    Credentials {
        access_key: "access".to_owned(),
        secret_key: "secret".to_owned(),
    }
}

fn client(rt: Rt, shared: &Shared, patience: Duration) -> S3Client {
    let world = shared.world.clone();
    let config = S3Config {
        server: address(shared),
        credentials: credentials(),
        bucket: super::life::BUCKET.to_owned(),
        patience,
        // As clients do that take the time from the server's answers.
        wall_nanos: Arc::new(move || world.wall_nanos(NODE)),
    };
    S3Client::new(rt, config)
}

/// Starts the clients, each on a host of its own.
pub fn start(shared: &Arc<Shared>) {
    for client in 0..shared.plan.clients as u32 {
        let shared = shared.clone();
        let world = shared.world.clone();
        world.start(CLIENTS + client, move |rt| work(CLIENTS + client, rt, shared.clone()));
    }
}

/// Ends the clients: their requests stay open in the histories.
pub fn stop(shared: &Shared) {
    for client in nodes(shared) {
        shared.world.kill(client);
    }
}

fn nodes(shared: &Shared) -> Vec<u32> {
    (CLIENTS..CLIENTS + shared.plan.clients as u32).collect()
}

/// Awaits a life while the network of its clients is disturbed, if the plan says so.
pub async fn disturbed<T>(shared: &Shared, life: impl Future<Output = T>) -> T {
    if !(shared.plan.http && shared.plan.link_faults) {
        return life.await;
    }
    tokio::select! { biased; ended = life => ended, never = disturb(shared) => match never {} }
}

/// Resets connections of clients, and cuts links in one direction or both for a while, until it is dropped.
async fn disturb(shared: &Shared) -> Infallible {
    let world = &shared.world;
    for client in nodes(shared) {
        // What was cut when the last life ended.
        world.set_link(NODE, client, true);
        world.set_link(client, NODE, true);
    }
    loop {
        sleep(random(shared.plan.quiet_max)).await;
        let client = *nodes(shared).choose(&mut thread_rng()).expect("there are clients");
        let (there, back) = match thread_rng().gen_range(0..4) {
            0 => (true, false),
            1 => (false, true),
            2 => (true, true),
            _ => {
                world.reset_connections(NODE, client);
                continue;
            }
        };
        let links = [(client, NODE, there), (NODE, client, back)].into_iter();
        let cut: Vec<(u32, u32)> = links
            .filter(|(_, _, is_cut)| *is_cut)
            .map(|(from, to, _)| (from, to))
            .collect();
        cut.iter().for_each(|(from, to)| world.set_link(*from, *to, false));
        sleep(random(shared.plan.quiet_max * 3)).await;
        cut.iter().for_each(|(from, to)| world.set_link(*from, *to, true));
    }
}

/// Runs a client.
async fn work(node: u32, rt: Rt, shared: Arc<Shared>) {
    let mut s3 = client(rt, &shared, shared.plan.patience());
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let on_upload = thread_rng().gen_bool(shared.plan.uploads);
        let what = if on_upload { 100 } else { thread_rng().gen_range(0..100) };
        let result = match what {
            0..42 => put(&mut s3, &shared, key).await,
            42..50 => delete(&mut s3, &shared, key).await,
            50..56 => delete_expected(&mut s3, &shared, key).await,
            56..90 => get(&mut s3, &shared, key).await.map(drop),
            90..100 => list(&mut s3, &shared).await,
            _ => step(&mut s3, &shared, key).await,
        };
        shared.world.event(node, &format!("{key} {what} {result:?}"));
        if result == Err(StoreError::NoSuchBucket) {
            s3.create_bucket().await.ok();
        }
        sleep(shared.pause()).await;
    }
}

/// Returns what a store would have answered: `Internal` if anything may have happened, `Unwritable` if nothing has.
fn as_store(error: S3Error) -> StoreError {
    let (status, code) = match error {
        S3Error::NotSent(why) => return StoreError::Unwritable(why),
        S3Error::Unanswered(why) => return StoreError::Internal(why),
        S3Error::Answered { status, code } => (status, code),
    };
    match (status, &code[..]) {
        (500.., _) => StoreError::Internal(code),
        (404, "NoSuchBucket") => StoreError::NoSuchBucket,
        (404, "NoSuchKey") => StoreError::NoSuchKey,
        (404, "NoSuchUpload") => StoreError::NoSuchUpload,
        (412, "PreconditionFailed") => StoreError::PreconditionFailed,
        (400, "InvalidPart") => StoreError::InvalidPart(0),
        // The node's clock was changed behind the signature.
        (403, "RequestTimeTooSkewed") => StoreError::Unwritable(code),
        _ => panic!("a client that makes no mistakes was answered {status} {code}"),
    }
}

fn headers_of(value: u64) -> Vec<(HeaderName, String)> {
    let headers = meta(value).headers.into_iter();
    headers
        .map(|(name, text)| (name.parse().expect("a name"), text))
        .collect()
}

/// Returns whether no other value has the ETag.
fn has_own_etag(value: u64) -> bool {
    body_of(value).len() >= OWN_ETAG_BYTES_MIN
}

impl Shared {
    /// Returns the ETag of a value that was put or uploaded over HTTP.
    fn etag_of(&self, value: u64) -> String {
        let body = body_of(value);
        match self.uploads.has(value) {
            true => etag_of_upload(&body),
            false => etag_of(&body),
        }
    }

    /// Checks the ETag of a value that a read has found. What the node itself wrote has its number as ETag.
    pub fn check_etag(&self, key: &str, value: u64, etag: &str) {
        let right = etag == self.etag_of(value) || etag == value.to_string();
        assert!(right, "read.one-data-folder: {key}: value {value} has ETag {etag}");
    }

    /// Returns a value for a conditional request to expect, with its ETag; none if other values have that ETag too.
    fn expected_etag(&self, key: &str) -> Option<(u64, Condition)> {
        let value = self.expected(key);
        has_own_etag(value).then(|| (value, Condition::IfMatch(self.etag_of(value))))
    }
}

async fn put(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let (condition, expected) = match thread_rng().gen_range(0..10) {
        0..2 => (Condition::IfAbsent, Some(None)),
        2..4 => match shared.expected_etag(key) {
            Some((value, condition)) => (condition, Some(Some(value))),
            None => (Condition::None, None),
        },
        _ => (Condition::None, None),
    };
    let value = shared.new_value();
    let input = match expected {
        Some(expected) => Input::Compare {
            expected,
            new: Some(value),
        },
        None => Input::Put(value),
    };
    let body = body_of(value);
    let etag = etag_of(&body);
    let ticket = shared.invoke(key, input);
    let headers = headers_of(value);
    let sent = s3.put(key, body.into(), &headers, &condition);
    let outcome = if thread_rng().gen_bool(shared.plan.vanish) {
        // The client goes away.
        let Ok(outcome) = timeout(random(Duration::from_millis(60)), sent).await else {
            return Ok(());
        };
        outcome
    } else {
        sent.await
    };
    let outcome = outcome.map_err(as_store);
    shared.told(&ticket, &outcome);
    shared.count(if expected.is_some() { "conditional put" } else { "put" }, &outcome);
    assert_eq!(outcome?, etag, "{key}: the answer to a put names another ETag");
    Ok(())
}

async fn delete(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let ticket = shared.invoke(key, Input::Delete);
    let outcome = s3.delete(key, &Condition::None).await.map_err(as_store);
    shared.told(&ticket, &outcome);
    shared.count("delete", &outcome);
    outcome
}

async fn delete_expected(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let Some((value, condition)) = shared.expected_etag(key) else {
        return Ok(());
    };
    let (expected, new) = (Some(value), None);
    let ticket = shared.invoke(key, Input::Compare { expected, new });
    let outcome = s3.delete(key, &condition).await.map_err(as_store);
    shared.told(&ticket, &outcome);
    shared.count("conditional delete", &outcome);
    outcome
}

/// Reads a key and compares all that the answer has with the value that its metadata names.
async fn get(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<Option<u64>, StoreError> {
    let ticket = shared.invoke(key, Input::Get);
    let found = match s3.get(key).await.map_err(as_store) {
        Err(StoreError::NoSuchKey) => None,
        Err(error) => return Err(error),
        Ok(answer) => {
            let long = answer.header(LONG).unwrap_or_default();
            let value = value_of(long);
            let right = long == meta(value).headers[LONG];
            assert!(right, "read.one-data-folder: {key}: headers of value {value} differ");
            shared.check_etag(key, value, &answer.etag());
            let right = answer.body == body_of(value);
            assert!(right, "read.one-data-folder: {key}: bytes of value {value} differ");
            Some(value)
        }
    };
    shared.saw(key, &ticket, found);
    shared.count("get", &Ok(found));
    Ok(found)
}

const LONG: &str = "x-amz-meta-long";

/// Returns the value that begins the long header of an object's metadata.
pub fn value_of(long: &str) -> u64 {
    let value = long.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.unwrap_or_else(|| panic!("read.one-data-folder: no value in {long:?}"))
}

async fn list(s3: &mut S3Client, shared: &Shared) -> Result<(), StoreError> {
    let page = random_page(shared);
    let listed = s3.list(&page.prefix, page.after.as_deref(), page.limit).await;
    let listed = listed.map_err(as_store);
    shared.count("list", &listed);
    let listed = listed?;
    shared.listed(page, listed.keys, listed.truncated);
    Ok(())
}

/// Begins an upload and writes its only part, or tries to end an upload.
async fn step(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<(), StoreError> {
    match uploads::next_step(shared) {
        Step::Begin => begin(s3, shared, key).await,
        Step::Complete(nth) => {
            let attempt = shared.uploads.complete(shared, nth);
            let parts: Vec<_> = attempt
                .parts
                .iter()
                .map(|part| (part.number, part.etag.clone()))
                .collect();
            let completed = s3.complete_upload(&attempt.key, &upload_id(attempt.id), &parts).await;
            let completed = completed.map_err(as_store);
            shared.count("complete", &completed);
            if let Ok(etag) = &completed {
                assert_eq!(*etag, shared.etag_of(attempt.value), "a completion names another ETag");
            }
            shared.uploads.told(shared, &attempt, completed.map(drop))
        }
        Step::Abort(nth) => {
            let attempt = shared.uploads.abort(nth);
            let aborted = s3.abort_upload(&attempt.key, &upload_id(attempt.id)).await;
            let aborted = aborted.map_err(as_store);
            shared.count("abort", &aborted);
            shared.uploads.told(shared, &attempt, aborted)
        }
    }
}

async fn begin(s3: &mut S3Client, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let value = std::iter::repeat_with(|| shared.new_value())
        .find(|value| has_own_etag(*value))
        .expect("most values are long");
    let id = s3.create_upload(key, &headers_of(value)).await.map_err(as_store)?;
    let number = thread_rng().gen_range(1..=3);
    if thread_rng().gen_bool(0.2) {
        let replaced = Bytes::from_static(b"replaced");
        s3.put_part(key, &id, number, replaced).await.map_err(as_store)?;
    }
    // S3 allows more parts only if all but the last have 5 MiB.
    let part = s3.put_part(key, &id, number, body_of(value).into()).await;
    let etag = part.map_err(as_store)?;
    let id = u128::from_str_radix(&id, 16).expect("an upload's ID");
    let parts = vec![CompletedPart { number, etag }];
    shared.uploads.begun(key, id, value, parts);
    Ok(())
}

/// Reads every key once over HTTP, without faults.
pub async fn verify(shared: &Arc<Shared>) {
    let there = shared.clone();
    let read = shared.world.run_on(READER, move |rt| async move {
        let mut s3 = client(rt, &there, CALM_PATIENCE);
        for key in KEYS {
            let read = get(&mut s3, &there, key).await;
            assert!(read.is_ok(), "put.acked-survives: {key} over HTTP: {read:?}");
        }
    });
    read.await.expect("nobody kills the reader");
}
