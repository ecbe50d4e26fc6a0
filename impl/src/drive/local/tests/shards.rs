//! Shards in files.

use super::*;
use std::fs;

fn bytes(len: usize, seed: u8) -> Bytes {
    (0..len)
        .map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed))
        .collect::<Vec<_>>()
        .into()
}

async fn stage(drive: &LocalDrive, staging: Staging, blocks: &[Bytes]) {
    let mut writer = drive.stage_file(staging).await.expect("begins");
    for block in blocks {
        writer.write(block.clone()).await.expect("writes");
    }
    writer.finish().await.expect("stages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_is_held_and_reads_back() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let (key, folder) = (key("a"), 0xabcd);
    let blocks: Vec<_> = (0..9).map(|n| bytes(300_000, n)).collect();
    stage(&drive, staging(&key, folder), &blocks).await;
    stage(&drive, staging(&key, 2), &[bytes(3 << 20, 1), bytes(10, 2)]).await;
    stage(&drive, staging(&key, 3), &[]).await;
    // At least 1 MiB each, but for the last of a file.
    assert_eq!(bed.faults().shard_writes, [1_200_000, 1_200_000, 300_000, 3 << 20, 10]);
    assert_eq!(granted(drive.register(&key, prepare(1)).await).folders, [2, 3, folder]);
    let path = bed.path().join("data/00/0000000000000000000000000000abcd/part.1");
    let whole = blocks.concat();
    assert_eq!(fs::read(&path).expect("a file"), whole);
    let drive = bed.reopen(drive).await;
    let shard = drive.open_shard(folder, 1).await.expect("opens");
    assert_eq!(shard.len(), whole.len() as u64);
    assert_eq!(shard.read(299_990, 20).await.expect("reads"), whole[299_990..300_010]);
    assert_eq!(
        shard.read(whole.len() as u64 - 5, 20).await.expect("reads"),
        whole[whole.len() - 5..]
    );
    assert!(shard.read(u64::MAX, 20).await.expect("reads").is_empty());
    assert!(drive.open_shard(3, 1).await.expect("opens").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_shard_stays_readable_while_its_folder_is_dropped() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    stage(&drive, staging(&key, 11), &[bytes(100_000, 1)]).await;
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
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NoFolder)));
    let path = bed.path().join("data/00/0000000000000000000000000000000b");
    eventually("the file goes", || !path.exists()).await;
    assert_eq!(open.read(0, 100_000).await.expect("reads"), bytes(100_000, 1));
    put(&drive, &key, 3, 13, vote(2, 12)).await;
    assert_eq!(open_small.read(1, 3).await.expect("reads"), "mal");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_file_leaves_nothing() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    writer.write(bytes(2 << 20, 1)).await.expect("writes");
    let path = bed.path().join("data/00/0000000000000000000000000000000b");
    assert!(path.join("part.1").exists());
    drop(writer);
    eventually("the file goes", || !path.exists()).await;
    assert_eq!(
        granted(drive.register(&key("a"), prepare(1)).await).folders,
        [] as [Folder; 0]
    );
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NoFolder)));
}

// `drive.removed-after-jobs`
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_goes_away_while_its_file_is_synced_leaves_nothing_and_the_drive_serves() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    writer.write(bytes(10, 1)).await.expect("writes");
    let path = bed.path().join("data/00/0000000000000000000000000000000b");
    bed.faults().slow_sync = Some(("/part.", Duration::from_millis(300)));
    let given_up = tokio::time::timeout(Duration::from_millis(50), writer.finish()).await;
    assert!(given_up.is_err(), "the sync took its time");
    assert!(path.join("part.1").exists(), "removed under the sync");
    eventually("the file goes", || !path.exists()).await;
    assert_eq!(drive.status().await.offline, None);
    bed.faults().slow_sync = None;
    stage(&drive, staging(&key("a"), 12), &[bytes(10, 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_not_staged_twice() {
    let bed = Bed::new();
    let drive = bed.open().await;
    stage(&drive, staging(&key("a"), 11), &[bytes(10, 1)]).await;
    let again = drive.stage_file(staging(&key("a"), 11)).await.err().expect("refused");
    assert!(again.to_string().contains("is staged already"), "{again}");
    assert_eq!(shard(&drive, 11, 1).await, Ok(bytes(10, 1)));
    assert!(drive.status().await.offline.is_none());
}

// `drive.sweep-unnamed`
#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_removes_what_no_row_names_and_nothing_else() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for folder in 1..=20 {
        stage(&drive, staging(&key("a"), folder << 120 | 5), &[bytes(10, 1)]).await;
    }
    drive.close().await;
    let data = bed.path().join("data");
    let left = |name: &str| {
        let folder = data.join(&name[..2]).join(name);
        fs::create_dir_all(&folder).expect("creates");
        fs::write(folder.join("part.1"), "x").expect("writes");
        folder
    };
    let orphans = ["01000000000000000000000000000006", "ff000000000000000000000000000001"].map(left);
    let not_ours = ["0f-notes", "ZZ000000000000000000000000000001"].map(left);
    let drive = bed.open().await;
    // Staged while the sweep is under way.
    stage(&drive, staging(&key("a"), 0x21 << 120), &[bytes(10, 1)]).await;
    let unfinished = drive.stage_file(staging(&key("a"), 0x22 << 120)).await.expect("begins");
    eventually("the orphans go", || orphans.iter().all(|orphan| !orphan.exists())).await;
    unfinished.finish().await.expect("stages");
    assert!(not_ours.iter().all(|folder| folder.exists()));
    for folder in (1..=20).map(|folder| folder << 120 | 5).chain([0x21 << 120]) {
        assert_eq!(shard(&drive, folder, 1).await, Ok(bytes(10, 1)));
    }
    assert!(shard(&drive, 0x22 << 120, 1).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_has_vanished_is_missing_alone() {
    let bed = Bed::new();
    let drive = bed.open().await;
    stage(&drive, staging(&key("a"), 11), &[bytes(10, 1)]).await;
    fs::remove_file(bed.path().join("data/00/0000000000000000000000000000000b/part.1")).expect("removes");
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NoFolder)));
    assert!(drive.status().await.offline.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_shard_is_not_small() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    let reply = drive
        .stage_small(staging(&key, 1), bytes(SMALL_SHARD_BYTES, 1), &key, prepare(1))
        .await;
    granted(reply);
    assert_eq!(shard(&drive, 1, 1).await, Ok(bytes(SMALL_SHARD_BYTES, 1)));
    let reply = drive
        .stage_small(staging(&key, 2), bytes(SMALL_SHARD_BYTES + 1, 1), &key, prepare(2))
        .await;
    assert!(reply.expect_err("refused").to_string().contains("is not small"));
}
