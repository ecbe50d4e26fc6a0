//! The checks of the rules.

use super::rules::{Occasion, Rule};
use super::state::{Action, Id, Ledger, Message, State, System, Work, World};
use model::formation::{Drives, Found, Job, Reply, Request};

impl Ledger {
    /// Notes that a node answers a request without a change.
    pub(super) fn note_look(&mut self, index: u8, message: &Message) {
        if message.request == Request::Look {
            let looked = &mut self.looked[usize::from(index)];
            *looked = message.look.boot.max(*looked);
        }
    }

    /// Notes that a node is about to change a drive.
    pub(super) fn note_write(&mut self, system: &System, (index, drive): (u8, usize), work: &Work) {
        let at = usize::from(index);
        let found = &system.found(index)[drive];
        if let Some(message) = &work.message {
            self.broken.check(Rule::OneLeader, message.look.boot >= self.looked[at]);
        }
        let is_kept = *found != Found::Empty || !self.served[at][drive];
        self.broken.check(Rule::WipedIsUnknown, is_kept);
        self.broken.check(Rule::RefuseChangesNothing, *found != Found::Refused);
        match work.job {
            Job::Begin(id) => {
                self.broken.check(Rule::RefuseChangesNothing, !system.is_in_the_way());
                self.note_id(id);
                let is_another = system.away.values().any(|(own, _)| *own == (index, drive as u8));
                self.broken.check(Rule::OneDeployment, !is_another);
                self.begun[at][drive] = true;
            }
            Job::Complete(id) => {
                self.note_id(id);
                let all = self.begun.iter().flatten().all(|begun| *begun);
                self.broken.check(Rule::CompleteAfterAll, all);
                self.completed[at][drive] = true;
            }
            Job::Answer(_) => {}
        }
    }

    fn note_id(&mut self, id: Id) {
        let first = *self.id.get_or_insert(id);
        self.broken.check(Rule::OneDeployment, id == first);
    }

    /// Notes the drives that serve because of what their node itself has.
    pub(super) fn note_serving(&mut self, system: &System) {
        for (node, index) in system.nodes.iter().zip(0..) {
            self.note_told(&node.drives, index, &[]);
        }
    }

    /// Notes the drives that serve once their node has been told what is on another's.
    pub(super) fn note_told(&mut self, drives: &Drives<Id>, index: u8, others: &[Found<Id>]) {
        if drives.serves(others) {
            let served = self.served[usize::from(index)].iter_mut();
            served.zip(drives.found()).for_each(|(served, found)| {
                *served |= matches!(found, Found::Complete(_));
            });
        }
    }

    /// Returns whether a drive begins to serve once its node has been told what is on another's.
    pub(super) fn would_serve(&self, system: &System, index: u8, other: u8) -> bool {
        let drives = &system.nodes[usize::from(index)].drives;
        let served = self.served[usize::from(index)].iter();
        let waits = |(served, found): (&bool, &Found<Id>)| !served && matches!(found, Found::Complete(_));
        served.zip(drives.found()).any(waits) && drives.serves(system.told(index, other))
    }

    /// Returns whether all drives are complete, but those that are wiped.
    pub(super) fn is_formed(&self, system: &System) -> bool {
        let mut found = system.all_found().zip(self.completed.iter().flatten());
        found.all(|(found, completed)| match found {
            Found::Complete(_) => true,
            Found::Empty => *completed,
            Found::Begun(_) | Found::Refused => false,
        })
    }
}

impl World {
    /// Notes the witnesses of a step.
    pub(super) fn note_witnesses(&self, last: &State, action: Action, s: &State) {
        match action {
            Action::Ask(index, other) if index != other && last.system.found(index) != s.system.found(index) => {
                self.seen.see(Occasion::Finished);
            }
            Action::Deliver(index, place) => {
                let message = &last.system.nodes[usize::from(index)].mail[usize::from(place)];
                let is_late_begin = message.life() < s.system.life && matches!(message.request, Request::Begin(_));
                if is_late_begin && is_refused(last, index, message) {
                    self.seen.see(Occasion::LateRefused);
                }
            }
            _ => {}
        }
        if s.ledger.is_formed(&s.system) && !last.ledger.is_formed(&last.system) {
            if s.ledger.id.is_some_and(|id| id < s.system.life) {
                self.seen.see(Occasion::TakenOver);
            }
            if !self.refused.is_empty() {
                self.seen.see(Occasion::Emptied);
            }
            if s.system.all_found().any(|found| *found == Found::Empty) {
                self.seen.see(Occasion::LeftEmpty);
            }
            if s.system.faults != self.faults {
                self.seen.see(Occasion::GoneOn);
            }
        }
    }
}

/// Returns whether the leader would learn something from another look at a node.
pub(super) fn has_emptied(s: &State, index: u8) -> bool {
    let mut leader = s.system.leader.clone();
    let found = Reply::Found(s.system.found(index).to_vec());
    leader.on(usize::from(index), found, &Request::Look);
    leader != s.system.leader
}

/// Returns whether a node refuses a request.
pub(super) fn is_refused(s: &State, index: u8, message: &Message) -> bool {
    let mut drives = s.system.nodes[usize::from(index)].drives.clone();
    drives.on(message.look, message.request.clone()) == Job::Answer(Reply::Refused)
}
