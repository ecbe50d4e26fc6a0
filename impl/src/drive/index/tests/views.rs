//! Tests of views: snapshots of the memtable and of the checkpoint below it.

use super::*;
use std::collections::BTreeMap;

const KEYS: u64 = 150;

/// Round of the vote by key, for keys that have a register.
type Rounds = BTreeMap<u64, u64>;

/// Checks that a view has exactly these registers, folders and shards.
fn check(view: &View, expected: &Rounds) {
    for n in 0..KEYS {
        let round = expected.get(&n).copied();
        let found = view.register(&key(n)).expect("reads").accepted.ballot.round;
        assert_eq!(found, round.unwrap_or(0), "key {n}");
        let held = view.held(&key(n)).expect("reads");
        assert_eq!(held.len(), usize::from(round.is_some()), "key {n}");
        let shard = view.shard(u128::from(n) + 1, 1).expect("reads");
        assert_eq!(shard.is_some(), round.is_some(), "key {n}");
    }
    // Page ends fall on rows of the memtable and of the checkpoint.
    for (bucket, limit) in [(0, 1), (1, 7), (2, usize::MAX)] {
        let prefix = RegisterKey::objects_prefix(bucket, "");
        let (mut names, mut from) = (Vec::new(), ListFrom::Start);
        loop {
            let (page, complete) = view.list(&prefix, &from, limit).expect("lists");
            names.extend(page.iter().map(|(key, _)| key.to_vec()));
            if complete {
                break;
            }
            from = ListFrom::After(page.last_key().expect("a page with rows").to_vec());
        }
        let of_bucket = expected.keys().filter(|n| u128::from(*n % 3) == bucket);
        let mut all: Vec<_> = of_bucket.map(|n| key(*n).as_bytes().to_vec()).collect();
        all.sort_unstable();
        assert_eq!(names, all, "bucket {bucket}");
    }
}

// `drive.view-is-a-commit`
#[test]
fn a_view_has_all_of_its_commit_and_nothing_of_later_ones() {
    let (_dir, path) = scratch();
    let mut index = open(&path).expect("opens");
    let mut random = xorshift(2_463_534_242);
    let mut now = Rounds::new();
    let mut views: Vec<(Arc<View>, Rounds)> = Vec::new();
    let (mut kept_over_checkpoint, mut kept_over_commit) = (false, false);
    for round in 6..400 {
        // Changes between one key and nearly all, which is more than a cursor takes at once.
        let share = 1 << (random() % 8);
        let (removed, changed): (Vec<_>, Vec<_>) = (0..KEYS)
            .filter(|_| random() % 128 < share)
            .partition(|n| (n + round) % 3 == 0);
        let changes = merge([
            merge(changed.iter().map(|n| put(*n, round))),
            remove(removed.iter().copied()),
        ]);
        let durable = match random() % 8 {
            0 => Durable::Checkpoint,
            _ => Durable::Logged,
        };
        index.commit(&changes, durable).expect("commits");
        now.extend(changed.into_iter().map(|n| (n, round)));
        now.retain(|n, _| !removed.contains(n));
        kept_over_checkpoint |= !views.is_empty() && durable == Durable::Checkpoint;
        kept_over_commit |= !views.is_empty() && durable == Durable::Logged;
        check(&index.view().expect("a view"), &now);
        match random() % 16 {
            0..4 => views.push((index.view().expect("a view"), now.clone())),
            4..6 => views.iter().for_each(|(view, expected)| check(view, expected)),
            6 => views.clear(),
            7 => {
                views.clear();
                index.close().expect("closes");
                index = open(&path).expect("opens");
                check(&index.view().expect("a view"), &now);
            }
            _ => {}
        }
    }
    assert!(kept_over_checkpoint && kept_over_commit);
}

#[test]
fn orphaned_folders_are_found_page_by_page() {
    let (_dir, path) = scratch();
    let index = open(&path).expect("opens");
    let orphan = |n: u64| RowChange {
        folder: 1000 + u128::from(n),
        ..put(n, 5).rows.remove(0)
    };
    let rows = vec![orphan(2), orphan(7), orphan(9)];
    let orphans = Changes {
        rows,
        ..Changes::default()
    };
    let all = merge((0..10).map(|n| put(n, 5)).chain([orphans]));
    // Some rows are in redb and some in the memtable.
    index.commit(&all, Durable::Checkpoint).expect("commits");
    index.commit(&put(10, 5), Durable::Logged).expect("commits");
    let view = index.view().expect("a view");
    for limit in [1, 3, 14, 100] {
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = view.unnamed(after.as_ref(), limit).expect("reads");
            pages += 1;
            found.extend(page.found.iter().map(|orphan| orphan.folder));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, [1002, 1007, 1009]);
        // Of 14 folders; a page that ends with the last one is followed by an empty one.
        assert_eq!(pages, 14 / limit + 1, "limit {limit}");
    }
}
