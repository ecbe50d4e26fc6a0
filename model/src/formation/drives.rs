//! A node's side of the first start: what it does to its drives.

use super::mutant::{Mutant, Mutation};
use super::{Boot, Found, Reply, Request};

/// A node's drives during its start. Its process forgets `leader` when it ends; the drives remember.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drives<I> {
    found: Vec<Found<I>>,
    /// The leader's process that looked last.
    leader: Option<Boot>,
    mutation: Mutation,
}

/// What a node does to its drives before it answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job<I> {
    /// Nothing: the answer is there.
    Answer(Reply<I>),
    /// Begins this format on each drive that is empty, and then answers.
    Begin(I),
    /// Completes this format on each drive, and then answers.
    Complete(I),
}

impl<I: Clone + PartialEq> Drives<I> {
    /// A process that has found this on its drives.
    #[must_use]
    pub fn new(found: Vec<Found<I>>, mutation: Mutation) -> Drives<I> {
        Drives {
            found,
            leader: None,
            mutation,
        }
    }

    /// What is on the drives.
    #[must_use]
    pub fn found(&self) -> &[Found<I>] {
        &self.found
    }

    /// Notes what is on a drive now.
    pub fn set(&mut self, drive: usize, found: Found<I>) {
        if let Some(place) = self.found.get_mut(drive) {
            *place = found;
        }
    }

    /// Takes a request of the leader's process `from`: what is to be done (`format.one-leader`).
    pub fn on(&mut self, from: Boot, request: Request<I>) -> Job<I> {
        let obeys = match self.leader {
            Some(leader) => leader == from || self.mutation.is(Mutant::ObeysEarlierLeaders),
            None => self.mutation.is(Mutant::ObeysStrangers),
        };
        match request {
            Request::Look => {
                self.leader = Some(from);
                Job::Answer(Reply::Found(self.found.clone()))
            }
            Request::Begin(id) if obeys && self.may_begin(&id) => Job::Begin(id),
            Request::Complete(id) if obeys && self.may_complete(&id) => Job::Complete(id),
            Request::Begin(_) | Request::Complete(_) => Job::Answer(Reply::Refused),
        }
    }

    /// Returns whether each drive is empty or has begun this very format (`format.one-deployment`).
    fn may_begin(&self, id: &I) -> bool {
        self.found.iter().all(|found| match found {
            Found::Empty => true,
            Found::Begun(begun) => begun == id || self.mutation.is(Mutant::BeginsOverOther),
            Found::Complete(_) | Found::Refused => false,
        })
    }

    fn may_complete(&self, id: &I) -> bool {
        let has = |found: &Found<I>| matches!(found, Found::Begun(begun) | Found::Complete(begun) if begun == id);
        self.found.iter().all(has)
    }

    /// Takes what another node has found on its drives. Returns the format that this node may complete where it has
    /// begun it: a complete drive of it shows that it was begun on all (`format.complete-after-all`). Its empty drives
    /// stay empty: they were wiped or replaced since (`format.wiped-is-unknown`).
    #[must_use]
    pub fn learn(&self, others: &[Found<I>]) -> Option<I> {
        let shown = |found: &Found<I>| match found {
            Found::Complete(id) => Some(id.clone()),
            Found::Begun(id) if self.mutation.is(Mutant::FinishesAfterBegun) => Some(id.clone()),
            _ => None,
        };
        let id = others.iter().find_map(shown)?;
        let is_own = |found: &Found<I>| match found {
            Found::Begun(begun) => *begun == id,
            Found::Empty => self.mutation.is(Mutant::AdoptsEmpty),
            _ => false,
        };
        self.found.iter().any(is_own).then_some(id)
    }

    /// Returns whether a drive takes part when the node begins or completes a format.
    #[must_use]
    pub fn takes_part(&self, drive: usize, job: &Job<I>) -> bool {
        match (job, self.found.get(drive)) {
            (Job::Begin(id), Some(Found::Begun(begun))) => begun != id,
            (Job::Begin(_), Some(Found::Empty)) => true,
            (Job::Complete(id), Some(Found::Begun(begun))) => begun == id,
            (Job::Complete(_), Some(Found::Empty)) => self.mutation.is(Mutant::AdoptsEmpty),
            _ => false,
        }
    }
}
