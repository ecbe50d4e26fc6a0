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
    /// Nodes whose drives were as they had been told once the last look at any node was over. A drive that was moved
    /// between two looks is missing in both.
    confirmed: Vec<bool>,
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
    /// All nodes have answered, and some have yet to confirm it.
    Confirms,
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
            confirmed: vec![false; nodes],
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
            Standing::Confirms if !self.confirmed[node] => Some(Request::Confirm(self.round())),
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

    /// Number of looks at all nodes that are over. While it stays the same, no other look has begun.
    fn round(&self) -> u64 {
        self.looks.iter().sum()
    }

    /// Takes a node's answer to what it was asked last. An answer that comes after the call was given up is not taken.
    pub fn on(&mut self, node: usize, reply: Reply<I>, asked: &Request<I>) {
        let heard = match (asked, reply) {
            (Request::Confirm(round), Reply::Found(found)) if self.is_as_heard(node, &found) => {
                let is_last = *round == self.round();
                if let Some(confirmed) = self.confirmed.get_mut(node).filter(|_| is_last) {
                    *confirmed = true;
                }
                return;
            }
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

    /// Returns whether a node's drives are as the leader was told.
    fn is_as_heard(&self, node: usize, found: &[Found<I>]) -> bool {
        match self.nodes.get(node) {
            Some(Heard::Found(before)) => before == found,
            Some(Heard::Begun(id)) => found
                .iter()
                .all(|found| matches!(found, Found::Begun(begun) if begun == id)),
            Some(Heard::Unknown | Heard::Complete(_)) | None => false,
        }
    }

    /// Forgets what it knows of a node: a request was not answered, or drives may have changed. What others have
    /// confirmed was before the look at this one.
    pub fn forget(&mut self, node: usize) {
        if let (Some(heard), Some(looks)) = (self.nodes.get_mut(node), self.looks.get_mut(node)) {
            *heard = Heard::Unknown;
            *looks += 1;
            self.confirmed.fill(false);
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
        let begins_anyway = [Mutant::BeginsUnconfirmed, Mutant::BeginsBeforeLooking];
        let begins_anyway = begins_anyway.into_iter().any(|mutant| self.mutation.is(mutant));
        match count >= needed {
            true => Standing::Completes(id.clone()),
            false if self.confirmed.contains(&false) && !begins_anyway => Standing::Confirms,
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

    /// Has every node that is asked confirm this.
    fn confirmed(mut leader: Leader<Id>, found: &[Found<Id>]) -> Leader<Id> {
        for (node, found) in found.iter().enumerate() {
            if let Some(request @ Request::Confirm(_)) = leader.next(node) {
                leader.on(node, Reply::Found(vec![found.clone()]), &request);
            }
        }
        leader
    }

    fn begins(found: &[Found<Id>]) -> Leader<Id> {
        confirmed(looked(found), found)
    }

    fn asks(leader: &Leader<Id>) -> Vec<Option<Request<Id>>> {
        (0..leader.nodes.len()).map(|node| leader.next(node)).collect()
    }

    #[test]
    fn what_was_begun_is_gone_on_with() {
        let begin = |id| Some(Request::Begin(id));
        assert_eq!(asks(&begins(&[Found::Empty, Found::Empty])), [begin('f'), begin('f')]);
        assert_eq!(
            asks(&begins(&[Found::Empty, Found::Begun('a')])),
            [begin('a'), begin('a')]
        );
    }

    // `format.one-deployment`
    #[test]
    fn nothing_is_begun_before_all_have_confirmed() {
        let confirm = |round| Some(Request::Confirm(round));
        let empty = || Reply::Found(vec![Found::Empty]);
        let mut leader = looked(&[Found::Empty, Found::Empty]);
        assert_eq!(
            (leader.standing(), asks(&leader)),
            (Standing::Confirms, vec![confirm(0), confirm(0)])
        );
        leader.on(0, empty(), &Request::Confirm(0));
        assert_eq!(asks(&leader), [None, confirm(0)]);
        // It has been started anew, maybe with other drives, which node 0 had.
        leader.on(1, Reply::Refused, &Request::Confirm(0));
        assert_eq!(asks(&leader), [None, Some(Request::Look)]);
        leader.on(1, empty(), &Request::Look);
        leader.on(0, empty(), &Request::Confirm(0));
        assert_eq!(
            asks(&leader),
            [confirm(1), confirm(1)],
            "what is confirmed late does not count"
        );
        leader.on(0, empty(), &Request::Confirm(1));
        leader.on(1, Reply::Found(vec![Found::Begun('a')]), &Request::Confirm(1));
        assert_eq!(asks(&leader), [None, Some(Request::Look)], "they have changed");
    }

    // `format.one-deployment`
    #[test]
    fn after_another_look_all_confirm_again() {
        let found = [Found::Empty, Found::Empty];
        let mut leader = begins(&found);
        leader.on(0, Reply::Begun, &Request::Begin('f'));
        leader.on(1, Reply::Refused, &Request::Begin('f'));
        leader.on(1, Reply::Found(vec![Found::Empty]), &Request::Look);
        let confirm = Some(Request::Confirm(1));
        assert_eq!(asks(&leader), [confirm.clone(), confirm]);
        let leader = confirmed(leader, &[Found::Begun('f'), Found::Empty]);
        assert_eq!(asks(&leader), [None, Some(Request::Begin('f'))]);
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
        let leader = confirmed(leader, &[Found::Begun('a'), Found::Empty, Found::Empty]);
        assert_eq!(leader.standing(), Standing::Begins('a'));
    }

    #[test]
    fn a_refused_drive_stops_all() {
        let mut leader = looked(&[Found::Empty, Found::Refused]);
        assert_eq!((leader.standing(), asks(&leader)), (Standing::Refused, vec![None; 2]));
        leader.forget(1);
        leader.on(1, Reply::Found(vec![Found::Empty]), &Request::Look);
        let leader = confirmed(leader, &[Found::Empty, Found::Empty]);
        assert_eq!(leader.standing(), Standing::Begins('f'));
    }

    // `format.one-leader`
    #[test]
    fn a_node_that_refuses_is_looked_at_again() {
        let mut leader = begins(&[Found::Empty, Found::Empty]);
        leader.on(1, Reply::Refused, &Request::Begin('f'));
        assert_eq!((leader.look(0), leader.look(1)), (0, 1));
        assert_eq!(asks(&leader), [None, Some(Request::Look)]);
        leader.forget(1);
        assert_eq!(leader.look(1), 2, "each look has a number of its own");
    }

    // `format.wiped-is-unknown`
    #[test]
    fn the_leaders_drives_are_completed_first() {
        let mut leader = begins(&[Found::Begun('a'), Found::Begun('a'), Found::Begun('a')]);
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
