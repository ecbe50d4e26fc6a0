#![allow(
    clippy::disallowed_methods,
    reason = "tests look at a drive's files from outside, and wait for it"
)]

mod faults;
mod faulty;
mod shards;
mod slots;
mod space;

use super::*;
use crate::drive::{
    conformance::{
        Place, accept, bytes, conforms, finalize, granted, key, prepare, put, refused, round, shard, stage, staging,
        vote,
    },
    fixture::{ballot, object},
    format::{Slot, open_all},
};
use async_trait::async_trait;
use faulty::Faults;
use futures::future::join_all;
use model::protocol::{Drives, Value, Vote};
use std::{path::PathBuf, sync::MutexGuard, time::Duration};

/// Fixture of a drive in a temporary folder.
struct Bed {
    dir: tempfile::TempDir,
    rt: Rt,
    faults: faulty::Shared,
    policy: IndexPolicy,
}

impl Bed {
    fn new() -> Bed {
        let (rt, faults) = faulty::runtime();
        let dir = tempfile::tempdir().expect("temp folder");
        let policy = IndexPolicy::default();
        Bed {
            dir,
            rt,
            faults,
            policy,
        }
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
            Some(Slot::Ready(slot)) => LocalDrive::open(&self.rt, slot, self.policy.clone()).await,
            other => panic!("{other:?}"),
        }
    }

    async fn open(&self) -> Arc<LocalDrive> {
        self.try_open().await.expect("opens")
    }

    /// Closes the drive and opens it again.
    async fn reopen(&self, drive: Arc<LocalDrive>) -> Arc<LocalDrive> {
        drive.close().await;
        self.open().await
    }
}

#[async_trait]
impl Place for Bed {
    async fn open(&self) -> Arc<dyn Drive> {
        Bed::open(self).await
    }
}

conforms!(Bed::new);

/// Checks that a conformance test fails with this mutant of the drive.
#[cfg(feature = "mutants")]
macro_rules! notices {
    ($mutant:ident: $($name:ident),+) => {$(
        let bed = Bed::new();
        bed.faults().mutation = Some(crate::runtime::Mutant::$mutant.into());
        let test = tokio::spawn(async move { crate::drive::conformance::$name(&bed).await });
        assert!(test.await.is_err(), "{} is not noticed by {}", stringify!($mutant), stringify!($name));
    )+};
}

// No simulation of one node can notice these: there is no heal yet, and every caller awaits its answers.
#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread")]
async fn conformance_notices_mutants() {
    notices!(CallsReversed: calls_are_applied_in_the_order_in_which_they_were_made);
    notices!(InstallsUnstaged: only_what_is_staged_is_installed);
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Waits until `done`, with a timeout that suffices for a slow machine.
async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        sleep(20).await;
    }
    panic!("never: {what}");
}

// `drive.promise-holds`
#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_before_a_restart_is_refused_after_it() {
    let bed = Bed::new();
    let drive = bed.open().await;
    granted(drive.register(&key("a"), prepare(5)).await);
    drop(drive);
    // Dropping the drive closes it too.
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
    // A message sees the commit at once, a plain read once it is durable.
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
    // A key without a promise of its own loses only a round by the higher floor.
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
                .map(|(key, folder)| put(&*drive, key, 100 + chunk, *folder, Vote::absent())),
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
