//! Which nodes have dialled this one.

use tokio::sync::Notify;

/// Wakes the link to a node that has dialled this one: it runs again, and need not be waited for.
#[derive(Debug)]
pub struct Heard(Vec<Notify>);

impl Heard {
    pub(super) fn of(nodes: u16) -> Heard {
        Heard((0..nodes).map(|_| Notify::new()).collect())
    }

    /// Notes that a node has dialled this one.
    pub(super) fn note(&self, node: u16) {
        if let Some(heard) = self.0.get(usize::from(node)) {
            heard.notify_one();
        }
    }

    /// Completes once a node has dialled this one, since it last did.
    pub(super) async fn from(&self, node: u16) {
        match self.0.get(usize::from(node)) {
            Some(heard) => heard.notified().await,
            None => std::future::pending().await,
        }
    }
}
