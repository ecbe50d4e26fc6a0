//! Clients that put, get, delete, list and upload, and record the answers.

use super::{
    gremlin::random,
    life::{BUCKET, KEYS, NODE, Shared},
    remote::value_of,
    uploads,
};
use crate::{
    linearizable::{Input, Output, Ticket},
    listing::Listing,
};
use bytes::Bytes;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, timeout},
};
use model::record::{EtagMatch, Precondition};
use std::sync::Arc;
use store::store::{ListQuery, ObjectWriter, PutOptions, Store, StoreError, WriteMeta};

/// Runs a client until its node is killed.
pub async fn work(client: usize, store: Arc<Store>, shared: Arc<Shared>) {
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let on_upload = thread_rng().gen_bool(shared.plan.uploads);
        let what = if on_upload { 100 } else { thread_rng().gen_range(0..100) };
        let operation = async {
            match what {
                0..42 => put(&store, &shared, key).await,
                42..50 => delete(&store, &shared, key).await,
                50..56 => delete_expected(&store, &shared, key).await,
                56..90 => get(&store, &shared, key).await.map(drop),
                90..100 => list(&store, &shared).await,
                _ => uploads::step(&store, &shared, key).await,
            }
        };
        let drives = shared.world.drives(NODE);
        // A step of an upload consists of many operations, so the bound for one does not apply.
        let watched = (what < 100).then(|| shared.hangs.begin(&shared.world, &shared.plan, &drives));
        let result = shared.ends("an operation", operation).await;
        let event = format!("client {client}: {key} {what} {result:?}");
        shared.hangs.end(&shared.world, &drives, watched.flatten(), &event);
        shared.world.event(NODE, &event);
        store.rt().sleep(shared.pause()).await;
    }
}

impl Shared {
    /// Records that an operation is about to be sent.
    pub fn invoke(&self, key: &str, input: Input<u64>) -> Ticket {
        self.histories.invoke(key, self.world.now(), input)
    }

    /// Records the answer to a write. A write that was reported as not done must never become visible.
    pub fn told<T>(&self, ticket: &Ticket, outcome: &Result<T, StoreError>) {
        let now = self.world.now();
        match outcome {
            Ok(_) => self.histories.complete(ticket, now, Output::Done),
            Err(StoreError::PreconditionFailed | StoreError::NoSuchKey) => {
                self.histories.complete(ticket, now, Output::Refused);
            }
            Err(StoreError::Ambiguous(_) | StoreError::Internal(_)) => {}
            Err(_) => self.histories.withdraw(ticket),
        }
    }

    /// Records the answer to a read.
    pub fn saw(&self, key: &str, ticket: &Ticket, found: Option<u64>) {
        if let Some(value) = found {
            self.seen.lock().expect("no panic").insert(key.to_owned(), value);
        }
        self.histories.complete(ticket, self.world.now(), Output::Value(found));
    }

    /// Records a page of a listing that was asked for and has just come.
    pub fn listed(&self, page: Page, keys: Vec<String>, truncated: bool) {
        let listing = Listing {
            invoked: page.invoked,
            completed: self.world.now(),
            prefix: page.prefix,
            after: page.after,
            truncated,
            keys,
        };
        self.listings.lock().expect("no panic").push(listing);
    }

    /// Counts a request that was answered over HTTP with success, or was refused by its condition.
    pub fn count<T>(&self, what: &'static str, outcome: &Result<T, StoreError>) {
        let refused = [StoreError::PreconditionFailed, StoreError::NoSuchKey];
        let how = match outcome {
            Ok(_) => "done",
            Err(error) if refused.contains(error) => "refused",
            Err(_) => return,
        };
        *self.answered.lock().expect("no panic").entry((what, how)).or_default() += 1;
    }

    /// Returns a value for a conditional request to expect, in most cases one that was seen at the key.
    pub fn expected(&self, key: &str) -> u64 {
        let seen = self.seen.lock().expect("no panic").get(key).copied();
        let guess = thread_rng().gen_range(1..=self.new_value());
        seen.filter(|_| thread_rng().gen_bool(0.8)).unwrap_or(guess)
    }
}

async fn put(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let (mut precondition, mut expected) = (Precondition::default(), None);
    match thread_rng().gen_range(0..10) {
        0..2 => {
            precondition.if_none_match = Some(EtagMatch::Any);
            expected = Some(None);
        }
        2..4 => {
            let value = shared.expected(key);
            precondition.if_match = Some(EtagMatch::OneOf(vec![value.to_string()]));
            expected = Some(Some(value));
        }
        _ => {}
    }
    let value = shared.new_value();
    let writer = write_body(store, key, &body_of(value)).await?;
    if thread_rng().gen_bool(0.05) {
        return Ok(()); // A client that vanishes before the end.
    }
    let input = match expected {
        Some(expected) => Input::Compare {
            expected,
            new: Some(value),
        },
        None => Input::Put(value),
    };
    let ticket = shared.invoke(key, input);
    let commit = writer.commit(meta(value), precondition);
    if thread_rng().gen_bool(shared.plan.vanish) {
        // Cancels the commit while it is in progress.
        let patience = random(Duration::from_millis(60));
        let Ok(outcome) = timeout(patience, commit).await else {
            return Ok(());
        };
        shared.told(&ticket, &outcome);
        return outcome.map(drop);
    }
    let outcome = commit.await;
    shared.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Puts a value, unconditionally.
pub async fn put_value(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let value = shared.new_value();
    let writer = write_body(store, key, &body_of(value)).await?;
    let ticket = shared.invoke(key, Input::Put(value));
    let outcome = writer.commit(meta(value), Precondition::default()).await;
    shared.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Puts a value, and cancels the commit before it has ended.
pub async fn vanish(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let value = shared.new_value();
    let writer = write_body(store, key, &body_of(value)).await?;
    shared.invoke(key, Input::Put(value));
    let commit = writer.commit(meta(value), Precondition::default());
    timeout(random(Duration::from_millis(60)), commit).await.ok();
    Ok(())
}

async fn write_body(store: &Arc<Store>, key: &str, body: &[u8]) -> Result<ObjectWriter, StoreError> {
    let size = thread_rng().gen_bool(0.5).then_some(body.len() as u64);
    let options = PutOptions {
        size,
        ..PutOptions::default()
    };
    let mut writer = store.put(BUCKET, key, options).await?;
    for chunk in body.chunks(thread_rng().gen_range(1000..400_000)) {
        writer.staging().write(Bytes::copy_from_slice(chunk)).await?;
    }
    Ok(writer)
}

/// Returns metadata for a value, with its number as ETag. A long header makes bitrot that the index fails to detect
/// likely to change what clients see.
pub fn meta(value: u64) -> WriteMeta {
    let long = format!("{value:016x}").repeat(50);
    WriteMeta {
        etag: value.to_string(),
        headers: [("x-amz-meta-long".to_owned(), long)].into(),
        ..WriteMeta::default()
    }
}

/// Deletes a key.
pub async fn delete(store: &Store, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let ticket = shared.invoke(key, Input::Delete);
    let outcome = store.delete(BUCKET, key, Precondition::default()).await;
    shared.told(&ticket, &outcome);
    outcome.map(drop)
}

async fn delete_expected(store: &Store, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let value = shared.expected(key);
    let precondition = Precondition {
        if_match: Some(EtagMatch::OneOf(vec![value.to_string()])),
        ..Precondition::default()
    };
    let (expected, new) = (Some(value), None);
    let ticket = shared.invoke(key, Input::Compare { expected, new });
    let outcome = store.delete(BUCKET, key, precondition).await;
    shared.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Reads a key and compares its bytes with the value that the ETag names.
pub async fn get(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<Option<u64>, StoreError> {
    let ticket = shared.invoke(key, Input::Get);
    let found = match store.get(BUCKET, key).await {
        Err(StoreError::NoSuchKey) => None,
        Err(error) => return Err(error),
        Ok(reader) => {
            let data = &reader.info().data;
            let value: u64 = match shared.plan.http {
                true => value_of(&data.headers["x-amz-meta-long"]),
                false => data.etag.parse().expect("an ETag of ours"),
            };
            if shared.plan.http {
                shared.check_etag(key, value, &data.etag);
            }
            let expected = body_of(value);
            let size = reader.info().data.size;
            assert_eq!(size, expected.len() as u64, "{key}: size of value {value}");
            let right = reader.info().data.headers == meta(value).headers;
            assert!(right, "read.one-data-folder: {key}: headers of value {value} differ");
            let mut stream = reader.stream(0..size).await?;
            let mut read = Vec::new();
            while let Some(bytes) = stream.next().await {
                read.extend_from_slice(&bytes?);
            }
            let right = read == expected;
            assert!(right, "read.one-data-folder: {key}: bytes of value {value} differ");
            Some(value)
        }
    };
    shared.saw(key, &ticket, found);
    Ok(found)
}

/// Page of a listing to ask for.
pub struct Page {
    invoked: Duration,
    pub prefix: String,
    pub after: Option<String>,
    pub limit: usize,
}

/// Draws a page of a listing, to be asked for now.
pub fn random_page(shared: &Shared) -> Page {
    let invoked = shared.world.now();
    let prefix = (*["", "a", "a/", "b"].choose(&mut thread_rng()).expect("prefixes")).to_owned();
    let after = thread_rng().gen_bool(0.3).then(|| "a/b".to_owned());
    let limit = thread_rng().gen_range(1..8);
    Page {
        invoked,
        prefix,
        after,
        limit,
    }
}

/// Reads a page of a listing.
pub async fn list(store: &Store, shared: &Shared) -> Result<(), StoreError> {
    let page = random_page(shared);
    let query = ListQuery {
        prefix: page.prefix.clone(),
        after: page.after.clone(),
        limit: page.limit,
        ..ListQuery::default()
    };
    let found = store.list(BUCKET, &query).await?;
    let keys = found.objects.into_iter().map(|object| object.key).collect();
    shared.listed(page, keys, found.next.is_some());
    Ok(())
}

/// Returns the bytes of a value, of very different sizes: small shards and files, one stripe and several.
pub fn body_of(value: u64) -> Vec<u8> {
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
    let mut body = vec![0; len.next_multiple_of(8) as usize];
    for word in body.chunks_exact_mut(8) {
        word.copy_from_slice(&next().to_le_bytes());
    }
    body.truncate(len as usize);
    body
}
