//! Symmetry reduction over the drives of each set ([`crate::kit::symmetry`]).

use super::state::{Drive, State};
use crate::kit::symmetry::{self, Mixer};
use model::protocol::renamed::Renaming;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Sorts the drives of each set and renames them everywhere.
pub(super) fn sort_drives(state: &mut State) {
    for pool in 0..state.system.sets.len() as u8 {
        let order = order(state, pool);
        if let Some(to) = symmetry::sort(&mut state.system.sets[usize::from(pool)], &order) {
            rename(state, pool, Renaming(&to));
        }
    }
}

/// Returns the old indexes of the drives of a pool's set, sorted.
pub(super) fn order(state: &State, pool: u8) -> Vec<u8> {
    let drives = state.system.sets[usize::from(pool)].len() as u8;
    symmetry::order(drives, |drive| digest(state, pool, drive))
}

fn rename(state: &mut State, pool: u8, to: Renaming<'_>) {
    for client in &mut state.system.clients {
        let client = Arc::make_mut(client);
        if let Some(answers) = client.reading.get_mut(usize::from(pool)) {
            *answers = to.snapshots(answers);
        }
        if let Some(machine) = &mut client.machine {
            machine.rename(pool, to);
        }
        for mail in client.mail.iter_mut().filter(|mail| mail.place == pool) {
            mail.to = to.drives(mail.to);
        }
    }
    for ((_, _), record) in state.ledger.votes.iter_mut().filter(|((of, _), _)| *of == pool) {
        record.voters = to.drives(record.voters);
    }
}

fn digest(state: &State, pool: u8, drive: u8) -> u64 {
    let mut h = Mixer::default();
    let Drive { own, key, durable, .. } = &*state.system.sets[usize::from(pool)][usize::from(drive)];
    (own, key, durable).hash(&mut h);
    for client in &state.system.clients {
        let answers = client.reading.get(usize::from(pool));
        answers.and_then(|answers| answers.get(&drive)).hash(&mut h);
        let machine = client.machine.as_ref();
        machine.map(|machine| machine.sight_of(pool, drive)).hash(&mut h);
        for mail in client.mail.iter().filter(|mail| mail.place == pool) {
            mail.to.contains(drive).hash(&mut h);
        }
    }
    for (_, record) in state.ledger.votes.iter().filter(|((of, _), _)| *of == pool) {
        record.voters.contains(drive).hash(&mut h);
    }
    h.finish()
}
