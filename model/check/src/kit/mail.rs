//! What clients have sent: each request lies in its sender's mail until it has reached all of its drives, if ever.

use model::protocol::{Drives, Request};

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail<V> {
    /// The set of drives that it goes to, or the key that it is about; 0 where there is one of each.
    pub place: u8,
    /// The request.
    pub request: Request<V>,
    /// The drives that it has not reached.
    pub to: Drives,
    /// The drives that it may reach once more: kept only where requests may be doubled.
    pub delivered: Drives,
    /// Whether it is an Accept that carries a change.
    pub brief: bool,
}

impl<V> Mail<V> {
    /// A request that has reached nobody.
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

    /// Returns whether it is of no use once its round is over.
    pub fn is_of_its_round(&self) -> bool {
        matches!(self.request, Request::Prepare { .. } | Request::Fence { .. })
    }

    /// Returns whether it has nowhere to go.
    pub fn is_spent(&self) -> bool {
        self.to.is_empty() && self.delivered.is_empty()
    }
}

/// Adds a request to what a client has sent. Prepares and Fences go that are not of the same step of the same round.
pub fn send<V>(mail: &mut Vec<Mail<V>>, letter: Mail<V>) {
    let prepare = |request: &Request<V>| match request {
        Request::Prepare { ballot } => Some(*ballot),
        _ => None,
    };
    let ballot = prepare(&letter.request);
    mail.retain(|old| !old.is_of_its_round() || ballot.is_some() && prepare(&old.request) == ballot);
    mail.push(letter);
}

/// Finds the first request on its way for which `is_such` holds at one of its drives. Returns the client, the index
/// among its mail and the drive.
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
