//! Checks the operations of the server on an object's history, for any base that may be chosen.

use model::{
    protocol::{Ballot, Brief, Chained, Decision, Drives, Operation, Register, Value, Vote, mutant::Mutation},
    record::{
        Change, EtagMatch, Object, ObjectData, Op, PartData, Precondition, Record, Refusal, Upload, Version,
        VersionKind, Versioning,
    },
};
use std::collections::BTreeMap;

fn op(change: u128, now_nanos: u64, kind: Change) -> Op {
    Op::new(change, now_nanos, kind)
}

fn data(etag: &str, folder: u128) -> ObjectData {
    let part = PartData {
        number: 1,
        folder,
        size: 5,
        etag: etag.to_owned(),
        holders: Drives::NONE,
        checksums: Vec::new(),
    };
    ObjectData {
        etag: etag.to_owned(),
        size: 5,
        data_shards: 2,
        parity_shards: 2,
        parts: vec![part],
        ..ObjectData::default()
    }
}

fn put(change: u128, now_nanos: u64, precondition: Precondition) -> Op {
    let data = data(&format!("etag-{change}"), change);
    let versioning = Versioning::Unversioned;
    op(
        change,
        now_nanos,
        Change::Put {
            data,
            precondition,
            versioning,
        },
    )
}

fn upload(id: u128) -> Upload {
    Upload {
        id,
        started_nanos: 1,
        data_shards: 2,
        parity_shards: 2,
        headers: BTreeMap::new(),
        checksum: None,
    }
}

fn complete(change: u128, upload: u128) -> Op {
    let (data, precondition) = (data("whole", 77), Precondition::default());
    op(
        change,
        50,
        Change::CompleteUpload {
            upload,
            data,
            precondition,
            versioning: Versioning::Unversioned,
        },
    )
}

fn delete(change: u128) -> Op {
    let (precondition, versioning) = (Precondition::default(), Versioning::Unversioned);
    op(
        change,
        5,
        Change::Delete {
            precondition,
            versioning,
        },
    )
}

/// Returns the value that `op` makes of `base`.
#[track_caller]
fn write(base: &Record, op: &Op) -> Record {
    match op.decide(base, Drives::all(3)) {
        Decision::Write(value) => {
            assert_eq!(value.name(), op.change, "a value is named by its change");
            assert!(op.is_in(&value), "an operation finds itself in its value");
            value
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(base: &Record, op: &Op) -> Refusal {
    match op.decide(base, Drives::all(3)) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn object(record: &Record) -> &Object {
    record.object().expect("an object")
}

// `version.order-is-chain`
#[test]
fn a_clock_that_steps_back_does_not_reorder_versions() {
    let first = write(&Record::absent(), &put(1, 1_000, Precondition::default()));
    let second = write(&first, &put(2, 10, Precondition::default()));
    let latest = object(&second).latest().expect("a version");
    assert_eq!((latest.change, latest.time_nanos), (2, 1_001));
}

#[test]
fn an_overwrite_replaces_the_null_version_only() {
    let named = Version {
        id: 9,
        change: 8,
        time_nanos: 5,
        kind: VersionKind::DeleteMarker,
    };
    let base = Record::new(
        8,
        model::record::Content::Object(Object {
            versions: vec![named.clone()],
            uploads: vec![],
        }),
    );
    let base = write(&base, &put(1, 10, Precondition::default()));
    let over = write(&base, &put(2, 20, Precondition::default()));
    let versions = &object(&over).versions;
    assert_eq!(versions.iter().map(|v| v.change).collect::<Vec<_>>(), [8, 2]);
    assert_eq!(
        over.folders()
            .iter()
            .map(|need| (need.folder, need.holders))
            .collect::<Vec<_>>(),
        [(2, Drives::all(3))]
    );
}

// `put.precondition-on-predecessor`
#[test]
fn conditions_are_those_of_s3() {
    let any = |any: bool| any.then_some(EtagMatch::Any);
    let one = |etag: &str| Some(EtagMatch::OneOf(vec!["other".into(), etag.to_owned()]));
    let when = |if_match, if_none_match| {
        put(
            2,
            5,
            Precondition {
                if_match,
                if_none_match,
            },
        )
    };
    let absent = Record::absent();
    let there = write(&absent, &put(1, 1, Precondition::default()));
    assert_eq!(refused(&there, &when(None, any(true))), Refusal::PreconditionFailed);
    assert_eq!(refused(&there, &when(one("etag-3"), None)), Refusal::PreconditionFailed);
    assert_eq!(refused(&there, &when(None, one("etag-1"))), Refusal::PreconditionFailed);
    assert_eq!(refused(&absent, &when(one("etag-1"), None)), Refusal::NoSuchKey);
    assert_eq!(refused(&absent, &when(any(true), None)), Refusal::NoSuchKey);
    for (base, allowed) in [
        (&there, when(one("etag-1"), None)),
        (&there, when(any(true), None)),
        (&there, when(None, one("etag-3"))),
        (&absent, when(None, any(true))),
    ] {
        write(base, &allowed);
    }
}

#[test]
fn a_delete_leaves_a_tombstone_and_an_absent_key_as_it_is() {
    let delete = delete(3);
    let there = write(&Record::absent(), &put(1, 1, Precondition::default()));
    let gone = write(&there, &delete);
    assert!(gone.is_absent() && gone.folders().is_empty());
    assert_eq!(delete.decide(&gone, Drives::NONE), Decision::Keep);
    assert!(delete.is_in(&gone) && !delete.is_in(&there));
}

// `multipart.once`
#[test]
fn an_upload_ends_once() {
    let open = op(1, 1, Change::OpenUpload(upload(5)));
    let open = write(&write(&Record::absent(), &put(9, 1, Precondition::default())), &open);
    let abort = |change| op(change, 60, Change::AbortUpload(5));
    for (first, second) in [
        (complete(2, 5), complete(3, 5)),
        (complete(2, 5), abort(3)),
        (abort(2), complete(3, 5)),
        (abort(2), abort(3)),
    ] {
        let ended = write(&open, &first);
        assert!(object(&ended).upload(5).is_none());
        assert_eq!(
            refused(&ended, &second),
            Refusal::NoSuchUpload,
            "{first:?} then {second:?}"
        );
    }
    // A committed part stays, and an abort touches no version.
    let committed = write(&open, &complete(2, 5));
    assert_eq!(
        committed.folders().iter().map(|need| need.folder).collect::<Vec<_>>(),
        [77]
    );
    assert_eq!(
        write(&open, &abort(2))
            .folders()
            .iter()
            .map(|need| need.folder)
            .collect::<Vec<_>>(),
        [9]
    );
}

#[test]
fn an_upload_outlives_puts_and_deletes_of_its_key() {
    let open = write(&Record::absent(), &op(1, 1, Change::OpenUpload(upload(5))));
    assert!(object(&open).latest().is_none(), "an open upload shows no object");
    let over = write(&open, &put(2, 2, Precondition::default()));
    let gone = write(&over, &delete(3));
    assert!(object(&gone).upload(5).is_some() && !gone.is_absent());
}

#[test]
fn an_operation_finds_itself_under_a_later_one() {
    let opened = op(1, 1, Change::OpenUpload(upload(5)));
    let first = put(2, 2, Precondition::default());
    let base = write(&write(&Record::absent(), &opened), &first);
    let later = write(&base, &op(3, 3, Change::OpenUpload(upload(6))));
    assert!(first.is_in(&later), "its version is still there");
    assert!(!put(4, 4, Precondition::default()).is_in(&later));
    assert!(opened.is_in(&later), "its upload is still open");
}

/// Returns a key's successive records under a sequence of writes.
fn history(kinds: Vec<Change>) -> Vec<Record> {
    let mut records = vec![Record::absent()];
    for (kind, number) in kinds.into_iter().zip(1..) {
        let op = op(number, 10 * number as u64, kind);
        if let Decision::Write(next) = op.decide(&records[records.len() - 1], Drives::all(4)) {
            records.push(next);
        }
    }
    records
}

// `accept.on-known-base`
#[test]
fn a_change_makes_the_same_record_of_its_base_and_nothing_of_another() {
    let number = std::cell::Cell::new(0u128);
    let put = |versioning| {
        number.set(number.get() + 1);
        let (data, precondition) = (data("any", number.get()), Precondition::default());
        Change::Put {
            data,
            precondition,
            versioning,
        }
    };
    let enabled = |version| Versioning::Enabled { version };
    let records = history(vec![
        put(Versioning::Unversioned),
        put(Versioning::Unversioned),
        put(enabled(7)),
        Change::OpenUpload(upload(4)),
        put(enabled(8)),
        put(Versioning::Suspended),
        Change::OpenUpload(upload(5)),
        complete(0, 4).kind,
        Change::AbortUpload(5),
        put(enabled(9)),
        delete(0).kind,
    ]);
    assert!(records.len() > 9, "{}", records.len());
    let vote = |round: usize| Vote {
        ballot: Ballot {
            round: round as u64,
            ..Ballot::ZERO
        },
        value: records[round].clone(),
    };
    for (at, base) in records.iter().enumerate() {
        for next in at..records.len() {
            let brief = Brief::of(&vote(next), &vote(at));
            for held in 0..records.len() {
                let register = Register::committed(vote(held));
                let made = brief.on(&register, Mutation::NONE);
                assert_eq!(made.is_some(), held == at);
                let Some((voted, prev)) = made else { continue };
                assert_eq!(
                    (voted.ballot, voted.value.content()),
                    (vote(next).ballot, records[next].content())
                );
                assert_eq!((prev.ballot, prev.value.content()), (vote(at).ballot, base.content()));
            }
        }
    }
    // A put adds no more to a long history than to a short one.
    let long = history((1..500).map(|version| put(enabled(version))).collect());
    let size = |at: usize| format!("{:?}", long[at].change_of(&long[at - 1])).len();
    assert!(size(499) < 2 * size(2));
}
