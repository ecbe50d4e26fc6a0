use super::*;

/// N, A, Q: by hand, not by formula.
const QUORUMS: [(u8, u8, u8); 16] = [
    (1, 1, 1),
    (2, 2, 1),
    (3, 2, 2),
    (4, 3, 2),
    (5, 3, 3),
    (6, 4, 3),
    (7, 4, 4),
    (8, 5, 4),
    (9, 5, 5),
    (10, 6, 5),
    (11, 6, 6),
    (12, 7, 6),
    (13, 7, 7),
    (14, 8, 7),
    (15, 8, 8),
    (16, 9, 8),
];

/// N, K, A, Q, W.
const REFERENCE: [(u8, u8, u8, u8, u8); 7] = [
    (1, 1, 1, 1, 1),
    (4, 2, 3, 2, 3),
    (4, 3, 3, 2, 3),
    (4, 4, 3, 2, 4),
    (16, 8, 9, 8, 9),
    (16, 12, 9, 8, 12),
    (16, 16, 9, 8, 16),
];

fn check(drives: u8, accept: u8, prepare: u8) {
    let expected = Quorums {
        drives,
        accept,
        prepare,
    };
    assert_eq!(Quorums::of(drives), expected);
    assert!(
        accept + prepare > drives,
        "every prepare meets every choice, {expected:?}"
    );
    assert!(2 * accept > drives, "two choices meet, {expected:?}");
    // Any two parities in one set: each version's W and K stand on the set's A and Q.
    for parity in 0..=drives / 2 {
        let data = drives - parity;
        let write = write_quorum(data, parity);
        assert_eq!(
            write,
            if 2 * parity == drives { data + 1 } else { data },
            "{data}+{parity}"
        );
        assert!(
            write >= accept,
            "who holds W shards is enough to accept, {data}+{parity}"
        );
        assert!(prepare <= data, "whoever can read can prepare, {data}+{parity}");
        assert!(write <= drives && write >= data, "{data}+{parity}");
        for other in 0..=drives / 2 {
            let other_data = drives - other;
            assert!(
                write_quorum(other_data, other) + write > drives,
                "{parity} and {other} of {drives}"
            );
        }
    }
}

#[test]
fn thresholds() {
    for (drives, accept, prepare) in QUORUMS {
        check(drives, accept, prepare);
    }
    for (drives, data, accept, prepare, write) in REFERENCE {
        let quorums = Quorums::of(drives);
        let found = (quorums.accept, quorums.prepare, write_quorum(data, drives - data));
        assert_eq!(found, (accept, prepare, write), "N = {drives}, K = {data}");
    }
}

#[test]
fn drives_are_a_set_of_indices() {
    assert_eq!(Drives::all(16).count(), 16);
    assert_eq!(Drives::all(0), Drives::NONE);
    let mut drives: Drives = [3, 0, 15].into_iter().collect();
    assert_eq!(drives.iter().collect::<Vec<_>>(), [0, 3, 15]);
    assert!(!drives.insert(3) && drives.insert(4));
    drives.remove(0);
    assert_eq!(drives.without(Drives::one(15)).bits(), 0b1_1000);
}
