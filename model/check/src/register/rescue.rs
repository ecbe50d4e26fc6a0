//! Liveness: recovery is possible from every state. Faults stop, all operations die together with their messages in
//! flight, and wiped drives return. Then a new operation ends with any W drives (`live.resolves`), and with all drives
//! it leaves nothing to repair (`live.heals`).

use super::state::{Action, State, World};
use crate::harness::{Checked, World as _};
use crate::kit::client::Stage;
use model::protocol::Drives;
use stateright::Property;

/// Number of steps after which an operation counts as endless.
const STEPS: usize = 2_000;

impl World {
    /// Checks recovery from every state. The last operation is the rescuer, and runs only in these checks.
    #[must_use]
    pub fn with_rescues(mut self) -> World {
        self.rescues = true;
        self
    }

    /// Returns whether this client is the rescuer.
    pub(super) fn is_rescuer(&self, client: u8) -> bool {
        self.rescues && usize::from(client) + 1 == self.changes.len()
    }

    /// Returns the liveness properties of each state.
    pub(super) fn rescues() -> [Property<Checked<World>>; 2] {
        [
            Property::always("live.resolves", |Checked(world): &Checked<World>, s: &State| {
                let sets = (0..=Drives::all(world.drives).bits()).map(Drives::from_bits);
                let enough = usize::from(world.changes[0].write).max(world.majority());
                sets.filter(|connected| connected.count() == enough)
                    .all(|connected| world.ends(&mut world.at_rest(s), connected))
            }),
            Property::always("live.heals", |Checked(world): &Checked<World>, s: &State| {
                world.heals(s)
            }),
        ]
    }

    /// Returns the state after all operations have died and all messages in flight are lost.
    fn at_rest(&self, s: &State) -> State {
        let mut s = s.clone();
        for client in 0..self.changes.len() as u8 {
            if !self.is_rescuer(client) {
                self.leave(&mut s, client);
                s.system.client(client).mail.clear();
            }
        }
        s
    }

    /// Returns whether the rescuer's operation ends, with any outcome, when only these drives answer.
    fn ends(&self, s: &mut State, connected: Drives) -> bool {
        let rescuer = self.changes.len() as u8 - 1;
        let connected = connected.without(s.system.outside());
        self.invoke(s, rescuer, Drives::NONE);
        for _ in 0..STEPS {
            if self.deliver_next(s, rescuer, connected) {
                continue;
            }
            if s.system.clients[usize::from(rescuer)].stage == Stage::Over {
                return true;
            }
            let silent = Drives::all(self.drives).without(connected);
            silent.iter().for_each(|drive| self.fail(s, rescuer, drive));
        }
        false
    }

    /// Delivers one of the rescuer's requests. Returns whether there was one.
    fn deliver_next(&self, s: &mut State, rescuer: u8, connected: Drives) -> bool {
        let waits = |to: Drives| to.iter().find(|drive| connected.contains(*drive));
        let mail = s.system.clients[usize::from(rescuer)].mail.iter().enumerate();
        let mut next = mail.filter_map(|(index, mail)| Some((index, waits(mail.to)?)));
        let Some((index, drive)) = next.next() else {
            return false;
        };
        self.deliver(s, rescuer, index, drive, true);
        self.forget_spent_mail(s);
        s.ledger.check_invariants(self, &s.system);
        true
    }

    /// Returns whether nothing is left to repair after the rescuer has reached all drives. A value that may be chosen
    /// and has lost too many shards cannot be repaired (`put.acked-survives` says when): it is unavailable until it is
    /// replaced.
    fn heals(&self, s: &State) -> bool {
        let mut s = self.at_rest(s);
        let votes = s.system.drives.iter().map(|drive| drive.key.register.accepted.value);
        let mut values = votes.chain([s.ledger.latest()]).filter(|value| !value.absent);
        let lost = values.any(|value| s.system.holding(value.name) < usize::from(value.data));
        if !self.come_back(&mut s) || !self.ends(&mut s, Drives::all(self.drives)) {
            return false;
        }
        s.ledger.broken.is_none() && (lost || s.system.is_healed(&s.ledger.latest()))
    }

    /// Brings all wiped drives back. Returns whether that succeeded.
    pub(super) fn come_back(&self, s: &mut State) -> bool {
        for _ in 0..STEPS {
            let mut actions = Vec::new();
            self.enabled(s, &mut actions);
            let rejoin = |action: &&Action| matches!(action, Action::Join(..) | Action::Fence(..));
            let Some(next) = actions.iter().find(rejoin) else {
                return s.system.outside().is_empty();
            };
            let Some(next) = self.next(s, *next) else {
                return false;
            };
            *s = next;
        }
        false
    }
}
