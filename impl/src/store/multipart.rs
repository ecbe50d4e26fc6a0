//! Multipart uploads: open in their key's value, parts in registers of their own, completed in one vote.

use super::{
    Store,
    types::{CompletedPart, ObjectInfo, PartInfo, PutOptions, UploadInfo, WriteMeta, latest_info, upload_info},
};
use crate::{
    drive::{ListFrom, RegisterKey},
    runtime,
    set::{
        ErasureSet, StoreError,
        cleanup::{remove_left, touch},
        driver::settled,
        read,
        scan::scan,
        stage::Erasure,
    },
};
use model::{
    protocol::{Ballot, write_quorum},
    record::{Change, Part, PartData, Precondition, Record, Upload, Versioning},
    upload::{self, Abort, Complete, Completion, Event, Refused, Step},
};
use std::sync::Arc;

/// Part registers asked for at once.
const PAGE: usize = 1000;

/// Open upload as it was read, with its parts.
#[derive(Clone, Debug)]
pub struct OpenUpload {
    /// Description of the upload.
    pub info: UploadInfo,
    incarnation: u128,
    /// Parts in order of their numbers.
    parts: Vec<Part>,
    /// The value of its key.
    record: Record,
}

impl OpenUpload {
    /// Parts of the upload, in order of their numbers.
    pub fn parts(&self) -> impl Iterator<Item = &PartData> {
        self.parts.iter().map(|part| &part.data)
    }
}

/// Values that were read before a machine that ends an upload began.
#[derive(Debug, Default)]
struct Known {
    parts: Option<Vec<Part>>,
    record: Option<Record>,
}

impl Store {
    /// Begins a multipart upload and returns its id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        options: PutOptions,
        meta: WriteMeta,
    ) -> Result<u128, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let set = self.set_of(key);
        let erasure = Erasure::new(set, self.parity(options.class))?;
        set.check_room(write_quorum(erasure.data, erasure.parity))?;
        let upload = Upload {
            id: runtime::random_id(self.rt()),
            started_nanos: self.rt().wall_nanos(),
            data_shards: erasure.data,
            parity_shards: erasure.parity,
            headers: meta.headers,
            checksum: options.checksum,
        };
        let id = upload.id;
        let _bucket = self.buckets().enter(bucket, incarnation).await?;
        settled(
            self.change(set, RegisterKey::object(incarnation, key), Change::OpenUpload(upload))
                .await
                .outcome,
        )?;
        Ok(id)
    }

    /// Describes an open upload.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn upload(&self, bucket: &str, key: &str, upload: u128) -> Result<UploadInfo, StoreError> {
        let owner = RegisterKey::object(self.incarnation(bucket).await?, key);
        let upload = open_upload(self.set_of(key), &owner, upload).await?;
        Ok(upload_info(key, &upload))
    }

    /// Returns the parts of an open upload with numbers above `after`, in order, at most `limit`, and whether there
    /// are more.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn list_parts(
        &self,
        bucket: &str,
        key: &str,
        upload: u128,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartInfo>, bool), StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let set = self.set_of(key);
        let mut parts = upload_parts(set, incarnation, key, upload, after, limit.saturating_add(1)).await?;
        // If it is open now, none of them had gone (`multipart.invalid-part-is-known`).
        open_upload(set, &RegisterKey::object(incarnation, key), upload).await?;
        let more = parts.len() > limit;
        parts.truncate(limit);
        Ok((parts.into_iter().map(PartInfo::from).collect(), more))
    }

    /// Reads an open upload and its parts, to complete it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn open_upload(&self, bucket: &str, key: &str, upload: u128) -> Result<OpenUpload, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let (set, owner) = (self.set_of(key), RegisterKey::object(incarnation, key));
        // The key after the parts: if the upload is open then, none of them had gone
        // (`multipart.invalid-part-is-known`).
        let parts = upload_parts(set, incarnation, key, upload, 0, usize::MAX).await?;
        let record = read::read(set, &owner).await?;
        let open = upload::open_upload(&record, upload).ok_or(StoreError::NoSuchUpload)?;
        Ok(OpenUpload {
            info: upload_info(key, open),
            incarnation,
            parts,
            record,
        })
    }

    /// Makes an object of parts of an upload, which is not read again. `meta` carries the object's ETag and checksums
    /// as computed by the caller from the parts named (their stored ETags must match: [`StoreError::InvalidPart`]); its
    /// headers are ignored, the upload's count.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], [`StoreError::InvalidPart`], [`StoreError::PreconditionFailed`], or unavailable.
    pub async fn complete_upload(
        &self,
        bucket: &str,
        open: OpenUpload,
        named: &[CompletedPart],
        meta: WriteMeta,
        precondition: Precondition,
    ) -> Result<ObjectInfo, StoreError> {
        let OpenUpload {
            info: UploadInfo { id, key, .. },
            incarnation,
            parts,
            record,
        } = open;
        let completion = Completion {
            parts: named.iter().map(|part| (part.number, part.etag.clone())).collect(),
            etag: meta.etag,
            checksums: meta.checksums,
            precondition,
            versioning: Versioning::Unversioned,
        };
        let (machine, first) = Complete::new(id, completion, runtime::of_uploads(self.rt().mutation()));
        let _bucket = self.buckets().enter(bucket, incarnation).await?;
        let known = Known {
            parts: Some(parts),
            record: Some(record),
        };
        let record = self
            .end(incarnation, &key, id, (machine, first), Complete::on, known)
            .await?;
        latest_info(&key, &record).ok_or_else(|| StoreError::Internal("a completion without a version".into()))
    }

    /// Forgets an upload and its parts.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], or unavailable.
    pub async fn abort_upload(&self, bucket: &str, key: &str, upload: u128) -> Result<(), StoreError> {
        self.abort(self.incarnation(bucket).await?, key, upload).await
    }

    /// Aborts an upload for a key of an incarnation of a bucket, which may be deleted.
    ///
    /// # Errors
    /// As [`Store::abort_upload`].
    pub(crate) async fn abort(&self, incarnation: u128, key: &str, upload: u128) -> Result<(), StoreError> {
        self.end(
            incarnation,
            key,
            upload,
            Abort::new(upload),
            Abort::on,
            Known::default(),
        )
        .await
        .map(drop)
    }

    /// Runs a machine that ends an upload from its first step on. Returns the record that it ended with. A value in
    /// `known` replaces the first read that the machine asks for.
    async fn end<M>(
        &self,
        incarnation: u128,
        key: &str,
        upload: u128,
        (mut machine, first): (M, Step),
        on: fn(&mut M, Event) -> Option<Step>,
        mut known: Known,
    ) -> Result<Record, StoreError> {
        let set = self.set_of(key);
        let owner = RegisterKey::object(incarnation, key);
        let mut step = first;
        loop {
            let event = match step {
                Step::ReadKey => Event::Key(match known.record.take() {
                    Some(record) => record,
                    None => read::read(set, &owner).await?,
                }),
                Step::ReadParts => Event::Parts(match known.parts.take() {
                    Some(parts) => parts,
                    None => upload_parts(set, incarnation, key, upload, 0, usize::MAX).await?,
                }),
                Step::Vote(change) => {
                    let ended = self.change(set, owner.clone(), change).await;
                    Event::Voted(ended.outcome, ended.ballot)
                }
                Step::Ended { record, ballot } => {
                    end_upload(set, owner, upload, ballot);
                    return Ok(record);
                }
                Step::Answer(outcome) => return settled(outcome),
                Step::Refuse(_) | Step::Stage(_) => return Err(astray()),
            };
            step = next(on(&mut machine, event))?;
        }
    }
}

/// Returns the next step of a machine, unless it refuses the request.
pub(super) fn next(step: Option<Step>) -> Result<Step, StoreError> {
    match step.ok_or_else(astray)? {
        Step::Refuse(Refused::NoSuchUpload) => Err(StoreError::NoSuchUpload),
        Step::Refuse(Refused::InvalidPart(number)) => Err(StoreError::InvalidPart(number)),
        step => Ok(step),
    }
}

/// Error for a step of a machine that makes no sense where it comes: a bug.
pub(super) fn astray() -> StoreError {
    StoreError::Internal("an upload's machine went astray".into())
}

async fn open_upload(set: &Arc<ErasureSet>, owner: &RegisterKey, upload: u128) -> Result<Upload, StoreError> {
    let record = read::read(set, owner).await?;
    upload::open_upload(&record, upload)
        .cloned()
        .ok_or(StoreError::NoSuchUpload)
}

/// Reads the parts of an upload with numbers above `after`, in order, at most `limit`.
///
/// # Errors
/// [`StoreError::Unreadable`]
pub(crate) async fn upload_parts(
    set: &Arc<ErasureSet>,
    incarnation: u128,
    key: &str,
    upload: u128,
    after: u16,
    limit: usize,
) -> Result<Vec<Part>, StoreError> {
    let owner = RegisterKey::object(incarnation, key);
    let prefix = RegisterKey::parts_prefix(incarnation, upload);
    let mut from = match after.checked_add(1) {
        Some(first) => ListFrom::At(RegisterKey::part(incarnation, upload, first, "").as_bytes().to_vec()),
        None => return Ok(Vec::new()),
    };
    let mut parts = Vec::new();
    loop {
        let scanned = scan(std::slice::from_ref(set), &prefix, &from, limit.min(PAGE)).await?;
        let of_key = scanned
            .registers
            .iter()
            .filter(|(register, _)| register.part_of().is_some_and(|of| of.owner == owner));
        parts.extend(of_key.filter_map(|(_, record)| record.part().cloned()));
        match scanned.span.marker() {
            Some(last) if parts.len() < limit => from = ListFrom::After(last.as_bytes().to_vec()),
            _ => break,
        }
    }
    parts.truncate(limit);
    Ok(parts)
}

/// Spawns the removal of what an upload that is gone has left on the drives.
fn end_upload(set: &Arc<ErasureSet>, owner: RegisterKey, upload: u128, ended: Ballot) {
    let task_set = set.clone();
    runtime::spawn(&set.rt, "end upload", async move {
        // A drive that has missed the end hears of the next vote. So does one that was told of a ballot in which
        // nobody voted, because the end was found chosen under an earlier one.
        if !remove_left(&task_set, &owner, upload, ended).await
            && let Ok((_, ballot)) = touch(&task_set, &owner).await
        {
            remove_left(&task_set, &owner, upload, ballot).await;
        }
    });
}
