//! A drive.
