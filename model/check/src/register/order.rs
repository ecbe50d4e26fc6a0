//! Which drive is called which makes no difference: states are kept in an order of their drives.
//!
//! The order is by a digest of all that is known of a drive, which does not depend on the names of the
//! drives. Two drives with the same digest stay as they are: at worst a state is then kept twice.

use super::state::{Drive, Opening, State};
use model::protocol::renamed::Renaming;
use model::protocol::{Drives, Snapshot};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Renames the drives of a state into their order.
pub(super) fn sort_drives(state: &mut State) {
    let order = order(state);
    if !order.is_sorted() {
        rename_drives(state, &order);
    }
}

/// The drives of a state in their order, each by its name before.
pub(super) fn order(state: &State) -> Vec<u8> {
    let digests: Vec<u64> = (0..state.drives.len() as u8)
        .map(|drive| digest(state, drive))
        .collect();
    let mut order: Vec<u8> = (0..state.drives.len() as u8).collect();
    order.sort_by_key(|drive| digests[usize::from(*drive)]);
    order
}

fn rename_drives(state: &mut State, order: &[u8]) {
    state.drives = order
        .iter()
        .map(|old| state.drives[usize::from(*old)].clone())
        .collect();
    let mut to = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        to[usize::from(*old)] = new as u8;
    }
    rename(state, Renaming(&to));
}

fn rename(state: &mut State, to: Renaming<'_>) {
    for client in &mut state.clients {
        let client = Arc::make_mut(client);
        client.answers = to.snapshots(&client.answers);
        client.unread = to.drives(client.unread);
        if let Some(opening) = &mut client.opening {
            opening.fetch.rename(to);
            let open = std::mem::take(&mut opening.open).into_iter();
            opening.open = open.map(|(drive, name)| (to.0[usize::from(drive)], name)).collect();
        }
        if let Some(machine) = &mut client.machine {
            machine.rename(to);
        }
        for mail in &mut client.mail {
            mail.to = to.drives(mail.to);
            mail.delivered = to.drives(mail.delivered);
        }
    }
    for drive in &mut state.drives {
        if !drive.way_back.lacking.is_empty() {
            let drive = Arc::make_mut(drive);
            drive.way_back.lacking = to.drives(drive.way_back.lacking);
        }
    }
    for record in state.votes.values_mut() {
        record.voters = to.drives(record.voters);
    }
    let sets = state.holders.iter_mut().chain(&mut state.acked_by);
    for drives in sets {
        *drives = to.drives(*drives);
    }
}

fn digest(state: &State, drive: u8) -> u64 {
    let mut h = Mixer::default();
    let Drive {
        own,
        key,
        durable,
        promised_before,
        way_back,
        voted,
    } = &*state.drives[usize::from(drive)];
    (own, key, durable, promised_before, voted).hash(&mut h);
    (way_back.past, way_back.joining, way_back.lacking.count()).hash(&mut h);
    let is_in = |drives: &Drives| drives.contains(drive);
    for client in &state.clients {
        let answer: Option<&Snapshot<_>> = client.answers.get(&drive);
        answer.hash(&mut h);
        is_in(&client.unread).hash(&mut h);
        if let Some(Opening { fetch, open, .. }) = &client.opening {
            (is_in(&fetch.untried()), is_in(&fetch.open()), open.get(&drive)).hash(&mut h);
        }
        client
            .machine
            .as_ref()
            .map(|machine| machine.sight_of(drive))
            .hash(&mut h);
        for mail in &client.mail {
            (is_in(&mail.to), is_in(&mail.delivered)).hash(&mut h);
        }
    }
    for other in &state.drives {
        is_in(&other.way_back.lacking).hash(&mut h);
    }
    for record in state.votes.values() {
        is_in(&record.voters).hash(&mut h);
    }
    for drives in state.holders.iter().chain(&state.acked_by) {
        is_in(drives).hash(&mut h);
    }
    h.finish()
}

/// A quick hasher: a collision costs a state that is kept twice, no more.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.mix(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }
}
