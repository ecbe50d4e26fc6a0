//! Accepts that carry a change instead of the value that it makes.
//!
//! A value that grows with each write, as a key's history does, need not travel whole. A value is named by the change
//! that made it, and that was made of one base alone: so a name stands for all of a history, and drives that hold a
//! value of the same name hold the same value. A [`Brief`] Accept names its base, and a drive that holds it as chosen
//! votes as for the whole value. One that does not hold it refuses; the coordinator has seen that in its grant, and
//! has sent it the base before ([`super::Coordinator::with_changes`]).

use super::mutant::{Mutant, Mutation};
use super::{Ballot, Register, Value, Vote};
use std::{fmt::Debug, hash::Hash};

/// A value that can be told as a change of another.
pub trait Chained: Value {
    /// Name of a value and all that led to it.
    type Name: Copy + Debug + Eq + Ord + Hash;
    /// Change from a value to the next.
    type Change: Clone + Debug + Eq;

    /// Its name.
    fn name(&self) -> Self::Name;

    /// Returns what makes it of `base`. Whatever the base, [`Chained::changed`] makes the same value of it again.
    fn change_of(&self, base: &Self) -> Self::Change;

    /// The value that a change makes of `base`.
    #[must_use]
    fn changed(base: &Self, change: &Self::Change) -> Self;
}

/// An Accept that carries a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief<V: Chained> {
    /// The ballot.
    pub ballot: Ballot,
    /// The ballot of the chosen vote that it follows.
    pub prev: Ballot,
    /// The name of that vote's value.
    pub base: V::Name,
    /// The name of the value that it votes for.
    pub name: V::Name,
    /// Change that makes the value; `None` if it is the base again.
    pub change: Option<V::Change>,
}

impl<V: Chained> Brief<V> {
    /// The Accept of a vote that follows `prev`, in brief.
    #[must_use]
    pub fn of(vote: &Vote<V>, prev: &Vote<V>) -> Brief<V> {
        let (base, name) = (prev.value.name(), vote.value.name());
        Brief {
            ballot: vote.ballot,
            prev: prev.ballot,
            base,
            name,
            change: (name != base).then(|| vote.value.change_of(&prev.value)),
        }
    }

    /// The vote, and the one that it follows, for a drive that holds this; none if it does not hold the base, or what
    /// comes out is not what was voted for (`accept.on-known-base`).
    #[must_use]
    pub fn on(&self, register: &Register<V>, mutation: Mutation) -> Option<(Vote<V>, Vote<V>)> {
        let held = [&register.accepted, &register.prev];
        let base = held.into_iter().find(|vote| vote.value.name() == self.base);
        // What it holds as chosen, whatever that is.
        let any = mutation.is(Mutant::ChangeOnAnyBase).then_some(&register.prev);
        let base = base.or(any)?.value.clone();
        let value = match &self.change {
            Some(change) => V::changed(&base, change),
            None => base.clone(),
        };
        let prev = Vote {
            ballot: self.prev,
            value: base,
        };
        let vote = Vote {
            ballot: self.ballot,
            value,
        };
        (vote.value.name() == self.name).then_some((vote, prev))
    }
}
