//! The leader's side of the first start.

use super::mutant::{Mutant, Mutation};
use super::{Found, Reply, Request};

/// The leader of a first start: a process of the node of the first endpoint, which is the first of the nodes that it
/// asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leader<I> {
    nodes: Vec<Heard<I>>,
    /// Number of looks at each node that are over.
    looks: Vec<u64>,
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
            looks: vec![0; nodes],
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
            Standing::Completes(id) if self.may_complete(node) => Some(Request::Complete(id)),
            _ => None,
        }
    }

    /// Returns whether a node that has begun is to complete its drives: the leader's own come first. So a later leader
    /// that finds them begun knows that no drive was complete before it started, and one that finds them complete
    /// begins nothing, though it has not heard of drives that were wiped since (`format.wiped-is-unknown`).
    fn may_complete(&self, node: usize) -> bool {
        let is_complete = |heard: &Heard<I>| matches!(heard, Heard::Complete(_));
        let is_its_turn = node == 0 || self.nodes.first().is_some_and(is_complete);
        let in_any_order = self.mutation.is(Mutant::CompletesOthersFirst);
        !is_complete(&self.nodes[node]) && (is_its_turn || in_any_order)
    }

    /// Returns the number of the look that a request to a node is based on now, or is.
    #[must_use]
    pub fn look(&self, node: usize) -> u64 {
        self.looks.get(node).copied().unwrap_or(0)
    }

    /// Takes a node's answer to what it was asked last. An answer that comes after the call was given up is not taken.
    pub fn on(&mut self, node: usize, reply: Reply<I>, asked: &Request<I>) {
        let heard = match (asked, reply) {
            (Request::Look, Reply::Found(found)) => Heard::Found(found),
            (Request::Begin(id), Reply::Begun) => Heard::Begun(id.clone()),
            (Request::Complete(id), Reply::Complete) => Heard::Complete(id.clone()),
            // It was asked something else, or has another leader: it is looked at again.
            _ => return self.forget(node),
        };
        if let Some(place) = self.nodes.get_mut(node) {
            *place = heard;
        }
    }

    /// Forgets what it knows of a node: a request was not answered, or drives may have changed.
    pub fn forget(&mut self, node: usize) {
        if let (Some(heard), Some(looks)) = (self.nodes.get_mut(node), self.looks.get_mut(node)) {
            *heard = Heard::Unknown;
            *looks += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    type Id = char;

    /// Returns a leader that has looked at nodes with one drive each.
    fn looked(found: &[Found<Id>]) -> Leader<Id> {
        let mut leader = Leader::new(found.len(), 'f', Mutation::NONE);
        for (node, found) in found.iter().enumerate() {
            assert_eq!(leader.next(node), Some(Request::Look));
            leader.on(node, Reply::Found(vec![found.clone()]), &Request::Look);
        }
        leader
    }

    fn asks(leader: &Leader<Id>) -> Vec<Option<Request<Id>>> {
        (0..leader.nodes.len()).map(|node| leader.next(node)).collect()
    }

    #[test]
    fn what_was_begun_is_gone_on_with() {
        let begin = |id| Some(Request::Begin(id));
        assert_eq!(asks(&looked(&[Found::Empty, Found::Empty])), [begin('f'), begin('f')]);
        assert_eq!(
            asks(&looked(&[Found::Empty, Found::Begun('a')])),
            [begin('a'), begin('a')]
        );
    }

    #[test]
    fn drives_of_several_deployments_are_left_alone() {
        let mut leader = looked(&[Found::Begun('a'), Found::Begun('b'), Found::Empty]);
        assert_eq!((leader.standing(), asks(&leader)), (Standing::Divided, vec![None; 3]));
        leader.forget(1);
        assert_eq!(
            (leader.standing(), leader.next(1)),
            (Standing::Looks, Some(Request::Look))
        );
        leader.on(1, Reply::Found(vec![Found::Empty]), &Request::Look);
        assert_eq!(leader.standing(), Standing::Begins('a'));
    }

    #[test]
    fn a_refused_drive_stops_all() {
        let mut leader = looked(&[Found::Empty, Found::Refused]);
        assert_eq!((leader.standing(), asks(&leader)), (Standing::Refused, vec![None; 2]));
        leader.forget(1);
        leader.on(1, Reply::Found(vec![Found::Empty]), &Request::Look);
        assert_eq!(leader.standing(), Standing::Begins('f'));
    }

    // `format.one-leader`
    #[test]
    fn a_node_that_refuses_is_looked_at_again() {
        let mut leader = looked(&[Found::Empty, Found::Empty]);
        leader.on(1, Reply::Refused, &Request::Begin('f'));
        assert_eq!((leader.look(0), leader.look(1)), (0, 1));
        assert_eq!(asks(&leader), [None, Some(Request::Look)]);
        leader.forget(1);
        assert_eq!(leader.look(1), 2, "each look has a number of its own");
    }

    // `format.wiped-is-unknown`
    #[test]
    fn the_leaders_drives_are_completed_first() {
        let mut leader = looked(&[Found::Begun('a'), Found::Begun('a'), Found::Begun('a')]);
        (0..3).for_each(|node| leader.on(node, Reply::Begun, &Request::Begin('a')));
        let complete = Some(Request::Complete('a'));
        assert_eq!(asks(&leader), [complete.clone(), None, None]);
        leader.on(0, Reply::Complete, &Request::Complete('a'));
        assert_eq!(asks(&leader), [None, complete.clone(), complete]);
        leader.on(1, Reply::Complete, &Request::Complete('a'));
        leader.forget(2);
        assert_eq!(
            (leader.standing(), asks(&leader)),
            (Standing::Formed('a'), vec![None; 3])
        );
    }
}
