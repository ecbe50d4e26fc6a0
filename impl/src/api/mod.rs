//! The S3 operations, one file per group, in plain types: nothing here knows HTTP or XML.
//!
//! Each function validates, asks the store, and shapes the answer. What S3 calls an error is an
//! [`ApiError`]; [`error`] holds the one mapping of the store's errors to S3 codes.

pub mod buckets;
pub mod checksum;
pub mod conditions;
mod context;
pub mod copy;
pub mod delete;
pub mod error;
pub mod headers;
mod ingest;
pub mod list;
pub mod multipart;
pub mod names;
pub mod read;
pub mod write;

pub use context::Context;
pub use error::{ApiError, Code};
pub(crate) use ingest::hex;
pub use ingest::{Body, Expected, Incoming, OBJECT_BYTES_MAX};
