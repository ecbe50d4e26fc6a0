//! Headers with few values: which of them are served, which S3 has and this server has not, and which are no values.

use crate::api::{ApiError, Code};
use http::HeaderValue;

struct Known {
    name: &'static str,
    /// Values that are served, or hold anyway.
    served: &'static [&'static str],
    /// Other values that S3 defines: 501.
    others: &'static [&'static str],
}

const KNOWN: &[Known] = &[
    // All buckets and objects are their one owner's, and private. Applications send `public-read` with every upload;
    // it gives nobody a right. A request for an ACL itself is judged where that is served.
    Known {
        name: "x-amz-acl",
        served: &[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
            "log-delivery-write",
        ],
        others: &[],
    },
    Known {
        name: "x-amz-bucket-object-lock-enabled",
        served: &["false"],
        others: &["true"],
    },
    // Nothing is locked.
    Known {
        name: "x-amz-bypass-governance-retention",
        served: &["true", "false"],
        others: &[],
    },
    Known {
        name: "x-amz-checksum-mode",
        served: &["enabled"],
        others: &[],
    },
    Known {
        name: "x-amz-copy-source-server-side-encryption-customer-algorithm",
        served: &[],
        others: &["aes256"],
    },
    Known {
        name: "x-amz-metadata-directive",
        served: &["copy", "replace"],
        others: &[],
    },
    Known {
        name: "x-amz-object-ownership",
        served: &["bucketownerenforced"],
        others: &["bucketownerpreferred", "objectwriter"],
    },
    // Asks for the state of restores from an archive, of which there are none.
    Known {
        name: "x-amz-optional-object-attributes",
        served: &["restorestatus"],
        others: &[],
    },
    // Nobody is billed.
    Known {
        name: "x-amz-request-payer",
        served: &["requester"],
        others: &[],
    },
    Known {
        name: "x-amz-server-side-encryption",
        served: &[],
        others: &["aes256", "aws:kms", "aws:kms:dsse", "aws:fsx"],
    },
    Known {
        name: "x-amz-server-side-encryption-bucket-key-enabled",
        served: &["false"],
        others: &["true"],
    },
    Known {
        name: "x-amz-server-side-encryption-customer-algorithm",
        served: &[],
        others: &["aes256"],
    },
    // Nothing has tags.
    Known {
        name: "x-amz-tagging-directive",
        served: &["copy", "replace"],
        others: &[],
    },
];

/// Returns whether what a header asks for is served; `None` for one that is not judged by its value. An empty one asks
/// for nothing.
///
/// # Errors
/// [`Code::InvalidArgument`] for what is no value of it, [`Code::NoObjectLock`] for a retention or a legal hold,
/// which S3 has in buckets with an object lock only.
pub(super) fn is_served(name: &str, value: &HeaderValue) -> Result<Option<bool>, ApiError> {
    let text = value.to_str().unwrap_or_default();
    let invalid = || {
        ApiError::new(
            Code::InvalidArgument,
            format!("{text:.64} is no value of the header {name}."),
        )
        .with_field("ArgumentName", name)
        .with_field("ArgumentValue", text)
    };
    let is_one_of = |values: &[&str]| values.iter().any(|own| own.eq_ignore_ascii_case(text));
    let locks: Option<&[&str]> = match name {
        "x-amz-object-lock-mode" => Some(&["GOVERNANCE", "COMPLIANCE"]),
        "x-amz-object-lock-legal-hold" => Some(&["ON", "OFF"]),
        "x-amz-object-lock-retain-until-date" => Some(&[text]),
        _ => None,
    };
    match locks {
        Some(_) if text.is_empty() => return Ok(Some(true)),
        Some(values) if is_one_of(values) => return Err(Code::NoObjectLock.into()),
        Some(_) => return Err(invalid()),
        None => {}
    }
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
        return Ok(None);
    };
    if text.is_empty() || is_one_of(known.served) {
        Ok(Some(true))
    } else if is_one_of(known.others) {
        Ok(Some(false))
    } else {
        Err(invalid())
    }
}

/// Returns whether a header has no effect, so that it may stand unread in the query of a presigned URL.
///
/// # Errors
/// As [`is_served`].
pub(super) fn is_without_effect(name: &str, value: &str) -> Result<bool, ApiError> {
    const NAMES: [&str; 5] = [
        "x-amz-acl",
        "x-amz-bypass-governance-retention",
        "x-amz-optional-object-attributes",
        "x-amz-request-payer",
        "x-amz-tagging-directive",
    ];
    match HeaderValue::from_str(value) {
        Ok(value) if NAMES.contains(&name) => Ok(is_served(name, &value)? == Some(true)),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(name: &str, value: &'static str) -> Result<Option<bool>, Code> {
        is_served(name, &HeaderValue::from_static(value)).map_err(|error| error.code)
    }

    #[test]
    fn served_not_built_and_no_value() {
        assert_eq!(judge("x-amz-acl", "public-read"), Ok(Some(true)));
        assert_eq!(judge("x-amz-acl", "everybody"), Err(Code::InvalidArgument));
        assert_eq!(judge("x-amz-server-side-encryption", "AES256"), Ok(Some(false)));
        assert_eq!(
            judge("x-amz-server-side-encryption", "ROT13"),
            Err(Code::InvalidArgument)
        );
        assert_eq!(judge("x-amz-bucket-object-lock-enabled", "False"), Ok(Some(true)));
        assert_eq!(judge("x-amz-bucket-object-lock-enabled", "True"), Ok(Some(false)));
        assert_eq!(judge("x-amz-object-ownership", "ObjectWriter"), Ok(Some(false)));
        assert_eq!(judge("x-amz-object-ownership", "Nobody"), Err(Code::InvalidArgument));
        assert_eq!(judge("x-amz-checksum-mode", "MAYBE"), Err(Code::InvalidArgument));
        assert_eq!(judge("x-amz-metadata-directive", "MOVE"), Err(Code::InvalidArgument));
        assert_eq!(judge("x-amz-meta-anything", "x"), Ok(None));
    }

    #[test]
    fn retention_needs_a_lock() {
        assert_eq!(judge("x-amz-object-lock-mode", "GOVERNANCE"), Err(Code::NoObjectLock));
        assert_eq!(judge("x-amz-object-lock-mode", "LOOSE"), Err(Code::InvalidArgument));
        assert_eq!(judge("x-amz-object-lock-legal-hold", "OFF"), Err(Code::NoObjectLock));
        assert_eq!(
            judge("x-amz-object-lock-legal-hold", "MAYBE"),
            Err(Code::InvalidArgument)
        );
        assert_eq!(
            judge("x-amz-object-lock-retain-until-date", "2040-01-01"),
            Err(Code::NoObjectLock)
        );
        assert_eq!(judge("x-amz-bypass-governance-retention", "true"), Ok(Some(true)));
    }
}
