//! Liveness: the bucket can be used again (`live.bucket-is-usable`). In every state in which a deletion is in progress,
//! all clients die, messages in flight are lost, and a new client reaches all drives.

use super::rules::Rule;
use super::state::{State, World};
use model::bucket::{Bucket, Change, Deletion, Effect, Event, Held, Incarnation, Phase, Vacancy, held};
use model::protocol::{Decision, Outcome, Quorums};

/// Number of attempts of a new client.
const PATIENCE: usize = 3;

impl World {
    pub(super) fn rescue(&self, s: &mut State) {
        let Some(Bucket { incarnation, .. }) = s.system.bucket else {
            return;
        };
        let by_writer = self.writer_gets_in(s, incarnation);
        let by_deletion = self.deletion_ends(s);
        s.ledger.broken.check(Rule::Usable, by_writer && by_deletion);
    }

    /// Returns whether a writer is admitted, or learns that the bucket is gone.
    fn writer_gets_in(&self, s: &State, incarnation: Incarnation) -> bool {
        let mut left = s.clone();
        for _ in 0..PATIENCE {
            for (set, drive) in self.places() {
                let bucket = left.system.bucket;
                let gate = left.system.drive_mut(set, drive).gate(incarnation);
                gate.answer(gate.ask(), incarnation, bucket, self.mutation);
            }
            let is_open = |set| self.open(&left, set, incarnation).count() == usize::from(self.drives);
            if (0..self.sets).all(is_open) {
                return true;
            }
            match held(incarnation, left.system.bucket, self.mutation) {
                Held::Gone => return true,
                Held::CallOff(change) => left.system.bucket = self.changed(&left, change),
                Held::Again => {}
            }
        }
        false
    }

    /// Returns whether another deletion ends, and leaves the bucket live or gone.
    fn deletion_ends(&self, s: &State) -> bool {
        let mut left = s.clone();
        let (machine, _) = Deletion::new(vec![Quorums::of(self.drives); usize::from(self.sets)]);
        let mut machine = machine.with_mutation(self.mutation);
        let mut effect = machine.on(Event::Read(left.system.bucket));
        while let Some(next) = effect {
            effect = match next {
                Effect::Read => None,
                Effect::Look(_) => machine.on(Event::Looked(Vacancy::Empty)),
                Effect::Change(change) => {
                    left.system.bucket = self.changed(&left, change);
                    machine.on(Event::Changed(Outcome::Written(left.system.bucket)))
                }
                Effect::Survey(incarnation, turn) => {
                    let places = self.places();
                    let answers = places.filter_map(|(set, from)| {
                        let gate = left.system.drive_mut(set, from).gate(incarnation);
                        let lists = gate.survey(turn, self.mutation);
                        let listing = lists.then(|| self.listing(&left, set, from, incarnation));
                        machine.on(Event::Surveyed { set, from, listing })
                    });
                    answers.last()
                }
            };
        }
        let closed = left.system.bucket.is_some_and(|bucket| bucket.phase == Phase::Deleting);
        machine.ended().is_some() && !closed
    }

    fn changed(&self, s: &State, change: Change) -> Option<Bucket> {
        match change.decide(s.system.bucket, self.mutation) {
            Decision::Write(after) => after,
            Decision::Keep | Decision::Refuse(_) => s.system.bucket,
        }
    }
}
