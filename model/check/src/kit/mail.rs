//! Messages in flight: each request stays in its sender's mail until it has reached all of its drives, if ever.

use model::protocol::{Drives, Request};

/// A request in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail<V> {
    /// Index of the set of drives that receives it, or of its key; 0 where there is only one.
    pub place: u8,
    pub request: Request<V>,
    /// The drives that it has not reached.
    pub to: Drives,
    /// The drives that it may reach a second time; kept only where requests may be duplicated.
    pub delivered: Drives,
    /// True if it is an Accept that carries a change instead of the whole value.
    pub brief: bool,
}

impl<V> Mail<V> {
    /// Creates a request that has reached no drive.
    #[must_use]
    pub fn new(place: u8, request: Request<V>, to: Drives) -> Self {
        Mail {
            place,
            request,
            to,
            delivered: Drives::NONE,
            brief: false,
        }
    }

    /// Returns whether it is useless once its round is over.
    pub fn is_of_its_round(&self) -> bool {
        matches!(self.request, Request::Prepare { .. } | Request::Fence { .. })
    }

    /// Returns whether it has no receivers left.
    pub fn is_spent(&self) -> bool {
        self.to.is_empty() && self.delivered.is_empty()
    }
}

/// Adds a request to a client's mail. Drops Prepares and Fences that belong to another step or round.
pub fn send<V>(mail: &mut Vec<Mail<V>>, letter: Mail<V>) {
    let prepare = |request: &Request<V>| match request {
        Request::Prepare { ballot } => Some(*ballot),
        _ => None,
    };
    let ballot = prepare(&letter.request);
    mail.retain(|old| !old.is_of_its_round() || ballot.is_some() && prepare(&old.request) == ballot);
    mail.push(letter);
}

/// Finds the first request in flight for which `is_such` holds at one of its drives. Returns the client, the index in
/// its mail, and the drive.
pub fn find<'a, V: 'a>(
    clients: impl Iterator<Item = &'a [Mail<V>]>,
    is_such: impl Fn(&Mail<V>, u8) -> bool,
) -> Option<(u8, usize, u8)> {
    for (client, mail) in (0u8..).zip(clients) {
        for (index, letter) in mail.iter().enumerate() {
            if let Some(drive) = letter.to.iter().find(|drive| is_such(letter, *drive)) {
                return Some((client, index, drive));
            }
        }
    }
    None
}
