//! Operations of clients that speak S3 over HTTP, and record the answers.
//!
//! What a client is told goes into the histories as the answers of a store do, with less certainty: any answer of a
//! server error, and a request that got none, may have been done.

use super::{
    Workload,
    clients::{body_of, meta, random_page},
    random,
    uploads::{self, Step},
};
use crate::{
    linearizable::Input,
    s3::{Condition, S3Client, S3Error, etag_of, etag_of_upload},
};
use bytes::Bytes;
use http::HeaderName;
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, timeout},
};
use std::{net::SocketAddr, sync::Arc};
use store::{
    access::Credentials,
    api::multipart::upload_id,
    http::{Limits, Timeouts},
    peer::Entrance,
    runtime::Rt,
    server::{self, ServeConfig, StoreSlot, WatchConfig},
    store::{CompletedPart, StoreError},
};

/// Serves S3 at `address` until the node ends, and with it the connections of `peers`, if there are some.
pub async fn serve(rt: Rt, address: SocketAddr, store: impl Into<StoreSlot>, peers: Option<Arc<Entrance>>) {
    let config = ServeConfig {
        listener: rt.listen(address).await.expect("a free port"),
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
        peers,
        watch: WatchConfig::default(),
        is_leaving: Arc::default(),
    };
    let served = server::serve(rt, store, config, std::future::pending()).await;
    panic!("the server has ended: {served:?}");
}

/// Returns the root user's credentials of every simulated server.
pub fn credentials() -> Credentials {
    Credentials {
        access_key: "access".to_owned(),
        secret_key: "secret".to_owned(),
    }
}

/// Size of a body from which on no other value has its ETag.
const OWN_ETAG_BYTES_MIN: usize = 8;

/// Does what a number below 100 stands for to a key, or from 100 on a step of an upload.
pub async fn operation(s3: &mut S3Client, workload: &Workload, key: &str, what: u32) -> Result<(), StoreError> {
    match what {
        0..42 => put(s3, workload, key).await,
        42..50 => delete(s3, workload, key).await,
        50..56 => delete_expected(s3, workload, key).await,
        56..90 => get(s3, workload, key).await.map(drop),
        90..100 => list(s3, workload).await,
        _ => step(s3, workload, key).await,
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

impl Workload {
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

async fn put(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let (condition, expected) = match thread_rng().gen_range(0..10) {
        0..2 => (Condition::IfAbsent, Some(None)),
        2..4 => match workload.expected_etag(key) {
            Some((value, condition)) => (condition, Some(Some(value))),
            None => (Condition::None, None),
        },
        _ => (Condition::None, None),
    };
    let value = workload.new_value();
    let input = match expected {
        Some(expected) => Input::Compare {
            expected,
            new: Some(value),
        },
        None => Input::Put(value),
    };
    let body = body_of(value);
    let etag = etag_of(&body);
    let ticket = workload.invoke(key, input);
    let headers = headers_of(value);
    let sent = s3.put(key, body.into(), &headers, &condition);
    let outcome = if thread_rng().gen_bool(workload.settings.vanish) {
        // The client goes away.
        let Ok(outcome) = timeout(random(Duration::from_millis(60)), sent).await else {
            return Ok(());
        };
        outcome
    } else {
        sent.await
    };
    let outcome = outcome.map_err(as_store);
    workload.told(&ticket, &outcome);
    workload.count(if expected.is_some() { "conditional put" } else { "put" }, &outcome);
    assert_eq!(outcome?, etag, "{key}: the answer to a put names another ETag");
    Ok(())
}

async fn delete(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let ticket = workload.invoke(key, Input::Delete);
    let outcome = s3.delete(key, &Condition::None).await.map_err(as_store);
    workload.told(&ticket, &outcome);
    workload.count("delete", &outcome);
    outcome
}

async fn delete_expected(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let Some((value, condition)) = workload.expected_etag(key) else {
        return Ok(());
    };
    let (expected, new) = (Some(value), None);
    let ticket = workload.invoke(key, Input::Compare { expected, new });
    let outcome = s3.delete(key, &condition).await.map_err(as_store);
    workload.told(&ticket, &outcome);
    workload.count("conditional delete", &outcome);
    outcome
}

/// Reads a key and compares all that the answer has with the value that its metadata names.
pub async fn get(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<Option<u64>, StoreError> {
    let ticket = workload.invoke(key, Input::Get);
    let found = match s3.get(key).await.map_err(as_store) {
        Err(StoreError::NoSuchKey) => None,
        Err(error) => return Err(error),
        Ok(answer) => {
            let long = answer.header(LONG).unwrap_or_default();
            let value = value_of(long);
            let right = long == meta(value).headers[LONG];
            assert!(right, "read.one-data-folder: {key}: headers of value {value} differ");
            workload.check_etag(key, value, &answer.etag());
            let right = answer.body == body_of(value);
            assert!(right, "read.one-data-folder: {key}: bytes of value {value} differ");
            Some(value)
        }
    };
    workload.saw(key, &ticket, found);
    workload.count("get", &Ok(found));
    Ok(found)
}

const LONG: &str = "x-amz-meta-long";

/// Returns the value that begins the long header of an object's metadata.
pub fn value_of(long: &str) -> u64 {
    let value = long.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.unwrap_or_else(|| panic!("read.one-data-folder: no value in {long:?}"))
}

async fn list(s3: &mut S3Client, workload: &Workload) -> Result<(), StoreError> {
    let page = random_page(workload);
    let listed = s3.list(&page.prefix, page.after.as_deref(), page.limit).await;
    let listed = listed.map_err(as_store);
    workload.count("list", &listed);
    let listed = listed?;
    workload.listed(page, listed.keys, listed.truncated);
    Ok(())
}

/// Begins an upload and writes its only part, or tries to end an upload.
async fn step(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<(), StoreError> {
    match uploads::next_step(workload) {
        Step::Begin => begin(s3, workload, key).await,
        Step::Complete(nth) => {
            let attempt = workload.uploads.complete(workload, nth);
            let parts: Vec<_> = attempt
                .parts
                .iter()
                .map(|part| (part.number, part.etag.clone()))
                .collect();
            let completed = s3.complete_upload(&attempt.key, &upload_id(attempt.id), &parts).await;
            let completed = completed.map_err(as_store);
            workload.count("complete", &completed);
            if let Ok(etag) = &completed {
                assert_eq!(
                    *etag,
                    workload.etag_of(attempt.value),
                    "a completion names another ETag"
                );
            }
            workload.uploads.told(workload, &attempt, completed.map(drop))
        }
        Step::Abort(nth) => {
            let attempt = workload.uploads.abort(nth);
            let aborted = s3.abort_upload(&attempt.key, &upload_id(attempt.id)).await;
            let aborted = aborted.map_err(as_store);
            workload.count("abort", &aborted);
            workload.uploads.told(workload, &attempt, aborted)
        }
    }
}

async fn begin(s3: &mut S3Client, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let value = std::iter::repeat_with(|| workload.new_value())
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
    workload.uploads.begun(key, id, value, parts);
    Ok(())
}
