//! Drives that are reopened under a running node.

use super::*;
use crate::drive::DriveSlot;
use std::{fs, path::Path};

impl Bed {
    async fn slot(&self) -> Arc<DriveSlot> {
        let opened = open_all(&self.rt.files(), &[self.path()], 1, &mut || 7).expect("formats");
        let mut found = opened.drives.into_iter().zip(opened.identities);
        let (found, identity) = found.next().expect("a drive");
        DriveSlot::open(&self.rt, found, identity, IndexPolicy::default()).await
    }
}

struct SlotBed(Bed);

impl SlotBed {
    fn new() -> SlotBed {
        SlotBed(Bed::new())
    }
}

#[async_trait]
impl Place for SlotBed {
    async fn open(&self) -> Arc<dyn Drive> {
        self.0.slot().await
    }
}

conforms!(SlotBed::new);

/// Waits until the drive's reason to be offline contains `text`, or until it serves.
async fn until(slot: &DriveSlot, text: Option<&str>) {
    for _ in 0..1500 {
        let reason = slot.status().await.state.reason();
        let done = match text {
            None => reason.is_none(),
            Some(text) => reason.is_some_and(|reason| reason.contains(text)),
        };
        if done {
            return;
        }
        sleep(20).await;
    }
    panic!("never {text:?}: {:?}", slot.status().await.state.reason());
}

fn descriptors_below(folder: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").expect("lists");
    let paths = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(folder)).count()
}

// `drive.reopened`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_back_at_its_path_serves_again_and_no_other() {
    let bed = Bed::new();
    let slot = bed.slot().await;
    let framed = Bytes::from_static(b"shard");
    let staged = slot
        .stage_small(staging(&key("a"), 11), framed, &key("a"), prepare(1))
        .await;
    granted(staged);
    let accepted = slot
        .register(&key("a"), accept(1, vote(1, 11).value, Vote::absent()))
        .await;
    assert_eq!(accepted, Ok(Reply::Accepted));
    let away = bed.dir.path().join("away");
    fs::rename(bed.path(), &away).expect("renames");
    until(&slot, Some("cannot find ")).await;
    until(&slot, Some("now: there is nothing at its path")).await;
    // Another folder is not the drive, nor is a drive of another deployment; neither is written to.
    fs::create_dir(bed.path()).expect("creates");
    until(&slot, Some("now: it is empty")).await;
    let other = bed.dir.path().join("other");
    drop(open_all(&bed.rt.files(), std::slice::from_ref(&other), 1, &mut || 8).expect("formats"));
    fs::remove_dir(bed.path()).expect("removes");
    fs::rename(&other, bed.path()).expect("renames");
    until(&slot, Some("now: it is of deployment")).await;
    fs::remove_dir_all(bed.path()).expect("removes");
    fs::rename(&away, bed.path()).expect("renames");
    until(&slot, None).await;
    let read = granted(slot.register(&key("a"), Request::Read).await);
    assert_eq!((read.accepted, read.folders), (vote(1, 11), vec![11]));
    slot.close().await;
    assert_eq!(descriptors_below(bed.dir.path()), 0);
}

// `drive.reopened-from-media`
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_sync_failed_is_not_opened_over_its_page_cache() {
    let bed = Bed::new();
    let slot = bed.slot().await;
    bed.faults().fail = Some(("index", std::io::ErrorKind::TimedOut));
    let vote = accept(2, object(1, 1, Drives::NONE), Vote::absent());
    slot.register(&key("b"), vote).await.expect_err("the index fails");
    bed.faults().fail = None;
    until(&slot, Some("now: a write or a sync has failed")).await;
    sleep(2500).await;
    assert!(slot.status().await.state.reason().is_some());
    bed.faults().mounts += 1;
    until(&slot, None).await;
    slot.close().await;
}

// `drive.releases`
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_drive_holds_no_descriptors_whoever_has_readers_and_writers() {
    let bed = Bed::new();
    let slot = bed.slot().await;
    let mut writer = slot.stage_file(staging(&key("a"), 11)).await.expect("begins");
    writer.write(Bytes::from(vec![1; 2 << 20])).await.expect("writes");
    writer.sync().await.expect("syncs");
    writer.finish(&key("a"), prepare(1)).await.expect("is staged");
    let reader = slot.open_shard(11, 1).await.expect("opens");
    let mut writer = slot.stage_file(staging(&key("b"), 12)).await.expect("begins");
    fs::rename(bed.path(), bed.dir.path().join("away")).expect("renames");
    until(&slot, Some("cannot find ")).await;
    let released = || descriptors_below(bed.dir.path()) == 0;
    eventually("no descriptors", released).await;
    assert!(matches!(reader.read(0, 10).await, Err(DriveError::Offline(_))));
    assert!(writer.write(Bytes::from(vec![1; 2 << 20])).await.is_err());
    // The writer cannot clean up without a descriptor, which is no fault of the drive.
    drop((reader, writer));
    fs::rename(bed.dir.path().join("away"), bed.path()).expect("renames");
    until(&slot, None).await;
    slot.close().await;
}
