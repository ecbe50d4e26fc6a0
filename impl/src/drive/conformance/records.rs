//! Records for the tests of drives.

use model::{
    protocol::{Ballot, Drives, Folder},
    record::{Content, Object, ObjectData, Part, PartData, Record, Upload, Version, VersionKind},
};
use std::collections::BTreeMap;

/// The ballot of a round.
pub(crate) fn ballot(round: u64) -> Ballot {
    let (epoch, node, boot) = (0, 1, 99);
    Ballot {
        epoch,
        round,
        node,
        boot,
    }
}

pub(crate) fn part_data(number: u16, folder: Folder, holders: Drives) -> PartData {
    PartData {
        number,
        folder,
        size: 4096,
        etag: "0cc175b9c0f1b6a831c399e269772661".into(),
        holders,
        checksums: Vec::new(),
    }
}

/// An object of one part in `folder`, as a plain put writes it.
pub(crate) fn object(name: u128, folder: Folder, holders: Drives) -> Record {
    object_of(name, vec![part_data(1, folder, holders)], Vec::new())
}

/// An object of these parts, with these uploads open.
pub(crate) fn object_of(name: u128, parts: Vec<PartData>, uploads: Vec<Upload>) -> Record {
    let data = ObjectData {
        etag: "0cc175b9c0f1b6a831c399e269772661".into(),
        size: 4096,
        data_shards: 2,
        parity_shards: 2,
        parts,
        headers: BTreeMap::from([("content-type".into(), "text/plain".into())]),
        checksums: Vec::new(),
    };
    let version = Version {
        id: 0,
        change: name,
        time_nanos: 1_700_000_000_000_000_000,
        kind: VersionKind::Data(data.into()),
    };
    let versions = vec![version];
    Record::new(name, Content::Object(Object { versions, uploads }))
}

pub(crate) fn upload(id: u128) -> Upload {
    Upload {
        id,
        started_nanos: 5,
        data_shards: 2,
        parity_shards: 2,
        headers: BTreeMap::new(),
        checksum: None,
    }
}

pub(crate) fn part(name: u128, number: u16, folder: Folder, holders: Drives) -> Record {
    let part = Part {
        data_shards: 2,
        parity_shards: 2,
        time_nanos: 9,
        data: part_data(number, folder, holders),
    };
    Record::new(name, Content::Part(part))
}
