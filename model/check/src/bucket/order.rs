//! Symmetry reduction: the drives of a set are interchangeable, so states are kept with them sorted.

use super::state::{Client, Content, Drive, State};
use crate::kit::symmetry;
use model::bucket::Listing;

/// Sorts the drives of each set.
pub(super) fn sort_drives(s: &mut State) {
    for set in 0..s.system.sets.len() as u8 {
        let order = order(s, set);
        let Some(to) = symmetry::sort(&mut s.system.sets[usize::from(set)], &order) else {
            continue;
        };
        for client in &mut s.system.clients {
            if let Client::Deleting { machine, .. } = client {
                machine.rename(set, &to);
            }
        }
    }
}

/// Returns the old indexes of a set's drives, sorted.
pub(super) fn order(s: &State, set: u8) -> Vec<u8> {
    let mut order: Vec<u8> = (0..s.system.sets[usize::from(set)].len() as u8).collect();
    order.sort_by(|a, b| sight(s, set, *a).cmp(&sight(s, set, *b)));
    order
}

/// Returns all that is known of a drive: its state, and its listing in each deletion.
fn sight(s: &State, set: u8, drive: u8) -> (&Drive, Vec<Option<&Listing<u8, Content>>>) {
    let heard = s.system.clients.iter().map(|client| match client {
        Client::Deleting { machine, .. } => machine.listing_of(set, drive),
        _ => None,
    });
    (s.system.drive(set, drive), heard.collect())
}
