//! A drive with one key, around the server's own acceptor.

use model::protocol::mutant::Mutation;
use model::protocol::{
    Acceptor, Ballot, Brief, Chained, DriveEffect, DriveState, Folder, KeyState, Membership, Register, Reply, Request,
    Value,
};

/// A round above all that occur: a drive with `hi` at this round never reserves more.
pub const UNBOUNDED: u64 = u64::MAX / 2;

/// Returns the initial state of a drive: no floor, rounds reserved up to `hi`.
#[must_use]
pub fn fresh(hi: u64) -> DriveState {
    DriveState {
        floor: Ballot::ZERO,
        ..DriveState::boot(0, hi)
    }
}

/// Returns the drive's reply to a request, without changing the drive.
pub fn reply<V: Value>(
    (mut own, mut key): (DriveState, KeyState<V>),
    index: u8,
    request: &Request<V>,
    mutation: Mutation,
) -> Reply<V> {
    let mut acceptor = Acceptor {
        drive: &mut own,
        key: &mut key,
        index,
        mutation,
    };
    acceptor.step(request.clone()).0
}

/// A drive, and the history of it that a world needs for its checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive<V, P = ()> {
    pub own: DriveState,
    pub key: KeyState<V>,
    /// The register on the media, if it lags behind the one in memory.
    pub durable: Option<Register<V>>,
    pub past: P,
}

/// The outcome of a request.
#[derive(Debug)]
pub struct Answered<V> {
    pub reply: Reply<V>,
    /// The key's state before the request.
    pub before: KeyState<V>,
    pub removed: Vec<Folder>,
}

impl<V: Value, P: Default> Drive<V, P> {
    /// Creates a drive that was never written to, with rounds reserved up to `hi`.
    #[must_use]
    pub fn new(hi: u64) -> Self {
        Drive {
            own: fresh(hi),
            key: KeyState::empty(),
            durable: None,
            past: P::default(),
        }
    }
}

impl<V: Value, P> Drive<V, P> {
    /// Applies a request. With `may_boot`, lazy writes stay volatile, so that a restart can lose them.
    pub fn answer(&mut self, index: u8, request: Request<V>, mutation: Mutation, may_boot: bool) -> Answered<V> {
        self.run(index, mutation, may_boot, |acceptor| acceptor.step(request))
    }

    fn run(
        &mut self,
        index: u8,
        mutation: Mutation,
        may_boot: bool,
        step: impl FnOnce(&mut Acceptor<'_, V>) -> (Reply<V>, Vec<DriveEffect>),
    ) -> Answered<V> {
        let before = self.key.clone();
        let mut acceptor = Acceptor {
            drive: &mut self.own,
            key: &mut self.key,
            index,
            mutation,
        };
        let (reply, effects) = step(&mut acceptor);
        let mut removed = Vec::new();
        for effect in effects {
            match effect {
                DriveEffect::PersistRegister => self.durable = None,
                DriveEffect::PersistRegisterLazily if may_boot && self.durable.is_none() => {
                    self.durable = Some(before.register.clone());
                }
                DriveEffect::Remove(folders) => removed.extend(folders),
                DriveEffect::PersistDrive | DriveEffect::PersistRegisterLazily => {}
            }
        }
        Answered { reply, before, removed }
    }

    /// Restarts the drive after a power loss: promises and unsynced writes are lost.
    pub fn boot(&mut self, mutation: Mutation) {
        self.key.promised = Ballot::ZERO;
        if let Some(register) = self.durable.take() {
            self.key.register = register;
        }
        if !mutation.is(model::protocol::mutant::Mutant::FloorNotRaised) {
            self.own = DriveState {
                membership: self.own.membership,
                ..DriveState::boot(self.own.epoch, self.own.hi)
            };
        }
    }

    /// Returns whether a restart would lose anything.
    pub fn has_volatile(&self) -> bool {
        !self.key.promised.is_zero() || self.durable.is_some()
    }

    pub fn holds(&self, folder: Folder) -> bool {
        self.key.folders.contains(&folder)
    }

    /// Returns whether a request may change the drive; one that may not need not be delivered.
    pub fn may_change_by(&self, request: &Request<V>) -> bool {
        let register = &self.key.register;
        match request {
            Request::Finalize { ballot } => register.accepted.ballot == *ballot && !register.committed,
            Request::Purge { ballot } => register.accepted.ballot == *ballot,
            _ => true,
        }
    }

    /// Returns whether the reply to a request will always be the same, and the request change nothing.
    pub fn has_settled(&self, request: &Request<V>) -> bool {
        if self.own.membership == Membership::Unjoined {
            return false;
        }
        match request {
            Request::Prepare { ballot } => self.has_left(*ballot) || *ballot <= self.highest(),
            Request::Accept { vote, .. } => {
                let repeats = self.key.register.accepted.ballot == vote.ballot;
                self.has_left(vote.ballot) || !self.may_vote(vote.ballot) && !repeats
            }
            Request::Fence { ballot } => ballot.epoch <= self.own.epoch,
            _ => false,
        }
    }

    /// Returns whether a request will never change anything again.
    pub fn is_done_with(&self, request: &Request<V>) -> bool {
        let register = &self.key.register;
        if self.own.membership == Membership::Unjoined {
            return false;
        }
        match request {
            Request::Prepare { .. } | Request::Accept { .. } | Request::Fence { .. } => false,
            Request::Read | Request::Membership => false,
            Request::Finalize { ballot } => {
                let now = register.accepted.ballot == *ballot && !register.committed;
                !now && (self.has_left(*ballot) || !self.may_vote(*ballot))
            }
            Request::Purge { ballot } => register.accepted.ballot > *ballot,
            Request::Install { ballot, vote, .. } => {
                let replaced = vote.ballot < register.accepted.ballot;
                self.has_left(*ballot) || self.key.promised != *ballot || replaced
            }
            Request::Discard { ballot, folder } => {
                let fenced = self.key.promised.max(self.own.floor) > *ballot || self.has_left(*ballot);
                let voted = register.accepted.ballot == *ballot && !fenced;
                !self.holds(*folder) || !voted && !self.may_vote(*ballot)
            }
        }
    }

    /// Returns whether the ballot's epoch is below the drive's, so that it is refused.
    pub fn has_left(&self, ballot: Ballot) -> bool {
        ballot.epoch < self.own.epoch
    }

    /// Returns whether the drive may vote in a ballot, now or later, as far as its promises go.
    pub fn may_vote(&self, ballot: Ballot) -> bool {
        let promised = self.key.promised == ballot && ballot > self.key.register.accepted.ballot;
        promised || ballot > self.highest()
    }

    fn highest(&self) -> Ballot {
        let key = &self.key;
        key.promised.max(key.register.accepted.ballot).max(self.own.floor)
    }
}

impl<V: Chained, P> Drive<V, P> {
    /// Applies a request; an Accept as a change of its base.
    pub fn answer_brief(&mut self, index: u8, request: Request<V>, mutation: Mutation, may_boot: bool) -> Answered<V> {
        self.run(index, mutation, may_boot, |acceptor| match request {
            Request::Accept { vote, prev } => acceptor.step_brief(&Brief::of(&vote, &prev)),
            request => acceptor.step(request),
        })
    }
}
