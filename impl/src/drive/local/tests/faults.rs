//! Drives that fail, disappear or fill up.

use super::*;
use std::{fs, io};

fn reason(error: DriveError) -> String {
    match error {
        DriveError::Offline(reason) => reason,
        other => panic!("{other:?}"),
    }
}

async fn offline(drive: &LocalDrive) -> String {
    for _ in 0..500 {
        if let Some(reason) = drive.status().await.state.reason() {
            return reason;
        }
        sleep(20).await;
    }
    panic!("never offline");
}

// `drive.still-there`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_was_moved_away_fails_its_next_commit() {
    let bed = Bed::new();
    let drive = bed.open().await;
    put(&*drive, &key("a"), 1, 11, Vote::absent()).await;
    fs::rename(bed.path(), bed.dir.path().join("elsewhere")).expect("renames");
    let vote = accept(2, object(1, 1, Drives::NONE), Vote::absent());
    let error = drive.register(&key("b"), vote).await.expect_err("offline");
    assert!(reason(error).contains("cannot find "));
    for reply in [
        drive.register(&key("b"), prepare(3)).await,
        drive.register(&key("a"), Request::Read).await,
    ] {
        assert!(reason(reply.expect_err("offline")).contains("format.json"));
    }
}

// `drive.promise-holds`: a failed assertion takes only its own drive offline.
#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_floor_falls_goes_offline() {
    let bed = Bed::new();
    bed.faults().mutation = Some(crate::runtime::Mutant::FloorForgotten.into());
    let drive = bed.open().await;
    drive.register(&key("a"), prepare(1)).await.expect_err("offline");
    assert!(offline(&drive).await.contains("commit thread ended"));
    drive.close().await;
    let other = Bed::new();
    let healthy = other.open().await;
    put(&*healthy, &key("a"), 1, 11, Vote::absent()).await;
}

// `drive.still-there`
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_drive_notices_that_it_was_replaced() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let format = bed.path().join(".minio.sys/format.json");
    fs::copy(&format, format.with_extension("copy")).expect("copies");
    fs::rename(format.with_extension("copy"), &format).expect("renames");
    assert!(offline(&drive).await.contains("is another file than at the start"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_index_fails_the_drive_and_no_reply_of_its_batch_leaves() {
    let bed = Bed::new();
    let drive = bed.open().await;
    put(&*drive, &key("a"), 1, 11, Vote::absent()).await;
    bed.faults().fail = Some(("index", io::ErrorKind::TimedOut));
    let vote = |n| accept(n, object(1, 1, Drives::NONE), Vote::absent());
    let (keys, requests) = ([key("b"), key("c"), key("d")], [vote(2), prepare(2), vote(3)]);
    let replies = keys
        .iter()
        .zip(requests)
        .map(|(key, request)| drive.register(key, request));
    let replies = join_all(replies).await;
    assert!(reason(replies[0].clone().expect_err("failed")).contains("its index failed"));
    assert!(reason(replies[2].clone().expect_err("failed")).contains("its index failed"));
    bed.faults().fail = None;
    let first = offline(&drive).await;
    assert_eq!(
        reason(drive.register(&key("e"), prepare(4)).await.expect_err("still")),
        first
    );
    // Opened again, it serves everything that was acknowledged.
    drive.close().await;
    let drive = bed.open().await;
    assert_eq!(
        granted(drive.register(&key("a"), Request::Read).await).accepted,
        super::vote(1, 11)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_staged_file_fails_the_drive() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    bed.faults().fail = Some(("/data/", io::ErrorKind::Other));
    writer.write(Bytes::from_static(b"x")).await.expect("buffers");
    let error = writer.sync().await.expect_err("failed");
    assert!(reason(error).contains("0000000000000000000000000000000b.1"));
    assert!(offline(&drive).await.contains("cannot stage "));
}

// `drive.full-still-deletes`
#[tokio::test(flavor = "multi_thread")]
async fn a_full_drive_stages_nothing_and_still_votes() {
    let bed = Bed::new();
    let reserve = bed.path().join(".minio.sys/reserve");
    // An unfinished reserve of a crash, and one from when the file system was smaller: both are too small.
    let drive = bed.open().await;
    eventually("a reserve is made", || reserve.exists()).await;
    drive.close().await;
    fs::write(&reserve, b"of a smaller file system").expect("writes");
    fs::write(reserve.with_extension("new"), b"half").expect("writes");
    let drive = bed.reopen(drive).await;
    put(&*drive, &key("a"), 1, 11, Vote::absent()).await;
    eventually("a reserve is made", || {
        fs::metadata(&reserve).is_ok_and(|file| file.len() == 16 << 20)
    })
    .await;
    sleep(100).await;
    {
        let mut faults = bed.faults();
        faults.full_until_released = true;
        faults.free_bytes = Some(0);
    }
    let tombstone = accept(2, Record::new(2, model::record::Content::Absent), vote(1, 11));
    assert_eq!(drive.register(&key("a"), tombstone).await, Ok(Reply::Accepted));
    assert_eq!(drive.register(&key("a"), finalize(2)).await, Ok(Reply::Done));
    assert!(!reserve.exists());
    let small = drive
        .stage_small(staging(&key("b"), 12), Bytes::from_static(b"x"), &key("b"), prepare(3))
        .await;
    assert_eq!(small, Err(DriveError::Full));
    assert!(matches!(
        drive.stage_file(staging(&key("b"), 13)).await,
        Err(DriveError::Full)
    ));
    assert_eq!(shard(&*drive, 11, 1).await, Err(DriveError::NotFound));
    assert!(drive.status().await.is_online());

    bed.faults().free_bytes = None;
    eventually("the reserve is made again", || reserve.exists()).await;
    sleep(100).await;
    put(&*drive, &key("b"), 4, 14, Vote::absent()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_meets_a_full_drive_is_refused_and_goes() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    bed.faults().fail = Some(("/data/", io::ErrorKind::StorageFull));
    assert_eq!(writer.write(Bytes::from(vec![1; 2 << 20])).await, Err(DriveError::Full));
    // A file with a hole is never staged, even if the caller ignores the error.
    bed.faults().fail = None;
    let error = writer.sync().await.expect_err("a hole");
    assert!(matches!(error, DriveError::Damaged(_)), "{error}");
    let error = writer.finish(&key("a"), prepare(1)).await.expect_err("a hole");
    assert!(matches!(error, DriveError::Invalid(_)), "{error}");
    let path = bed.path().join("data/00/0000000000000000000000000000000b.1");
    eventually("the file goes", || !path.exists()).await;
    assert!(drive.status().await.is_online());
}

// `drive.full-is-a-state`
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_refuses_a_shard_is_full_until_it_has_more() {
    let bed = Bed::new();
    let drive = bed.open().await;
    // The file system reports free space, as with a quota.
    bed.faults().free_bytes = Some(1 << 30);
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    bed.faults().fail = Some(("/data/", io::ErrorKind::QuotaExceeded));
    assert_eq!(writer.write(Bytes::from(vec![1; 2 << 20])).await, Err(DriveError::Full));
    bed.faults().fail = None;
    sleep(2500).await;
    assert!(drive.is_full() && drive.status().await.full);
    bed.faults().free_bytes = Some((1 << 30) + (1 << 20));
    eventually("it has room", || !drive.is_full()).await;
}

// `drive.full-is-a-state`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_without_inodes_is_full_until_it_has_a_few() {
    let bed = Bed::new();
    let drive = bed.open().await;
    bed.faults().inodes = Some((100_000, 1023));
    eventually("it is full", || drive.is_full()).await;
    let status = drive.status().await;
    assert_eq!(
        (status.full, status.total_inodes, status.free_inodes),
        (true, 100_000, 1023)
    );
    assert!(matches!(
        drive.stage_file(staging(&key("a"), 11)).await,
        Err(DriveError::Full)
    ));
    // A few free inodes are not enough, or the state would change with each delete.
    bed.faults().inodes = Some((100_000, 2000));
    sleep(2500).await;
    assert!(drive.is_full());
    bed.faults().inodes = Some((100_000, 2048));
    eventually("it has room", || !drive.is_full()).await;
    put(&*drive, &key("a"), 1, 12, Vote::absent()).await;
}

// `drive.index-never-remade`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_without_its_index_or_with_a_damaged_one_does_not_open() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for n in 0..50 {
        put(&*drive, &key(&n.to_string()), 1, n + 1, Vote::absent()).await;
    }
    drive.close().await;
    let index = bed.path().join(".minio.sys/index.redb");
    let mut bytes = fs::read(&index).expect("reads");
    // Damages every checksum of the first group.
    bytes[4 * 4096..5 * 4096].fill(0xff);
    fs::write(&index, &bytes).expect("writes");
    assert!(reason(bed.try_open().await.expect_err("damaged")).contains("does not match its checksum"));
    assert_eq!(fs::read(&index).expect("reads").len(), bytes.len());
    fs::remove_file(&index).expect("removes");
    assert!(reason(bed.try_open().await.expect_err("missing")).contains("cannot open its index"));
    assert!(!index.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_that_a_read_meets_fails_the_drive() {
    let bed = Bed::new();
    let drive = bed.open().await;
    // More rows than fit into redb's cache.
    let small = |n: u64| Bytes::from(vec![n as u8; 15_000]);
    let keys: Vec<_> = (0..2000u64).map(|n| (n, key(&n.to_string()))).collect();
    for keys in keys.chunks(250) {
        let stage = |(n, key): &(u64, RegisterKey)| {
            let (staging, key, framed) = (staging(key, u128::from(*n) + 1), key.clone(), small(*n));
            let drive = drive.clone();
            async move { drive.stage_small(staging, framed, &key, prepare(1)).await }
        };
        join_all(keys.iter().map(stage))
            .await
            .into_iter()
            .for_each(|reply| drop(granted(reply)));
    }
    let drive = bed.reopen(drive).await;
    let index = bed.path().join(".minio.sys/index.redb");
    let file = fs::File::options().write(true).open(&index).expect("opens");
    let len = file.metadata().expect("metadata").len();
    // Damages all data blocks, but not their checksums nor the header.
    for block in (5..len / 4096).filter(|block| (block - 4) % 257 != 0) {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xee], block * 4096 + 77).expect("writes");
    }
    let mut failed = None;
    for (n, _) in &keys {
        match shard(&*drive, u128::from(*n) + 1, 1).await {
            Ok(found) => assert_eq!(found, small(*n), "never wrong"),
            Err(DriveError::NotFound) => panic!("never lost"),
            Err(error) => failed = Some(reason(error)),
        }
    }
    assert!(failed.expect("an error").contains("does not match its checksum"));
    assert!(offline(&drive).await.contains("its index failed"));
}

// `drive.calls-in-order`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_hangs_refuses_what_its_queue_has_no_room_for() {
    let bed = Bed::new();
    let drive = bed.open().await;
    put(&*drive, &key("a"), 1, 11, Vote::absent()).await;
    bed.faults().slow_sync = Some(("index", Duration::from_secs(1)));
    let vote = accept(2, object(1, 1, Drives::NONE), Vote::absent());
    let slow = drive.register(&key("b"), vote);
    sleep(200).await;
    let shard = Bytes::from(vec![7; SMALL_SHARD_BYTES]);
    let stage = |n: u64| {
        let key = key(&format!("c{n}"));
        drive.stage_small(staging(&key, Folder::from(n) + 100), shard.clone(), &key, prepare(3))
    };
    // 4,000 shards of 16 KiB (62 MiB) exceed the queue's limit of bytes, 9,000 messages without data its limit of
    // calls.
    let stages: Vec<_> = (0..4000).map(stage).collect();
    let calls: Vec<_> = (0..9000).map(|_| drive.register(&key("d"), prepare(3))).collect();
    bed.faults().slow_sync = None;
    slow.await.expect("is durable in the end");
    let busy = async |answers: Vec<Answer<Reply<Record>>>| {
        let replies = join_all(answers).await;
        let busy = |reply: &&Result<_, _>| **reply == Err(DriveError::Busy);
        let refused = replies.iter().filter(busy).count();
        assert!(replies.iter().all(|reply| reply.is_ok() || busy(&reply)));
        refused
    };
    let (stages, calls) = (busy(stages).await, busy(calls).await);
    assert!((1500..3000).contains(&stages), "{stages} of 4000 shards were refused");
    assert!((4000..8000).contains(&calls), "{calls} of 9000 messages were refused");
    assert!(drive.status().await.is_online());
    granted(drive.register(&key("e"), prepare(9)).await);
    granted(stage(5000).await);
}
