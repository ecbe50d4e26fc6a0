//! Names of registers in a drive's index: bytes whose order is the order of listings.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A register's name. Its bytes, by kind:
///
/// | register | bytes |
/// |---|---|
/// | bucket | `b` name |
/// | object key | `o` incarnation (16 bytes, big-endian) key |
/// | part | `p` incarnation (16) upload (16) number (2, big-endian) key |
///
/// Object keys are listed by their UTF-8 bytes, as S3 orders them. A bucket's keys carry its
/// incarnation, not its name: keys of a deleted bucket are never those of a later one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegisterKey(Vec<u8>);

impl RegisterKey {
    /// A bucket's register.
    #[must_use]
    pub fn bucket(name: &str) -> RegisterKey {
        RegisterKey([b"b", name.as_bytes()].concat())
    }

    /// An object key's register.
    #[must_use]
    pub fn object(incarnation: u128, key: &str) -> RegisterKey {
        RegisterKey([b"o", &incarnation.to_be_bytes()[..], key.as_bytes()].concat())
    }

    /// The register of a part.
    #[must_use]
    pub fn part(incarnation: u128, upload: u128, number: u16, key: &str) -> RegisterKey {
        let mut bytes = Self::parts_prefix(incarnation, upload);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(key.as_bytes());
        RegisterKey(bytes)
    }

    /// Returns what the registers of all buckets begin with.
    #[must_use]
    pub fn buckets_prefix() -> Vec<u8> {
        b"b".to_vec()
    }

    /// Returns what the registers of a bucket's keys with this prefix begin with.
    #[must_use]
    pub fn objects_prefix(incarnation: u128, prefix: &str) -> Vec<u8> {
        RegisterKey::object(incarnation, prefix).0
    }

    /// Common prefix of the registers of all objects.
    #[must_use]
    pub fn all_objects_prefix() -> Vec<u8> {
        b"o".to_vec()
    }

    /// Returns what the registers of an upload's parts begin with.
    #[must_use]
    pub fn parts_prefix(incarnation: u128, upload: u128) -> Vec<u8> {
        [b"p", &incarnation.to_be_bytes()[..], &upload.to_be_bytes()[..]].concat()
    }

    /// Wraps stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> RegisterKey {
        RegisterKey(bytes)
    }

    /// The bytes under which the index has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A bucket's name.
    #[must_use]
    pub fn bucket_name(&self) -> Option<&str> {
        let name = self.0.strip_prefix(b"b")?;
        std::str::from_utf8(name).ok()
    }

    /// An object key's name within its bucket.
    #[must_use]
    pub fn object_key(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(b"o")?.get(16..)?;
        std::str::from_utf8(rest).ok()
    }

    /// The bucket incarnation of an object key or part.
    #[must_use]
    pub fn incarnation(&self) -> Option<u128> {
        if !matches!(self.0.first(), Some(b'o' | b'p')) {
            return None;
        }
        Some(u128::from_be_bytes(self.0.get(1..17)?.try_into().ok()?))
    }

    /// A part's number.
    #[must_use]
    pub fn part_number(&self) -> Option<u16> {
        let number = self.0.strip_prefix(b"p")?.get(32..34)?;
        Some(u16::from_be_bytes(number.try_into().ok()?))
    }
}

/// Name of a part's register, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOf {
    /// The object key whose upload it is.
    pub owner: RegisterKey,
    /// The upload.
    pub upload: u128,
    /// The part's number.
    pub number: u16,
}

impl RegisterKey {
    /// Returns whether it is an object key's.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'o') && self.0.len() >= 17
    }

    /// The register of a part of this object key; `None` for an upload of 0, which is none.
    pub(crate) fn part_register(&self, upload: u128, number: u16) -> Option<RegisterKey> {
        if upload == 0 || !self.is_object() {
            return None;
        }
        let (incarnation, key) = (self.0.get(1..17)?, self.0.get(17..)?);
        let bytes = [b"p", incarnation, &upload.to_be_bytes(), &number.to_be_bytes(), key].concat();
        Some(RegisterKey(bytes))
    }

    /// Returns what the registers of an upload's parts of this object key begin with. Uploads have random names, so
    /// they are no other key's.
    pub(crate) fn parts_of(&self, upload: u128) -> Option<Vec<u8>> {
        let incarnation = self.incarnation().filter(|_| self.is_object())?;
        Some(RegisterKey::parts_prefix(incarnation, upload))
    }

    /// Decodes the name, if it is a part's.
    #[must_use]
    pub fn part_of(&self) -> Option<PartOf> {
        let number = self.part_number()?;
        let upload = u128::from_be_bytes(self.0.get(17..33)?.try_into().ok()?);
        let owner = [b"o", self.0.get(1..17)?, self.0.get(35..)?].concat();
        Some(PartOf {
            owner: RegisterKey(owner),
            upload,
            number,
        })
    }
}

impl fmt::Debug for RegisterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_knows_its_owner() {
        let key = RegisterKey::part(7, 8, 10_000, "a\0b");
        let owner = RegisterKey::object(7, "a\0b");
        let (upload, number) = (8, 10_000);
        assert_eq!(
            key.part_of(),
            Some(PartOf {
                owner: owner.clone(),
                upload,
                number
            })
        );
        assert!(key.as_bytes().starts_with(&RegisterKey::parts_prefix(7, 8)));
        assert_eq!(owner.part_register(8, 10_000), Some(key.clone()));
        assert_eq!(owner.part_register(0, 1), None);
        assert!(owner.is_object() && owner.part_of().is_none());
        assert!(!key.is_object() && !RegisterKey::bucket("o-rder-of-17-bytes").is_object());
    }
}
