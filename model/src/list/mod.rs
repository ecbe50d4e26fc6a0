//! Listings: a range of keys, from the pages of Q drives of each set.
//!
//! A listing walks keys in their order, page by page. Each page is asked for after the listing has begun, and speaks
//! for a [`Span`] of the range only. The [`Union`] of Q pages tells of each key what every one of them has, as far as
//! all of them speak; there a plain read's rule decides ([`mod@crate::protocol::resolve`]), and where that cannot tell
//! the key is read alone ([`found`]). The listing goes on behind the span that the pages of all sets have in common.

pub mod mutant;
mod span;
mod union;

pub use span::Span;
pub use span::page;
pub use union::{Page, Union};

use crate::protocol::{Ballot, ReadDecision, Snapshot, Value, Vote};
use mutant::{Mutant, Mutation};

/// Decision of a listing about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<V> {
    /// Listed, with this value.
    Listed(V),
    /// Left out: absence is chosen.
    LeftOut,
    /// The pages cannot tell: the key has to be read alone.
    Ask,
}

/// Returns what a listing makes of a key, from what is decided on what its pages say of it.
#[must_use]
pub fn found<V: Value>(decision: ReadDecision<V>, mutation: Mutation) -> Found<V> {
    match decision {
        ReadDecision::Chosen(vote) if vote.value.is_absent() => Found::LeftOut,
        ReadDecision::Chosen(vote) => Found::Listed(vote.value),
        ReadDecision::Undecided | ReadDecision::TooFew if mutation.is(Mutant::UndecidedLeftOut) => Found::LeftOut,
        ReadDecision::Undecided | ReadDecision::TooFew => Found::Ask,
    }
}

/// Returns what a drive says of a key that its page passes over: it has nothing, and may have purged whatever it had.
#[must_use]
pub fn unlisted<V: Value>() -> Snapshot<V> {
    Snapshot {
        accepted: Vote::absent(),
        prev: Vote::absent(),
        committed: true,
        folders: Vec::new(),
        authoritative: true,
        floor: Ballot::ceiling(u64::MAX, u64::MAX),
        epoch: 0,
    }
}
