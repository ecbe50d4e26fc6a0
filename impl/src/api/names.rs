//! Validation of bucket names and object keys.

use super::{ApiError, Code};
use std::net::Ipv4Addr;

/// The longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// Returns whether a bucket may have this name: 3 to 63 of `a-z`, `0-9`, `-` and `.`, beginning and ending with a
/// letter or digit, no two dots in a row, no dot beside a hyphen, not like an IPv4 address, and none of the names
/// that S3 or this server keeps for itself.
#[must_use]
pub fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_alphanumeric = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && is_alphanumeric(bytes.first())
        && is_alphanumeric(bytes.last())
        // Each label between dots is one of a host's name.
        && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
        && name.parse::<Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3"].iter().any(|suffix| name.ends_with(suffix))
        // The paths of health, admin and metrics endpoints begin so.
        && name != "minio"
}

/// Checks an object key: not empty, at most [`KEY_BYTES_MAX`] bytes, no NUL.
///
/// # Errors
/// The S3 error for the key.
pub fn check_key(key: &str) -> Result<(), ApiError> {
    if key.len() > KEY_BYTES_MAX {
        let error = ApiError::from(Code::KeyTooLong).with_field("Size", key.len());
        return Err(error.with_field("MaxSizeAllowed", KEY_BYTES_MAX));
    }
    if key.is_empty() || key.contains('\0') {
        return Err(Code::InvalidObjectName.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names() {
        for good in ["abc", "a-b", "a.b", "1bucket", "my.very.own-bucket1", &"x".repeat(63)] {
            assert!(is_bucket_name(good), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "a.-b",
            "a-.b",
            "192.168.5.4",
            "xn--abc",
            "minio",
            "a b",
            "äbc",
            "abc-s3alias",
            &"x".repeat(64),
        ] {
            assert!(!is_bucket_name(bad), "{bad}");
        }
    }

    #[test]
    fn keys() {
        for good in ["a", "/a", "a//b", "a/../b", ".", "ä/\u{1}\n", &"k".repeat(1024)] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        assert_eq!(check_key(&"ä".repeat(513)).unwrap_err().code, Code::KeyTooLong);
        assert_eq!(check_key("a\0b").unwrap_err().code, Code::InvalidObjectName);
        assert_eq!(check_key("").unwrap_err().code, Code::InvalidObjectName);
    }
}
