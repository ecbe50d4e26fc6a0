//! MD5, which S3 wants of every object, for many bodies at once.
//!
//! Each step of MD5 needs the result of the one before, so a processor that works on one body is idle for most of
//! its width. [`HashPool`] therefore works on the bodies that happen to wait together, side by side.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod lanes;
mod md5;
mod pool;

pub use md5::Md5;
pub use pool::HashPool;
