//! A client and its coordinator.

use super::mail::Mail;
use model::protocol::{Ballot, Drives};
use std::sync::Arc;

/// Progress of a client's operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not invoked.
    #[default]
    Idle,
    /// A plain read queries drives.
    Reading,
    /// A read opens shards.
    Opening,
    /// The coordinator runs.
    Running,
    /// Answered, crashed, or out of ballots.
    Over,
}

/// A client, its coordinator of type `M`, and the state of a plain read, of type `R`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client<V, M, R> {
    pub stage: Stage,
    /// Number of ballots used.
    pub rounds: u8,
    pub machine: Option<M>,
    /// State of a plain read.
    pub reading: R,
    /// Requests that have not reached all of their drives.
    pub mail: Vec<Mail<V>>,
    /// True if it is a get, and absence was chosen at some moment since it began.
    pub saw_absent: bool,
    /// True if the client has learned the outcome of its operation.
    pub answered: bool,
}

impl<V, M, R: Default> Default for Client<V, M, R> {
    fn default() -> Self {
        Client {
            stage: Stage::Idle,
            rounds: 0,
            machine: None,
            reading: R::default(),
            mail: Vec::new(),
            saw_absent: false,
            answered: false,
        }
    }
}

impl<V, M, R: Default> Client<V, M, R> {
    /// Ends the operation: the client ignores all replies, but its requests may still arrive.
    pub fn leave(&mut self) {
        let mut mail = std::mem::take(&mut self.mail);
        mail.retain(|letter| !letter.is_of_its_round());
        *self = Client {
            stage: Stage::Over,
            mail,
            answered: self.answered,
            ..Client::default()
        };
    }
}

/// Returns the client's ballot in the round after `round`.
#[must_use]
pub fn next_ballot(client: u8, epoch: u64, round: u64) -> Ballot {
    Ballot {
        epoch,
        round: round + 1,
        node: u32::from(client) + 1,
        boot: 0,
    }
}

/// Drops receivers at which a request can have no effect any more. With `may_double`, delivered requests may be
/// delivered once more.
pub fn forget_spent<V, M, R>(
    clients: &mut [Arc<Client<V, M, R>>],
    may_double: bool,
    is_spent: impl Fn(&Mail<V>, u8) -> bool,
) where
    Client<V, M, R>: Clone,
{
    for client in clients {
        for index in 0..client.mail.len() {
            let letter = &client.mail[index];
            let spent = |drives: Drives| -> Drives { drives.iter().filter(|drive| is_spent(letter, *drive)).collect() };
            let to = letter.to.without(spent(letter.to));
            let delivered = if may_double {
                letter.delivered.without(spent(letter.delivered))
            } else {
                Drives::NONE
            };
            if (to, delivered) != (letter.to, letter.delivered) {
                let letter = &mut Arc::make_mut(client).mail[index];
                (letter.to, letter.delivered) = (to, delivered);
            }
        }
        // The machine's current round stays: its index in the mail is in use while it is delivered.
        if client.mail.iter().any(Mail::is_spent) {
            Arc::make_mut(client).mail.retain(|letter| !letter.is_spent());
        }
    }
}
