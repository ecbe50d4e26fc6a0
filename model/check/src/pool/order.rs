//! Which drive of a set is called which makes no difference: states are kept in an order of their drives.

use super::state::{Drive, State};
use crate::register::order::Mixer;
use model::protocol::renamed::Renaming;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Renames the drives of each set into their order.
pub(super) fn sort_drives(state: &mut State) {
    for pool in 0..state.sets.len() as u8 {
        let order = order(state, pool);
        if order.is_sorted() {
            continue;
        }
        let set = &state.sets[usize::from(pool)];
        let sorted = order.iter().map(|old| set[usize::from(*old)].clone()).collect();
        state.sets[usize::from(pool)] = sorted;
        let mut to = vec![0; order.len()];
        for (new, old) in (0u8..).zip(&order) {
            to[usize::from(*old)] = new;
        }
        rename(state, pool, Renaming(&to));
    }
}

/// The drives of a pool's set in their order, each by its place before.
pub(super) fn order(state: &State, pool: u8) -> Vec<u8> {
    let drives = 0..state.sets[usize::from(pool)].len() as u8;
    let digests: Vec<u64> = drives.clone().map(|drive| digest(state, pool, drive)).collect();
    let mut order: Vec<u8> = drives.collect();
    order.sort_by_key(|drive| digests[usize::from(*drive)]);
    order
}

fn rename(state: &mut State, pool: u8, to: Renaming<'_>) {
    for client in &mut state.clients {
        let client = Arc::make_mut(client);
        if let Some(answers) = client.answers.get_mut(usize::from(pool)) {
            *answers = to.snapshots(answers);
        }
        if let Some(machine) = &mut client.machine {
            machine.rename(pool, to);
        }
        for mail in client.mail.iter_mut().filter(|mail| mail.pool == pool) {
            mail.to = to.drives(mail.to);
        }
    }
    for ((_, _), record) in state.votes.iter_mut().filter(|((of, _), _)| *of == pool) {
        record.voters = to.drives(record.voters);
    }
}

fn digest(state: &State, pool: u8, drive: u8) -> u64 {
    let mut h = Mixer::default();
    let Drive { own, key, durable } = &*state.sets[usize::from(pool)][usize::from(drive)];
    (own, key, durable).hash(&mut h);
    for client in &state.clients {
        let answers = client.answers.get(usize::from(pool));
        answers.and_then(|answers| answers.get(&drive)).hash(&mut h);
        let machine = client.machine.as_ref();
        machine.map(|machine| machine.sight_of(pool, drive)).hash(&mut h);
        for mail in client.mail.iter().filter(|mail| mail.pool == pool) {
            mail.to.contains(drive).hash(&mut h);
        }
    }
    for (_, record) in state.votes.iter().filter(|((of, _), _)| *of == pool) {
        record.voters.contains(drive).hash(&mut h);
    }
    h.finish()
}
