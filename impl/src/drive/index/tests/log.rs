//! Tests of the log: crashes, bitrot, ENOSPC.

use super::*;
use crate::drive::fixture::FullFile;
use std::sync::atomic::{AtomicBool, Ordering};

// `drive.log-replayed`
#[test]
fn a_torn_entry_of_the_log_is_there_or_is_not() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 200);
    let before = std::fs::read(log_of(&path)).expect("reads");
    let again = merge((0..100).map(|n| put(n, 9)));
    index.commit(&again, Durable::Logged).expect("commits");
    let after = std::fs::read(log_of(&path)).expect("reads");
    assert!(
        after.len() > before.len() && after.starts_with(&before),
        "behind the entries before it"
    );

    let mut random = xorshift(41);
    let crashed = path.with_extension("crashed");
    let mut seen = [0; 2];
    for round in 0..60 {
        std::fs::copy(&path, &crashed).expect("copies");
        let torn = torn(&before, &after, || round % 10 == 9 || random() % 60 < round);
        std::fs::write(log_of(&crashed), torn).expect("writes");
        // Checks that recovered rows are still there after one more crash, and after a clean close.
        for opening in 0..3 {
            let index = open(&crashed).expect("opens");
            let kept = rounds(&index, 0..100);
            assert!(kept == [5; 100] || kept == [9; 100], "{kept:?}");
            seen[usize::from(kept == [9; 100])] += 1;
            if opening == 1 {
                index.close().expect("closes");
                continue;
            }
            let twice = path.with_extension("twice");
            index.commit(&put(201, 5), Durable::Logged).expect("commits");
            crash(&crashed, &twice);
            let index = open(&twice).expect("opens");
            assert_eq!(rounds(&index, 0..100), kept);
            assert_eq!(rounds(&index, 201..202), [5]);
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

// `drive.log-verified`
#[test]
fn a_rotten_entry_of_the_log_is_noticed_unless_it_is_the_last() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 200);
    let end_of = |log: &[u8]| log.iter().rposition(|byte| *byte != 0).expect("entries") + 1;
    let last_at = end_of(&std::fs::read(log_of(&path)).expect("reads")).next_multiple_of(4096);
    let again = merge((0..100).map(|n| put(n, 9)));
    index.commit(&again, Durable::Logged).expect("commits");
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    let mut log = std::fs::read(log_of(&crashed)).expect("reads");
    log.truncate(end_of(&log));
    let mut random = xorshift(17);
    let mut noticed = 0;
    for n in 0..300 {
        let at = 4096 + random() as usize % (log.len() - 4096);
        let mut rotten = log.clone();
        rotten[at] ^= 1 << (n % 8);
        std::fs::copy(&path, &crashed).expect("copies");
        std::fs::write(log_of(&crashed), &rotten).expect("writes");
        match open(&crashed) {
            Ok(index) => {
                // Padding between two entries belongs to neither.
                let kept = rounds(&index, 0..100);
                assert!(
                    kept == [9; 100] || (kept == [5; 100] && at >= last_at),
                    "byte {at}: {kept:?}"
                );
            }
            Err(error) => {
                assert!(matches!(error, IndexError::LogEntry(entry) if entry <= at), "{error}");
                assert!(at < last_at, "byte {at}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 100, "{noticed}");
}

// `drive.log-replayed`
#[test]
fn entries_before_a_checkpoint_do_not_count() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    for round in [5, 6, 7] {
        let all = merge((0..50).map(|n| put(n, round)));
        index.commit(&all, Durable::Logged).expect("commits");
    }
    let all = merge((0..50).map(|n| put(n, 8)));
    index.commit(&all, Durable::Checkpoint).expect("commits");
    // As large as the first entry, so that the stale entries of rounds 6 and 7 follow right after it.
    let all = merge((50..100).map(|n| put(n, 5)));
    index.commit(&all, Durable::Logged).expect("commits");
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    let index = open(&crashed).expect("opens");
    assert_eq!(rounds(&index, 0..50), [8; 50]);
    assert_eq!(rounds(&index, 50..100), [5; 50]);
}

#[test]
fn a_full_log_is_emptied_by_a_checkpoint() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    for round in 0..18 {
        let all = merge((0..100).map(|n| put(n, round + 1)));
        index.commit(&all, Durable::Logged).expect("commits");
    }
    let rows = lock(&index.log).as_ref().expect("open").rows();
    assert!(rows > 0 && rows <= LOG_ROWS, "{rows}");
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    assert_eq!(rounds(&open(&crashed).expect("opens"), 0..100), [18; 100]);
}

// `drive.log-verified`
#[test]
fn an_index_opens_with_its_own_log_alone() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 100);
    drop(index);
    let own = std::fs::read(log_of(&path)).expect("reads");
    let mut of_another = own.clone();
    of_another[30] ^= 1;
    for foreign in [Vec::new(), vec![0; own.len()], of_another, own[4096..].to_vec()] {
        std::fs::write(log_of(&path), &foreign).expect("writes");
        assert!(matches!(open(&path), Err(IndexError::ForeignLog)));
    }
    let huge = open_file(&log_of(&path), OpenMode::Write);
    huge.set_len(1 << 40).expect("a sparse file");
    assert!(matches!(open(&path), Err(IndexError::ForeignLog)));
    std::fs::write(log_of(&path), &own).expect("writes");
    read_all(&open(&path).expect("opens"), 100).expect("reads");
}

// `drive.full-still-deletes`
#[test]
fn a_commit_that_the_log_has_no_room_for_is_a_checkpoint() {
    let (_dir, path) = scratch();
    let full = Arc::new(AtomicBool::new(false));
    let log = FullFile(open_file(&log_of(&path), OpenMode::Write), full.clone());
    let file = open_file(&path, OpenMode::Write);
    let index = open_with(file, Arc::new(log), Mutation::NONE).expect("opens");
    fill(&index, 100);
    full.store(true, Ordering::SeqCst);
    let all = merge((0..100).map(|n| put(n, 9)));
    index.commit(&all, Durable::Logged).expect("commits");
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    assert_eq!(rounds(&open(&crashed).expect("opens"), 0..100), [9; 100]);
}

// `drive.log-replayed`: an abandoned index keeps what was logged, and writes nothing else.
#[test]
fn an_index_that_is_given_up_writes_nothing_and_loses_nothing() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 100);
    index.commit(&Changes::default(), Durable::Checkpoint).expect("commits");
    let all = merge((0..100).map(|n| put(n, 9)));
    index.commit(&all, Durable::Logged).expect("commits");
    let before = std::fs::read(&path).expect("reads");
    index.abandon();
    assert!(index.commit(&all, Durable::Checkpoint).is_err());
    index.close().ok();
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    assert_eq!(rounds(&open(&path).expect("opens"), 0..100), [9; 100]);
}
