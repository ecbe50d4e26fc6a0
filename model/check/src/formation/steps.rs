//! The effects of actions.

use super::state::{Action, Message, State, Work, World};
use model::formation::{Drives, Found, Job, Leader, Look, Reply};

impl World {
    pub(super) fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Deliver(index, place) => {
                let message = s.system.node(index).mail.remove(usize::from(place));
                self.take(s, index, message);
            }
            Action::Write(index) => self.write(s, index)?,
            Action::Ask(index, other) => {
                let others = s.system.told(index, other).to_vec();
                let drives = &s.system.nodes[usize::from(index)].drives;
                s.ledger.note_told(drives, index, &others);
                if let Some(id) = drives.learn(&others) {
                    let job = Job::Complete(id);
                    s.system.node(index).work = Some(Work { job, message: None });
                    self.write(s, index)?;
                }
            }
            Action::GiveUp(index) => {
                s.system.faults.silences -= 1;
                self.give_up(s, index);
            }
            Action::LookAgain(index) => self.give_up(s, index),
            Action::Restart(0) => {
                s.system.faults.restarts -= 1;
                self.restart(s, 0);
            }
            Action::Restart(index) => {
                s.system.faults.crashes -= 1;
                self.restart(s, index);
            }
            Action::Wipe(index, drive) => {
                s.system.faults.wipes -= 1;
                s.system.node(index).drives.set(usize::from(drive), Found::Empty);
                self.restart(s, index);
            }
            Action::Swap(one, other) => {
                s.system.faults.swaps -= 1;
                s.system.swap(one, other);
                self.restart(s, one.0);
                self.restart(s, other.0);
            }
            Action::Empty(index, drive) => s.system.node(index).drives.set(usize::from(drive), Found::Empty),
        }
        Some(())
    }

    /// Sends what the leader has to ask.
    pub(super) fn call(&self, s: &mut State) {
        for index in 0..self.sizes.len() {
            if s.system.calls[index].is_some() {
                continue;
            }
            let Some(request) = s.system.leader.next(index) else {
                continue;
            };
            let message = Message {
                look: Look {
                    boot: s.system.life.into(),
                    number: s.system.leader.look(index),
                },
                request,
            };
            s.system.calls[index] = Some(message.clone());
            let mail = &mut s.system.nodes[index].mail;
            mail.push(message);
            mail.sort_unstable();
        }
    }

    /// A node takes a request.
    fn take(&self, s: &mut State, index: u8, message: Message) {
        let drives = &mut s.system.node(index).drives;
        match drives.on(message.look, message.request.clone()) {
            Job::Answer(reply) => {
                s.ledger.note_look(index, &message);
                self.answer(s, index, &message, reply);
            }
            job => {
                let message = Some(message);
                s.system.node(index).work = Some(Work { job, message });
                if !self.overlaps {
                    let _ = self.write(s, index);
                }
            }
        }
    }

    /// A node changes the next drive, and answers after the last.
    fn write(&self, s: &mut State, index: u8) -> Option<()> {
        let next = |s: &State| {
            let node = &s.system.nodes[usize::from(index)];
            let job = &node.work.as_ref()?.job;
            (0..node.drives.found().len()).find(|drive| node.drives.takes_part(*drive, job))
        };
        if let Some(drive) = next(s) {
            let work = s.system.node(index).work.clone()?;
            s.ledger.note_write(&s.system, (index, drive), &work);
            let found = match work.job {
                Job::Begin(id) => Found::Begun(id),
                Job::Complete(id) => Found::Complete(id),
                Job::Answer(_) => return None,
            };
            s.system.node(index).drives.set(drive, found);
        }
        if next(s).is_none() {
            let work = s.system.node(index).work.take()?;
            let reply = match work.job {
                Job::Begin(_) => Reply::Begun,
                Job::Complete(_) => Reply::Complete,
                Job::Answer(reply) => reply,
            };
            if let Some(message) = work.message {
                self.answer(s, index, &message, reply);
            }
        }
        Some(())
    }

    /// An answer comes to the leader, if it waits for it.
    fn answer(&self, s: &mut State, index: u8, message: &Message, reply: Reply<u8>) {
        let at = usize::from(index);
        if s.system.calls[at].as_ref() != Some(message) {
            return;
        }
        s.system.calls[at] = None;
        s.system.leader.on(at, reply, &message.request);
    }

    /// The leader gives up its call to a node, if any, and forgets what it knows of it.
    pub(super) fn give_up(&self, s: &mut State, index: u8) {
        let at = usize::from(index);
        s.system.calls[at] = None;
        s.system.leader.forget(at);
    }

    /// A process ends, and another one starts.
    fn restart(&self, s: &mut State, index: u8) {
        let node = s.system.node(index);
        node.work = None;
        node.drives = Drives::new(node.drives.found().to_vec(), self.mutation);
        if index == 0 {
            node.mail.clear();
            s.system.life += 1;
            s.system.leader = Leader::new(self.sizes.len(), s.system.life, self.mutation);
            s.system.calls.fill(None);
        } else if s.system.calls[usize::from(index)].is_some() {
            self.give_up(s, index);
        }
    }

    /// Returns whether all drives are complete, but those that are wiped, once all faults end and what is in flight is
    /// lost.
    pub(super) fn ends(&self, s: &State) -> bool {
        if s.system.all_found().any(|found| *found == Found::Refused) {
            return true;
        }
        let mut s = s.clone();
        let nodes = 0..self.sizes.len() as u8;
        for index in nodes.clone() {
            s.system.node(index).mail.clear();
            if s.system.calls[usize::from(index)].is_some() {
                self.give_up(&mut s, index);
            }
        }
        // Each round brings a node further, or is the last.
        for _ in 0..10 * self.sizes.len() {
            for index in nodes.clone() {
                while s.system.nodes[usize::from(index)].work.is_some() {
                    let _ = self.write(&mut s, index);
                }
                if self.may_look_again(&s, index) {
                    self.give_up(&mut s, index);
                }
                for other in nodes.clone() {
                    let others = s.system.told(index, other);
                    if s.system.nodes[usize::from(index)].drives.learn(others).is_some() {
                        let _ = self.act(&mut s, Action::Ask(index, other));
                    }
                }
            }
            if s.ledger.is_formed(&s.system) {
                return true;
            }
            self.call(&mut s);
            for index in nodes.clone() {
                while s.system.nodes[usize::from(index)].work.is_none() && !s.system.node(index).mail.is_empty() {
                    let _ = self.act(&mut s, Action::Deliver(index, 0));
                }
            }
        }
        false
    }
}
