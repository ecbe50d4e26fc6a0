//! Placement: the erasure set of a key, and the drive of each of its shards.

use crc_fast::{CrcAlgorithm, Digest};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The erasure set, 0-based, of an object among the `sets` of a pool: SipHash-2-4 of its name modulo `sets`,
/// keyed by the 16 bytes of the deployment ID (rule `erasure.set`). The bucket has no part in it. `object` is
/// the name as it is stored.
///
/// # Panics
/// If `sets` is 0: a pool has at least one.
pub fn set_of(deployment: [u8; 16], object: &str, sets: usize) -> usize {
    assert!(sets > 0, "a pool has at least one erasure set");
    let mut hasher = SipHasher24::new_with_key(&deployment);
    hasher.write(object.as_bytes());
    (hasher.finish() % sets as u64) as usize
}

/// The number, 1-based, of the shard on each drive of a set, as it is stored in a version's metadata:
/// [`Distribution`] in MinIO's form.
///
/// # Panics
/// If `drives` is 0.
pub fn distribution(bucket: &str, object: &str, drives: u8) -> Vec<u8> {
    let distribution = Distribution::new(bucket, object, drives);
    (0..usize::from(drives))
        .map(|drive| distribution.shard_of(drive) as u8 + 1)
        .collect()
}

/// The order of shards on the drives of a set: a rotation that begins at CRC32-IEEE of `bucket/object`, so that
/// parity does not always burden the same drives (rule `erasure.distribution`). All indices are 0-based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The shard on drive 0.
    first: u8,
    drives: u8,
}

impl Distribution {
    /// The distribution of an object over a set of `drives` drives.
    ///
    /// # Panics
    /// If `drives` is 0.
    pub fn new(bucket: &str, object: &str, drives: u8) -> Distribution {
        let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        crc.update(bucket.as_bytes());
        crc.update(b"/");
        crc.update(object.as_bytes());
        // MinIO counts drives from 1: the first one holds the shard after the one that the checksum names.
        let first = (crc.finalize() + 1) % u64::from(drives);
        Distribution {
            first: first as u8,
            drives,
        }
    }

    /// The shard that a drive holds.
    pub fn shard_of(self, drive: usize) -> usize {
        (usize::from(self.first) + drive) % usize::from(self.drives)
    }

    /// The drive that holds a shard.
    pub fn drive_of(self, shard: usize) -> usize {
        let drives = usize::from(self.drives);
        (shard % drives + drives - usize::from(self.first)) % drives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The UUID 00112233-4455-6677-8899-aabbccddeeff.
    const DEPLOYMENT: [u8; 16] = [
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    ];

    /// Computed by a Python script of its own: SipHash-2-4 written from its paper and checked with the paper's
    /// vector (key 00…0f, message 00…0e: a129ca6149be45e5), k0 and k1 the halves of the UUID read little-endian.
    /// The hashes are, in order, 75f56ec2d23160b5, 0acdbe6d5bd0a157, d7538622821cd263, 73bb2c8a747f5d8b and
    /// d2aa06114d857336.
    #[test]
    fn set_vectors() {
        let rows: &[(&str, [usize; 5])] = &[
            ("", [0, 1, 2, 5, 53]),
            ("a", [0, 1, 2, 7, 23]),
            ("photos/2024/cat.jpg", [0, 1, 0, 3, 35]),
            ("folder__XLDIR__", [0, 1, 2, 11, 11]),
            ("ünïcode", [0, 0, 2, 6, 54]),
        ];
        for (object, expected) in rows {
            assert_eq!(
                [1, 2, 3, 16, 64].map(|sets| set_of(DEPLOYMENT, object, sets)),
                *expected,
                "{object:?}"
            );
        }
    }

    /// Computed by Python's `zlib.crc32`: bucket/object 2377c876, modulo 3, 4 and 16 = 1, 2 and 6;
    /// photos/2024/cat.jpg 9bcf9cb8, modulo 12 = 0; "b/" bdc32683; b/x f8d0073f, modulo 5 = 1. Entry i, from 1, is
    /// 1 + (start + i) mod N.
    #[test]
    fn distribution_vectors() {
        let rows: &[(&str, &str, &[u8])] = &[
            ("bucket", "object", &[3, 1, 2]),
            ("bucket", "object", &[4, 1, 2, 3]),
            (
                "bucket",
                "object",
                &[8, 9, 10, 11, 12, 13, 14, 15, 16, 1, 2, 3, 4, 5, 6, 7],
            ),
            ("photos", "2024/cat.jpg", &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1]),
            ("b", "", &[1]),
            ("b", "x", &[3, 4, 5, 1, 2]),
        ];
        for (bucket, object, expected) in rows {
            assert_eq!(
                distribution(bucket, object, expected.len() as u8),
                *expected,
                "{bucket}/{object}"
            );
        }
    }

    #[test]
    fn drive_and_shard_are_inverse() {
        for drives in 1..=16 {
            for object in ["a", "b", "c", "d"] {
                let distribution = Distribution::new("bucket", object, drives);
                for at in 0..usize::from(drives) {
                    assert_eq!(distribution.drive_of(distribution.shard_of(at)), at);
                    assert_eq!(distribution.shard_of(distribution.drive_of(at)), at);
                }
            }
        }
    }
}
