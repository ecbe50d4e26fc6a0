//! A drive's side of the register.

use super::{Ballot, Folder, Reply, Request, Value, Vote};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a drive keeps durably of one register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register<V> {
    /// The highest vote.
    pub accepted: Vote<V>,
    /// The chosen vote that `accepted` follows; equal to `accepted` once that is committed.
    pub prev: Vote<V>,
    /// Whether `accepted` is known to be chosen.
    pub committed: bool,
}

impl<V: Value> Register<V> {
    /// The register of a key that was never written: absence is chosen.
    #[must_use]
    pub fn absent() -> Self {
        Register {
            accepted: Vote::absent(),
            prev: Vote::absent(),
            committed: true,
        }
    }
}

/// What a drive knows of one key while it answers a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyState<V> {
    /// The highest promise, in memory only: a reboot replaces it by the floor.
    pub promised: Ballot,
    /// The durable part.
    pub register: Register<V>,
    /// The data folders of this key that the drive holds, staged or live.
    pub folders: BTreeSet<Folder>,
}

impl<V: Value> KeyState<V> {
    /// A key of which the drive knows nothing.
    #[must_use]
    pub fn empty() -> Self {
        KeyState {
            promised: Ballot::ZERO,
            register: Register::absent(),
            folders: BTreeSet::new(),
        }
    }
}

/// What a drive knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriveState {
    /// Votes below this epoch are refused. Durable.
    pub epoch: u64,
    /// At or above every round promised or accepted: reserved in steps of [`DriveState::RESERVE`]. Durable.
    pub hi: u64,
    /// No ballot at or below it is promised anew: what was promised before the last start, and what was
    /// forgotten since. In memory.
    pub floor: Ballot,
}

/// What must happen before the reply leaves, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriveEffect {
    /// Store the drive's epoch and `hi` durably.
    PersistDrive,
    /// Store the key's register durably.
    PersistRegister,
    /// Store the key's register without waiting for it to be durable: losing it costs a repeated
    /// Resolve, never a vote.
    PersistRegisterLazily,
    /// These folders are no longer held: remove them. Never before the register's change is durable.
    Remove(Vec<Folder>),
}

/// Answers messages to one drive about one key.
#[derive(Debug)]
pub struct Acceptor<'a, V> {
    /// The drive.
    pub drive: &'a mut DriveState,
    /// The key.
    pub key: &'a mut KeyState<V>,
    /// This drive's index in its set.
    pub index: u8,
}

impl<V: Value> Acceptor<'_, V> {
    /// Applies a message. The reply may leave only after the effects have happened.
    pub fn step(&mut self, request: Request<V>) -> (Reply<V>, Vec<DriveEffect>) {
        let _ = request;
        unimplemented!("the acceptor")
    }
}
