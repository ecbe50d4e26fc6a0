//! Switch for deliberate breaks (mutants), each of which the checker or the simulation must notice.
//!
//! Machines keep a [`Mutation`] and functions take one, with and without the feature `mutants`. Without it the type has
//! no size and every question to it is the constant `false`, so a server carries no trace of them.

use cell::Cell;

/// A mutant of `M`, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mutation<M>(Cell<M>);

impl<M: Copy + PartialEq> Mutation<M> {
    /// The protocol as it is.
    pub const NONE: Mutation<M> = Mutation(cell::empty());

    /// Returns whether the break is `mutant`; never in a server.
    #[must_use]
    pub fn is(self, mutant: M) -> bool {
        self.get() == Some(mutant)
    }

    /// The break, if there is one; none in a server.
    #[must_use]
    pub fn get(self) -> Option<M> {
        cell::get(self.0)
    }

    /// What `part` makes of the break: the mutation of a part, or none of it.
    #[must_use]
    pub fn and_then<N>(self, part: impl FnOnce(M) -> Option<N>) -> Mutation<N> {
        self.get().and_then(part).into()
    }
}

impl<M: Copy + PartialEq> Default for Mutation<M> {
    fn default() -> Mutation<M> {
        Mutation::NONE
    }
}

impl<M> From<M> for Mutation<M> {
    fn from(mutant: M) -> Mutation<M> {
        Some(mutant).into()
    }
}

impl<M> From<Option<M>> for Mutation<M> {
    fn from(mutant: Option<M>) -> Mutation<M> {
        Mutation(cell::of(mutant))
    }
}

/// A mutant, where there can be one.
#[cfg(feature = "mutants")]
mod cell {
    pub(super) type Cell<M> = Option<M>;

    pub(super) const fn empty<M>() -> Cell<M> {
        None
    }

    pub(super) fn of<M>(mutant: Option<M>) -> Cell<M> {
        mutant
    }

    pub(super) fn get<M>(cell: Cell<M>) -> Option<M> {
        cell
    }
}

/// No mutant, whatever is put in.
#[cfg(not(feature = "mutants"))]
mod cell {
    use std::marker::PhantomData;

    pub(super) type Cell<M> = PhantomData<M>;

    pub(super) const fn empty<M>() -> Cell<M> {
        PhantomData
    }

    pub(super) fn of<M>(_mutant: Option<M>) -> Cell<M> {
        PhantomData
    }

    pub(super) fn get<M>(_cell: Cell<M>) -> Option<M> {
        None
    }
}

/// Checked wherever a server is compiled: tests have the feature on.
#[cfg(not(feature = "mutants"))]
const _: () = {
    use crate::protocol::{Acceptor, DriveState, KeyState};
    use crate::record::{Change, Op, Record};

    assert!(size_of::<Mutation<u64>>() == 0);
    assert!(size_of::<Acceptor<'_, Record>>() == size_of::<(&mut DriveState, &mut KeyState<Record>, u8)>());
    assert!(size_of::<Op>() == size_of::<(u128, u64, Change)>());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_itself_alone() {
        let broken = Mutation::from(3);
        assert!(broken.is(3) && !broken.is(4) && !Mutation::NONE.is(3));
        assert_eq!(
            broken.and_then(|mutant| (mutant == 3).then_some('c')),
            Mutation::from('c')
        );
        assert_eq!(broken.and_then(|_| None), Mutation::<char>::NONE);
    }
}
