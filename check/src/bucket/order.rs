//! Which drive of a set is called which makes no difference: states are kept in an order of their drives.

use super::world::{Client, Content, Drive, State};
use model::bucket::Listing;

/// Sorts the drives of each set.
pub(super) fn sort_drives(s: &mut State) {
    for set in 0..s.sets.len() as u8 {
        let drives = &s.sets[usize::from(set)];
        let mut order: Vec<usize> = (0..drives.len()).collect();
        order.sort_by(|a, b| sight(s, set, *a).cmp(&sight(s, set, *b)));
        if order.is_sorted() {
            continue;
        }
        let mut to = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            to[*old] = new as u8;
        }
        s.sets[usize::from(set)] = order.iter().map(|old| drives[*old].clone()).collect();
        for client in &mut s.clients {
            if let Client::Deleting { machine, .. } = client {
                machine.rename(set, &to);
            }
        }
    }
}

/// All that is known of a drive: itself, and what each deletion has heard of it.
fn sight(s: &State, set: u8, drive: usize) -> (&Drive, Vec<Option<&Listing<u8, Content>>>) {
    let heard = s.clients.iter().map(|client| match client {
        Client::Deleting { machine, .. } => machine.listing_of(set, drive as u8),
        _ => None,
    });
    (&s.sets[usize::from(set)][drive], heard.collect())
}
