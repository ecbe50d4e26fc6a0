//! Multipart uploads that several clients try to end concurrently, also after a restart (`multipart.once`).

use super::{
    clients::{body_of, meta},
    life::{BUCKET, Shared},
    plan::Kind,
};
use crate::linearizable::{Input, Recorder, Ticket};
use bytes::Bytes;
use madsim::rand::{Rng, thread_rng};
use model::record::Precondition;
use std::sync::{Arc, Mutex};
use store::store::{CompletedPart, PutOptions, Store, StoreError, WriteMeta};

/// Uploads with all parts written, of all lives.
#[derive(Default)]
pub struct Uploads(Mutex<Vec<Upload>>);

struct Upload {
    key: String,
    id: u128,
    /// Value that a completion puts.
    value: u64,
    parts: Vec<CompletedPart>,
    ends: Vec<End>,
}

/// Attempt to complete or abort an upload.
struct End {
    /// Ticket of a completion; an abort has none.
    ticket: Option<Ticket>,
    outcome: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    NotDone,
    /// The upload is not open any more: another attempt has ended it.
    Gone,
    Unknown,
}

/// Begins an upload and writes its parts, or tries to end an upload.
pub async fn step(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let count = shared.uploads.0.lock().expect("no panic").len();
    if count == 0 || thread_rng().gen_bool(0.35) {
        return begin(store, shared, key).await;
    }
    // Mostly one of the last three, so that clients compete for it.
    let last = count.saturating_sub(3);
    let nth = thread_rng().gen_range(if thread_rng().gen_bool(0.8) { last } else { 0 }..count);
    if thread_rng().gen_bool(0.7) {
        complete(store, shared, nth).await
    } else {
        abort(store, shared, nth).await
    }
}

async fn begin(store: &Arc<Store>, shared: &Shared, key: &str) -> Result<(), StoreError> {
    let (value, options) = (shared.new_value(), PutOptions::default());
    let id = store.create_upload(BUCKET, key, options, meta(value)).await?;
    let body = body_of(value);
    let longest = body.len().div_ceil(thread_rng().gen_range(1..=3)).max(1);
    // An empty object has one empty part.
    let pieces: Vec<&[u8]> = if body.is_empty() {
        vec![&[]]
    } else {
        body.chunks(longest).collect()
    };
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(pieces) {
        if thread_rng().gen_bool(0.2) {
            put_part(store, (key, id, number), b"replaced", "replaced").await?;
        }
        let etag = format!("{value}-{number}");
        put_part(store, (key, id, number), piece, &etag).await?;
        parts.push(CompletedPart { number, etag });
    }
    shared.uploads.0.lock().expect("no panic").push(Upload {
        key: key.to_owned(),
        id,
        value,
        parts,
        ends: Vec::new(),
    });
    Ok(())
}

async fn put_part(
    store: &Arc<Store>,
    (key, id, number): (&str, u128, u16),
    body: &[u8],
    etag: &str,
) -> Result<(), StoreError> {
    let mut writer = store.put_part(BUCKET, key, id, number, None).await?;
    writer.staging().write(Bytes::copy_from_slice(body)).await?;
    let meta = WriteMeta {
        etag: etag.to_owned(),
        ..WriteMeta::default()
    };
    writer.commit(meta).await.map(drop)
}

async fn complete(store: &Arc<Store>, shared: &Shared, nth: usize) -> Result<(), StoreError> {
    let (key, id, value, parts, at) = {
        let mut uploads = shared.uploads.0.lock().expect("no panic");
        let upload = &mut uploads[nth];
        let ticket = Some(shared.invoke(&upload.key, Input::Put(upload.value)));
        let at = upload.attempt(ticket);
        (upload.key.clone(), upload.id, upload.value, upload.parts.clone(), at)
    };
    let precondition = Precondition::default();
    let outcome = async {
        let open = store.open_upload(BUCKET, &key, id).await?;
        store
            .complete_upload(BUCKET, open, &parts, meta(value), precondition)
            .await
    };
    let outcome = outcome.await;
    shared.uploads.told(shared, nth, at, outcome.map(drop))
}

async fn abort(store: &Arc<Store>, shared: &Shared, nth: usize) -> Result<(), StoreError> {
    let (key, id, at) = {
        let mut uploads = shared.uploads.0.lock().expect("no panic");
        let upload = &mut uploads[nth];
        let at = upload.attempt(None);
        (upload.key.clone(), upload.id, at)
    };
    let outcome = store.abort_upload(BUCKET, &key, id).await;
    shared.uploads.told(shared, nth, at, outcome)
}

impl Upload {
    fn attempt(&mut self, ticket: Option<Ticket>) -> usize {
        let outcome = Told::Unknown;
        self.ends.push(End { ticket, outcome });
        self.ends.len() - 1
    }
}

impl Uploads {
    fn told(&self, shared: &Shared, nth: usize, at: usize, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        let mut uploads = self.0.lock().expect("no panic");
        let (key, end) = (uploads[nth].key.clone(), &mut uploads[nth].ends[at]);
        end.outcome = match &outcome {
            Ok(()) => Told::Done,
            Err(StoreError::NoSuchUpload) => Told::Gone,
            // Each attempt names the parts as they are, so this needs a drive that lies about its syncs and forgets
            // votes for them.
            Err(StoreError::InvalidPart(_)) if shared.plan.kind == Kind::Lying => Told::NotDone,
            Err(StoreError::InvalidPart(number)) => panic!("multipart.invalid-part-is-known: {key}: part {number}"),
            Err(StoreError::Ambiguous(_) | StoreError::Internal(_)) => Told::Unknown,
            Err(_) => Told::NotDone,
        };
        if let Some(ticket) = &end.ticket {
            shared.told(ticket, &outcome);
        }
        let gone = end.outcome == Told::Gone;
        let by = |(n, end): (usize, &End)| n != at && matches!(end.outcome, Told::Done | Told::Unknown);
        let explained = uploads[nth].ends.iter().enumerate().any(by);
        assert!(
            !gone || explained,
            "multipart.once: {key}: {outcome:?}, and nobody ended the upload"
        );
        outcome
    }

    /// Checks that at most one attempt to end each upload was reported as done. Then no other took effect, whatever its
    /// answer; if none was, at most one did.
    pub fn check(&self, histories: &Recorder<u64>) {
        for upload in self.0.lock().expect("no panic").iter() {
            let told = |end: &&End| end.outcome == Told::Done;
            let done = upload.ends.iter().filter(told).count();
            let outcomes: Vec<_> = upload
                .ends
                .iter()
                .map(|end| (end.ticket.is_some(), end.outcome))
                .collect();
            let (key, value) = (&upload.key, upload.value);
            assert!(
                done <= 1,
                "multipart.once: {key}: value {value} (completion, outcome): {outcomes:?}"
            );
            let unknown = upload.ends.iter().filter(|end| end.outcome == Told::Unknown);
            let may_have = unknown.filter_map(|end| end.ticket.as_ref());
            // An ambiguous operation may take effect at any later time: keeping the first one covers the others.
            may_have
                .skip(usize::from(done == 0))
                .for_each(|ticket| histories.withdraw(ticket));
        }
    }
}
