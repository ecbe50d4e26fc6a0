//! Conclusions from the sets of all pools together: the home of a key, and what has to be carried on first.

use super::Placed;
use super::mutant::{Mutant, Mutation};
use crate::protocol::mutant::Mutation as RegisterMutation;
use crate::protocol::{Ballot, Quorums, ReadDecision, Resolution, Snapshot, Value, Vote, resolve};
use std::collections::BTreeMap;

/// Answers by pool and drive.
pub type Answers<V> = Vec<BTreeMap<u8, Snapshot<Placed<V>>>>;

/// Location of a key, as of a ballot that drives of every set have been asked to promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement<V> {
    /// Home in the set of this pool, known to be chosen: live, or the copy that it was forwarded to.
    Home {
        /// The pool.
        pool: u8,
        /// The vote.
        base: Vote<Placed<V>>,
    },
    /// Nowhere, known to be chosen.
    Absent,
    /// First something has to be carried on, or called off, in the set of this pool.
    Unsettled {
        /// The pool.
        pool: u8,
        /// Base to build on there.
        first: Base<V>,
    },
    /// Too few drives of some pool have answered.
    TooFew,
}

/// Base that may be built on in one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base<V> {
    /// Known to be chosen.
    Known(Vote<Placed<V>>),
    /// Accept this value first, following `prev`, under one's own ballot.
    Repeat {
        /// The value to carry on or to go back to.
        value: Placed<V>,
        /// The chosen vote before it.
        prev: Vote<Placed<V>>,
    },
    /// The highest vote may be chosen, but too few of its shards answered to carry it on.
    Stuck {
        /// The vote.
        top: Vote<Placed<V>>,
        /// The chosen vote before it.
        prev: Vote<Placed<V>>,
    },
    /// Too few drives have answered.
    TooFew,
}

/// View of the sets.
#[derive(Clone, Debug)]
pub struct View<V> {
    sets: Vec<Set<V>>,
    mutation: Mutation,
}

#[derive(Clone, Debug)]
struct Set<V> {
    resolution: Resolution<Placed<V>>,
    top: Vote<Placed<V>>,
    prev: Vote<Placed<V>>,
}

impl<V: Value> Set<V> {
    fn is_open(&self) -> bool {
        matches!(self.resolution, Resolution::Repeat { .. } | Resolution::Stuck { .. })
    }

    /// Returns whether the highest vote, not known to be chosen, is a matter of this set alone: the key lived here
    /// before it, or its copy did, and after it is here or forwarded. Whoever voted so knew that.
    fn is_alone(&self, mutation: Mutation) -> bool {
        let (top, prev) = (&self.top.value, &self.prev.value);
        let moves = matches!(top, Placed::Forward { .. }) || mutation.is(Mutant::TombstoneAlone);
        match prev {
            Placed::Here(value) => !value.is_absent() && (top.is_live() || moves),
            Placed::Incoming { .. } => top.is_live(),
            Placed::Forward { .. } | Placed::Withdrawn => false,
        }
    }

    /// Returns the base as the set says for itself.
    fn base(&self) -> Base<V> {
        match self.resolution.clone() {
            Resolution::Chosen(vote) => Base::Known(vote),
            Resolution::Repeat { value, prev } => Base::Repeat { value, prev },
            Resolution::Stuck { top, prev } => Base::Stuck { top, prev },
            Resolution::TooFew => Base::TooFew,
        }
    }
}

impl<V: Value> View<V> {
    /// Creates the view from the grants of one ballot.
    pub fn of(quorums: &[Quorums], answers: &Answers<V>, mutation: Mutation) -> Self {
        let sets = quorums.iter().zip(answers).map(|(quorums, answers)| {
            let voters = answers.values().filter(|snapshot| snapshot.authoritative);
            let top = voters.max_by_key(|snapshot| snapshot.accepted.ballot);
            Set {
                resolution: resolve(*quorums, answers, RegisterMutation::NONE),
                top: top.map_or_else(Vote::absent, |snapshot| snapshot.accepted.clone()),
                prev: top.map_or_else(Vote::absent, |snapshot| snapshot.prev.clone()),
            }
        });
        View {
            sets: sets.collect(),
            mutation,
        }
    }

    /// Returns where the key is.
    pub fn placement(&self) -> Placement<V> {
        if let Some(home) = self.live() {
            return home;
        }
        let alone = |set: &Set<V>| set.is_open() && set.is_alone(self.mutation);
        if let Some((pool, set)) = self.numbered().find(|(_, set)| alone(set)) {
            let first = set.base();
            return Placement::Unsettled { pool, first };
        }
        if self.sets.iter().any(|set| set.resolution == Resolution::TooFew) {
            return Placement::TooFew;
        }
        // A key that is on its way speaks in no set: an old creation elsewhere may be the highest that does.
        if let Some(home) = self.forwarded().filter(|_| !self.mutation.is(Mutant::ForwardLast)) {
            return home;
        }
        // Of votes that speak of the key the highest counts: whoever cast it knew what had become of those below.
        let any = self.mutation.is(Mutant::AnyVoteSupersedes);
        let speaks = |set: &Set<V>| set.top.value.is_here() || any;
        let mut spoken: Vec<_> = self.numbered().filter(|(_, set)| speaks(set)).collect();
        spoken.sort_by_key(|(_, set)| set.top.ballot);
        if self.mutation.is(Mutant::LowestCreationFirst) {
            spoken.retain(|(_, set)| set.is_open());
            spoken.reverse();
        }
        if let Some((pool, set)) = spoken.last().filter(|(_, set)| set.is_open()) {
            let (pool, first) = (*pool, set.base());
            return Placement::Unsettled { pool, first };
        }
        let last = self.forwarded().filter(|_| self.mutation.is(Mutant::ForwardLast));
        last.unwrap_or(Placement::Absent)
    }

    /// A set where the key is known to live answers alone: it leaves that set only by a vote there.
    fn live(&self) -> Option<Placement<V>> {
        let home = |set: &Set<V>| match &set.resolution {
            Resolution::Chosen(vote) => {
                let copy = vote.value.is_incoming() && self.mutation.is(Mutant::IncomingVisible);
                (vote.value.is_live() || copy).then(|| vote.clone())
            }
            _ => None,
        };
        self.numbered()
            .find_map(|(pool, set)| home(set).map(|base| Placement::Home { pool, base }))
    }

    /// The copy that a set has forwarded the key to.
    fn forwarded(&self) -> Option<Placement<V>> {
        for set in &self.sets {
            let Base::Known(vote) = set.base() else { continue };
            let Placed::Forward { to, copy } = &vote.value else {
                continue;
            };
            let is_it = |value: &Placed<V>| value.is_incoming() && value.value() == Some(copy);
            let target = self.sets.get(usize::from(*to)).filter(|set| is_it(&set.top.value));
            let Some(set) = target else { continue };
            return Some(match set.base() {
                Base::Known(base) => Placement::Home { pool: *to, base },
                first => Placement::Unsettled { pool: *to, first },
            });
        }
        None
    }

    /// Returns what may be built on in a set that is not the key's home.
    pub fn base(&self, pool: u8) -> Base<V> {
        let set = &self.sets[usize::from(pool)];
        let superseded = set.top.value.is_here() && self.is_superseded(pool);
        let deletes = set.prev.value.is_live() || set.prev.value.is_incoming();
        match set.base() {
            // Whoever spoke after it knew it to be chosen.
            Base::Repeat { .. } | Base::Stuck { .. }
                if superseded && deletes && !self.mutation.is(Mutant::DeleteSuperseded) =>
            {
                Base::Known(set.top.clone())
            }
            // A creation that nobody built upon never was chosen, nor will be.
            Base::Repeat { prev, .. } | Base::Stuck { prev, .. } if superseded => self.back_to(prev),
            Base::Repeat { value, prev } if value == prev.value => self.back_to(prev),
            base => base,
        }
    }

    /// Calls a vote off. Absence is not repeated: it would speak of the key, above others that know more.
    fn back_to(&self, prev: Vote<Placed<V>>) -> Base<V> {
        let absent = prev.value.is_absent() && !self.mutation.is(Mutant::CalledOffByAbsence);
        let value = if absent { Placed::Withdrawn } else { prev.value.clone() };
        Base::Repeat { value, prev }
    }

    /// Returns whether a higher vote of another set speaks of the key itself. Copies, forwards and withdrawals do not:
    /// whoever cast them may have known a creation below to be chosen.
    fn is_superseded(&self, pool: u8) -> bool {
        let any = self.mutation.is(Mutant::AnyVoteSupersedes);
        let ballot = self.sets[usize::from(pool)].top.ballot;
        let mut others = self.numbered().filter(|(other, _)| *other != pool);
        others.any(|(_, set)| (set.top.value.is_here() || any) && set.top.ballot > ballot)
    }

    /// A set that has forwarded the key.
    pub(super) fn forward(&self) -> Option<(u8, Vote<Placed<V>>)> {
        self.numbered().find_map(|(pool, _)| match self.base(pool) {
            Base::Known(vote) if matches!(vote.value, Placed::Forward { .. }) => Some((pool, vote)),
            _ => None,
        })
    }

    fn numbered(&self) -> impl Iterator<Item = (u8, &Set<V>)> {
        (0u8..).zip(&self.sets)
    }
}

/// Decides a plain read, from snapshots that were taken without a promise.
///
/// A set where the key is known to live answers alone. Absence needs every set, and no sign of a move in any: a set
/// that the key left while the read was under way says so until the key has been deleted.
pub fn decide_read<V: Value>(quorums: &[Quorums], answers: &Answers<V>, mutation: Mutation) -> ReadDecision<V> {
    let decisions = quorums.iter().zip(answers);
    let decisions: Vec<_> = decisions
        .map(|(quorums, answers)| crate::protocol::decide_read(*quorums, answers, RegisterMutation::NONE))
        .collect();
    let chosen = |decision: &ReadDecision<Placed<V>>| match decision {
        ReadDecision::Chosen(vote) => Some(vote.clone()),
        _ => None,
    };
    let found: Vec<Vote<Placed<V>>> = decisions.iter().filter_map(chosen).collect();
    let visible = |vote: &&Vote<Placed<V>>| {
        let copy = vote.value.is_incoming() && mutation.is(Mutant::IncomingVisible);
        vote.value.is_live() || copy
    };
    if let Some(vote) = found.iter().find(visible)
        && let Some(value) = vote.value.value().cloned()
    {
        let ballot = vote.ballot;
        return ReadDecision::Chosen(Vote { ballot, value });
    }
    let absent = |vote: &&Vote<Placed<V>>| vote.value.is_absent();
    let absences = found.iter().filter(absent).count();
    if absences == quorums.len() || absences > 0 && mutation.is(Mutant::AbsenceByOnePool) {
        return ReadDecision::Chosen(Vote {
            ballot: Ballot::ZERO,
            value: V::absent(),
        });
    }
    if decisions.contains(&ReadDecision::TooFew) {
        ReadDecision::TooFew
    } else {
        ReadDecision::Undecided
    }
}

#[cfg(test)]
mod tests;
