//! A node's side of the first start: what it does to its drives.

use super::mutant::{Mutant, Mutation};
use super::{Found, Look, Reply, Request};

/// A node's drives during its start. Its process forgets `look` when it ends; the drives remember.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drives<I> {
    found: Vec<Found<I>>,
    /// The look that came last.
    look: Option<Look>,
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
            look: None,
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

    /// Takes a request that is, or is based on, a look of the leader: what is to be done (`format.one-leader`). Until
    /// that is done the node takes no other: a look would not see what is being begun.
    pub fn on(&mut self, look: Look, request: Request<I>) -> Job<I> {
        let obeys = match self.look {
            Some(last) if last.boot == look.boot => last == look || self.mutation.is(Mutant::ObeysEarlierLooks),
            Some(_) => self.mutation.is(Mutant::ObeysEarlierLeaders),
            None => self.mutation.is(Mutant::ObeysStrangers),
        };
        match request {
            Request::Look => {
                self.look = Some(look);
                Job::Answer(Reply::Found(self.found.clone()))
            }
            // A process that has forgotten the look may have been started with other drives.
            Request::Confirm(_) if obeys => Job::Answer(Reply::Found(self.found.clone())),
            Request::Begin(id) if obeys && self.may_begin(&id) => Job::Begin(id),
            Request::Complete(id) if obeys && self.may_complete(&id) => Job::Complete(id),
            Request::Confirm(_) | Request::Begin(_) | Request::Complete(_) => Job::Answer(Reply::Refused),
        }
    }

    /// Returns whether each drive is empty or has begun this very format (`format.one-deployment`).
    fn may_begin(&self, id: &I) -> bool {
        self.found.iter().all(|found| match found {
            Found::Empty => true,
            Found::Begun(begun) => begun == id,
            Found::Complete(_) | Found::Refused => false,
        })
    }

    fn may_complete(&self, id: &I) -> bool {
        let has = |found: &Found<I>| matches!(found, Found::Begun(begun) | Found::Complete(begun) if begun == id);
        self.found.iter().all(has)
    }

    /// Takes what another node has found on its drives, or nothing. Returns the format that this node may complete
    /// where it has begun it: a complete drive of it, also of its own, shows that it was begun on all
    /// (`format.complete-after-all`). Its empty drives stay empty: they were wiped or replaced since
    /// (`format.wiped-is-unknown`).
    #[must_use]
    pub fn learn(&self, others: &[Found<I>]) -> Option<I> {
        let shown = |found: &Found<I>| match found {
            Found::Complete(id) => Some(id.clone()),
            Found::Begun(id) if self.mutation.is(Mutant::FinishesAfterBegun) => Some(id.clone()),
            _ => None,
        };
        let own = match self.mutation.is(Mutant::WaitsForOthers) {
            true => &[],
            false => &self.found[..],
        };
        let id = others.iter().chain(own).find_map(shown)?;
        let is_own = |found: &Found<I>| match found {
            Found::Begun(begun) => *begun == id,
            Found::Empty => self.mutation.is(Mutant::AdoptsEmpty),
            _ => false,
        };
        self.found.iter().any(is_own).then_some(id)
    }

    /// Returns whether the node's complete drives serve, with what another node has found on its drives or nothing:
    /// once two drives are complete. Of one alone nobody can tell, when it is wiped, that it ever was, and it may be
    /// begun again (`format.wiped-is-unknown`).
    #[must_use]
    pub fn serves(&self, others: &[Found<I>]) -> bool {
        let complete = |found: &&Found<I>| matches!(found, Found::Complete(_));
        let needed = match self.mutation.is(Mutant::ServesAlone) {
            true => 1,
            false => 2,
        };
        self.found.iter().chain(others).filter(complete).count() >= needed
    }

    /// Returns whether a drive takes part when the node begins or completes a format.
    #[must_use]
    pub fn takes_part(&self, drive: usize, job: &Job<I>) -> bool {
        match (job, self.found.get(drive)) {
            (Job::Begin(_), Some(Found::Empty)) => true,
            (Job::Complete(id), Some(Found::Begun(begun))) => begun == id,
            (Job::Complete(_), Some(Found::Empty)) => self.mutation.is(Mutant::AdoptsEmpty),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Look = Look { boot: 7, number: 0 };
    const SECOND: Look = Look { boot: 7, number: 1 };
    const OTHERS: Look = Look { boot: 5, number: 0 };

    fn drives(found: &[Found<char>]) -> Drives<char> {
        Drives::new(found.to_vec(), Mutation::NONE)
    }

    // `format.one-leader`
    #[test]
    fn a_node_does_what_is_based_on_the_last_look() {
        let mut node = drives(&[Found::Empty]);
        let refused = Job::Answer(Reply::Refused);
        assert_eq!(node.on(FIRST, Request::Begin('a')), refused, "nobody has looked");
        for last in [FIRST, OTHERS, SECOND] {
            node.on(last, Request::Look);
            for look in [FIRST, OTHERS, SECOND] {
                let obeys = node.on(look, Request::Begin('a')) == Job::Begin('a');
                assert_eq!(obeys, look == last, "{look:?} after {last:?}");
            }
        }
    }

    // `format.one-deployment`
    #[test]
    fn a_node_confirms_the_last_look_alone() {
        let mut node = drives(&[Found::Empty]);
        let refused = Job::Answer(Reply::Refused);
        assert_eq!(node.on(FIRST, Request::Confirm(0)), refused, "nobody has looked");
        node.on(FIRST, Request::Look);
        let found = |found| Job::Answer(Reply::Found(vec![found]));
        assert_eq!(node.on(FIRST, Request::Confirm(0)), found(Found::Empty));
        node.set(0, Found::Begun('a'));
        assert_eq!(node.on(FIRST, Request::Confirm(1)), found(Found::Begun('a')));
        node.on(SECOND, Request::Look);
        assert_eq!(node.on(FIRST, Request::Confirm(1)), refused);
    }

    #[test]
    fn a_format_is_begun_where_nothing_else_is() {
        let begin = |found: &[Found<char>]| {
            let mut node = drives(found);
            node.on(FIRST, Request::Look);
            let job = node.on(FIRST, Request::Begin('a'));
            (job == Job::Begin('a')).then(|| (0..found.len()).map(|drive| node.takes_part(drive, &job)).collect())
        };
        assert_eq!(begin(&[Found::Empty, Found::Begun('a')]), Some(vec![true, false]));
        for other in [Found::Begun('b'), Found::Complete('a'), Found::Refused] {
            assert_eq!(begin(&[Found::Empty, other]), None);
        }
    }

    // `format.complete-after-all`
    #[test]
    fn a_format_is_completed_where_it_was_begun() {
        let complete = |found: &[Found<char>]| {
            let mut node = drives(found);
            node.on(FIRST, Request::Look);
            let job = node.on(FIRST, Request::Complete('a'));
            (job == Job::Complete('a')).then(|| (0..found.len()).map(|drive| node.takes_part(drive, &job)).collect())
        };
        assert_eq!(
            complete(&[Found::Begun('a'), Found::Complete('a')]),
            Some(vec![true, false])
        );
        for other in [Found::Begun('b'), Found::Empty, Found::Refused] {
            assert_eq!(complete(&[Found::Begun('a'), other]), None);
        }
    }

    #[test]
    fn a_node_learns_from_complete_drives_of_its_own_format() {
        let node = drives(&[Found::Begun('a'), Found::Empty]);
        assert_eq!(node.learn(&[Found::Begun('a'), Found::Complete('a')]), Some('a'));
        assert_eq!(node.learn(&[Found::Begun('a')]), None);
        assert_eq!(node.learn(&[Found::Complete('b')]), None);
        assert!(!node.takes_part(1, &Job::Complete('a')), "it was wiped");
        assert_eq!(drives(&[Found::Complete('a'), Found::Begun('a')]).learn(&[]), Some('a'));
        assert_eq!(drives(&[Found::Complete('a')]).learn(&[Found::Complete('a')]), None);
    }

    #[test]
    fn a_drive_serves_once_two_are_complete() {
        let one = drives(&[Found::Complete('a'), Found::Begun('a')]);
        assert!(!one.serves(&[]) && !one.serves(&[Found::Begun('a')]));
        assert!(one.serves(&[Found::Complete('a')]));
        assert!(drives(&[Found::Complete('a'), Found::Complete('a')]).serves(&[]));
    }
}
