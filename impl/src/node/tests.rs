//! Background jobs of an open node.

use crate::{
    background::stale_uploads::{self, Stale},
    drive::RegisterKey,
    node::{self, IndexPolicy, NodeConfig},
    runtime::{Rt, real::RealRuntime},
    store::{CompletedPart, PutOptions, Store, StoreError, WriteMeta},
};
use bytes::Bytes;
use model::{
    protocol::{Ballot, Effect, Request},
    record::Precondition,
    trace::{Entry, Event},
};
use std::{path::Path, sync::Arc, time::Duration};

const BUCKET: &str = "bucket";
const EXPIRY: Duration = Duration::from_millis(1500);

fn meta(etag: &str) -> WriteMeta {
    WriteMeta {
        etag: etag.to_owned(),
        ..WriteMeta::default()
    }
}

async fn begin(store: &Store, key: &str) -> u128 {
    let options = PutOptions::default();
    store
        .create_upload(BUCKET, key, options, meta(""))
        .await
        .expect("begun")
}

async fn put_part(store: &Arc<Store>, key: &str, upload: u128) {
    let writer = store.put_part(BUCKET, key, upload, 1, None).await;
    let mut writer = writer.expect("an open upload");
    writer
        .staging()
        .write(Bytes::from_static(b"part"))
        .await
        .expect("written");
    let committed = writer.commit(meta("part")).await;
    committed.expect("committed");
}

async fn open_store(folder: &Path) -> (Rt, Arc<Store>) {
    open_store_on(RealRuntime::new(), folder).await
}

async fn open_store_on(rt: Rt, folder: &Path) -> (Rt, Arc<Store>) {
    let drives = (1..=4).map(|number| folder.join(format!("d{number}"))).collect();
    let config = NodeConfig {
        drives,
        set_size: 4,
        standard_parity: 2,
        reduced_parity: 1,
        index: IndexPolicy::default(),
    };
    let store = node::open(rt.clone(), config).await.expect("opens").store;
    store.create_bucket(BUCKET).await.expect("created");
    (rt, store)
}

/// `multipart.stale-is-aborted`
#[tokio::test(flavor = "multi_thread")]
async fn uploads_without_activity_are_aborted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (rt, store) = open_store(folder.path()).await;
    let (idle, empty, active) = (
        begin(&store, "idle").await,
        begin(&store, "empty").await,
        begin(&store, "active").await,
    );
    put_part(&store, "idle", idle).await;
    let none = Stale::default();
    assert_eq!(stale_uploads::abort(&store, Duration::from_secs(3600)).await, none);

    rt.sleep(EXPIRY).await;
    put_part(&store, "active", active).await;
    let again = begin(&store, "idle").await;
    let found = stale_uploads::abort(&store, EXPIRY).await;
    assert_eq!(found, Stale { aborted: 2, left: 0 });
    for (key, upload, is_open) in [
        ("idle", idle, false),
        ("empty", empty, false),
        ("active", active, true),
        ("idle", again, true),
    ] {
        let found = store.upload(BUCKET, key, upload).await;
        match found {
            Ok(_) => assert!(is_open, "{key}"),
            Err(StoreError::NoSuchUpload) => assert!(!is_open, "{key}"),
            Err(error) => panic!("{key}: {error}"),
        }
    }
    // An active upload can still be completed.
    let named = [CompletedPart {
        number: 1,
        etag: "part".to_owned(),
    }];
    let open = store.open_upload(BUCKET, "active", active).await.expect("is open");
    let completed = store
        .complete_upload(BUCKET, open, &named, meta("whole"), Precondition::default())
        .await;
    completed.expect("completed");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_a_deleted_bucket_are_aborted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, store) = open_store(folder.path()).await;
    begin(&store, "lost").await;
    store.delete_bucket(BUCKET).await.expect("deleted");
    let found = stale_uploads::abort(&store, Duration::ZERO).await;
    assert_eq!(found, Stale { aborted: 1, left: 0 });
    assert_eq!(stale_uploads::abort(&store, Duration::ZERO).await, Stale::default());
    store.close().await;
}

/// After an operation has met drives in a higher epoch, later ones begin in it, with no refusal and no Fence each.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "reads what was recorded")]
async fn an_epoch_is_settled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let rt = RealRuntime::recording(&trace).expect("a file");
    let (_, store) = open_store_on(rt, folder.path()).await;
    let ballot = Ballot {
        epoch: 3,
        ..Ballot::ZERO
    };
    for drive in &store.sets()[0].drives {
        let fenced = drive.register(&RegisterKey::bucket("another"), Request::Fence { ballot });
        fenced.await.expect("fenced");
    }
    for key in ["first", "second", "third"] {
        begin(&store, key).await;
    }
    let (mut settled, mut fences) = (Vec::new(), 0);
    for line in std::fs::read_to_string(&trace).expect("written").lines() {
        let entry: Entry = serde_json::from_str(line).expect("an event");
        let (Event::Began { effects, .. } | Event::Reacted { effects, .. }) = &entry.event else {
            continue;
        };
        let is_fence = |effect: &&Effect<_>| {
            matches!(
                effect,
                Effect::Send {
                    request: Request::Fence { .. },
                    ..
                }
            )
        };
        fences += effects.iter().filter(is_fence).count();
        if let Event::Began { settled: epoch, .. } = &entry.event {
            settled.push(*epoch);
        }
    }
    assert_eq!((settled.last(), fences), (Some(&3), 1), "{settled:?}");
}
