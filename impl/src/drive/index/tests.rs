#![allow(clippy::disallowed_methods, reason = "tests damage the file from outside")]

mod crashes;
mod log;
mod views;

use super::*;
use crate::{
    drive::{
        ListFrom,
        fixture::{open_file, vote},
    },
    runtime::{File, OpenMode},
};
use std::path::{Path, PathBuf};

/// Makes a new index, on tmpfs if there is one, as these tests sync thousands of times.
fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("temp folder");
    let path = dir.path().join("index");
    create_log(&*open_file(&log_of(&path), OpenMode::CreateNew), OWNER).expect("creates");
    Index::create(open_file(&path, OpenMode::CreateNew)).expect("creates");
    (dir, path)
}

/// Opens the index at a path, with its log.
fn open(path: &Path) -> Result<Index, IndexError> {
    open_on(open_file(path, OpenMode::Write), path, Mutation::NONE)
}

fn open_on(file: Arc<dyn File>, path: &Path, mutation: Mutation) -> Result<Index, IndexError> {
    open_with(file, open_file(&log_of(path), OpenMode::Write), mutation)
}

fn open_with(file: Arc<dyn File>, log: Arc<dyn File>, mutation: Mutation) -> Result<Index, IndexError> {
    let log = LogConfig {
        file: log,
        owner: OWNER,
        limits: LogLimits {
            bytes: 1 << 20,
            rows: LOG_ROWS,
            bytes_max: 1 << 20,
            rows_max: LOG_ROWS,
        },
        random: Box::new(random),
    };
    Index::open(file, || Ok(log), Arc::new(|| false), mutation)
}

const OWNER: u128 = 11;
const LOG_ROWS: usize = 1000;

fn log_of(path: &Path) -> PathBuf {
    path.with_added_extension("log")
}

/// Copies an index and its log: the state after a crash in which all writes became durable.
fn crash(path: &Path, to: &Path) {
    std::fs::copy(path, to).expect("copies");
    std::fs::copy(log_of(path), log_of(to)).expect("copies");
}

fn random() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(1);
    LAST.fetch_add(1, Ordering::Relaxed)
}

fn key(n: u64) -> RegisterKey {
    RegisterKey::object(u128::from(n % 3), &format!("key-{:05}", n * 7919 % 100_000))
}

fn register(n: u64, round: u64) -> Register<Record> {
    Register {
        committed: n.is_multiple_of(2),
        ..Register::open(
            vote(round, u128::from(n) + 1),
            vote(round - 1, u128::from(n) + 1_000_000),
        )
    }
}

/// Returns the changes of a put: a small shard and its register.
fn put(n: u64, round: u64) -> Changes {
    let owner = key(n);
    let (upload, part, file) = (0, 1, false);
    let row = RowChange {
        owner: owner.clone(),
        folder: u128::from(n) + 1,
        held: Held { upload, part, file },
        change: Hold::Small(Bytes::from(vec![n as u8; 600])),
    };
    Changes {
        drive: None,
        registers: vec![(owner, Some(register(n, round)))],
        rows: vec![row],
    }
}

/// Returns changes that remove what [`put`] made of these keys.
fn remove(keys: impl IntoIterator<Item = u64>) -> Changes {
    merge(keys.into_iter().map(|n| {
        let Changes {
            registers, mut rows, ..
        } = put(n, 5);
        rows.iter_mut().for_each(|row| row.change = Hold::Removed);
        let registers = registers.into_iter().map(|(key, _)| (key, None)).collect();
        Changes {
            drive: None,
            registers,
            rows,
        }
    }))
}

fn merge(all: impl IntoIterator<Item = Changes>) -> Changes {
    all.into_iter().fold(Changes::default(), |mut sum, changes| {
        sum.drive = changes.drive.or(sum.drive);
        sum.registers.extend(changes.registers);
        sum.rows.extend(changes.rows);
        sum
    })
}

fn fill(index: &Index, keys: u64) {
    for first in (0..keys).step_by(100) {
        index
            .commit(&merge((first..first + 100).map(|n| put(n, 5))), Durable::Logged)
            .expect("commits");
    }
}

/// Reads the keys `0..keys` and returns their number. Panics if one is wrong or missing.
fn read_all(index: &Index, keys: u64) -> Result<u64, IndexError> {
    for n in 0..keys {
        let view = index.view()?;
        let expected = register(n, 5);
        let found = view.register(&key(n))?;
        assert_eq!(found.accepted, expected.accepted, "key {n}: wrong or lost");
        assert_eq!(found.committed, expected.committed, "key {n}");
        let held = view.held(&key(n))?;
        assert!(held.contains_key(&(u128::from(n) + 1)), "key {n}: lost folder");
        let shard = view.shard(u128::from(n) + 1, 1)?;
        assert_eq!(shard, Some(Shard::Small(Bytes::from(vec![n as u8; 600]))), "key {n}");
    }
    Ok(keys)
}

#[test]
fn changes_are_there_after_a_restart() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 300);
    let removed = Changes {
        drive: Some((3, 1 << 20)),
        registers: vec![(key(7), None)],
        rows: vec![RowChange {
            change: Hold::Removed,
            ..put(7, 5).rows.remove(0)
        }],
    };
    index.commit(&removed, Durable::Logged).expect("commits");
    index.close().expect("closes");
    assert!(matches!(index.view(), Err(IndexError::Closed)));

    let index = open(&path).expect("opens");
    assert_eq!(index.drive_state().expect("reads"), (3, 1 << 20));
    let view = index.view().expect("view");
    assert_eq!(view.register(&key(7)).expect("reads"), Register::absent());
    assert!(view.held(&key(7)).expect("reads").is_empty());
    assert!(view.shard(8, 1).expect("reads").is_none() && view.shard(9, 1).expect("reads").is_some());
    assert_eq!(view.shard(8, 1).expect("reads"), None);
    assert_eq!(view.register(&key(8)).expect("reads").accepted, register(8, 5).accepted);
}

#[test]
fn folders_of_a_part_are_those_of_its_number_and_an_owner_has_all() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    let owner = RegisterKey::object(1, "a");
    let held = |upload, part, folder: Folder| RowChange {
        owner: owner.clone(),
        folder,
        held: Held {
            upload,
            part,
            file: true,
        },
        change: Hold::File,
    };
    let longer = RowChange {
        owner: RegisterKey::object(1, "a\0"),
        ..held(0, 1, 99)
    };
    let rows = vec![
        held(0, 1, 10),
        held(5, 1, 11),
        held(5, 2, 12),
        held(5, 1, 13),
        held(6, 1, 14),
        longer,
    ];
    let changes = Changes {
        rows,
        ..Changes::default()
    };
    index.commit(&changes, Durable::Logged).expect("commits");
    let view = index.view().expect("view");
    let folders = |key: &RegisterKey| view.held(key).expect("reads").into_keys().collect::<Vec<_>>();
    assert_eq!(folders(&owner), [10, 11, 12, 13, 14]);
    assert_eq!(folders(&RegisterKey::part(1, 5, 1, "a")), [11, 13]);
    assert_eq!(folders(&RegisterKey::part(1, 5, 2, "a")), [12]);
    assert_eq!(folders(&RegisterKey::part(1, 7, 1, "a")), [] as [Folder; 0]);
    assert_eq!(folders(&RegisterKey::bucket("a")), [] as [Folder; 0]);
    assert_eq!(view.shard(12, 2).expect("reads"), Some(Shard::File));
}

#[test]
fn listings_stay_below_their_prefix_and_say_where_they_end() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    let keys: Vec<_> = ["a", "a/1", "a/2", "a/3", "b"]
        .map(|key| RegisterKey::object(1, key))
        .into();
    let registers = keys.iter().map(|key| (key.clone(), Some(register(0, 5))));
    let changes = Changes {
        registers: registers
            .chain([(RegisterKey::object(2, "a/9"), Some(register(0, 5)))])
            .collect(),
        ..Changes::default()
    };
    index.commit(&changes, Durable::Logged).expect("commits");
    let view = index.view().expect("view");
    let list = |prefix: &str, from, limit| {
        let (listed, complete) = view
            .list(&RegisterKey::objects_prefix(1, prefix), &from, limit)
            .expect("lists");
        let keys = listed.iter().map(|(key, _)| RegisterKey::from_bytes(key.to_vec()));
        let names = keys.filter_map(|key| key.object_key().map(str::to_owned));
        (names.collect::<Vec<_>>().join(" "), complete)
    };
    let bytes = |n: usize| keys[n].as_bytes().to_vec();
    let expect = |found: (String, bool), names: &str, complete: bool| assert_eq!(found, (names.to_owned(), complete));
    expect(list("a/", ListFrom::Start, 9), "a/1 a/2 a/3", true);
    expect(list("a/", ListFrom::Start, 2), "a/1 a/2", false);
    expect(list("a/", ListFrom::Start, 3), "a/1 a/2 a/3", true);
    expect(list("a/", ListFrom::At(bytes(2)), 9), "a/2 a/3", true);
    expect(list("a/", ListFrom::After(bytes(2)), 9), "a/3", true);
    expect(list("a/", ListFrom::After(bytes(4)), 9), "", true);
    expect(list("a/", ListFrom::After(bytes(0)), 1), "a/1", false);
    expect(list("", ListFrom::Start, 9), "a a/1 a/2 a/3 b", true);
    expect(list("c", ListFrom::Start, 9), "", true);
}

#[test]
fn an_index_of_a_newer_version_is_refused_by_number() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    let transaction = index.begin_write(false).expect("begins");
    transaction
        .open_table(META)
        .expect("meta")
        .insert("version", 3)
        .expect("inserts");
    transaction.commit().expect("commits");
    index.close().expect("closes");
    assert!(matches!(open(&path), Err(IndexError::Version(3))));
}

/// Flips one bit at a time in a copy of the file; returns how often all keys were read, and how often there was an
/// error. Panics on any other result.
fn sweep(path: &Path, keys: u64, flips: u64, mut at: impl FnMut(u64, usize) -> usize) -> (u64, u64) {
    let base = std::fs::read(path).expect("reads");
    let damaged = path.with_extension("damaged");
    let (mut right, mut errors) = (0, 0);
    for n in 0..flips {
        let mut bytes = base.clone();
        let at = at(n, bytes.len());
        bytes[at] ^= 1 << (n % 8);
        std::fs::write(&damaged, &bytes).expect("writes");
        std::fs::copy(log_of(path), log_of(&damaged)).expect("copies");
        match open(&damaged).and_then(|index| read_all(&index, keys)) {
            Ok(_) => right += 1,
            Err(IndexError::Panic(panic)) => panic!("flipped byte {at}: a panic inside redb: {panic}"),
            Err(_) => errors += 1,
        }
    }
    (right, errors)
}

fn xorshift(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

// `drive.index-verified`
#[test]
fn no_flipped_bit_gives_a_wrong_value_or_loses_a_key() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 600);
    index.close().expect("closes");
    drop(index);
    let mut random = xorshift(88_172_645_463_325_252);
    let (right, errors) = sweep(&path, 600, 400, |_, len| random() as usize % len);
    assert!(right > 0 && errors > 100, "{right} right, {errors} errors");
    // Any bit of one copy of the header may flip.
    let (right, errors) = sweep(&path, 600, 200, |n, _| (n % 4 * 4096 + random() % 512) as usize);
    assert_eq!((right, errors), (200, 0));
}

// Not closed, as after a power loss.
#[test]
fn no_flipped_bit_of_an_index_at_rest_matters_after_a_crash() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 600);
    index.commit(&Changes::default(), Durable::Rest).expect("commits");
    let copy = path.with_extension("crashed");
    crash(&path, &copy);
    let mut random = xorshift(7);
    let (right, errors) = sweep(&copy, 600, 100, |_, len| random() as usize % len);
    assert!(right > 0 && errors > 20, "{right} right, {errors} errors");
}

/// Returns a file after a crash: of each sector the bytes before or after.
fn torn(before: &[u8], after: &[u8], mut keeps: impl FnMut() -> bool) -> Vec<u8> {
    let mut crashed = before.to_vec();
    crashed.resize(after.len().max(before.len()), 0);
    for (sector, new) in crashed.chunks_mut(512).zip(after.chunks(512)) {
        if keeps() {
            sector[..new.len()].copy_from_slice(new);
        }
    }
    crashed
}

/// Returns the rounds of the votes of these keys.
fn rounds(index: &Index, keys: std::ops::Range<u64>) -> Vec<u64> {
    let view = index.view().expect("a view");
    keys.map(|n| view.register(&key(n)).expect("reads").accepted.ballot.round)
        .collect()
}

/// Recounts the live bytes of all rows.
fn counted(index: &Index) -> u64 {
    *lock(&index.live) = Live::default();
    while !index.count_rows().expect("counts") {}
    index.live_bytes()
}

// `drive.compaction-keeps-all`
#[test]
fn a_compaction_keeps_what_commits_change_meanwhile_and_views_stay_readable() {
    let (dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 3000);
    let before = index.view().expect("a view");
    let copy = open_file(&dir.path().join("copy"), OpenMode::CreateNew);
    let mut compaction = Compaction::begin(&index, copy, Arc::new(|| false), Mutation::NONE).expect("begins");
    let mut steps = 0;
    loop {
        steps += 1;
        if steps <= 10 {
            let again = (0..3000).filter(|n| n % 20 == steps).map(|n| put(n, 7));
            index.commit(&merge(again), Durable::Logged).expect("commits");
            index
                .commit(&remove((0..3000).filter(|n| n % 20 == steps + 10)), Durable::Logged)
                .expect("commits");
        }
        if compaction.step(&index).expect("copies") && steps > 10 {
            break;
        }
    }
    // Commits after the last step must be in the copy too.
    index.commit(&put(4000, 7), Durable::Logged).expect("commits");
    index
        .commit(
            &Changes {
                drive: Some((3, 4)),
                ..Changes::default()
            },
            Durable::Logged,
        )
        .expect("commits");
    compaction.finish(&index).expect("finishes");
    // A crash before the copy is renamed recovers the old index and the log.
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    index.adopt(compaction).expect("adopts");
    // Goes into the log, which then belongs to the copy.
    index.commit(&put(4001, 7), Durable::Logged).expect("commits");
    assert!(!index.close_retired(), "a view is read of the old file");
    assert_eq!(
        before.register(&key(11)).expect("reads").accepted,
        register(11, 5).accepted
    );
    drop(before);
    assert!(index.close_retired());
    let check = |index: &Index, last: u64| {
        assert_eq!(index.drive_state().expect("reads"), (3, 4));
        let view = index.view().expect("a view");
        for n in (0..3000).chain(4000..=last) {
            let removed = n < 3000 && n % 20 > 10;
            let held = view.held(&key(n)).expect("reads");
            if removed {
                assert_eq!(view.register(&key(n)).expect("reads"), Register::absent(), "key {n}");
                assert!(
                    held.is_empty() && view.shard(u128::from(n) + 1, 1).expect("reads").is_none(),
                    "key {n}"
                );
            } else {
                let round = if n >= 4000 || (1..=10).contains(&(n % 20)) {
                    7
                } else {
                    5
                };
                let found = view.register(&key(n)).expect("reads");
                assert_eq!(found.accepted, register(n, round).accepted, "key {n}");
                assert!(held.contains_key(&(u128::from(n) + 1)), "key {n}");
            }
        }
    };
    check(&index, 4001);
    check(&open(&crashed).expect("opens"), 4000);
    assert_eq!(index.live_bytes(), counted(&index));
    index.commit(&Changes::default(), Durable::Checkpoint).expect("commits");
    assert_eq!(index.live_bytes(), counted(&index));
    for crashed in [true, false] {
        if !crashed {
            index.close().expect("closes");
        }
        let opened = dir.path().join(format!("opened-{crashed}"));
        std::fs::copy(dir.path().join("copy"), &opened).expect("copies");
        std::fs::copy(log_of(&path), log_of(&opened)).expect("copies");
        check(&open(&opened).expect("opens"), 4001);
    }
}

#[test]
fn the_bytes_of_all_rows_are_known_after_a_rest_or_counted() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    fill(&index, 1000);
    index.commit(&remove(0..300), Durable::Rest).expect("commits");
    let live = index.live_bytes();
    drop(index);
    let index = open(&path).expect("opens");
    assert_eq!((index.live_bytes(), index.count_rows().ok()), (live, Some(true)));
    index.commit(&put(1, 5), Durable::Logged).expect("commits");
    let crashed = path.with_extension("crashed");
    crash(&path, &crashed);
    let after_a_crash = open(&crashed).expect("opens");
    index.commit(&put(1, 5), Durable::Checkpoint).expect("commits");
    let live = index.live_bytes();
    assert_eq!(
        (after_a_crash.live_bytes(), after_a_crash.count_rows().ok()),
        (live, Some(true)),
        "those of the last checkpoint and of the log"
    );
    drop(index);
    let index = open(&path).expect("opens");
    assert_eq!((index.live_bytes(), index.count_rows().ok()), (0, Some(false)));
    assert_eq!(counted(&index), live);
}
