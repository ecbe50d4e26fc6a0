//! Conditional requests: `If-Match` and its siblings, on reads, writes and copy sources.

use super::{ApiError, Code};
use crate::store::ObjectInfo;
use model::record::EtagMatch;

/// The conditions of a read, or of a copy's source. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// The object must have one of these ETags.
    pub if_match: Option<EtagMatch>,
    /// The object must have none of these ETags.
    pub if_none_match: Option<EtagMatch>,
    /// The object must be newer.
    pub if_modified_since: Option<i64>,
    /// The object must not be newer.
    pub if_unmodified_since: Option<i64>,
}

/// Condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// The object is not what the client wants.
    Precondition,
    /// The client has it.
    Unchanged,
}

impl ReadConditions {
    /// Decides whether to send the object.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`] or [`Code::NotModified`], the latter with the object's validators.
    pub fn check_read(&self, info: &ObjectInfo) -> Result<(), ApiError> {
        match self.evaluate(&info.data.etag, seconds(info)) {
            Ok(()) => Ok(()),
            Err(Failed::Precondition) => Err(Code::PreconditionFailed.into()),
            Err(Failed::Unchanged) => {
                Err(ApiError::from(Code::NotModified).with_header("etag", format!("\"{}\"", info.data.etag)))
            }
        }
    }

    /// Decides whether to copy the object: S3 answers every failure alike.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`].
    pub fn check_copy(&self, info: &ObjectInfo) -> Result<(), ApiError> {
        self.evaluate(&info.data.etag, seconds(info))
            .map_err(|_| Code::PreconditionFailed.into())
    }

    /// An ETag condition overrules the date condition of its pair (RFC 9110 §13.2.2, and S3's own table).
    fn evaluate(&self, etag: &str, modified: i64) -> Result<(), Failed> {
        match (&self.if_match, self.if_unmodified_since) {
            (Some(wanted), _) if !wanted.matches(etag) => return Err(Failed::Precondition),
            (None, Some(since)) if modified > since => return Err(Failed::Precondition),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(unwanted), _) if unwanted.matches(etag) => Err(Failed::Unchanged),
            (None, Some(since)) if modified <= since => Err(Failed::Unchanged),
            _ => Ok(()),
        }
    }
}

/// Returns when an object was last modified, in whole seconds since the Unix epoch: all that HTTP dates carry.
#[must_use]
pub fn seconds(info: &ObjectInfo) -> i64 {
    i64::try_from(info.time_nanos / 1_000_000_000).unwrap_or(i64::MAX)
}

/// Parses the value of `If-Match` or `If-None-Match`: `*`, or ETags with or without quotes, with commas
/// between them. Weak ones are compared by their value.
#[must_use]
pub fn parse_etags(value: &str) -> EtagMatch {
    let bare = |etag: &str| {
        let etag = etag.trim();
        etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
    };
    // Also within a list, or repeated: the condition must not be read as weaker than it was meant.
    if value.split(',').any(|etag| etag.trim() == "*") {
        return EtagMatch::Any;
    }
    EtagMatch::OneOf(value.split(',').map(bare).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(etag: &str) -> Option<EtagMatch> {
        Some(EtagMatch::OneOf(vec![etag.into()]))
    }

    /// (If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since) on an object "a" of second 100.
    #[test]
    fn precedence() {
        let check = |if_match, if_none_match, if_modified_since, if_unmodified_since| {
            let conditions = ReadConditions {
                if_match,
                if_none_match,
                if_modified_since,
                if_unmodified_since,
            };
            conditions.evaluate("a", 100)
        };
        assert_eq!(check(None, None, None, None), Ok(()));
        assert_eq!(check(one("a"), None, None, None), Ok(()));
        assert_eq!(check(one("b"), None, None, None), Err(Failed::Precondition));
        assert_eq!(check(Some(EtagMatch::Any), None, None, None), Ok(()));
        assert_eq!(check(None, None, None, Some(99)), Err(Failed::Precondition));
        assert_eq!(check(None, None, None, Some(100)), Ok(()));
        // An ETag that matches overrules the date.
        assert_eq!(check(one("a"), None, None, Some(99)), Ok(()));
        assert_eq!(check(None, one("a"), None, None), Err(Failed::Unchanged));
        assert_eq!(check(None, one("b"), None, None), Ok(()));
        assert_eq!(check(None, None, Some(100), None), Err(Failed::Unchanged));
        assert_eq!(check(None, None, Some(99), None), Ok(()));
        // An ETag that differs overrules the date.
        assert_eq!(check(None, one("b"), Some(100), None), Ok(()));
        assert_eq!(check(None, one("a"), Some(99), None), Err(Failed::Unchanged));
        // If-Match is asked first.
        assert_eq!(check(one("b"), one("a"), None, None), Err(Failed::Precondition));
    }

    #[test]
    fn etag_lists() {
        assert_eq!(parse_etags("*"), EtagMatch::Any);
        assert_eq!(parse_etags("\"a\""), EtagMatch::OneOf(vec!["a".into()]));
        assert_eq!(parse_etags("a"), EtagMatch::OneOf(vec!["a".into()]));
        let list = EtagMatch::OneOf(vec!["a".into(), "b-2".into(), "c".into()]);
        assert_eq!(parse_etags("\"a\", W/\"b-2\",\"c\""), list);
    }
}
