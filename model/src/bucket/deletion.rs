//! The side of the node that deletes a bucket.

use super::mutant::{Mutant, Mutation};
use super::{Bucket, Change, Changed, Incarnation, Listing, Phase, Refusal, Vacancy, vacancy};
use crate::protocol::{Outcome, Quorums, Value};
use std::collections::BTreeMap;

/// Deletion of a bucket, from its first look to its end.
///
/// Feed events with [`Deletion::on`] and do what it asks for, until [`Deletion::ended`] is there. A deletion that is
/// left in the middle leaves the bucket closed: the next deletion takes it over, the next writer calls it off.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deletion<K, V> {
    /// Quorums of each set.
    quorums: Vec<Quorums>,
    step: Step<K, V>,
    mutation: Mutation,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step<K, V> {
    Reading,
    Looking(Incarnation),
    Closing(Incarnation),
    Surveying {
        incarnation: Incarnation,
        turn: u64,
        /// By set, what its drives listed behind their closed gates.
        listings: Vec<BTreeMap<u8, Listing<K, V>>>,
    },
    Opening(Ended),
    Removing,
    Over(Ended),
}

/// Effect of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Read the bucket's register.
    Read,
    /// List the bucket as anybody would, and resolve what is undecided: to close a bucket for nothing would hold up
    /// its writers.
    Look(Incarnation),
    /// Change the bucket's register.
    Change(Change),
    /// Have the drives of all sets close their gates for this turn, and list.
    Survey(Incarnation, u64),
}

/// Event for the deletion of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event<K, V> {
    /// Value of the register.
    Read(Option<Bucket>),
    /// Result of the first look.
    Looked(Vacancy),
    /// Outcome of the change.
    Changed(Changed),
    /// A drive has closed its gate, and lists; or it has not, because its record is past that turn.
    Surveyed {
        /// Its set.
        set: u8,
        /// The drive.
        from: u8,
        /// Its listing.
        listing: Option<Listing<K, V>>,
    },
    /// Stragglers have had their moment.
    StragglerTimeout,
}

/// Outcome of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ended {
    /// The bucket is gone.
    Deleted,
    /// A key exists.
    NotEmpty,
    /// No such bucket.
    NoSuchBucket,
    /// A write is under way, or has called the deletion off: it has no effect.
    Contended,
    /// The register could not be changed: no effect.
    Unavailable,
    /// Outcome unknown: it may be gone, now or later.
    Ambiguous,
}

impl<K: Ord + Clone, V: Value> Deletion<K, V> {
    /// A deletion and its first effect.
    #[must_use]
    pub fn new(quorums: Vec<Quorums>) -> (Self, Effect) {
        let machine = Deletion {
            quorums,
            step: Step::Reading,
            mutation: Mutation::NONE,
        };
        (machine, Effect::Read)
    }

    /// The same machine with the protocol broken in one way.
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self
    }

    /// Returns how it ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        match self.step {
            Step::Over(ended) => Some(ended),
            _ => None,
        }
    }

    /// Takes an event, returns what to do. What comes late changes nothing.
    pub fn on(&mut self, event: Event<K, V>) -> Option<Effect> {
        match (&mut self.step, event) {
            (Step::Reading, Event::Read(bucket)) => self.begin(bucket),
            (Step::Looking(incarnation), Event::Looked(vacancy)) => {
                let incarnation = *incarnation;
                match vacancy {
                    Vacancy::Occupied => self.end(Ended::NotEmpty),
                    Vacancy::Undecided => self.end(Ended::Contended),
                    Vacancy::Empty => self.go(Step::Closing(incarnation), Effect::Change(Change::Close(incarnation))),
                }
            }
            (Step::Closing(incarnation), Event::Changed(changed)) => {
                let incarnation = *incarnation;
                match changed {
                    Outcome::Written(Some(bucket)) | Outcome::Kept(Some(bucket)) => {
                        self.survey(incarnation, bucket.turn)
                    }
                    other => self.fail(other),
                }
            }
            (Step::Surveying { listings, .. }, Event::Surveyed { set, from, listing }) => {
                let Some(listing) = listing else {
                    return self.end(Ended::Contended);
                };
                if let Some(of_set) = listings.get_mut(usize::from(set)) {
                    of_set.insert(from, listing);
                }
                self.count(false)
            }
            (Step::Surveying { .. }, Event::StragglerTimeout) => self.count(true),
            (Step::Opening(ended), Event::Changed(_)) => {
                let ended = *ended;
                self.end(ended)
            }
            (Step::Removing, Event::Changed(Outcome::Written(_))) => self.end(Ended::Deleted),
            (Step::Removing, Event::Changed(other)) => self.fail(other),
            _ => None,
        }
    }

    fn begin(&mut self, bucket: Option<Bucket>) -> Option<Effect> {
        match bucket {
            None => self.end(Ended::NoSuchBucket),
            Some(Bucket {
                incarnation,
                turn,
                phase: Phase::Deleting,
            }) => {
                if self.mutation.is(Mutant::RemoveUnlisted) {
                    return self.go(Step::Removing, Effect::Change(Change::Remove(incarnation, turn)));
                }
                self.survey(incarnation, turn)
            }
            Some(Bucket { incarnation, .. }) => self.go(Step::Looking(incarnation), Effect::Look(incarnation)),
        }
    }

    fn survey(&mut self, incarnation: Incarnation, turn: u64) -> Option<Effect> {
        let listings = self.quorums.iter().map(|_| BTreeMap::new()).collect();
        let step = Step::Surveying {
            incarnation,
            turn,
            listings,
        };
        self.go(step, Effect::Survey(incarnation, turn))
    }

    /// Decides once each set has listed: with what is undecided, more drives may know more.
    fn count(&mut self, timeout: bool) -> Option<Effect> {
        let Step::Surveying {
            incarnation,
            turn,
            listings,
        } = &self.step
        else {
            return None;
        };
        let (incarnation, turn) = (*incarnation, *turn);
        let everybody = |(quorums, of_set): (&Quorums, &BTreeMap<_, _>)| of_set.len() == usize::from(quorums.drives);
        let sets = if self.mutation.is(Mutant::SurveyOneSet) {
            1
        } else {
            self.quorums.len()
        };
        let asked = || self.quorums.iter().zip(listings).take(sets);
        if !timeout && !asked().all(everybody) {
            return None;
        }
        let found: Option<Vec<Vacancy>> = asked().map(|(quorums, of_set)| vacancy(*quorums, of_set)).collect();
        let ended = match found?.into_iter().max() {
            Some(Vacancy::Occupied) => Ended::NotEmpty,
            Some(Vacancy::Undecided) if !self.mutation.is(Mutant::UndecidedIsEmpty) => Ended::Contended,
            _ => return self.go(Step::Removing, Effect::Change(Change::Remove(incarnation, turn))),
        };
        self.go(Step::Opening(ended), Effect::Change(Change::Reopen(incarnation, turn)))
    }

    fn fail(&mut self, changed: Changed) -> Option<Effect> {
        self.end(match changed {
            Outcome::Refused {
                refusal: Refusal::Gone, ..
            } => Ended::NoSuchBucket,
            Outcome::Ambiguous(_) => Ended::Ambiguous,
            Outcome::Unavailable(_) => Ended::Unavailable,
            _ => Ended::Contended,
        })
    }

    fn go(&mut self, step: Step<K, V>, effect: Effect) -> Option<Effect> {
        self.step = step;
        Some(effect)
    }

    fn end(&mut self, ended: Ended) -> Option<Effect> {
        self.step = Step::Over(ended);
        None
    }
}

/// Symmetry for the checker: states that differ only in the drives' numbers are alike.
#[cfg(feature = "mutants")]
impl<K: Clone, V: Clone> Deletion<K, V> {
    /// Returns what a drive has listed.
    #[must_use]
    pub fn listing_of(&self, set: u8, drive: u8) -> Option<&Listing<K, V>> {
        match &self.step {
            Step::Surveying { listings, .. } => listings[usize::from(set)].get(&drive),
            _ => None,
        }
    }

    /// Gives the drives of a set their new names, by old one.
    pub fn rename(&mut self, set: u8, to: &[u8]) {
        if let Step::Surveying { listings, .. } = &mut self.step {
            let of_set = std::mem::take(&mut listings[usize::from(set)]).into_iter();
            listings[usize::from(set)] = of_set.map(|(old, listing)| (to[usize::from(old)], listing)).collect();
        }
    }
}
