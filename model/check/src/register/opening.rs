//! A read that opens its shards one by one, while the value may be replaced (`read.one-data-folder`).

use super::change::{Content, Told};
use super::rules::{Occasion, Rule};
use super::state::{Opening, State, World};
use crate::kit::client::Stage;
use model::protocol::fetch::Next;
use model::protocol::{Drives, Fetch, Folder};
use std::collections::BTreeMap;

impl World {
    /// Begins to open the shards of the value that was read.
    pub(super) fn begin_opening(&self, s: &mut State, client: u8, value: Content) {
        let folder = Folder::from(value.name);
        let state = s.system.client(client);
        let opening = match state.reading.opening.take() {
            None => Opening {
                value,
                fetch: Fetch::new(folder, value.data, self.drives).with_mutation(self.mutation),
                open: BTreeMap::new(),
                again: false,
            },
            Some(before) => {
                let fetch = before.fetch.again(folder, value.data, self.drives);
                let mut open = before.open;
                open.retain(|drive, _| fetch.open().contains(*drive));
                Opening {
                    value,
                    fetch,
                    open,
                    again: true,
                }
            }
        };
        state.reading.opening = Some(opening);
        state.stage = Stage::Opening;
        state.reading.answers.clear();
        state.reading.unread = Drives::NONE;
        state.machine = None;
        state.mail.retain(|mail| !mail.is_of_its_round());
        self.open_on(s, client);
    }

    pub(super) fn open(&self, s: &mut State, client: u8, drive: u8) {
        let holds = |s: &State, folder| s.system.drives[usize::from(drive)].key.folders.contains(&folder);
        let Some(Opening { value, .. }) = s.system.clients[usize::from(client)].reading.opening else {
            return;
        };
        let found = holds(s, Folder::from(value.name));
        if let Some(opening) = &mut s.system.client(client).reading.opening {
            if found {
                opening.fetch.opened(drive);
                opening.open.insert(drive, value.name);
            } else {
                opening.fetch.bad(drive);
            }
        }
        self.open_on(s, client);
    }

    /// Answers once K shards are open. If fewer are left, reads the key again, once.
    fn open_on(&self, s: &mut State, client: u8) {
        let Some(opening) = s.system.clients[usize::from(client)].reading.opening.clone() else {
            return;
        };
        let value = opening.value;
        match opening.fetch.next() {
            Next::Open(_) => {}
            Next::Read => {
                let of_it = opening.open.values().filter(|name| **name == value.name).count();
                let one = of_it == opening.open.len() && of_it >= usize::from(value.data);
                s.ledger.broken.check(Rule::OneDataFolder, one);
                if opening.again {
                    self.seen.see(Occasion::ReadAgain);
                }
                self.end_opening(s, client, Told::Value(value.name));
            }
            Next::TooFew if opening.again => self.end_opening(s, client, Told::Unavailable),
            Next::TooFew => {
                let state = s.system.client(client);
                state.stage = Stage::Reading;
                state.reading.unread = Drives::all(self.drives);
            }
        }
    }

    fn end_opening(&self, s: &mut State, client: u8, told: Told) {
        s.ledger.audit_value(self, &s.system, client, told);
        self.tell_client(s, client, told);
        self.leave(s, client);
    }
}
