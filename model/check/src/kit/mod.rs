//! Parts of the worlds that run the register itself, drive by drive: [`crate::register`], [`crate::pool`] and
//! [`crate::list`].
//!
//! They are generic over the value. The arguments for the reductions (such as: a request that will always be refused
//! may be refused at once) hold in all of these worlds; they are in the documentation of the register's world.

pub mod client;
pub mod drive;
pub mod mail;
pub mod symmetry;
pub mod votes;
