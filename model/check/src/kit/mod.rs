//! Pieces of the worlds that run the register itself, drive by drive: [`crate::register`], [`crate::pool`] and
//! [`crate::list`].
//!
//! They are generic over the value. What is argued of one of them, as that a request which is refused for ever may be
//! refused at once, holds in all of these worlds; the arguments are at the head of the register's world.

pub mod client;
pub mod drive;
pub mod mail;
pub mod symmetry;
pub mod votes;
