//! Clients that put, get, delete, list and upload, and record the answers.

use super::{BUCKET, Workload, http::value_of, random, uploads};
use crate::linearizable::Input;
use bytes::Bytes;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, timeout},
};
use model::record::{EtagMatch, Precondition};
use std::sync::Arc;
use store::store::{ListQuery, ObjectWriter, PutOptions, Store, StoreError, WriteMeta};

/// Does what a number below 100 stands for to a key, or from 100 on a step of an upload.
pub async fn operation(store: &Arc<Store>, workload: &Workload, key: &str, what: u32) -> Result<(), StoreError> {
    match what {
        0..42 => put(store, workload, key).await,
        42..50 => delete(store, workload, key).await,
        50..56 => delete_expected(store, workload, key).await,
        56..90 => get(store, workload, key).await.map(drop),
        90..100 => list(store, workload).await,
        _ => uploads::step(store, workload, key).await,
    }
}

async fn put(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let (mut precondition, mut expected) = (Precondition::default(), None);
    match thread_rng().gen_range(0..10) {
        0..2 => {
            precondition.if_none_match = Some(EtagMatch::Any);
            expected = Some(None);
        }
        2..4 => {
            let value = workload.expected(key);
            precondition.if_match = Some(EtagMatch::OneOf(vec![value.to_string()]));
            expected = Some(Some(value));
        }
        _ => {}
    }
    let value = workload.new_value();
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
    let ticket = workload.invoke(key, input);
    let commit = writer.commit(meta(value), precondition);
    if thread_rng().gen_bool(workload.settings.vanish) {
        // Cancels the commit while it is in progress.
        let patience = random(Duration::from_millis(60));
        let Ok(outcome) = timeout(patience, commit).await else {
            return Ok(());
        };
        workload.told(&ticket, &outcome);
        return outcome.map(drop);
    }
    let outcome = commit.await;
    workload.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Puts a value, unconditionally.
pub async fn put_value(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let value = workload.new_value();
    let writer = write_body(store, key, &body_of(value)).await?;
    let ticket = workload.invoke(key, Input::Put(value));
    let outcome = writer.commit(meta(value), Precondition::default()).await;
    workload.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Puts a value, and cancels the commit before it has ended.
pub async fn vanish(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let value = workload.new_value();
    let writer = write_body(store, key, &body_of(value)).await?;
    workload.invoke(key, Input::Put(value));
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
pub async fn delete(store: &Store, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let ticket = workload.invoke(key, Input::Delete);
    let outcome = store.delete(BUCKET, key, Precondition::default()).await;
    workload.told(&ticket, &outcome);
    outcome.map(drop)
}

async fn delete_expected(store: &Store, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let value = workload.expected(key);
    let precondition = Precondition {
        if_match: Some(EtagMatch::OneOf(vec![value.to_string()])),
        ..Precondition::default()
    };
    let (expected, new) = (Some(value), None);
    let ticket = workload.invoke(key, Input::Compare { expected, new });
    let outcome = store.delete(BUCKET, key, precondition).await;
    workload.told(&ticket, &outcome);
    outcome.map(drop)
}

/// Reads a key and compares its bytes with the value that the ETag names.
pub async fn get(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<Option<u64>, StoreError> {
    let ticket = workload.invoke(key, Input::Get);
    let found = match store.get(BUCKET, key).await {
        Err(StoreError::NoSuchKey) => None,
        Err(error) => return Err(error),
        Ok(reader) => {
            let data = &reader.info().data;
            let value: u64 = match workload.settings.over_http {
                true => value_of(&data.headers["x-amz-meta-long"]),
                false => data.etag.parse().expect("an ETag of ours"),
            };
            if workload.settings.over_http {
                workload.check_etag(key, value, &data.etag);
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
    workload.saw(key, &ticket, found);
    Ok(found)
}

/// Page of a listing to ask for.
pub struct Page {
    pub invoked: Duration,
    pub prefix: String,
    pub after: Option<String>,
    pub limit: usize,
}

/// Draws a page of a listing, to be asked for now.
pub fn random_page(workload: &Workload) -> Page {
    let invoked = workload.world.now();
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
pub async fn list(store: &Store, workload: &Workload) -> Result<(), StoreError> {
    let page = random_page(workload);
    let query = ListQuery {
        prefix: page.prefix.clone(),
        after: page.after.clone(),
        limit: page.limit,
        ..ListQuery::default()
    };
    let found = store.list(BUCKET, &query).await?;
    let keys = found.objects.into_iter().map(|object| object.key).collect();
    workload.listed(page, keys, found.next.is_some());
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
