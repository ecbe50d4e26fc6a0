//! Multipart uploads that several clients try to end concurrently, also after a restart (`multipart.once`).

use super::{
    BUCKET, Workload,
    clients::{body_of, meta},
};
use crate::linearizable::{Input, Output, Recorder, Ticket};
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

/// What a client does about uploads next.
pub enum Step {
    Begin,
    /// Completes the upload of this number.
    Complete(usize),
    /// Aborts the upload of this number.
    Abort(usize),
}

/// Attempt to end an upload that is recorded, and about to be made.
pub struct Attempt {
    nth: usize,
    at: usize,
    pub key: String,
    pub id: u128,
    pub value: u64,
    pub parts: Vec<CompletedPart>,
}

/// Draws what a client does next.
pub fn next_step(workload: &Workload) -> Step {
    let count = workload.uploads.0.lock().expect("no panic").len();
    if count == 0 || thread_rng().gen_bool(0.35) {
        return Step::Begin;
    }
    // Mostly one of the last three, so that clients compete for it.
    let last = count.saturating_sub(3);
    let nth = thread_rng().gen_range(if thread_rng().gen_bool(0.8) { last } else { 0 }..count);
    if thread_rng().gen_bool(0.7) {
        Step::Complete(nth)
    } else {
        Step::Abort(nth)
    }
}

/// Begins an upload and writes its parts, or tries to end an upload.
pub async fn step(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<(), StoreError> {
    match next_step(workload) {
        Step::Begin => begin(store, workload, key).await,
        Step::Complete(nth) => complete(store, workload, nth).await,
        Step::Abort(nth) => abort(store, workload, nth).await,
    }
}

async fn begin(store: &Arc<Store>, workload: &Workload, key: &str) -> Result<(), StoreError> {
    let (value, options) = (workload.new_value(), PutOptions::default());
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
    workload.uploads.begun(key, id, value, parts);
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

async fn complete(store: &Arc<Store>, workload: &Workload, nth: usize) -> Result<(), StoreError> {
    let attempt = workload.uploads.complete(workload, nth);
    let precondition = Precondition::default();
    let outcome = async {
        let open = store.open_upload(BUCKET, &attempt.key, attempt.id).await?;
        store
            .complete_upload(BUCKET, open, &attempt.parts, meta(attempt.value), precondition)
            .await
    };
    let outcome = outcome.await;
    workload.uploads.told(workload, &attempt, outcome.map(drop))
}

async fn abort(store: &Arc<Store>, workload: &Workload, nth: usize) -> Result<(), StoreError> {
    let attempt = workload.uploads.abort(nth);
    let outcome = store.abort_upload(BUCKET, &attempt.key, attempt.id).await;
    workload.uploads.told(workload, &attempt, outcome)
}

impl Upload {
    fn attempt(&mut self, nth: usize, ticket: Option<Ticket>) -> Attempt {
        let outcome = Told::Unknown;
        self.ends.push(End { ticket, outcome });
        Attempt {
            nth,
            at: self.ends.len() - 1,
            key: self.key.clone(),
            id: self.id,
            value: self.value,
            parts: self.parts.clone(),
        }
    }
}

impl Upload {
    /// Says in the history what completions prove of which some were reported as done, where one that is sent again
    /// succeeds while the key holds what the upload made: one of them was the put, before the first answer; each
    /// proves no more than that it has seen the value.
    fn merge_completions(&self, histories: &Recorder<u64>) {
        let operations = |outcome: Told| {
            let ends = self.ends.iter().filter(move |end| end.outcome == outcome);
            let tickets = ends.filter_map(|end| end.ticket.as_ref());
            tickets.filter_map(|ticket| Some((ticket, histories.operation(ticket)?)))
        };
        let done: Vec<_> = operations(Told::Done).collect();
        let all = done.iter().cloned().chain(operations(Told::Unknown));
        let answers = done.iter().filter_map(|(_, done)| Some(done.completed.as_ref()?.0));
        let (Some(first_answer), Some(invoked)) = (answers.min(), all.map(|(_, one)| one.invoked).min()) else {
            return;
        };
        for (ticket, completion) in done {
            histories.withdraw(ticket);
            if let Some((at, _)) = completion.completed {
                let read = histories.invoke(&self.key, completion.invoked, Input::Get);
                histories.complete(&read, at, Output::Value(Some(self.value)));
            }
        }
        let put = histories.invoke(&self.key, invoked, Input::Put(self.value));
        histories.complete(&put, first_answer, Output::Done);
    }
}

impl Uploads {
    /// Records an upload with its parts written.
    pub fn begun(&self, key: &str, id: u128, value: u64, parts: Vec<CompletedPart>) {
        self.0.lock().expect("no panic").push(Upload {
            key: key.to_owned(),
            id,
            value,
            parts,
            ends: Vec::new(),
        });
    }

    /// Returns whether a value is that of an upload with all parts written.
    pub fn has(&self, value: u64) -> bool {
        self.0
            .lock()
            .expect("no panic")
            .iter()
            .any(|upload| upload.value == value)
    }

    /// Records that an upload is about to be completed.
    pub fn complete(&self, workload: &Workload, nth: usize) -> Attempt {
        let upload = &mut self.0.lock().expect("no panic")[nth];
        let ticket = workload.invoke(&upload.key, Input::Put(upload.value));
        upload.attempt(nth, Some(ticket))
    }

    /// Records that an upload is about to be aborted.
    pub fn abort(&self, nth: usize) -> Attempt {
        self.0.lock().expect("no panic")[nth].attempt(nth, None)
    }

    /// Records the answer to an attempt, and returns it.
    pub fn told(
        &self,
        workload: &Workload,
        &Attempt { nth, at, .. }: &Attempt,
        outcome: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut uploads = self.0.lock().expect("no panic");
        let (key, end) = (uploads[nth].key.clone(), &mut uploads[nth].ends[at]);
        end.outcome = match &outcome {
            Ok(()) => Told::Done,
            Err(StoreError::NoSuchUpload) => Told::Gone,
            // Each attempt names the parts as they are, so this needs a drive that lies about its syncs and forgets
            // votes for them.
            Err(StoreError::InvalidPart(_)) if workload.settings.lies => Told::NotDone,
            Err(StoreError::InvalidPart(number)) => panic!("multipart.invalid-part-is-known: {key}: part {number}"),
            Err(StoreError::Ambiguous(_) | StoreError::Internal(_)) => Told::Unknown,
            Err(_) => Told::NotDone,
        };
        if let Some(ticket) = &end.ticket {
            workload.told(ticket, &outcome);
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
    /// answer; if none was, at most one did. If completions are `repeatable`, all of one upload count as one.
    pub fn check(&self, histories: &Recorder<u64>, repeatable: bool) {
        for upload in self.0.lock().expect("no panic").iter() {
            if repeatable {
                upload.merge_completions(histories);
            }
            let done = upload.ends.iter().filter(|end| end.outcome == Told::Done);
            let (completed, aborted): (Vec<&End>, _) = done.partition(|end| end.ticket.is_some());
            let completed = if repeatable {
                completed.len().min(1)
            } else {
                completed.len()
            };
            let done = completed + aborted.len();
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
