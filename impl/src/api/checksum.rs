//! The checksums of S3: computing them, verifying them, and making an object's of its parts'.

use super::{ApiError, Code};
use base64_simd::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use model::record::{Checksum, ChecksumKind, PartData};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// All algorithms, with their names in headers (`x-amz-checksum-<lower-case name>`) and XML.
pub const KINDS: [(ChecksumKind, &str); 5] = [
    (ChecksumKind::Crc32, "CRC32"),
    (ChecksumKind::Crc32c, "CRC32C"),
    (ChecksumKind::Crc64Nvme, "CRC64NVME"),
    (ChecksumKind::Sha1, "SHA1"),
    (ChecksumKind::Sha256, "SHA256"),
];

/// Algorithm unless the client asks for another.
pub const DEFAULT_KIND: ChecksumKind = ChecksumKind::Crc64Nvme;

/// The algorithm of this name, in any case.
///
/// # Errors
/// [`Code::InvalidRequest`] for one that S3 does not know.
pub fn parse_kind(name: &str) -> Result<ChecksumKind, ApiError> {
    KINDS
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|(kind, _)| *kind)
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, format!("unknown checksum algorithm: {name:.32}")))
}

/// The algorithm's name in XML.
#[must_use]
pub fn kind_name(kind: ChecksumKind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("", |(_, name)| name)
}

/// The algorithm's header.
#[must_use]
pub fn header_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "x-amz-checksum-crc32",
        ChecksumKind::Crc32c => "x-amz-checksum-crc32c",
        ChecksumKind::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumKind::Sha1 => "x-amz-checksum-sha1",
        ChecksumKind::Sha256 => "x-amz-checksum-sha256",
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub enum Hasher {
    /// One of the three CRCs.
    Crc(CrcAlgorithm, crc_fast::Digest),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
}

impl Hasher {
    /// Creates a hasher.
    #[must_use]
    pub fn new(kind: ChecksumKind) -> Hasher {
        match kind {
            ChecksumKind::Sha1 => Hasher::Sha1(Sha1::new()),
            ChecksumKind::Sha256 => Hasher::Sha256(Sha256::new()),
            ChecksumKind::Crc32 | ChecksumKind::Crc32c | ChecksumKind::Crc64Nvme => {
                let algorithm = crc_algorithm(kind).unwrap_or(CrcAlgorithm::Crc64Nvme);
                Hasher::Crc(algorithm, crc_fast::Digest::new(algorithm))
            }
        }
    }

    /// Tells whether it is one of the three CRCs, which take some 0.1 ms for a MiB.
    #[must_use]
    pub fn is_crc(&self) -> bool {
        matches!(self, Hasher::Crc(..))
    }

    /// Appends bytes.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Hasher::Crc(_, digest) => digest.update(data),
            Hasher::Sha1(digest) => digest.update(data),
            Hasher::Sha256(digest) => digest.update(data),
        }
    }

    /// The checksum's bytes, as they stand in S3's Base64 (CRCs big-endian).
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc(algorithm, digest) => crc_bytes(algorithm, digest.finalize()),
            Hasher::Sha1(digest) => digest.finalize().to_vec(),
            Hasher::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// The checksum of `kind` over whole data, in Base64.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64.encode_to_string(bytes)
}

/// Decodes Base64 of exactly `N` bytes.
#[must_use]
pub fn decode<const N: usize>(value: &str) -> Option<[u8; N]> {
    BASE64.decode_to_vec(value).ok()?.try_into().ok()
}

/// Returns whether `value` is the Base64 form of a checksum of this kind; with `-<parts>` behind it if `composite`.
#[must_use]
pub fn is_well_formed(kind: ChecksumKind, value: &str) -> bool {
    let len = match kind {
        ChecksumKind::Crc32 | ChecksumKind::Crc32c => 4,
        ChecksumKind::Crc64Nvme => 8,
        ChecksumKind::Sha1 => 20,
        ChecksumKind::Sha256 => 32,
    };
    BASE64.decode_to_vec(value).is_ok_and(|bytes| bytes.len() == len)
}

/// Makes an object's checksum of those of its parts, in order: the CRC over all bytes if `full_object`,
/// otherwise the checksum over the parts' checksums with `-<parts>` behind it.
///
/// # Errors
/// [`Code::InvalidPart`] when a part has no checksum of this kind.
pub fn combine(kind: ChecksumKind, full_object: bool, parts: &[&PartData]) -> Result<Checksum, ApiError> {
    let of_part = |part: &PartData| {
        let own = part.checksums.iter().find(|checksum| checksum.kind == kind)?;
        BASE64.decode_to_vec(&own.value).ok()
    };
    let sums: Vec<(Vec<u8>, u64)> = parts
        .iter()
        .map(|part| Some((of_part(part)?, part.size)))
        .collect::<Option<_>>()
        .ok_or(Code::InvalidPart)?;
    let value = match crc_algorithm(kind) {
        Some(algorithm) if full_object => {
            let mut whole = 0;
            for (index, (sum, size)) in sums.iter().enumerate() {
                let sum = sum.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                whole = if index == 0 {
                    sum
                } else {
                    crc_fast::checksum_combine(algorithm, whole, sum, *size)
                };
            }
            encode(&crc_bytes(algorithm, whole))
        }
        _ => {
            let mut hasher = Hasher::new(kind);
            for (sum, _) in &sums {
                hasher.update(sum);
            }
            format!("{}-{}", encode(&hasher.finish()), sums.len())
        }
    };
    Ok(Checksum {
        kind,
        full_object,
        value,
    })
}

/// Returns which checksum a new upload's parts carry, and whether the object's is over the whole object, from what
/// the client asked for.
///
/// # Errors
/// [`Code::InvalidRequest`] for a combination that cannot be computed from parts.
pub fn of_upload(kind: Option<ChecksumKind>, checksum_type: Option<&str>) -> Result<(ChecksumKind, bool), ApiError> {
    let kind = kind.unwrap_or(DEFAULT_KIND);
    let full_object = match checksum_type {
        None => kind == ChecksumKind::Crc64Nvme,
        Some("FULL_OBJECT") => true,
        Some("COMPOSITE") => false,
        Some(other) => {
            return Err(ApiError::new(
                Code::InvalidRequest,
                format!("unknown checksum type: {other:.32}"),
            ));
        }
    };
    let possible = match kind {
        ChecksumKind::Crc64Nvme => full_object,
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => !full_object,
        ChecksumKind::Crc32 | ChecksumKind::Crc32c => true,
    };
    if !possible {
        let name = kind_name(kind);
        let wanted = checksum_type.unwrap_or_default();
        return Err(ApiError::new(
            Code::InvalidRequest,
            format!("{name} does not go with checksum type {wanted}"),
        ));
    }
    Ok((kind, full_object))
}

fn crc_algorithm(kind: ChecksumKind) -> Option<CrcAlgorithm> {
    match kind {
        ChecksumKind::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumKind::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumKind::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => None,
    }
}

fn crc_bytes(algorithm: CrcAlgorithm, value: u64) -> Vec<u8> {
    match algorithm {
        CrcAlgorithm::Crc64Nvme => value.to_be_bytes().to_vec(),
        _ => value.to_be_bytes()[4..].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::protocol::Folder;
    use proptest::prelude::*;

    fn sum(kind: ChecksumKind, data: &[u8]) -> String {
        let mut hasher = Hasher::new(kind);
        hasher.update(data);
        encode(&hasher.finish())
    }

    /// The check values of the catalogues of CRCs, and of the SHA standards, for "123456789".
    #[test]
    fn known_values() {
        let hex = |kind| {
            let mut hasher = Hasher::new(kind);
            hasher.update(b"123456789");
            hasher.finish().iter().map(|b| format!("{b:02x}")).collect::<String>()
        };
        assert_eq!(hex(ChecksumKind::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumKind::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumKind::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(hex(ChecksumKind::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            hex(ChecksumKind::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        // Of no bytes, as SDKs send it.
        assert_eq!(sum(ChecksumKind::Crc32, b""), "AAAAAA==");
    }

    fn part(kind: ChecksumKind, data: &[u8]) -> PartData {
        PartData {
            number: 1,
            folder: Folder::default(),
            size: data.len() as u64,
            etag: String::new(),
            holders: model::protocol::Drives::default(),
            checksums: vec![Checksum {
                kind,
                full_object: true,
                value: sum(kind, data),
            }],
        }
    }

    proptest! {
        #[test]
        fn full_object_checksums_of_parts_are_those_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6)
        ) {
            for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc64Nvme] {
                let stored: Vec<PartData> = parts.iter().map(|data| part(kind, data)).collect();
                let combined = combine(kind, true, &stored.iter().collect::<Vec<_>>()).unwrap();
                prop_assert_eq!(combined.value, sum(kind, &parts.concat()));
            }
        }
    }

    #[test]
    fn composite_checksums_are_over_the_parts_checksums() {
        let stored = [part(ChecksumKind::Sha256, b"a"), part(ChecksumKind::Sha256, b"b")];
        let combined = combine(ChecksumKind::Sha256, false, &stored.iter().collect::<Vec<_>>()).unwrap();
        let of_sums: Vec<u8> = [&b"a"[..], b"b"].iter().flat_map(Sha256::digest).collect();
        assert_eq!(combined.value, format!("{}-2", encode(&Sha256::digest(of_sums))));
        assert!(combine(ChecksumKind::Crc32, true, &stored.iter().collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn types_of_uploads() {
        use ChecksumKind::{Crc32, Crc64Nvme, Sha1};
        assert_eq!(of_upload(None, None).unwrap(), (Crc64Nvme, true));
        assert_eq!(of_upload(Some(Crc32), None).unwrap(), (Crc32, false));
        assert_eq!(of_upload(Some(Crc32), Some("FULL_OBJECT")).unwrap(), (Crc32, true));
        assert_eq!(of_upload(Some(Sha1), None).unwrap(), (Sha1, false));
        assert!(of_upload(Some(Sha1), Some("FULL_OBJECT")).is_err());
        assert!(of_upload(Some(Crc64Nvme), Some("COMPOSITE")).is_err());
        assert!(of_upload(Some(Crc32), Some("HALF")).is_err());
    }
}
