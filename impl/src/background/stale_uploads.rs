//! Expiry of abandoned multipart uploads: found by their age, and aborted as their client would have done.

use crate::{
    drive::{ListFrom, RegisterKey},
    set::{ErasureSet, StoreError, scan::scan},
    store::{Store, upload_parts},
};
use model::record::Upload;
use std::{sync::Arc, time::Duration};

/// Registers asked for at once.
const PAGE: usize = 1000;

/// Upper bound of the time until the first search: a server that is restarted every hour searches too.
const FIRST_AFTER: Duration = Duration::from_secs(600);

/// Result of a search for stale uploads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Uploads that were aborted.
    pub aborted: usize,
    /// Sets and uploads of which too few drives answered: the next search comes back to them.
    pub left: usize,
}

/// Aborts uploads without activity for `expiry`: every `interval`, for as long as the process lives.
pub async fn run(store: Arc<Store>, expiry: Duration, interval: Duration) {
    store.rt().sleep(interval.min(FIRST_AFTER)).await;
    loop {
        let Stale { aborted, left } = abort(&store, expiry).await;
        if aborted > 0 {
            tracing::info!(aborted, "removed multipart uploads that nobody went on with");
        }
        if left > 0 {
            tracing::warn!(
                left,
                "too few drives answer to look for abandoned uploads; the next search comes back"
            );
        }
        store.rt().sleep(interval).await;
    }
}

/// Aborts every upload that was begun at least `expiry` ago and got its last part as long ago
/// (`multipart.stale-is-aborted`), also those of buckets that were deleted meanwhile. Walks over all keys, and
/// leaves the drives alone for as long as each page has taken.
pub async fn abort(store: &Store, expiry: Duration) -> Stale {
    let mut done = Stale::default();
    for set in store.sets() {
        let mut from = Some(ListFrom::Start);
        while let Some(at) = from.take() {
            let began = store.rt().mono();
            let all = RegisterKey::all_objects_prefix();
            let Ok(scanned) = scan(std::slice::from_ref(set), &all, &at, PAGE).await else {
                done.left += 1;
                break;
            };
            for (owner, record) in &scanned.registers {
                let uploads = record.object().map(|object| &object.uploads[..]).unwrap_or_default();
                for upload in uploads {
                    match abort_if_stale(store, set, owner, upload, expiry).await {
                        Ok(aborted) => done.aborted += usize::from(aborted),
                        // Its client was faster.
                        Err(StoreError::NoSuchUpload) => {}
                        Err(_) => done.left += 1,
                    }
                }
            }
            let marker = scanned.span.marker();
            from = marker.map(|last| ListFrom::After(last.as_bytes().to_vec()));
            let taken = store.rt().mono().saturating_sub(began);
            store.rt().sleep(taken).await;
        }
    }
    done
}

/// Aborts an upload that was found open if it is stale. Returns whether it was. The abort is of this upload: one that
/// was begun for the same key meanwhile stays.
async fn abort_if_stale(
    store: &Store,
    set: &Arc<ErasureSet>,
    owner: &RegisterKey,
    upload: &Upload,
    expiry: Duration,
) -> Result<bool, StoreError> {
    let now_nanos = store.rt().wall_nanos();
    let is_old = |nanos: u64| u128::from(now_nanos.saturating_sub(nanos)) >= expiry.as_nanos();
    let (Some(incarnation), Some(key)) = (owner.incarnation(), owner.object_key()) else {
        return Ok(false);
    };
    if !is_old(upload.started_nanos) {
        return Ok(false);
    }
    let parts = upload_parts(set, incarnation, key, upload.id, 0, usize::MAX).await?;
    if !parts.iter().all(|part| is_old(part.time_nanos)) {
        return Ok(false);
    }
    store.abort(incarnation, key, upload.id).await?;
    Ok(true)
}
