//! States that differ only in the names of clients or servers are one.

use super::world::State;
use model::lock::Owner;

/// The first two clients under each other's names.
pub(super) fn exchanged(mut s: State) -> State {
    let rename = |owner: Owner| {
        if owner / 10 < 2 {
            (1 - owner / 10) * 10 + owner % 10
        } else {
            owner
        }
    };
    s.clients.swap(0, 1);
    for client in &mut s.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename_owner(rename(attempt.owner()));
        }
    }
    for node in &mut s.nodes {
        node.server.rename_owners(rename);
        node.mail = node.mail.iter().map(|(owner, kind)| (rename(*owner), *kind)).collect();
    }
    s
}

/// Which server is called which makes no difference.
pub(super) fn sort_nodes(s: &mut State) {
    let sight = |server: usize| -> Vec<(bool, bool)> {
        s.attempts()
            .map(|(_, attempt)| attempt.answer_of(server as u32))
            .collect()
    };
    let mut order: Vec<usize> = (0..s.nodes.len()).collect();
    order.sort_by(|a, b| (&s.nodes[*a], sight(*a)).cmp(&(&s.nodes[*b], sight(*b))));
    if order.is_sorted() {
        return;
    }
    let mut to = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        to[*old] = new as u32;
    }
    s.nodes = order.iter().map(|old| s.nodes[*old].clone()).collect();
    for client in &mut s.clients {
        if let Some(attempt) = &mut client.attempt {
            attempt.rename(&to);
        }
    }
}
