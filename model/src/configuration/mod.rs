//! Configuration that every node serves from a copy of its own (`specs/configuration.md`).
//!
//! A change is chosen in a register, then stored at A drives of *each* erasure set before it is answered. What a drive
//! answers carries the version that its node has. So every request, which asks Q drives of some set anyway, meets the
//! change: no node has to be known dead, and no clock is trusted.

pub mod mutant;

use crate::protocol::{Drives, Quorums};
use mutant::{Mutant, Mutation};
use std::collections::BTreeMap;

/// A chosen value, and its place in the chain of those that were chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chosen<C> {
    /// Number from 1; 0 is the configuration that a deployment is formatted with.
    pub version: u64,
    /// Content of the configuration.
    pub content: C,
}

/// A question to the register that waits for its answer: good for the life of the copy that it was asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question(u64);

/// A node's copy: the newest chosen configuration that it knows of, durably on its drives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keeper<C> {
    copy: Option<Chosen<C>>,
    /// Number of the copy's life; drawn anew when it is lost.
    life: u64,
}

impl<C: Clone> Keeper<C> {
    /// A keeper with what its drives have, or nothing, if they have lost it. `life` is random.
    #[must_use]
    pub fn new(copy: Option<Chosen<C>>, life: u64) -> Keeper<C> {
        Keeper { copy, life }
    }

    /// Returns what the node serves from, and what its drives answer with. Without a copy they do not answer: what they
    /// had may be all that a change was answered by.
    #[must_use]
    pub fn copy(&self) -> Option<&Chosen<C>> {
        self.copy.as_ref()
    }

    /// Takes a chosen configuration from whoever has it, if it is newer. True if the node has it now, or a newer one,
    /// once that is stored durably.
    pub fn take(&mut self, told: Chosen<C>, mutation: Mutation) -> bool {
        let newer = match &self.copy {
            Some(own) => told.version > own.version || mutation.is(Mutant::TakesLower),
            None => mutation.is(Mutant::LostTakesAny),
        };
        if newer {
            self.copy = Some(told);
        }
        self.copy.is_some()
    }

    /// Begins a question: the register is read *after* this.
    #[must_use]
    pub fn ask(&self) -> Question {
        Question(self.life)
    }

    /// Takes the answer.
    pub fn answer(&mut self, question: Question, chosen: Chosen<C>, mutation: Mutation) {
        if question.0 != self.life && !mutation.is(Mutant::AnswerOutlivesLoss) {
            return;
        }
        if self.copy.as_ref().is_none_or(|own| own.version < chosen.version) {
            self.copy = Some(chosen);
        }
    }
}

/// A change that is chosen, on its way to the nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spread {
    /// By set and drive, the node that it belongs to.
    layout: Vec<Vec<u32>>,
    /// By set, the drives whose nodes have it, or something newer.
    stored: Vec<Drives>,
    mutation: Mutation,
}

impl Spread {
    /// A change that no node has.
    #[must_use]
    pub fn new(layout: Vec<Vec<u32>>, mutation: Mutation) -> Spread {
        let stored = vec![Drives::NONE; layout.len()];
        Spread {
            layout,
            stored,
            mutation,
        }
    }

    /// A node has it.
    pub fn stored(&mut self, node: u32) {
        for (drives, stored) in self.layout.iter().zip(&mut self.stored) {
            let own = drives.iter().zip(0..).filter(|(owner, _)| **owner == node);
            own.for_each(|(_, drive)| {
                stored.insert(drive);
            });
        }
    }

    /// Returns whether every request that begins from now on meets it: the change may be answered.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        let enough = |(drives, stored): (&Vec<u32>, &Drives)| {
            let quorums = Quorums::of(drives.len() as u8);
            let fewer = usize::from(self.mutation.is(Mutant::StoredAtFewer));
            let all = self.mutation.is(Mutant::StoredEverywhere) && stored.count() < drives.len();
            stored.count() + fewer >= usize::from(quorums.accept) && !all
        };
        let mut sets = self.layout.iter().zip(&self.stored);
        if self.mutation.is(Mutant::StoredByNodes) {
            return self.is_at_half_of_the_nodes();
        }
        match () {
            () if self.mutation.is(Mutant::AnsweredWhenChosen) => true,
            () if self.mutation.is(Mutant::StoredInOneSet) => sets.next().is_none_or(enough),
            () => sets.all(enough),
        }
    }

    /// The break.
    fn is_at_half_of_the_nodes(&self) -> bool {
        let mut has: BTreeMap<u32, bool> = BTreeMap::new();
        for (drives, stored) in self.layout.iter().zip(&self.stored) {
            for (node, drive) in drives.iter().zip(0..) {
                *has.entry(*node).or_default() |= stored.contains(drive);
            }
        }
        has.values().filter(|has| **has).count() * 2 > has.len()
    }
}

/// A request that is being served: which version the drives that it asked know of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serving {
    /// Quorums of the set that the request asks.
    quorums: Quorums,
    told: BTreeMap<u8, u64>,
}

/// Decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Fewer than Q drives have answered since the request came.
    TooFew,
    /// A drive knows of a later version: its node gives a copy, then the request is judged anew.
    Behind {
        /// The drive.
        ask: u8,
    },
    /// The node's version is current.
    Current,
}

impl Serving {
    /// A request that has just come.
    #[must_use]
    pub fn new(quorums: Quorums) -> Serving {
        Serving {
            quorums,
            told: BTreeMap::new(),
        }
    }

    /// A drive has answered the request, with the version that its node has.
    pub fn hear(&mut self, drive: u8, version: u64) {
        let told = self.told.entry(drive).or_insert(version);
        *told = version.max(*told);
    }

    /// Returns whether the node may answer by the version that it has.
    #[must_use]
    pub fn judge(&self, own: u64, mutation: Mutation) -> Verdict {
        let fewer = usize::from(mutation.is(Mutant::HeardFewer));
        let enough = self.told.len() + fewer >= usize::from(self.quorums.prepare);
        let newest = self.told.iter().max_by_key(|(_, version)| **version);
        match newest {
            _ if mutation.is(Mutant::ServedAlone) => Verdict::Current,
            Some((drive, version)) if *version > own && !mutation.is(Mutant::BehindServes) => {
                Verdict::Behind { ask: *drive }
            }
            _ if enough => Verdict::Current,
            _ => Verdict::TooFew,
        }
    }
}

/// Symmetry for the checker: states that differ only in the drives' numbers are alike.
#[cfg(feature = "mutants")]
impl Serving {
    /// Returns what a drive has told.
    #[must_use]
    pub fn told_by(&self, drive: u8) -> Option<u64> {
        self.told.get(&drive).copied()
    }
}
