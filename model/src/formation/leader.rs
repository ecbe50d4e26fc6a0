//! The leader's side of the first start.

use super::mutant::{Mutant, Mutation};
use super::{Found, Reply, Request};

/// The leader of a first start: a process of the node of the first endpoint, which is one of the nodes that it asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leader<I> {
    nodes: Vec<Heard<I>>,
    /// The deployment that it makes if none was begun.
    fresh: I,
    mutation: Mutation,
}

/// What the leader knows of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Heard<I> {
    /// Nothing, or no longer anything.
    Unknown,
    Found(Vec<Found<I>>),
    Begun(I),
    Complete(I),
}

/// State of a first start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing<I> {
    /// Some nodes have not answered yet.
    Looks,
    /// Drives are in the way: nothing was written by this leader.
    Refused,
    /// Drives are of several deployments, of which none is complete.
    Divided,
    /// It is being begun.
    Begins(I),
    /// It is begun on all drives, and is being completed.
    Completes(I),
    /// Some drive is complete, so all had begun: every node does the rest by itself.
    Formed(I),
}

impl<I: Clone + PartialEq> Leader<I> {
    /// A leader of so many nodes; `fresh` is an identifier that nobody has.
    #[must_use]
    pub fn new(nodes: usize, fresh: I, mutation: Mutation) -> Leader<I> {
        Leader {
            nodes: vec![Heard::Unknown; nodes],
            fresh,
            mutation,
        }
    }

    /// Returns what is to be asked of a node now, if anything.
    #[must_use]
    pub fn next(&self, node: usize) -> Option<Request<I>> {
        let heard = self.nodes.get(node)?;
        let standing = self.standing();
        if *heard == Heard::Unknown {
            let is_over = matches!(standing, Standing::Formed(_));
            return (!is_over).then_some(Request::Look);
        }
        let has_begun = matches!(heard, Heard::Begun(_) | Heard::Complete(_));
        match standing {
            Standing::Begins(id) if !has_begun => Some(Request::Begin(id)),
            Standing::Completes(id) if !matches!(heard, Heard::Complete(_)) => Some(Request::Complete(id)),
            _ => None,
        }
    }

    /// Takes a node's answer.
    pub fn on(&mut self, node: usize, reply: Reply<I>, asked: &Request<I>) {
        let Some(heard) = self.nodes.get_mut(node) else { return };
        *heard = match (asked, reply) {
            (Request::Look, Reply::Found(found)) => Heard::Found(found),
            (Request::Begin(id), Reply::Begun) => Heard::Begun(id.clone()),
            (Request::Complete(id), Reply::Complete) => Heard::Complete(id.clone()),
            // It was asked something else, or has another leader: it is looked at again.
            _ => Heard::Unknown,
        };
    }

    /// Forgets what it knows of a node: a request was not answered, or drives may have changed.
    pub fn forget(&mut self, node: usize) {
        if let Some(heard) = self.nodes.get_mut(node) {
            *heard = Heard::Unknown;
        }
    }

    /// Returns how far the start is.
    #[must_use]
    pub fn standing(&self) -> Standing<I> {
        let found = || {
            self.nodes.iter().flat_map(|heard| match heard {
                Heard::Found(found) => &found[..],
                _ => &[],
            })
        };
        let complete = found().find_map(|found| match found {
            Found::Complete(id) => Some(id),
            _ => None,
        });
        let complete = complete.or_else(|| {
            self.nodes.iter().find_map(|heard| match heard {
                Heard::Complete(id) => Some(id),
                _ => None,
            })
        });
        let begun = |heard: &Heard<I>| matches!(heard, Heard::Begun(_) | Heard::Complete(_));
        let count = self.nodes.iter().filter(|heard| begun(heard)).count();
        if let Some(id) = complete.filter(|_| !self.mutation.is(Mutant::BeginsAfterComplete)) {
            // Its own completions are gone on with while nobody is left out.
            return match count == self.nodes.len() && !self.is_complete() {
                true => Standing::Completes(id.clone()),
                false => Standing::Formed(id.clone()),
            };
        }
        if self.nodes.contains(&Heard::Unknown) && !self.mutation.is(Mutant::BeginsBeforeLooking) {
            return Standing::Looks;
        }
        if found().any(|found| *found == Found::Refused) && !self.mutation.is(Mutant::BeginsBesideRefused) {
            return Standing::Refused;
        }
        let of_heard = self.nodes.iter().filter_map(|heard| match heard {
            Heard::Begun(id) | Heard::Complete(id) => Some(id),
            _ => None,
        });
        let of_found = found().filter_map(|found| match found {
            Found::Begun(id) | Found::Complete(id) => Some(id),
            _ => None,
        });
        let mut ids = of_heard.chain(of_found);
        let id = match ids.next() {
            Some(id) if ids.any(|other| other != id) => return Standing::Divided,
            Some(_) if self.mutation.is(Mutant::MakesAnother) => &self.fresh,
            Some(id) => id,
            None => &self.fresh,
        };
        let needed = match self.mutation.is(Mutant::CompletesEarly) {
            true => self.nodes.len() / 2 + 1,
            false => self.nodes.len(),
        };
        match count >= needed {
            true => Standing::Completes(id.clone()),
            false => Standing::Begins(id.clone()),
        }
    }

    /// Returns whether all drives are complete.
    fn is_complete(&self) -> bool {
        self.nodes.iter().all(|heard| matches!(heard, Heard::Complete(_)))
    }
}
