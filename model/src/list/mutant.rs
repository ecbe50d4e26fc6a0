//! Deliberate breaks of listings, one switch each: the checker must notice every one.
//!
//! Without the feature `mutants` a [`Mutation`] is empty and every question to it is the constant `false`.

/// Deliberate break of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// Pages are taken to speak as far as the longest of them does.
    LongestSpan,
    /// The sets together are taken to speak as far as the one that speaks furthest.
    LongestSet,
    /// The next page begins with the last key of the one before.
    LastKeyAgain,
    /// A key on which the pages cannot decide is left out.
    UndecidedLeftOut,
    /// A key that only one of the pages has is left out.
    SeenOnceLeftOut,
    /// A page that was read before the listing began is used.
    PageFromBefore,
    /// A recovering drive speaks for all keys.
    RecoveringSpeaks,
    /// A recovering drive passes over the keys that it knows to have lost.
    UnknownPassedOver,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
