//! Which drive of a set is called which makes no difference: states are kept in an order of their drives.

use super::world::{Client, Drive, State};

/// Sorts the drives of each set.
pub(super) fn sort_drives(s: &mut State) {
    for set in 0..s.sets.len() {
        let listing = |drive: usize| -> Vec<_> {
            let of_client = |client| match client {
                &Client::Deleting { ref machine, .. } => machine.listing_of(set as u8, drive as u8),
                _ => None,
            };
            s.clients.iter().map(of_client).collect()
        };
        let key = |drive: &usize| -> (&Drive, Vec<_>) { (&s.sets[set][*drive], listing(*drive)) };
        let mut order: Vec<usize> = (0..s.sets[set].len()).collect();
        order.sort_by(|a, b| key(a).cmp(&key(b)));
        if order.is_sorted() {
            continue;
        }
        let mut to = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            to[*old] = new as u8;
        }
        s.sets[set] = order.iter().map(|old| s.sets[set][*old].clone()).collect();
        for client in &mut s.clients {
            if let Client::Deleting { machine, .. } = client {
                machine.rename(set as u8, &to);
            }
        }
    }
}
