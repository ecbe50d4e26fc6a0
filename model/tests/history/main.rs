//! Uploads and versions, explored exhaustively within small bounds.
#![allow(missing_docs, reason = "a test")]

mod uploads;
mod versions;
