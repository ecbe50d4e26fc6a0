//! S3 error codes with their HTTP statuses, and the one mapping of the store's errors to them.

use crate::{access::Denied, store::StoreError};
use std::borrow::Cow;

/// Error answer of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ApiError {
    /// The S3 code.
    pub code: Code,
    /// Message for people.
    pub message: Cow<'static, str>,
    /// Response headers that belong to the answer (ETag of a 304, Content-Range of a 416).
    pub headers: Vec<(&'static str, String)>,
    /// Elements of the error document beside `Code` and `Message`, such as `Key`.
    pub fields: Vec<(&'static str, String)>,
}

impl ApiError {
    /// An error with a message of its own.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
            headers: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// The same error with one more response header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> ApiError {
        self.headers.push((name, value));
        self
    }

    /// The same error with one more element in its document.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl ToString) -> ApiError {
        self.fields.push((name, value.to_string()));
        self
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> ApiError {
        ApiError::new(code, code.message())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        ApiError::new(Code::AccessDenied, denied.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::NoSuchBucket => Code::NoSuchBucket.into(),
            StoreError::BucketExists => Code::BucketAlreadyOwnedByYou.into(),
            StoreError::BucketNotEmpty => Code::BucketNotEmpty.into(),
            StoreError::NoSuchKey => Code::NoSuchKey.into(),
            StoreError::NoSuchUpload => Code::NoSuchUpload.into(),
            StoreError::InvalidPart(number) => ApiError::from(Code::InvalidPart).with_field("PartNumber", number),
            StoreError::PreconditionFailed => Code::PreconditionFailed.into(),
            // All three are worth a retry, and clients retry a 503. An ambiguous write may have been
            // done: a retry of a plain put or delete is harmless, one of a conditional put can be
            // answered 412 by its own first attempt.
            StoreError::Unreadable(why) => {
                ApiError::new(Code::ServiceUnavailable, format!("Not enough drives to read: {why}"))
            }
            StoreError::Unwritable(why) => {
                ApiError::new(Code::ServiceUnavailable, format!("Not enough drives to write: {why}"))
            }
            StoreError::Ambiguous(_) => ApiError::new(
                Code::ServiceUnavailable,
                "The outcome of the write is not known: too few drives answered",
            ),
            StoreError::Full => Code::StorageFull.into(),
            StoreError::NotYet(_) => ApiError::new(Code::NotImplemented, error.to_string()),
            StoreError::Internal(_) => Code::InternalError.into(),
        }
    }
}

/// Declares [`Code`] with its three columns, so that no code lacks one.
macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $message:literal)*) => {
        /// An S3 error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $message] $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// Returns the code's name in the answer.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// The message where an operation has nothing more precise to say.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Code::$variant => $message,)* }
            }
        }
    };
}

codes! {
    AccessDenied "AccessDenied" 403 "Access denied."
    AccessForbidden "AccessForbidden" 403 "Web pages of this origin may not use the store."
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" 400 "The authorization header is malformed."
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" 400 "The signature in the query is not valid."
    BadDigest "BadDigest" 400 "The Content-MD5 or checksum you specified did not match what we received."
    BadRequest "BadRequest" 400 "The request is not valid."
    BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" 409 "The bucket exists, and you own it."
    BucketNotEmpty "BucketNotEmpty" 409 "The bucket is not empty."
    EntityTooLarge "EntityTooLarge" 400 "The object is larger than 5 TiB."
    EntityTooSmall "EntityTooSmall" 400 "A part other than the last one is smaller than 5 MiB."
    IllegalLocationConstraint "IllegalLocationConstraintException" 400 "The location is not this region."
    IncompleteBody "IncompleteBody" 400 "The body ended before its declared length."
    InternalError "InternalError" 500 "An internal error occurred."
    InvalidAccessKeyId "InvalidAccessKeyId" 403 "The access key id you provided does not exist in our records."
    InvalidArgument "InvalidArgument" 400 "An argument is not valid."
    InvalidBucketName "InvalidBucketName" 400 "A bucket name has 3 to 63 lower-case letters, digits, dots and hyphens."
    InvalidDigest "InvalidDigest" 400 "The Content-MD5 is not the Base64 form of an MD5."
    InvalidObjectName "XMinioInvalidObjectName" 400 "The object key contains a character that is not supported."
    InvalidPart "InvalidPart" 400 "A part could not be found, or its ETag or checksum differs."
    InvalidPartNumber "InvalidPartNumber" 416 "The object has no such part."
    InvalidPartOrder "InvalidPartOrder" 400 "The parts are not in ascending order of their numbers."
    InvalidRange "InvalidRange" 416 "The requested range is not satisfiable."
    InvalidRequest "InvalidRequest" 400 "The request is not valid."
    InvalidStorageClass "InvalidStorageClass" 400 "The storage class is not STANDARD or REDUCED_REDUNDANCY."
    InvalidToken "InvalidToken" 400 "Session tokens are not known here."
    InvalidUri "InvalidURI" 400 "The URI cannot be parsed."
    KeyTooLong "KeyTooLongError" 400 "The key is longer than 1024 bytes."
    MalformedTrailer "MalformedTrailerError" 400 "The announced trailer is missing or malformed."
    MalformedXml "MalformedXML" 400 "The XML is not well-formed or does not fit its schema."
    MaxMessageLengthExceeded "MaxMessageLengthExceeded" 400 "The request is too long."
    MetadataTooLarge "MetadataTooLarge" 400 "The user metadata is larger than 2 KiB."
    MethodNotAllowed "MethodNotAllowed" 405 "The method is not allowed on a resource of S3."
    MissingContentLength "MissingContentLength" 411 "The Content-Length header is required."
    MissingSecurityHeader "MissingSecurityHeader" 400 "The request lacks the access control list."
    NoObjectLock "InvalidRequest" 400 "Bucket is missing Object Lock Configuration"
    NoSuchBucket "NoSuchBucket" 404 "The bucket does not exist."
    NoSuchBucketPolicy "NoSuchBucketPolicy" 404 "The bucket has no policy."
    NoSuchCorsConfiguration "NoSuchCORSConfiguration" 404 "The bucket has no CORS configuration."
    NoSuchEncryption "ServerSideEncryptionConfigurationNotFoundError" 404 "The bucket has no encryption configuration."
    NoSuchKey "NoSuchKey" 404 "The key does not exist."
    NoSuchLifecycleConfiguration "NoSuchLifecycleConfiguration" 404 "The bucket has no lifecycle configuration."
    NoSuchObjectLock "ObjectLockConfigurationNotFoundError" 404 "The bucket has no object lock configuration."
    NoSuchOwnershipControls "OwnershipControlsNotFoundError" 404 "The bucket has no ownership controls."
    NoSuchPublicAccessBlock "NoSuchPublicAccessBlockConfiguration" 404 "The bucket has no public access block."
    NoSuchReplication "ReplicationConfigurationNotFoundError" 404 "The bucket has no replication configuration."
    NoSuchTagSet "NoSuchTagSet" 404 "The bucket has no tags."
    NoSuchUpload "NoSuchUpload" 404 "The multipart upload does not exist: aborted, completed, or never begun."
    NoSuchWebsite "NoSuchWebsiteConfiguration" 404 "The bucket has no website configuration."
    NotImplemented "NotImplemented" 501 "The request asks for something that is not implemented."
    NotModified "NotModified" 304 "Not modified."
    PreconditionFailed "PreconditionFailed" 412 "A precondition of the request does not hold."
    RequestTimeTooSkewed "RequestTimeTooSkewed" 403 "The time of the request is too far from the server's."
    RequestTimeout "RequestTimeout" 400 "The body came too slowly."
    ServiceUnavailable "ServiceUnavailable" 503 "Too few drives are available. Please retry."
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403 "The signature does not match the request."
    SlowDown "SlowDown" 503 "Too many requests are under way. Please reduce your request rate."
    StorageFull "XMinioStorageFull" 507 "The drives are full."
    ContentSha256Mismatch "XAmzContentSHA256Mismatch" 400 "The x-amz-content-sha256 does not match what came."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailability_is_never_a_not_found() {
        for error in [
            StoreError::Unreadable("2 of 4".into()),
            StoreError::Unwritable("2 of 4".into()),
            StoreError::Ambiguous(model::protocol::Unavailable::Deadline),
        ] {
            assert_eq!(ApiError::from(error).code.status(), 503);
        }
        assert_eq!(ApiError::from(StoreError::Full).code.status(), 507);
        assert_eq!(ApiError::from(StoreError::Internal("x".into())).code.status(), 500);
    }

    #[test]
    fn names_are_unique() {
        // One that S3 gives by a name it has for others too.
        let all = Code::ALL.iter().filter(|code| **code != Code::NoObjectLock);
        let mut names: Vec<_> = all.map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len() - 1);
    }
}
