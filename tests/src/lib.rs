//! What the black-box tests and the measurement share.

pub mod s3;
