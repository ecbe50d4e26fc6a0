//! Shards in files.

use super::*;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_is_written_in_large_pieces() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let (key, folder) = (key("a"), 0xabcd);
    let blocks: Vec<_> = (0..9).map(|n| bytes(300_000, n)).collect();
    let path = bed.path().join("data/00/0000000000000000000000000000abcd.1");
    let mut writer = drive.stage_file(staging(&key, folder)).await.expect("begins");
    let mut written = Vec::new();
    for block in &blocks {
        writer.write(block.clone()).await.expect("writes");
        assert_eq!(path.exists(), written.len() >= 3, "made with the first write");
        written.push(bed.faults().shard_writes.len());
    }
    // Each write has at least 1 MiB, except for the last of a file.
    assert_eq!(written, [0, 0, 0, 1, 1, 1, 1, 2, 2]);
    writer.sync().await.expect("syncs");
    writer.finish(&key, Request::Read).await.expect("stages");
    stage(&*drive, staging(&key, 2), &[bytes(3 << 20, 1), bytes(10, 2)]).await;
    stage(&*drive, staging(&key, 3), &[]).await;
    // Long frames are not copied into the buffer, and keep their order among short ones.
    let mixed = [
        bytes(10, 3),
        bytes(600_000, 4),
        bytes(20, 5),
        bytes(30, 6),
        bytes(600_000, 7),
    ];
    stage(&*drive, staging(&key, 4), &mixed).await;
    assert_eq!(
        bed.faults().shard_writes,
        [1_200_000, 1_200_000, 300_000, 3 << 20, 10, 10, 600_000, 50, 600_000]
    );
    assert_eq!(shard(&*drive, 4, 1).await, Ok(mixed.concat().into()));
    assert_eq!(
        granted(drive.register(&key, prepare(1)).await).folders,
        [2, 3, 4, folder]
    );
    let whole = blocks.concat();
    assert_eq!(fs::read(&path).expect("a file"), whole);
    let drive = bed.reopen(drive).await;
    assert_eq!(shard(&*drive, folder, 1).await, Ok(whole.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_file_leaves_nothing() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    writer.write(bytes(2 << 20, 1)).await.expect("writes");
    let path = bed.path().join("data/00/0000000000000000000000000000000b.1");
    assert!(path.exists());
    drop(writer);
    eventually("the file goes", || !path.exists()).await;
    assert_eq!(
        granted(drive.register(&key("a"), prepare(1)).await).folders,
        [] as [Folder; 0]
    );
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NotFound)));
}

// `drive.removed-after-jobs`
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_goes_away_while_its_file_is_synced_leaves_nothing_and_the_drive_serves() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let mut writer = drive.stage_file(staging(&key("a"), 11)).await.expect("begins");
    writer.write(bytes(10, 1)).await.expect("writes");
    let path = bed.path().join("data/00/0000000000000000000000000000000b.1");
    bed.faults().slow_sync = Some(("/data/", Duration::from_millis(300)));
    let given_up = tokio::time::timeout(Duration::from_millis(50), writer.sync()).await;
    assert!(given_up.is_err(), "the sync took its time");
    drop(writer);
    assert!(path.exists(), "removed under the sync");
    eventually("the file goes", || !path.exists()).await;
    assert!(drive.status().await.is_online());
    bed.faults().slow_sync = None;
    stage(&*drive, staging(&key("a"), 12), &[bytes(10, 1)]).await;
}

// `drive.removed-after-jobs`
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_leaves_no_file_that_was_let_go() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let (key, folders) = (key("a"), 1..=50);
    for folder in folders.clone() {
        stage(&*drive, staging(&key, folder), &[bytes(10, 1)]).await;
    }
    let file = |folder: Folder| bed.path().join(format!("data/00/{folder:032x}.1"));
    assert!(folders.clone().all(|folder| file(folder).exists()));
    for folder in folders.clone() {
        drive.abandon(&key, folder).await.expect("no vote names it");
    }
    drive.close().await;
    let left: Vec<_> = folders.filter(|folder| file(*folder).exists()).collect();
    assert_eq!(left, [] as [Folder; 0]);
}

// `drive.sweep-unnamed`
#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_removes_what_no_row_names_and_nothing_else() {
    let bed = Bed::new();
    let drive = bed.open().await;
    for folder in 1..=20 {
        stage(&*drive, staging(&key("a"), folder << 120 | 5), &[bytes(10, 1)]).await;
    }
    drive.close().await;
    let data = bed.path().join("data");
    let left = |name: &str| {
        let path = data.join(&name[..2]).join(name);
        fs::create_dir_all(path.parent().expect("a subfolder")).expect("creates");
        fs::write(&path, "x").expect("writes");
        path
    };
    // The last one is another part of a folder that is held.
    let orphans = [
        "01000000000000000000000000000006.1",
        "ff000000000000000000000000000001.10000",
        "01000000000000000000000000000005.2",
    ]
    .map(left);
    let not_ours = [
        "0f-notes",
        "0f000000000000000000000000000001",
        "0f000000000000000000000000000001.01",
        "0F000000000000000000000000000001.1",
        "ZZ000000000000000000000000000001.1",
    ]
    .map(left);
    let drive = bed.open().await;
    // Staged during the sweep.
    stage(&*drive, staging(&key("a"), 0x21 << 120), &[bytes(10, 1)]).await;
    let mut unfinished = drive.stage_file(staging(&key("a"), 0x22 << 120)).await.expect("begins");
    eventually("the orphans go", || orphans.iter().all(|orphan| !orphan.exists())).await;
    unfinished.sync().await.expect("syncs");
    unfinished.finish(&key("a"), Request::Read).await.expect("stages");
    assert!(not_ours.iter().all(|path| path.exists()));
    for folder in (1..=20).map(|folder| folder << 120 | 5).chain([0x21 << 120]) {
        assert_eq!(shard(&*drive, folder, 1).await, Ok(bytes(10, 1)));
    }
    assert!(shard(&*drive, 0x22 << 120, 1).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_has_vanished_is_missing_alone() {
    let bed = Bed::new();
    let drive = bed.open().await;
    stage(&*drive, staging(&key("a"), 11), &[bytes(10, 1)]).await;
    fs::remove_file(bed.path().join("data/00/0000000000000000000000000000000b.1")).expect("removes");
    assert!(matches!(drive.open_shard(11, 1).await, Err(DriveError::NotFound)));
    assert!(drive.status().await.is_online());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_dropped_folder_goes() {
    let bed = Bed::new();
    let drive = bed.open().await;
    let key = key("a");
    stage(&*drive, staging(&key, 11), &[bytes(100_000, 1)]).await;
    let first = accept(1, vote(1, 11).value, Vote::absent());
    assert_eq!(drive.register(&key, first).await, Ok(Reply::Accepted));
    drive.register(&key, finalize(1)).await.expect("finalizes");
    let path = bed.path().join("data/00/0000000000000000000000000000000b.1");
    assert!(path.exists());
    put(&*drive, &key, 2, 12, vote(1, 11)).await;
    eventually("the file goes", || !path.exists()).await;
}
