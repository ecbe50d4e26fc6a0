//! The actions that are possible in a state.

use super::state::{Action, Client, State, World};
use crate::kit::client::Stage;
use model::protocol::Drives;

impl World {
    pub(super) fn client_actions(&self, s: &State, client: u8, state: &Client, actions: &mut Vec<Action>) {
        match state.stage {
            Stage::Idle => actions.push(Action::Invoke(client)),
            Stage::Opening | Stage::Over => {}
            Stage::Reading => {
                for (pool, answers) in (0u8..).zip(&state.reading) {
                    let all = Drives::all(self.sizes[usize::from(pool)]);
                    let unread = all.without(answers.keys().copied().collect());
                    actions.extend(unread.iter().map(|drive| Action::Read(client, pool, drive)));
                }
                actions.push(Action::Conclude(client));
            }
            Stage::Running => {
                actions.push(Action::StragglerTimeout(client));
                if s.system.faults.crashes > 0 {
                    actions.push(Action::Crash(client));
                }
            }
        }
        for (index, mail) in (0u8..).zip(&state.mail) {
            let drives = &s.system.sets[usize::from(mail.place)];
            let of_use = |drive: &u8| drives[usize::from(*drive)].may_change_by(&mail.request);
            for drive in mail.to.iter().filter(of_use) {
                let deliver = |answered| Action::Deliver {
                    client,
                    mail: index,
                    drive,
                    answered,
                };
                actions.push(deliver(true));
                if s.system.faults.silences > 0 && state.stage == Stage::Running {
                    actions.push(deliver(false));
                }
            }
        }
    }
}
