//! Conformance tests of [`Drive`], which every implementation passes.
//!
//! `conforms!` makes them tests of an implementation, given how to make a [`Place`] for it; [`all`] runs them one
//! after the other, in the simulation.

pub(crate) mod records;

use super::{Answer, Drive, DriveError, DriveState, ListFrom, RegisterKey, SMALL_SHARD_BYTES, Staging};
use crate::runtime::BoxFuture;
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    protocol::{Ballot, Drives, Folder, Nack, Reply, Request, Snapshot, Vote},
    record::Record,
};
use records::{ballot, object, object_of, part, part_data, upload};
use std::sync::Arc;

/// Location of one drive, empty at first.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the drive, which is closed.
    async fn open(&self) -> Arc<dyn Drive>;
}

/// Hands the names of all tests to a macro, behind its own arguments.
macro_rules! with_tests {
    ($macro:path; $place:tt) => {
        $macro! { $place
            a_put_is_there_after_a_restart,
            calls_are_applied_in_the_order_in_which_they_were_made,
            a_call_whose_answer_is_dropped_is_made_all_the_same,
            a_file_is_staged_with_the_answer_to_its_request,
            a_file_that_was_not_synced_is_not_staged,
            a_shard_in_a_file_reads_back_in_any_range,
            an_open_shard_stays_readable_while_its_folder_is_dropped,
            a_folder_is_not_staged_twice,
            a_large_shard_is_not_small,
            a_key_is_read_with_its_small_shard,
            only_what_is_staged_is_installed,
            a_listing_has_every_register_and_no_folders,
            an_abandoned_folder_goes_and_a_named_one_stays,
            an_upload_ends_once_it_is_not_open_and_its_named_parts_stay,
            an_upload_ends_after_a_restart,
            a_closed_drive_is_offline,
        }
    };
}

/// Makes the tests of this module tests of an implementation: `conforms!(place)`, where `place()` is a new [`Place`].
#[cfg(test)]
macro_rules! conforms {
    ($place:path) => {
        $crate::drive::conformance::with_tests! { $crate::drive::conformance::as_tests; ($place) }
    };
}

#[cfg(test)]
macro_rules! as_tests {
    (($place:path) $($name:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::drive::conformance::$name(&$place()).await;
            }
        )+
    };
}

macro_rules! in_turn {
    (($place:expr) $($name:ident,)+) => {
        $( $name(&*$place().await).await; )+
    };
}

#[cfg(test)]
pub(super) use {as_tests, conforms, with_tests};

/// Runs all tests one after the other, each on a new place.
pub async fn all(place: &(dyn Fn() -> BoxFuture<Arc<dyn Place>> + Sync)) {
    with_tests! { in_turn; (place) }
}

async fn reopen(place: &dyn Place, drive: Arc<dyn Drive>) -> Arc<dyn Drive> {
    drive.close().await;
    place.open().await
}

pub(super) fn key(name: &str) -> RegisterKey {
    RegisterKey::object(1, name)
}

pub(super) fn staging(owner: &RegisterKey, folder: Folder) -> Staging {
    let (owner, upload, part) = (owner.clone(), None, 1);
    Staging {
        owner,
        folder,
        upload,
        part,
    }
}

/// Above what a drive refuses since its first start.
pub(super) fn round(n: u64) -> Ballot {
    ballot((1 << 40) + n)
}

pub(super) fn prepare(n: u64) -> Request<Record> {
    Request::Prepare { ballot: round(n) }
}

pub(super) fn accept(n: u64, value: Record, prev: Vote<Record>) -> Request<Record> {
    let vote = Vote {
        ballot: round(n),
        value,
    };
    Request::Accept { vote, prev }
}

pub(super) fn finalize(n: u64) -> Request<Record> {
    Request::Finalize { ballot: round(n) }
}

/// The vote of [`accept`] for a folder that this drive holds.
pub(super) fn vote(n: u64, folder: Folder) -> Vote<Record> {
    Vote {
        ballot: round(n),
        value: object(folder, folder, Drives::one(0)),
    }
}

pub(super) fn granted(reply: Result<Reply<Record>, DriveError>) -> Snapshot<Record> {
    match reply.expect("a reply") {
        Reply::Granted(snapshot) | Reply::Read(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refused(reply: Result<Reply<Record>, DriveError>) -> Nack {
    match reply.expect("a reply") {
        Reply::Refused(nack) => nack,
        other => panic!("{other:?}"),
    }
}

/// A put of a small shard in round `n` over `prev`, as a coordinator does it.
pub(super) async fn put(drive: &dyn Drive, key: &RegisterKey, n: u64, folder: Folder, prev: Vote<Record>) {
    let framed = Bytes::from(vec![n as u8; 600]);
    granted(drive.stage_small(staging(key, folder), framed, key, prepare(n)).await);
    let reply = drive.register(key, accept(n, vote(n, folder).value, prev)).await;
    assert_eq!(reply, Ok(Reply::Accepted));
    assert_eq!(drive.register(key, finalize(n)).await, Ok(Reply::Done));
}

pub(super) async fn shard(drive: &dyn Drive, folder: Folder, part: u16) -> Result<Bytes, DriveError> {
    let shard = drive.open_shard(folder, part).await?;
    shard.read(0, usize::MAX).await
}

pub(super) async fn stage(drive: &dyn Drive, staging: Staging, blocks: &[Bytes]) {
    let mut writer = drive.stage_file(staging).await.expect("begins");
    for block in blocks {
        writer.write(block.clone()).await.expect("writes");
    }
    writer.sync().await.expect("syncs");
    let owner = key("of no register that matters");
    granted(writer.finish(&owner, Request::Read).await);
}

pub(super) fn bytes(len: usize, seed: u8) -> Bytes {
    (0..len)
        .map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed))
        .collect::<Vec<_>>()
        .into()
}

pub(super) async fn a_put_is_there_after_a_restart(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    put(&*drive, &key, 1, 11, Vote::absent()).await;
    put(&*drive, &key, 2, 12, vote(1, 11)).await;
    let drive = reopen(place, drive).await;
    let read = granted(drive.register(&key, Request::Read).await);
    assert_eq!(
        (read.accepted.clone(), read.prev, read.committed),
        (vote(2, 12), vote(2, 12), true)
    );
    assert_eq!(read.folders, [12]);
    assert!(read.authoritative && read.floor >= round(2));
    assert_eq!(shard(&*drive, 12, 1).await, Ok(Bytes::from(vec![2; 600])));
    assert_eq!(shard(&*drive, 11, 1).await, Err(DriveError::NotFound));
    assert_eq!(shard(&*drive, 12, 2).await, Err(DriveError::NotFound));
}

// `drive.calls-in-order`
pub(super) async fn calls_are_applied_in_the_order_in_which_they_were_made(place: &dyn Place) {
    let drive = place.open().await;
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
    // Awaited from the last to the first: neither that nor when an answer is polled changes the order.
    let answers: Vec<Answer<_>> = requests.map(|request| drive.register(&key, request)).collect();
    let mut replies = Vec::new();
    for answer in answers.into_iter().rev() {
        replies.insert(0, answer.await);
    }
    for (n, replies) in (0..).zip(replies.chunks(3)) {
        let expected = if n == 0 { Vote::absent() } else { vote(n) };
        let snapshot = granted(replies[0].clone());
        assert_eq!((snapshot.accepted, snapshot.committed), (expected, true), "round {n}");
        assert_eq!(replies[1..], [Ok(Reply::Accepted), Ok(Reply::Done)]);
    }
    assert_eq!(granted(drive.register(&key, prepare(30)).await).accepted, vote(20));
}

pub(super) async fn a_listing_has_every_register_and_no_folders(place: &dyn Place) {
    let drive = place.open().await;
    for (n, name) in (1u64..).zip(["a", "b/1", "b/2", "c"]) {
        put(&*drive, &key(name), n, Folder::from(n), Vote::absent()).await;
    }
    // The last finalize is durable with this.
    let drive = reopen(place, drive).await;
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

pub(super) async fn an_abandoned_folder_goes_and_a_named_one_stays(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    put(&*drive, &key, 1, 11, Vote::absent()).await;
    granted(
        drive
            .stage_small(staging(&key, 12), Bytes::from_static(b"x"), &key, prepare(2))
            .await,
    );
    assert_eq!(drive.abandon(&key, 12).await, Ok(()));
    assert_eq!(drive.abandon(&key, 12).await, Ok(()));
    assert_eq!(drive.abandon(&key, 11).await, Err(DriveError::StillReferenced));
    assert_eq!(granted(drive.register(&key, prepare(3)).await).folders, [11]);
    let drive = reopen(place, drive).await;
    assert_eq!(shard(&*drive, 12, 1).await, Err(DriveError::NotFound));
    assert_eq!(shard(&*drive, 11, 1).await.expect("reads").len(), 600);
}

/// An upload with parts 1 (staged twice) and 2, of which the object that it becomes has part 2.
async fn upload_parts(drive: &dyn Drive, owner: &RegisterKey) -> Vote<Record> {
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

pub(super) async fn an_upload_ends_once_it_is_not_open_and_its_named_parts_stay(place: &dyn Place) {
    end_upload(place, false).await;
}

pub(super) async fn an_upload_ends_after_a_restart(place: &dyn Place) {
    end_upload(place, true).await;
}

async fn end_upload(place: &dyn Place, restart: bool) {
    let mut drive = place.open().await;
    let owner = key("a");
    let open = upload_parts(&*drive, &owner).await;
    assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Err(DriveError::Behind));
    let done = object_of(9, vec![part_data(2, 23, Drives::one(0))], vec![]);
    assert_eq!(
        drive.register(&owner, accept(9, done.clone(), open)).await,
        Ok(Reply::Accepted)
    );
    // Voted for, but not known to be chosen.
    assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Err(DriveError::Behind));
    drive.register(&owner, finalize(9)).await.expect("finalizes");
    if restart {
        drive = reopen(place, drive).await;
    }
    // `multipart.end-is-known`: an end that this drive has not heard of is no end.
    assert_eq!(drive.end_upload(&owner, 5, round(10)).await, Err(DriveError::Behind));
    assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Ok(()));
    let parts = drive
        .list(&RegisterKey::parts_prefix(1, 5), ListFrom::Start, 9)
        .await
        .expect("lists");
    assert!(parts.is_empty() && parts.complete);
    let read = granted(drive.register(&owner, Request::Read).await);
    assert_eq!((read.accepted.value, read.folders), (done, vec![23]));
    assert!(shard(&*drive, 23, 2).await.is_ok());
    assert_eq!(shard(&*drive, 21, 1).await, Err(DriveError::NotFound));
    // What the parts' registers promised is kept by the floor (`drive.promise-holds`).
    assert!(read.floor >= round(4));
    refused(drive.register(&RegisterKey::part(1, 5, 2, "a"), prepare(4)).await);
    assert_eq!(drive.end_upload(&owner, 5, round(9)).await, Ok(()));
}

pub(super) async fn an_open_shard_stays_readable_while_its_folder_is_dropped(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    stage(&*drive, staging(&key, 11), &[bytes(100_000, 1)]).await;
    let value = vote(1, 11).value;
    assert_eq!(
        drive.register(&key, accept(1, value, Vote::absent())).await,
        Ok(Reply::Accepted)
    );
    drive.register(&key, finalize(1)).await.expect("finalizes");
    let open = drive.open_shard(11, 1).await.expect("opens");
    let small = Bytes::from_static(b"small");
    granted(drive.stage_small(staging(&key, 12), small, &key, prepare(2)).await);
    let open_small = drive.open_shard(12, 1).await.expect("opens");
    assert_eq!(
        drive.register(&key, accept(2, vote(2, 12).value, vote(1, 11))).await,
        Ok(Reply::Accepted)
    );
    assert!(
        drive.open_shard(11, 1).await.is_ok(),
        "previous data lives until Finalize"
    );
    drive.register(&key, finalize(2)).await.expect("finalizes");
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NotFound)));
    assert_eq!(open.read(0, 100_000).await.expect("reads"), bytes(100_000, 1));
    put(&*drive, &key, 3, 13, vote(2, 12)).await;
    assert_eq!(open_small.read(1, 3).await.expect("reads"), "mal");
}

pub(super) async fn a_folder_is_not_staged_twice(place: &dyn Place) {
    let drive = place.open().await;
    stage(&*drive, staging(&key("a"), 11), &[bytes(10, 1)]).await;
    // Whether bytes are written or not, and also if it is dropped without having been used.
    for framed in [None, Some(bytes(2 << 20, 2))] {
        drop(drive.stage_file(staging(&key("a"), 11)).await.expect("begins"));
        let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
        let again = match framed {
            Some(framed) => writer.write(framed).await,
            None => writer.sync().await,
        };
        assert!(matches!(again, Err(DriveError::Invalid(_))), "{again:?}");
    }
    assert_eq!(shard(&*drive, 11, 1).await, Ok(bytes(10, 1)));
    assert!(drive.status().await.is_online());
}

pub(super) async fn a_large_shard_is_not_small(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    let reply = drive
        .stage_small(staging(&key, 1), bytes(SMALL_SHARD_BYTES, 1), &key, prepare(1))
        .await;
    granted(reply);
    assert_eq!(shard(&*drive, 1, 1).await, Ok(bytes(SMALL_SHARD_BYTES, 1)));
    let reply = drive
        .stage_small(staging(&key, 2), bytes(SMALL_SHARD_BYTES + 1, 1), &key, prepare(2))
        .await;
    assert!(matches!(reply, Err(DriveError::Invalid(_))), "{reply:?}");
}

// `drive.calls-in-order`
pub(super) async fn a_call_whose_answer_is_dropped_is_made_all_the_same(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    let framed = Bytes::from_static(b"small");
    drop(drive.stage_small(staging(&key, 11), framed, &key, prepare(1)));
    drop(drive.register(&key, accept(1, vote(1, 11).value, Vote::absent())));
    drop(drive.register(&key, finalize(1)));
    let snapshot = granted(drive.register(&key, prepare(2)).await);
    assert_eq!((snapshot.accepted, snapshot.committed), (vote(1, 11), true));
    assert_eq!(snapshot.folders, [11]);
    drop(drive.abandon(&key, 12));
    let mut writer = drive.stage_file(staging(&key, 12)).await.expect("begins");
    writer.write(bytes(10, 1)).await.expect("writes");
    writer.sync().await.expect("syncs");
    drop(writer.finish(&key, prepare(3)));
    assert_eq!(granted(drive.register(&key, prepare(4)).await).folders, [11, 12]);
    assert_eq!(shard(&*drive, 12, 1).await, Ok(bytes(10, 1)));
}

// `drive.staged-is-durable`
pub(super) async fn a_file_is_staged_with_the_answer_to_its_request(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    let mut writer = drive.stage_file(staging(&key, 11)).await.expect("begins");
    writer.write(bytes(100_000, 1)).await.expect("writes");
    writer.flush().await.expect("flushes");
    writer.write(bytes(7, 2)).await.expect("writes");
    writer.sync().await.expect("syncs");
    assert!(granted(drive.register(&key, Request::Read).await).folders.is_empty());
    assert_eq!(shard(&*drive, 11, 1).await, Err(DriveError::NotFound));
    assert_eq!(granted(writer.finish(&key, prepare(1)).await).folders, [11]);
    let drive = reopen(place, drive).await;
    assert_eq!(granted(drive.register(&key, Request::Read).await).folders, [11]);
    let whole = [bytes(100_000, 1), bytes(7, 2)].concat();
    assert_eq!(shard(&*drive, 11, 1).await, Ok(whole.into()));
}

pub(super) async fn a_file_that_was_not_synced_is_not_staged(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    for (folder, synced_before_the_end) in [(11, false), (12, true)] {
        let mut writer = drive.stage_file(staging(&key, folder)).await.expect("begins");
        if synced_before_the_end {
            writer.sync().await.expect("syncs");
        }
        writer.write(bytes(10, 1)).await.expect("writes");
        let reply = writer.finish(&key, prepare(1)).await;
        assert!(matches!(reply, Err(DriveError::Invalid(_))), "{reply:?}");
    }
    let snapshot = granted(drive.register(&key, prepare(2)).await);
    assert_eq!(snapshot.folders, [] as [Folder; 0]);
    assert!(drive.status().await.is_online());
}

pub(super) async fn a_shard_in_a_file_reads_back_in_any_range(place: &dyn Place) {
    let drive = place.open().await;
    let blocks: Vec<Bytes> = (0..9).map(|n| bytes(300_000, n)).collect();
    stage(&*drive, staging(&key("a"), 11), &blocks).await;
    stage(&*drive, staging(&key("a"), 12), &[]).await;
    let whole = blocks.concat();
    let end = whole.len() as u64;
    let drive = reopen(place, drive).await;
    let shard = drive.open_shard(11, 1).await.expect("opens");
    assert_eq!(shard.len(), end);
    assert_eq!(shard.read(299_990, 20).await.expect("reads"), whole[299_990..300_010]);
    assert_eq!(shard.read(end - 5, 20).await.expect("reads"), whole[whole.len() - 5..]);
    assert!(shard.read(u64::MAX, 20).await.expect("reads").is_empty());
    assert!(drive.open_shard(12, 1).await.expect("opens").is_empty());
    assert!(matches!(drive.open_shard(11, 2).await, Err(DriveError::NotFound)));
}

pub(super) async fn a_key_is_read_with_its_small_shard(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    let read = drive.read_key(&key).await.expect("reads");
    assert_eq!((read.snapshot.accepted, read.shard), (Vote::absent(), None));
    put(&*drive, &key, 1, 11, Vote::absent()).await;
    let read = drive.read_key(&key).await.expect("reads");
    assert_eq!(read.snapshot.accepted, vote(1, 11));
    assert_eq!(read.shard, Some((11, Bytes::from(vec![1; 600]))));
    // What is staged and not voted for is nothing that a reader wants.
    let framed = Bytes::from_static(b"x");
    granted(drive.stage_small(staging(&key, 12), framed, &key, prepare(2)).await);
    let read = drive.read_key(&key).await.expect("reads");
    assert_eq!(read.shard.map(|(folder, _)| folder), Some(11));
    // A file is opened by itself.
    drive.abandon(&key, 12).await.expect("abandons");
    stage(&*drive, staging(&key, 13), &[bytes(100_000, 1)]).await;
    let reply = drive.register(&key, accept(3, vote(3, 13).value, vote(1, 11))).await;
    assert_eq!(reply, Ok(Reply::Accepted));
    let read = drive.read_key(&key).await.expect("reads");
    assert_eq!((read.snapshot.accepted, read.shard), (vote(3, 13), None));
}

// `drive.installs-staged`
pub(super) async fn only_what_is_staged_is_installed(place: &dyn Place) {
    let drive = place.open().await;
    let key = key("a");
    granted(drive.register(&key, prepare(5)).await);
    let install = || Request::Install {
        ballot: round(5),
        vote: vote(4, 11),
        shards: vec![11],
    };
    assert_eq!(drive.register(&key, install()).await, Err(DriveError::NotFound));
    let read = granted(drive.register(&key, Request::Read).await);
    assert_eq!((read.accepted, read.folders), (Vote::absent(), vec![]));
    let framed = Bytes::from_static(b"healed");
    drive
        .stage_small(staging(&key, 11), framed.clone(), &key, Request::Read)
        .await
        .expect("stages");
    assert_eq!(drive.register(&key, install()).await, Ok(Reply::Done));
    let read = granted(drive.register(&key, Request::Read).await);
    assert_eq!((read.accepted, read.folders), (vote(4, 11), vec![11]));
    assert_eq!(shard(&*drive, 11, 1).await, Ok(framed));
}

pub(super) async fn a_closed_drive_is_offline(place: &dyn Place) {
    let drive = place.open().await;
    drive.close().await;
    drive.close().await;
    let key = key("a");
    let offline = |error: Option<DriveError>| matches!(error, Some(DriveError::Offline(_)));
    assert!(offline(drive.register(&key, prepare(1)).await.err()));
    assert!(offline(drive.register(&key, Request::Read).await.err()));
    assert!(offline(drive.read_key(&key).await.err()));
    let small = drive.stage_small(staging(&key, 1), Bytes::new(), &key, prepare(1));
    assert!(offline(small.await.err()));
    assert!(offline(drive.stage_file(staging(&key, 1)).await.err()));
    assert!(offline(drive.open_shard(1, 1).await.err()));
    assert!(offline(drive.abandon(&key, 1).await.err()));
    assert!(offline(drive.end_upload(&key, 1, round(1)).await.err()));
    assert!(offline(drive.unnamed(None, 1).await.err()));
    assert!(offline(drive.list(b"", ListFrom::Start, 1).await.err()));
    let status = drive.status().await;
    assert!(matches!(status.state, DriveState::Offline(_)), "{status:?}");
    let drive = place.open().await;
    let status = drive.status().await;
    assert!(status.is_online() && status.total_bytes > status.free_bytes && status.free_bytes > 0);
}
