//! A client and the coordinator that serves it.

use super::mail::Mail;
use model::protocol::{Ballot, Drives};
use std::sync::Arc;

/// How far a client's operation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not invoked.
    #[default]
    Idle,
    /// A plain read asks drives.
    Reading,
    /// A read opens shards.
    Opening,
    /// Its coordinator runs.
    Running,
    /// Answered, crashed, or out of ballots.
    Over,
}

/// A client, its coordinator of type `M`, and what a plain read has come to, of type `R`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client<V, M, R> {
    /// How far it is.
    pub stage: Stage,
    /// Ballots used.
    pub rounds: u8,
    /// Its coordinator.
    pub machine: Option<M>,
    /// What a plain read has come to.
    pub reading: R,
    /// What it sent and what did not arrive everywhere.
    pub mail: Vec<Mail<V>>,
    /// A get's: absence was chosen at some moment since it began.
    pub saw_absent: bool,
    /// Whether it was told how its operation ended.
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
    /// Ends the operation: the client reacts to nothing any more, what it sent may still arrive.
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

/// The ballot of a client's node, of the next round.
#[must_use]
pub fn next_ballot(client: u8, epoch: u64, round: u64) -> Ballot {
    Ballot {
        epoch,
        round: round + 1,
        node: u32::from(client) + 1,
        boot: 0,
    }
}

/// Forgets what would change nothing any more at a drive. `may_double`: what has been delivered may be once more.
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
        // A machine's own round stays: its place among the mail is in use while it is delivered.
        if client.mail.iter().any(Mail::is_spent) {
            Arc::make_mut(client).mail.retain(|letter| !letter.is_spent());
        }
    }
}
