//! Space of the index: use by objects, and reclamation after deletes.

use super::*;
use model::record::Content;
use std::os::unix::fs::MetadataExt;

/// Number of objects of a test, each of one byte: their shards have 33.
const OBJECTS: u64 = 4000;

impl Bed {
    /// Makes a drive that compacts its index for little wasted space.
    fn eager() -> Bed {
        let policy = IndexPolicy {
            wasted_bytes_min: 64 << 10,
            interval: Duration::from_millis(200),
            ..IndexPolicy::default()
        };
        Bed { policy, ..Bed::new() }
    }

    fn index(&self) -> PathBuf {
        self.path().join(".minio.sys/index.redb")
    }

    fn copy(&self) -> PathBuf {
        self.path().join(".minio.sys/index.redb.new")
    }

    /// Returns the allocated bytes of the index file.
    fn index_bytes(&self) -> u64 {
        std::fs::metadata(self.index()).expect("an index").blocks() * 512
    }

    /// Returns the inode of the index file, which a compaction changes.
    fn index_inode(&self) -> u64 {
        std::fs::metadata(self.index()).expect("an index").ino()
    }
}

fn name(n: u64) -> RegisterKey {
    key(&format!("object-{n:06}"))
}

/// Returns the data folder of an object, unordered like the server's random ones.
fn folder(n: u64) -> Folder {
    u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n)
}

fn tombstone(n: u64) -> Record {
    Record::new(folder(n) + 1, Content::Absent)
}

async fn put_all(drive: &dyn Drive, objects: std::ops::Range<u64>) {
    for chunk in objects.clone().step_by(100) {
        let chunk = chunk..objects.end.min(chunk + 100);
        join_all(chunk.map(|n| async move {
            let (key, framed) = (name(n), Bytes::from(vec![7; 33]));
            granted(
                drive
                    .stage_small(staging(&key, folder(n)), framed, &key, prepare(1))
                    .await,
            );
            let vote = accept(1, vote(1, folder(n)).value, Vote::absent());
            assert_eq!(drive.register(&key, vote).await, Ok(Reply::Accepted));
            assert_eq!(drive.register(&key, finalize(1)).await, Ok(Reply::Done));
        }))
        .await;
    }
}

async fn delete_all(drive: &dyn Drive, objects: std::ops::Range<u64>) {
    for chunk in objects.clone().step_by(100) {
        let chunk = chunk..objects.end.min(chunk + 100);
        join_all(chunk.map(|n| async move {
            let key = name(n);
            granted(drive.register(&key, prepare(2)).await);
            let vote = accept(2, tombstone(n), vote(1, folder(n)));
            assert_eq!(drive.register(&key, vote).await, Ok(Reply::Accepted));
            assert_eq!(drive.register(&key, finalize(2)).await, Ok(Reply::Done));
        }))
        .await;
    }
}

/// Checks that the drive has each object, or only its tombstone if `deleted`.
async fn check(drive: &dyn Drive, objects: std::ops::Range<u64>, deleted: bool) {
    for n in objects {
        let mut snapshot = granted(drive.register(&name(n), Request::Read).await);
        // A finalize is answered before it is durable, and plain reads see only durable commits.
        for _ in 0..500 {
            if snapshot.committed {
                break;
            }
            sleep(20).await;
            snapshot = granted(drive.register(&name(n), Request::Read).await);
        }
        let expected = if deleted {
            tombstone(n)
        } else {
            vote(1, folder(n)).value
        };
        assert_eq!(
            (snapshot.accepted.value, snapshot.committed),
            (expected, true),
            "object {n}"
        );
        assert_eq!(snapshot.folders.is_empty(), deleted, "object {n}");
        let held = shard(drive, folder(n), 1).await;
        let expected = if deleted {
            Err(DriveError::NotFound)
        } else {
            Ok(Bytes::from(vec![7; 33]))
        };
        assert_eq!(held, expected, "object {n}");
    }
}

// `drive.space-comes-back`
#[tokio::test(flavor = "multi_thread")]
async fn deleted_objects_give_their_space_back() {
    let bed = Bed::eager();
    let drive = bed.open().await;
    let empty = bed.index_bytes();
    put_all(&*drive, 0..OBJECTS).await;
    let full = bed.index_bytes() - empty;
    assert!(full <= 700 * OBJECTS, "{} bytes an object", full / OBJECTS);
    check(&*drive, 0..OBJECTS, false).await;
    delete_all(&*drive, 0..OBJECTS).await;
    let wanted = 250 * OBJECTS;
    eventually("a small index", || bed.index_bytes() <= wanted).await;
    check(&*drive, 0..OBJECTS, true).await;
    // A compaction that began during the first deletes may be followed by another.
    eventually("the last compaction has ended", || !bed.copy().exists()).await;
    eventually("the old index is closed", || drive.shared.index.close_retired()).await;
    let drive = bed.reopen(drive).await;
    assert!(bed.index_bytes() <= wanted);
    check(&*drive, 0..OBJECTS, true).await;
}

// `drive.compaction-keeps-all`
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_during_compactions_is_in_the_copy() {
    let bed = Bed::eager();
    let drive = bed.open().await;
    put_all(&*drive, 0..2000).await;
    let mut files = std::collections::BTreeSet::from([bed.index_inode()]);
    // Changes rows before and after the position of the copy, and at it.
    for n in 0..20 {
        delete_all(&*drive, n * 100..n * 100 + 100).await;
        put_all(&*drive, 2000 + n * 50..2050 + n * 50).await;
        delete_all(&*drive, 2000 + n * 50..2040 + n * 50).await;
        files.insert(bed.index_inode());
        sleep(200).await;
    }
    eventually("a compaction", || files.insert(bed.index_inode()) || files.len() > 1).await;
    for reopened in [false, true] {
        let drive = if reopened { bed.open().await } else { drive.clone() };
        check(&*drive, 0..2000, true).await;
        for n in 0..20 {
            check(&*drive, 2000 + n * 50..2040 + n * 50, true).await;
            check(&*drive, 2040 + n * 50..2050 + n * 50, false).await;
        }
        drive.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_copy_the_index_stays_as_it_is() {
    let bed = Bed::eager();
    let drive = bed.open().await;
    put_all(&*drive, 0..1000).await;
    let inode = bed.index_inode();
    bed.faults().free_bytes = Some(40 << 20);
    delete_all(&*drive, 0..1000).await;
    sleep(3000).await;
    assert_eq!(bed.index_inode(), inode);
    assert!(!bed.copy().exists());
    check(&*drive, 0..1000, true).await;
    assert!(!drive.is_full());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_a_crash_has_left_is_removed() {
    let bed = Bed::new();
    let drive = bed.open().await;
    put_all(&*drive, 0..10).await;
    drive.close().await;
    std::fs::write(bed.copy(), b"half a copy").expect("writes");
    let drive = bed.open().await;
    assert!(!bed.copy().exists());
    check(&*drive, 0..10, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_written_fails_the_drive() {
    let bed = Bed::eager();
    let drive = bed.open().await;
    put_all(&*drive, 0..1000).await;
    bed.faults().fail = Some(("index.redb.new", std::io::ErrorKind::Other));
    for n in 0..1000 {
        // Fails once the drive is offline.
        let (key, vote) = (name(n), accept(2, tombstone(n), vote(1, folder(n))));
        for request in [prepare(2), vote, finalize(2)] {
            drive.register(&key, request).await.ok();
        }
    }
    for _ in 0..200 {
        if !drive.status().await.is_online() {
            return;
        }
        sleep(50).await;
    }
    panic!("a drive whose file system fails writes is online");
}
