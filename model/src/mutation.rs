//! Switch for deliberate breaks (mutants), each of which the checker or the simulation must notice.
//!
//! Without the feature `mutants` a [`Mutation`] is empty and every question to it is the constant `false`, so a
//! server carries no trace of them.

#[cfg(not(feature = "mutants"))]
use std::marker::PhantomData;

/// A mutant of `M`, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mutation<M>(
    #[cfg(feature = "mutants")] Option<M>,
    #[cfg(not(feature = "mutants"))] PhantomData<M>,
);

impl<M: Copy + PartialEq> Mutation<M> {
    /// The protocol as it is.
    #[cfg(feature = "mutants")]
    pub const NONE: Mutation<M> = Mutation(None);
    /// The protocol as it is.
    #[cfg(not(feature = "mutants"))]
    pub const NONE: Mutation<M> = Mutation(PhantomData);

    /// Returns whether the break is `mutant`.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn is(self, mutant: M) -> bool {
        self.0 == Some(mutant)
    }

    /// Never, in a server.
    #[cfg(not(feature = "mutants"))]
    #[must_use]
    pub fn is(self, _mutant: M) -> bool {
        false
    }

    /// The break, if there is one.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn get(self) -> Option<M> {
        self.0
    }
}

impl<M: Copy + PartialEq> Default for Mutation<M> {
    fn default() -> Mutation<M> {
        Mutation::NONE
    }
}

#[cfg(feature = "mutants")]
impl<M> From<M> for Mutation<M> {
    fn from(mutant: M) -> Mutation<M> {
        Mutation(Some(mutant))
    }
}

#[cfg(feature = "mutants")]
impl<M> From<Option<M>> for Mutation<M> {
    fn from(mutant: Option<M>) -> Mutation<M> {
        Mutation(mutant)
    }
}
