//! Symmetry reduction over clients and servers.

use super::state::State;
use model::lock::Owner;

/// The renaming that leads to the representative of a state.
pub(super) struct Order {
    /// The old indexes of the servers, sorted.
    pub(super) servers: Vec<u8>,
    /// True if the first two clients have swapped names.
    pub(super) exchanged: bool,
}

/// Returns the representative of a state. Clients may be swapped if they are `alike`.
pub(super) fn sorted(mut s: State, alike: bool) -> (State, Order) {
    let servers = sort_nodes(&mut s);
    if alike {
        let mut other = exchanged(s.clone());
        let again = sort_nodes(&mut other);
        if other < s {
            let servers = again.iter().map(|at| servers[usize::from(*at)]).collect();
            let exchanged = true;
            return (other, Order { servers, exchanged });
        }
    }
    let exchanged = false;
    (s, Order { servers, exchanged })
}

/// Swaps the first two clients.
fn exchanged(mut s: State) -> State {
    let rename = |owner: Owner| {
        if owner / 10 < 2 {
            (1 - owner / 10) * 10 + owner % 10
        } else {
            owner
        }
    };
    s.system.clients.swap(0, 1);
    for client in &mut s.system.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename_owner(rename(attempt.owner()));
        }
    }
    for node in &mut s.system.nodes {
        node.server.rename_owners(rename);
        node.mail = node.mail.iter().map(|(owner, kind)| (rename(*owner), *kind)).collect();
    }
    s
}

/// Sorts the servers, which are interchangeable. Returns their old indexes.
fn sort_nodes(s: &mut State) -> Vec<u8> {
    let sight = |server: u8| -> Vec<(bool, bool)> {
        s.system
            .attempts()
            .map(|(_, attempt)| attempt.answer_of(u32::from(server)))
            .collect()
    };
    let node = |server: u8| &s.system.nodes[usize::from(server)];
    let mut order: Vec<u8> = (0..s.system.nodes.len() as u8).collect();
    order.sort_by(|a, b| (node(*a), sight(*a)).cmp(&(node(*b), sight(*b))));
    if order.is_sorted() {
        return order;
    }
    let mut to = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        to[usize::from(*old)] = new as u32;
    }
    s.system.nodes = order.iter().map(|old| node(*old).clone()).collect();
    for client in &mut s.system.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename(&to);
        }
    }
    order
}
