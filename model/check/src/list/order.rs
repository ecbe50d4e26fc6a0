//! Symmetry reduction over the drives of each set ([`crate::kit::symmetry`]).

use super::state::{Client, Drive, State, World};
use crate::kit::symmetry::{self, Mixer};
use model::protocol::renamed::Renaming;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Sorts the drives of each set and renames them everywhere.
pub(super) fn sort_drives(world: &World, state: &mut State) {
    for set in 0..world.sets() {
        let order = order(world, state, set);
        if let Some(to) = symmetry::sort(&mut state.system.sets[usize::from(set)], &order) {
            rename(world, state, set, Renaming(&to));
        }
    }
}

/// Returns the old indexes of a set's drives, sorted.
pub(super) fn order(world: &World, state: &State, set: u8) -> Vec<u8> {
    symmetry::order(world.drives, |drive| digest(world, state, set, drive))
}

/// Returns whether a client communicates with the drives of a set.
fn is_of(world: &World, client: &Client, set: u8) -> bool {
    (client.machine.is_some() || !client.mail.is_empty()) && world.spec(client.key).set == set
}

fn rename(world: &World, state: &mut State, set: u8, to: Renaming<'_>) {
    for client in state
        .system
        .clients
        .iter_mut()
        .filter(|client| is_of(world, client, set))
    {
        let client = Arc::make_mut(client);
        if let Some(machine) = &mut client.machine {
            machine.rename(to);
        }
        for mail in &mut client.mail {
            mail.to = to.drives(mail.to);
        }
    }
    let pages = &mut state.system.listing.pages[usize::from(set)];
    let renamed = std::mem::take(pages).into_iter();
    *pages = renamed.map(|(old, page)| (to.0[usize::from(old)], page)).collect();
}

fn digest(world: &World, state: &State, set: u8, drive: u8) -> u64 {
    let mut h = Mixer::default();
    let Drive { own, keys, recovering } = state.system.drive(set, drive);
    (own, keys, recovering).hash(&mut h);
    for client in state.system.clients.iter().filter(|client| is_of(world, client, set)) {
        let machine = client.machine.as_ref();
        machine.map(|machine| machine.sight_of(drive)).hash(&mut h);
        for mail in &client.mail {
            mail.to.contains(drive).hash(&mut h);
        }
    }
    state.system.listing.pages[usize::from(set)].get(&drive).hash(&mut h);
    h.finish()
}
