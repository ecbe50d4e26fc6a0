//! Encoding of index rows and register names: any bytes are an error, or a value that survives a round trip.

use bolero::{TypeGenerator, check};
use model::{
    protocol::{Ballot, Drives, Register, Vote},
    record::{
        Bucket, Checksum, ChecksumKind, Content, Object, ObjectData, Part, PartData, Record, Upload, Version,
        VersionKind,
    },
};
use store::drive::{
    RegisterKey, RowError,
    fuzzing::{decode_batch, decode_held, decode_register, decode_shard, encode_register, held_key},
};

type Headers = Vec<(String, String)>;
/// ID, change, time, and data unless it is a delete marker.
type AnyVersion = (u128, u128, u64, Option<AnyData>);
/// ID, start, K and M, headers, checksum.
type AnyUpload = (u128, u64, (u8, u8), Headers, Option<(u8, bool)>);

#[derive(Clone, Debug, TypeGenerator)]
struct AnyPart {
    number: u16,
    folder: u128,
    size: u64,
    etag: String,
    holders: u16,
    checksums: Vec<(u8, bool, String)>,
}

#[derive(Clone, Debug, TypeGenerator)]
struct AnyData {
    etag: String,
    size: u64,
    shards: (u8, u8),
    parts: Vec<AnyPart>,
    headers: Headers,
    checksums: Vec<(u8, bool, String)>,
}

#[derive(Clone, Debug, TypeGenerator)]
enum AnyContent {
    Absent,
    Object {
        versions: Vec<AnyVersion>,
        uploads: Vec<AnyUpload>,
    },
    Part((u8, u8), u64, AnyPart),
    Bucket(u128, u64),
}

#[derive(Clone, Debug, TypeGenerator)]
struct AnyVote {
    ballot: (u64, u64, u32, u64),
    name: u128,
    content: AnyContent,
}

fn kind(kind: u8) -> ChecksumKind {
    use ChecksumKind::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    [Crc32, Crc32c, Crc64Nvme, Sha1, Sha256][usize::from(kind) % 5]
}

fn checksums(any: &[(u8, bool, String)]) -> Vec<Checksum> {
    let checksum = |(of, full_object, value): &(u8, bool, String)| Checksum {
        kind: kind(*of),
        full_object: *full_object,
        value: value.clone(),
    };
    any.iter().map(checksum).collect()
}

impl AnyPart {
    fn part(&self) -> PartData {
        PartData {
            number: self.number,
            folder: self.folder,
            size: self.size,
            etag: self.etag.clone(),
            holders: Drives::from_bits(self.holders),
            checksums: checksums(&self.checksums),
        }
    }
}

impl AnyData {
    fn data(&self) -> ObjectData {
        ObjectData {
            etag: self.etag.clone(),
            size: self.size,
            data_shards: self.shards.0,
            parity_shards: self.shards.1,
            parts: self.parts.iter().map(AnyPart::part).collect(),
            headers: self.headers.iter().cloned().collect(),
            checksums: checksums(&self.checksums),
        }
    }
}

impl AnyContent {
    fn content(&self) -> Content {
        match self {
            AnyContent::Absent => Content::Absent,
            AnyContent::Object { versions, uploads } => Content::Object(Object {
                versions: versions
                    .iter()
                    .map(|(id, change, time_nanos, data)| Version {
                        id: *id,
                        change: *change,
                        time_nanos: *time_nanos,
                        kind: match data {
                            Some(data) => VersionKind::Data(data.data().into()),
                            None => VersionKind::DeleteMarker,
                        },
                    })
                    .collect(),
                uploads: uploads
                    .iter()
                    .map(|(id, started_nanos, shards, headers, checksum)| Upload {
                        id: *id,
                        started_nanos: *started_nanos,
                        data_shards: shards.0,
                        parity_shards: shards.1,
                        headers: headers.iter().cloned().collect(),
                        checksum: checksum.map(|(of, full_object)| (kind(of), full_object)),
                    })
                    .collect(),
            }),
            AnyContent::Part(shards, time_nanos, part) => Content::Part(Part {
                data_shards: shards.0,
                parity_shards: shards.1,
                time_nanos: *time_nanos,
                data: part.part(),
            }),
            AnyContent::Bucket(incarnation, created_nanos) => Content::Bucket(Bucket {
                incarnation: *incarnation,
                created_nanos: *created_nanos,
            }),
        }
    }
}

impl AnyVote {
    fn vote(&self) -> Vote<Record> {
        let (epoch, round, node, boot) = self.ballot;
        Vote {
            ballot: Ballot {
                epoch,
                round,
                node,
                boot,
            },
            value: Record::new(self.name, self.content.content()),
        }
    }
}

/// Builds a register as an acceptor leaves it: a committed one has only its vote.
fn register(accepted: &AnyVote, prev: &AnyVote, committed: bool, superseded: &[u128]) -> Register<Record> {
    let accepted = accepted.vote();
    let register = if committed {
        Register::committed(accepted)
    } else {
        Register::open(accepted, prev.vote())
    };
    Register {
        superseded: superseded.iter().copied().collect(),
        ..register
    }
}

/// Returns whether registers are equal. `Record` compares by name only, so their debug output is compared too.
fn same(a: &Register<Record>, b: &Register<Record>) -> bool {
    a == b && format!("{a:?}") == format!("{b:?}")
}

#[test]
fn registers_come_back_as_they_were() {
    type Input = (AnyVote, AnyVote, bool, Vec<u128>);
    check!()
        .with_type::<Input>()
        .for_each(|(accepted, prev, committed, superseded)| {
            let register = register(accepted, prev, *committed, superseded);
            let row = encode_register(&register).expect("encodes");
            assert!(same(&decode_register(&row).expect("decodes"), &register), "{row:?}");
        });
}

/// Damage that block checksums would catch decodes to an error, or to a register that survives a round trip.
#[test]
fn damaged_registers_are_registers_or_errors() {
    type Input = (AnyVote, AnyVote, (bool, Vec<u128>), Vec<(u16, u8)>, u16);
    check!()
        .with_type::<Input>()
        .for_each(|(accepted, prev, (committed, superseded), damage, cut)| {
            let register = register(accepted, prev, *committed, superseded);
            let mut row = encode_register(&register).expect("encodes");
            let whole = row.len();
            for cut in [usize::from(*cut) % whole, 0] {
                assert!(
                    decode_register(&row[..cut]).is_err(),
                    "{cut} of {whole} bytes are no register"
                );
            }
            assert_eq!(decode_register(&[&row[..], &[0]].concat()), Err(RowError::Malformed));
            for (at, bits) in damage {
                row[usize::from(*at) % whole] ^= bits;
            }
            is_row_or_error(&row);
        });
}

fn is_row_or_error(row: &[u8]) {
    if let Ok(register) = decode_register(row) {
        let row = encode_register(&register).expect("encodes");
        assert!(same(&decode_register(&row).expect("decodes"), &register));
    }
}

#[test]
fn any_bytes_are_a_row_or_an_error() {
    check!().for_each(|bytes| {
        is_row_or_error(bytes);
        is_row_or_error(&[&[1], bytes].concat());
        match (decode_shard(bytes), bytes.split_first()) {
            (Ok(Some(shard)), Some((1, framed))) => assert_eq!(shard, framed),
            (Ok(None), Some((2, []))) => {}
            (Ok(shard), _) => panic!("{shard:?} of {bytes:?}"),
            (Err(_), _) => {}
        }
        // Each row of a log entry has nine bytes besides its key and value.
        assert!(decode_batch(bytes).unwrap_or(0) <= bytes.len() / 9);
        let (key, row) = bytes.split_at(bytes.len().saturating_sub(1));
        if let Ok((owner, folder, upload, part, _)) = decode_held(key, row) {
            // Bytes between the owner and the fixed-length end are ignored; a valid key has none.
            assert!(held_key(&owner, folder, upload, part).len() <= key.len().max(38));
        }
    });
}

/// `format.held-key`: no owner's keys have another owner's prefix, and a key determines its owner.
#[test]
fn held_keys_say_whose_they_are() {
    type Input = (Vec<u8>, Vec<u8>, u128, u128, u16, bool);
    check!()
        .with_type::<Input>()
        .for_each(|(owner, other, folder, upload, part, file)| {
            let owner = RegisterKey::from_bytes(owner.clone());
            let key = held_key(&owner, *folder, *upload, *part);
            let row = [if *file { 2 } else { 1 }];
            assert_eq!(
                decode_held(&key, &row),
                Ok((owner.clone(), *folder, *upload, *part, *file))
            );
            let other = RegisterKey::from_bytes(other.clone());
            let other_key = held_key(&other, *folder, *upload, *part);
            let len = 4 + owner.as_bytes().len();
            assert_eq!(other_key.starts_with(&key[..len]), owner == other);
        });
}

/// Names determine their kind; objects of a bucket sort by key.
#[test]
fn names_of_registers_come_back() {
    type Input = (u128, u128, u16, String, String);
    check!()
        .with_type::<Input>()
        .for_each(|(incarnation, upload, number, key, other)| {
            let object = RegisterKey::object(*incarnation, key);
            assert_eq!(object.object_key(), Some(&**key));
            assert_eq!(object.incarnation(), Some(*incarnation));
            assert!(object.is_object() && object.part_of().is_none() && object.bucket_name().is_none());
            let second = RegisterKey::object(*incarnation, other);
            assert_eq!(object.cmp(&second), key.as_bytes().cmp(other.as_bytes()));
            let part = RegisterKey::part(*incarnation, *upload, *number, key);
            let of = part.part_of().expect("a part");
            assert_eq!((of.owner, of.upload, of.number), (object, *upload, *number));
            assert!(!part.is_object() && part.object_key().is_none());
            assert_eq!(RegisterKey::bucket(key).bucket_name(), Some(&**key));
        });
    check!().for_each(|bytes| {
        let key = RegisterKey::from_bytes(bytes.to_vec());
        let is = [key.bucket_name().is_some(), key.is_object(), key.part_of().is_some()];
        assert!(is.iter().filter(|is| **is).count() <= 1, "{key:?}");
        if let Some(name) = key.bucket_name() {
            assert_eq!(RegisterKey::bucket(name), key);
        }
        if let (Some(name), Some(incarnation)) = (key.object_key(), key.incarnation()) {
            assert_eq!(RegisterKey::object(incarnation, name), key);
        }
    });
}
