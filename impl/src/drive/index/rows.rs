//! The rows of the index, byte by byte: `specs/format.md`, "The index".

use crate::drive::RegisterKey;
use bytes::Bytes;
use model::{
    protocol::{Folder, Register, Vote},
    record::Record,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// First byte of a register's row.
const REGISTER_VERSION: u8 = 1;
/// First byte of a held folder's row, or of its shard: the bytes are in the index.
const SMALL: u8 = 1;
/// The same: the bytes are a file.
const FILE: u8 = 2;

/// Bytes of a key of the table of shards.
pub(super) const SHARD_KEY_BYTES: usize = 18;

/// Error of decoding a row. Its block matched its checksum, so a newer version wrote it, or
/// a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by a newer version.
    #[error("row of version {0}, which is newer than this program")]
    Version(u8),
    /// Bytes that are no row.
    #[error("malformed row")]
    Malformed,
}

/// A data folder of which the drive holds its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    /// The open upload that it was staged for; 0 is none.
    pub(crate) upload: u128,
    /// The part's number.
    pub(crate) part: u16,
    /// The shard is a file rather than in the index.
    pub(crate) file: bool,
}

/// A shard as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shard {
    /// In the index: its framed bytes.
    Small(Bytes),
    /// In a file.
    File,
}

#[derive(Serialize)]
enum RegisterRef<'a> {
    Committed(&'a Vote<Record>),
    Open {
        accepted: &'a Vote<Record>,
        prev: &'a Vote<Record>,
    },
    Superseding {
        accepted: &'a Vote<Record>,
        /// None if it is committed.
        prev: Option<&'a Vote<Record>>,
        superseded: &'a BTreeSet<Folder>,
    },
}

#[derive(Deserialize)]
enum RegisterRow {
    Committed(Vote<Record>),
    Open {
        accepted: Vote<Record>,
        prev: Vote<Record>,
    },
    Superseding {
        accepted: Vote<Record>,
        prev: Option<Vote<Record>>,
        superseded: BTreeSet<Folder>,
    },
}

/// The row of a register. Once its vote is committed that is all there is to know, and stored once; as a rule no older
/// votes have left folders behind, and then none are stored.
pub(super) fn encode_register(register: &Register<Record>) -> Result<Vec<u8>, RowError> {
    let (accepted, prev) = (&register.accepted, &register.prev);
    let row = if !register.superseded.is_empty() {
        RegisterRef::Superseding {
            accepted,
            prev: (!register.committed).then_some(prev),
            superseded: &register.superseded,
        }
    } else if register.committed {
        RegisterRef::Committed(accepted)
    } else {
        RegisterRef::Open { accepted, prev }
    };
    let mut bytes = Vec::with_capacity(512);
    bytes.push(REGISTER_VERSION);
    postcard::to_extend(&row, bytes).map_err(|_| RowError::Malformed)
}

/// The register that a row stores.
///
/// # Errors
/// [`RowError`]. A drive that is asked for the key itself goes offline then.
pub fn decode_register(row: &[u8]) -> Result<Register<Record>, RowError> {
    let (version, row) = row.split_first().ok_or(RowError::Malformed)?;
    if *version != REGISTER_VERSION {
        return Err(RowError::Version(*version));
    }
    let (row, rest) = postcard::take_from_bytes(row).map_err(|_| RowError::Malformed)?;
    if !rest.is_empty() {
        return Err(RowError::Malformed);
    }
    Ok(match row {
        RegisterRow::Committed(accepted) => Register::committed(accepted),
        RegisterRow::Open { accepted, prev } => Register::open(accepted, prev),
        RegisterRow::Superseding {
            accepted,
            prev,
            superseded,
        } => Register {
            superseded,
            ..match prev {
                Some(prev) => Register::open(accepted, prev),
                None => Register::committed(accepted),
            }
        },
    })
}

/// Returns the prefix of the keys of all folders held for `owner`, and of no others (`format.held-key`).
pub(super) fn held_prefix(owner: &RegisterKey) -> Vec<u8> {
    let owner = owner.as_bytes();
    let mut key = Vec::with_capacity(4 + owner.len() + 34);
    // Keys are bounded by S3 to 1,024 bytes, far below.
    key.extend_from_slice(&(owner.len() as u32).to_be_bytes());
    key.extend_from_slice(owner);
    key
}

/// Returns the prefix of the keys of the folders of one part of an upload.
pub(super) fn held_part_prefix(owner: &RegisterKey, upload: u128, part: u16) -> Vec<u8> {
    let mut key = held_prefix(owner);
    key.extend_from_slice(&upload.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

pub(super) fn held_key(owner: &RegisterKey, folder: Folder, held: Held) -> Vec<u8> {
    let mut key = held_part_prefix(owner, held.upload, held.part);
    key.extend_from_slice(&folder.to_be_bytes());
    key
}

pub(super) fn held_row(held: Held) -> [u8; 1] {
    [if held.file { FILE } else { SMALL }]
}

/// The owner that a key begins with.
pub(super) fn held_owner(key: &[u8]) -> Result<RegisterKey, RowError> {
    let (len, rest) = key.split_first_chunk().ok_or(RowError::Malformed)?;
    let owner = rest
        .get(..u32::from_be_bytes(*len) as usize)
        .ok_or(RowError::Malformed)?;
    Ok(RegisterKey::from_bytes(owner.to_vec()))
}

/// Decodes the end of a key, and its row.
pub(super) fn decode_held(key: &[u8], row: &[u8]) -> Result<(Folder, Held), RowError> {
    let (rest, folder) = key.split_last_chunk().ok_or(RowError::Malformed)?;
    let (rest, part) = rest.split_last_chunk().ok_or(RowError::Malformed)?;
    let (_, upload) = rest.split_last_chunk().ok_or(RowError::Malformed)?;
    let file = match row {
        [SMALL] => false,
        [FILE] => true,
        [version, ..] if *version > FILE => return Err(RowError::Version(*version)),
        _ => return Err(RowError::Malformed),
    };
    let held = Held {
        upload: u128::from_be_bytes(*upload),
        part: u16::from_be_bytes(*part),
        file,
    };
    Ok((u128::from_be_bytes(*folder), held))
}

pub(super) fn shard_key(folder: Folder, part: u16) -> [u8; SHARD_KEY_BYTES] {
    let mut key = [0; SHARD_KEY_BYTES];
    key[..16].copy_from_slice(&folder.to_be_bytes());
    key[16..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The key of a shard's row as the table takes it.
pub(super) fn as_shard_key(key: &[u8]) -> Result<&[u8; SHARD_KEY_BYTES], RowError> {
    key.try_into().map_err(|_| RowError::Malformed)
}

/// The row of a shard in a file.
pub(super) const FILE_SHARD: &[u8] = &[FILE];

/// Fills the row of a small shard, one byte longer than the shard.
pub(super) fn fill_small_shard(row: &mut [u8], framed: &[u8]) {
    row[0] = SMALL;
    row[1..].copy_from_slice(framed);
}

pub(super) fn decode_shard(row: &[u8]) -> Result<Shard, RowError> {
    match row.split_first() {
        Some((&SMALL, framed)) => Ok(Shard::Small(Bytes::copy_from_slice(framed))),
        Some((&FILE, [])) => Ok(Shard::File),
        Some((version, _)) if *version > FILE => Err(RowError::Version(*version)),
        _ => Err(RowError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::fixture::{ballot, register_strategy, vote};
    use model::{
        protocol::Value,
        record::{Bucket, Content},
    };
    use proptest::prelude::*;

    /// `Record` is compared by its name; the bytes say whether all of it came back.
    fn same(a: &Register<Record>, b: &Register<Record>) -> bool {
        a == b && format!("{a:?}") == format!("{b:?}")
    }

    proptest! {
        #[test]
        fn registers_come_back(register in register_strategy()) {
            let row = encode_register(&register).expect("encodes");
            prop_assert!(same(&decode_register(&row).expect("decodes"), &register));
            prop_assert_eq!(decode_register(&[&row[..], &[0]].concat()), Err(RowError::Malformed));
            prop_assert_eq!(decode_register(&row[..row.len() - 1]), Err(RowError::Malformed));
        }

        #[test]
        fn any_bytes_are_a_row_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(register) = decode_register(&bytes) {
                let row = encode_register(&register).expect("encodes");
                prop_assert!(same(&decode_register(&row).expect("decodes"), &register));
            }
            decode_shard(&bytes).ok();
            decode_held(&bytes, &bytes).ok();
        }

        #[test]
        fn held_keys_come_back(owner in "[\\x00-\\x7f]{0,20}", folder: u128, upload: u128, part: u16, file: bool) {
            let held = Held { upload, part, file };
            let owner = RegisterKey::object(1, &owner);
            let key = held_key(&owner, folder, held);
            prop_assert!(key.starts_with(&held_part_prefix(&owner, upload, part)));
            prop_assert_eq!(decode_held(&key, &held_row(held)), Ok((folder, held)));
        }

        // `format.held-key`: a scan of one owner's folders never meets another's.
        #[test]
        fn no_owner_is_the_beginning_of_another(a: Vec<u8>, b: Vec<u8>, folder: u128, upload: u128, part: u16) {
            let held = Held { upload, part, file: true };
            let (a, b) = (RegisterKey::from_bytes(a), RegisterKey::from_bytes(b));
            let within = held_key(&b, folder, held).starts_with(&held_prefix(&a));
            prop_assert_eq!(within, a == b);
        }
    }

    #[test]
    fn a_committed_vote_is_stored_once() {
        let accepted = vote(7, 3);
        let open = Register::open(accepted.clone(), vote(6, 2));
        let committed = Register::committed(accepted);
        let (open, committed) = (encode_register(&open), encode_register(&committed));
        assert!(committed.expect("encodes").len() < open.expect("encodes").len() * 2 / 3);
    }

    // The example of `specs/format.md`.
    #[test]
    fn an_absent_register_is_these_bytes() {
        let row = encode_register(&Register::<Record>::absent()).expect("encodes");
        assert_eq!(row, [1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(decode_register(&row).expect("decodes").accepted.value.is_absent());
    }

    // The example of `specs/format.md`.
    #[test]
    fn a_bucket_is_these_bytes() {
        let (incarnation, created_nanos) = (9, 1);
        let content = Content::Bucket(Bucket {
            incarnation,
            created_nanos,
        });
        let accepted = Vote {
            ballot: ballot(5),
            value: Record::new(7, content),
        };
        let register = Register::committed(accepted);
        let row = encode_register(&register).expect("encodes");
        assert_eq!(row, [1, 0, 0, 5, 1, 99, 7, 3, 9, 1]);
    }

    // `specs/decisions/0003-postcard.md` counts on it.
    #[test]
    fn the_register_of_a_put_is_short() {
        let accepted = vote(1 << 40, u128::MAX / 3);
        let register = Register::committed(accepted);
        let bytes = encode_register(&register).expect("encodes").len();
        assert!((180..230).contains(&bytes), "{bytes}");
    }

    #[test]
    fn rows_of_a_newer_version_are_refused_by_number() {
        assert_eq!(decode_register(&[9, 0]), Err(RowError::Version(9)));
        assert_eq!(decode_shard(&[9, 0]), Err(RowError::Version(9)));
        assert_eq!(decode_held(&[0; 40], &[9]), Err(RowError::Version(9)));
    }
}
