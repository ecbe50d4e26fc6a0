//! Symmetry reduction over the drives ([`crate::kit::symmetry`]).

use super::state::{Drive, Opening, State};
use crate::kit::symmetry::{self, Mixer};
use model::protocol::renamed::Renaming;
use model::protocol::{Drives, Snapshot};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Sorts the drives of a state and renames them everywhere.
pub(super) fn sort_drives(state: &mut State) {
    let order = order(state);
    if let Some(to) = symmetry::sort(&mut state.system.drives, &order) {
        rename(state, Renaming(&to));
    }
}

/// Returns the old indexes of a state's drives, sorted.
pub(super) fn order(state: &State) -> Vec<u8> {
    symmetry::order(state.system.drives.len() as u8, |drive| digest(state, drive))
}

fn rename(state: &mut State, to: Renaming<'_>) {
    for client in &mut state.system.clients {
        let client = Arc::make_mut(client);
        let reading = &mut client.reading;
        reading.answers = to.snapshots(&reading.answers);
        reading.unread = to.drives(reading.unread);
        if let Some(opening) = &mut reading.opening {
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
    for drive in &mut state.system.drives {
        if !drive.past.rejoin.lacking.is_empty() {
            let rejoin = &mut Arc::make_mut(drive).past.rejoin;
            rejoin.lacking = to.drives(rejoin.lacking);
        }
    }
    for record in state.ledger.votes.values_mut() {
        record.voters = to.drives(record.voters);
    }
    let sets = state.system.holders.iter_mut().chain(&mut state.ledger.acked_by);
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
        past,
    } = &*state.system.drives[usize::from(drive)];
    (own, key, durable, &past.promised, &past.voted).hash(&mut h);
    let rejoin = &past.rejoin;
    (rejoin.past, rejoin.joining, rejoin.lacking.count()).hash(&mut h);
    let is_in = |drives: &Drives| drives.contains(drive);
    for client in &state.system.clients {
        let answer: Option<&Snapshot<_>> = client.reading.answers.get(&drive);
        answer.hash(&mut h);
        is_in(&client.reading.unread).hash(&mut h);
        if let Some(Opening { fetch, open, .. }) = &client.reading.opening {
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
    for other in &state.system.drives {
        is_in(&other.past.rejoin.lacking).hash(&mut h);
    }
    for record in state.ledger.votes.values() {
        is_in(&record.voters).hash(&mut h);
    }
    for drives in state.system.holders.iter().chain(&state.ledger.acked_by) {
        is_in(drives).hash(&mut h);
    }
    h.finish()
}
