//! Erasure coding and bitrot framing: pure and synchronous. Its rules are in `specs/erasure.md`.
//!
//! A part of an object is cut into stripes of [`STRIPE_LEN`] bytes, the last one shorter. [`codec`] turns a
//! stripe into N shard blocks, K of data and M of parity; [`frame`] puts each behind its hash; the frames of
//! one shard index, one after the other, are a shard file, and [`layout`] knows its offsets. [`decode`] goes
//! the way back and never returns a byte that no hash vouches for. [`placement`] says which erasure set a key
//! belongs to, and which drive of the set holds which shard.
//!
//! Bytes, matrix, hash key and placement are those of MinIO, so that its drives can be adopted without copying
//! data.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod codec;
pub mod decode;
pub mod frame;
pub mod layout;
mod matrix;
pub mod placement;
mod pool;
mod shard_set;
#[cfg(test)]
mod tests;

pub use codec::{Codec, CodecError, Codecs, Shards};
pub use decode::{Decoded, Decoder, Rebuilt, TooFewShards};
pub(crate) use frame::reseal;
pub use frame::{Corrupt, Encoder, HASH_LEN, Stripe, verify_block};
pub use layout::{Layout, TooLong};
pub use placement::{Distribution, distribution, set_of};
pub use pool::StripePool;
pub use shard_set::ShardSet;

/// Bytes of a part that are encoded at once. The last stripe of a part is shorter, never empty.
pub const STRIPE_LEN: usize = 1 << 20;

/// The most drives that an erasure set has.
pub const SHARDS_MAX: usize = 16;
