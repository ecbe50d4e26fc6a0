#![allow(
    clippy::disallowed_methods,
    reason = "tests look at a drive's files from outside, and wait for it"
)]

mod faults;
mod faulty;
mod shards;
mod slots;

use super::*;
use crate::drive::{
    fixture::{ballot, object, object_of, part, part_data, upload},
    format::{Slot, open_all},
};
use faulty::Faults;
use futures::future::join_all;
use model::protocol::{Drives, Nack, Snapshot, Value, Vote};
use std::{path::PathBuf, sync::MutexGuard, time::Duration};

/// One drive in a temporary folder, opened and closed at will.
struct Bed {
    dir: tempfile::TempDir,
    rt: Rt,
    faults: faulty::Shared,
}

impl Bed {
    fn new() -> Bed {
        let (rt, faults) = faulty::runtime();
        let dir = tempfile::tempdir().expect("temp folder");
        Bed { dir, rt, faults }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("drive")
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("lock")
    }

    async fn try_open(&self) -> Result<Arc<LocalDrive>, DriveError> {
        let opened = open_all(&self.rt.files(), &[self.path()], 1, &mut || 7).expect("formats");
        match opened.drives.into_iter().next() {
            Some(Slot::Ready(slot)) => LocalDrive::open(&self.rt, slot).await,
            other => panic!("{other:?}"),
        }
    }

    async fn open(&self) -> Arc<LocalDrive> {
        self.try_open().await.expect("opens")
    }

    /// As after a crash of the process: the drive is not closed.
    async fn reopen(&self, drive: Arc<LocalDrive>) -> Arc<LocalDrive> {
        drive.close().await;
        self.open().await
    }
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Waits until `done`, for as long as a slow machine may take.
async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        sleep(20).await;
    }
    panic!("never: {what}");
}

fn key(name: &str) -> RegisterKey {
    RegisterKey::object(1, name)
}

fn staging(owner: &RegisterKey, folder: Folder) -> Staging {
    let (owner, upload, part) = (owner.clone(), None, 1);
    Staging {
        owner,
        folder,
        upload,
        part,
    }
}

/// Above what a drive refuses since its first start.
fn round(n: u64) -> Ballot {
    ballot((1 << 40) + n)
}

fn prepare(n: u64) -> Request<Record> {
    Request::Prepare { ballot: round(n) }
}

fn accept(n: u64, value: Record, prev: Vote<Record>) -> Request<Record> {
    let vote = Vote {
        ballot: round(n),
        value,
    };
    Request::Accept { vote, prev }
}

fn finalize(n: u64) -> Request<Record> {
    Request::Finalize { ballot: round(n) }
}

/// The vote of [`accept`] for a folder that this drive holds.
fn vote(n: u64, folder: Folder) -> Vote<Record> {
    Vote {
        ballot: round(n),
        value: object(folder, folder, Drives::one(0)),
    }
}

fn granted(reply: Result<Reply<Record>, DriveError>) -> Snapshot<Record> {
    match reply.expect("a reply") {
        Reply::Granted(snapshot) | Reply::Read(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

fn refused(reply: Result<Reply<Record>, DriveError>) -> Nack {
    match reply.expect("a reply") {
        Reply::Refused(nack) => nack,
        other => panic!("{other:?}"),
    }
}

/// A put of a small shard in round `n` over `prev`, as a coordinator does it.
async fn put(drive: &LocalDrive, key: &RegisterKey, n: u64, folder: Folder, prev: Vote<Record>) {
    let framed = Bytes::from(vec![n as u8; 600]);
    granted(drive.stage_small(staging(key, folder), framed, key, prepare(n)).await);
    let reply = drive.register(key, accept(n, vote(n, folder).value, prev)).await;
    assert_eq!(reply, Ok(Reply::Accepted));
    assert_eq!(drive.register(key, finalize(n)).await, Ok(Reply::Done));
}

async fn shard(drive: &LocalDrive, folder: Folder, part: u16) -> Result<Bytes, DriveError> {
    let shard = drive.open_shard(folder, part).await?;
    shard.read(0, usize::MAX).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_there_after_a_restart() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    put(&drive, &key, 1, 11, Vote::absent()).await;
    put(&drive, &key, 2, 12, vote(1, 11)).await;
    let drive = bed.reopen(drive).await;
    let read = granted(drive.register(&key, Request::Read).await);
    assert_eq!(
        (read.accepted.clone(), read.prev, read.committed),
        (vote(2, 12), vote(2, 12), true)
    );
    assert_eq!(read.folders, [12]);
    assert!(read.authoritative && read.floor >= round(2));
    assert_eq!(shard(&drive, 12, 1).await, Ok(Bytes::from(vec![2; 600])));
    assert_eq!(shard(&drive, 11, 1).await, Err(DriveError::NoFolder));
    assert_eq!(shard(&drive, 12, 2).await, Err(DriveError::NoFolder));
}

// `drive.promise-holds`
#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_before_a_restart_is_refused_after_it() {
    let bed = Bed::new();
    let drive = bed.open().await;
    granted(drive.register(&key("a"), prepare(5)).await);
    drop(drive);
    // Dropping closes too.
    eventually("the lock is released", || {
        bed.rt.files().lock(&bed.path().join(".minio.sys")).is_ok()
    })
    .await;
    let drive = bed.open().await;
    let nack = refused(
        drive
            .register(&key("a"), accept(4, Record::absent(), Vote::absent()))
            .await,
    );
    assert!(nack.floor >= round(5), "{nack:?}");
    let above = nack.floor.round + 1;
    granted(
        drive
            .register(&key("a"), Request::Prepare { ballot: ballot(above) })
            .await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_handed_over_in_order_are_applied_in_order() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    // All of them wait while the first one, which raises `hi`, is made durable.
    let value = |n: u64| object(u128::from(n), 99, Drives::NONE);
    let vote = |n| Vote {
        ballot: round(n),
        value: value(n),
    };
    let requests = (1..=20).flat_map(|n| {
        let prev = if n == 1 { Vote::absent() } else { vote(n - 1) };
        [prepare(n), accept(n, value(n), prev), finalize(n)]
    });
    let replies = join_all(requests.map(|request| drive.register(&key, request))).await;
    for (n, replies) in (0..).zip(replies.chunks(3)) {
        let expected = if n == 0 { Vote::absent() } else { vote(n) };
        let snapshot = granted(replies[0].clone());
        assert_eq!((snapshot.accepted, snapshot.committed), (expected, true), "round {n}");
        assert_eq!(replies[1..], [Ok(Reply::Accepted), Ok(Reply::Done)]);
    }
    assert_eq!(granted(drive.register(&key, prepare(30)).await).accepted, vote(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_costs_no_sync_and_votes_share_theirs() {
    let bed = Bed::new();
    let drive = bed.open().await;
    granted(drive.register(&key("first"), prepare(1)).await);
    let syncs = || bed.faults().index_syncs;
    sleep(2500).await;
    let before = syncs();
    let keys: Vec<_> = (0..200).map(|n| key(&n.to_string())).collect();
    join_all(keys.iter().map(|key| drive.register(key, prepare(2)))).await;
    join_all(keys.iter().map(|key| drive.register(key, Request::Read))).await;
    assert_eq!(syncs(), before);
    let votes = keys
        .iter()
        .map(|key| drive.register(key, accept(2, vote(2, 2).value, vote(2, 2))));
    assert!(join_all(votes).await.iter().all(|reply| reply.is_ok()));
    let vote = |n| accept(n, object(2, 2, Drives::NONE), Vote::absent());
    let before = syncs();
    let replies = join_all(keys.iter().map(|key| drive.register(key, vote(3)))).await;
    assert!(replies.iter().all(|reply| *reply == Ok(Reply::Accepted)));
    assert!(
        (before + 1..before + 40).contains(&syncs()),
        "{} syncs for 200 votes",
        syncs() - before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lazy_change_is_durable_soon_and_not_at_once() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    let vote = accept(1, object(1, 1, Drives::NONE), Vote::absent());
    assert_eq!(drive.register(&key, vote).await, Ok(Reply::Accepted));
    let before = bed.faults().index_syncs;
    assert_eq!(drive.register(&key, finalize(1)).await, Ok(Reply::Done));
    // A message sees it at once, a plain read once it is durable.
    assert!(granted(drive.register(&key, prepare(2)).await).committed);
    let mut committed = false;
    for _ in 0..100 {
        committed = granted(drive.register(&key, Request::Read).await).committed;
        if committed {
            break;
        }
        sleep(20).await;
    }
    assert!(committed && bed.faults().index_syncs > before);
}

// `drive.promise-holds`
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_promise_is_still_kept() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for chunk in 0..60u64 {
        let keys: Vec<_> = (0..100).map(|n| key(&format!("{chunk}-{n}"))).collect();
        let replies = join_all(keys.iter().map(|key| drive.register(key, prepare(100 + chunk)))).await;
        replies.into_iter().for_each(|reply| drop(granted(reply)));
    }
    let nack = refused(
        drive
            .register(&key("0-0"), accept(99, Record::absent(), Vote::absent()))
            .await,
    );
    assert!(
        nack.floor >= round(100),
        "the floor takes the place of the promise: {nack:?}"
    );
    // A key that had no promise loses by it nothing but a round.
    refused(drive.register(&key("new"), prepare(99)).await);
    granted(drive.register(&key("new"), prepare(200)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_leave_memory_keep_their_votes_and_folders() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for chunk in 0..60u64 {
        let keys: Vec<_> = (0..100)
            .map(|n| (key(&format!("{chunk}-{n}")), u128::from(chunk * 100 + n + 1)))
            .collect();
        join_all(
            keys.iter()
                .map(|(key, folder)| put(&drive, key, 100 + chunk, *folder, Vote::absent())),
        )
        .await;
    }
    for n in [0, 50, 5999] {
        let key = key(&format!("{}-{}", n / 100, n % 100));
        let snapshot = granted(drive.register(&key, prepare(10_000)).await);
        assert_eq!(snapshot.accepted, vote(100 + n / 100, u128::from(n) + 1));
        assert!(snapshot.committed);
        assert_eq!(snapshot.folders, [u128::from(n) + 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_has_every_register_and_no_folders() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for (n, name) in (1u64..).zip(["a", "b/1", "b/2", "c"]) {
        put(&drive, &key(name), n, Folder::from(n), Vote::absent()).await;
    }
    // The last finalize is durable with this.
    let drive = bed.reopen(drive).await;
    let prefix = RegisterKey::objects_prefix(1, "b/");
    let page = drive.list(&prefix, ListFrom::Start, 1).await.expect("lists");
    assert!(!page.complete);
    let (found, register) = page.iter().next().expect("there is one");
    let snapshot = page.snapshot(register.expect("its row is sound"));
    assert_eq!((&found, &snapshot.accepted), (&key("b/1"), &vote(2, 2)));
    assert!(snapshot.folders.is_empty() && snapshot.committed && snapshot.authoritative);
    assert!(snapshot.floor >= round(4));
    let after = ListFrom::After(found.as_bytes().to_vec());
    let page = drive.list(&prefix, after, 9).await.expect("lists");
    assert_eq!((page.len(), page.complete), (1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_folder_goes_and_a_named_one_stays() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    put(&drive, &key, 1, 11, Vote::absent()).await;
    granted(
        drive
            .stage_small(staging(&key, 12), Bytes::from_static(b"x"), &key, prepare(2))
            .await,
    );
    assert_eq!(drive.abandon(&key, 12).await, Ok(()));
    assert_eq!(drive.abandon(&key, 12).await, Ok(()));
    assert_eq!(drive.abandon(&key, 11).await, Err(DriveError::NoFolder));
    assert_eq!(granted(drive.register(&key, prepare(3)).await).folders, [11]);
    let drive = bed.reopen(drive).await;
    assert_eq!(shard(&drive, 12, 1).await, Err(DriveError::NoFolder));
    assert_eq!(shard(&drive, 11, 1).await.expect("reads").len(), 600);
}

/// An upload with parts 1 (staged twice) and 2, of which the object that it becomes has part 2.
async fn upload_parts(drive: &LocalDrive, owner: &RegisterKey) -> Vote<Record> {
    let open = Vote {
        ballot: round(1),
        value: object_of(1, vec![], vec![upload(5)]),
    };
    let reply = drive
        .register(owner, accept(1, open.value.clone(), Vote::absent()))
        .await;
    assert_eq!(reply, Ok(Reply::Accepted));
    drive.register(owner, finalize(1)).await.expect("finalizes");
    for (n, number, folder) in [(2u64, 1u16, 21u128), (3, 1, 22), (4, 2, 23)] {
        let register = RegisterKey::part(1, 5, number, "a");
        let staging = Staging {
            upload: Some(5),
            part: number,
            ..staging(owner, folder)
        };
        let framed = Bytes::from(vec![number as u8; 100]);
        let snapshot = granted(drive.stage_small(staging, framed, &register, prepare(n)).await);
        let folders: &[Folder] = if folder == 22 { &[21, 22] } else { &[folder] };
        assert_eq!(snapshot.folders, folders);
        let value = part(folder, number, folder, Drives::one(0));
        let reply = drive.register(&register, accept(n, value, snapshot.accepted)).await;
        assert_eq!(reply, Ok(Reply::Accepted));
        drive.register(&register, finalize(n)).await.expect("finalizes");
    }
    let snapshot = granted(drive.register(owner, prepare(8)).await);
    assert_eq!(snapshot.folders, [21, 22, 23]);
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_only_once_it_is_not_open_and_its_named_parts_stay() {
    for restart in [false, true] {
        let bed = Bed::new();
        let mut drive = bed.open().await;
        let owner = key("a");
        let open = upload_parts(&drive, &owner).await;
        assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Err(DriveError::NoFolder));
        let done = object_of(9, vec![part_data(2, 23, Drives::one(0))], vec![]);
        assert_eq!(
            drive.register(&owner, accept(9, done.clone(), open)).await,
            Ok(Reply::Accepted)
        );
        // Voted for, but not known to be chosen.
        assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Err(DriveError::NoFolder));
        drive.register(&owner, finalize(9)).await.expect("finalizes");
        if restart {
            drive = bed.reopen(drive).await;
        }
        // `multipart.end-is-known`: an end that this drive has not heard of is no end.
        assert_eq!(drive.end_upload(&owner, 5, round(10)).await, Err(DriveError::NoFolder));
        assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Ok(()));
        let parts = drive
            .list(&RegisterKey::parts_prefix(1, 5), ListFrom::Start, 9)
            .await
            .expect("lists");
        assert!(parts.is_empty() && parts.complete);
        let read = granted(drive.register(&owner, Request::Read).await);
        assert_eq!((read.accepted.value, read.folders), (done, vec![23]));
        assert!(shard(&drive, 23, 2).await.is_ok());
        assert_eq!(shard(&drive, 21, 1).await, Err(DriveError::NoFolder));
        // What the parts' registers promised is kept by the floor (`drive.promise-holds`).
        assert!(read.floor >= round(4));
        refused(drive.register(&RegisterKey::part(1, 5, 2, "a"), prepare(4)).await);
        assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_drive_answers_nothing_and_opens_again() {
    let bed = Bed::new();
    let drive = bed.open().await;
    drive.close().await;
    drive.close().await;
    let closed = Err(DriveError::Offline("closed".into()));
    assert_eq!(drive.register(&key("a"), prepare(1)).await, closed);
    assert_eq!(drive.register(&key("a"), Request::Read).await, closed);
    assert_eq!(drive.status().await.offline.as_deref(), Some("closed"));
    assert!(drive.list(b"", ListFrom::Start, 1).await.is_err());
    assert!(drive.stage_file(staging(&key("a"), 1)).await.is_err());
    let drive = bed.open().await;
    let status = drive.status().await;
    assert!(status.offline.is_none() && status.total_bytes > status.free_bytes && status.free_bytes > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_cannot_have_the_drive() {
    let bed = Bed::new();
    let _drive = bed.open().await;
    let again = open_all(&bed.rt.files(), &[bed.path()], 1, &mut || 8);
    assert!(
        again
            .expect_err("locked")
            .to_string()
            .contains("another process has this drive open")
    );
}
