//! A drive with one key, around the server's own acceptor.

use model::protocol::mutant::Mutation;
use model::protocol::{
    Acceptor, Ballot, Brief, Chained, DriveEffect, DriveState, Folder, KeyState, Membership, Register, Reply, Request,
    Value,
};

/// Number of a round above all that occur: a drive that has reserved the rounds up to it reserves no more.
pub const UNBOUNDED: u64 = u64::MAX / 2;

/// What a drive knows of itself when it begins, without a floor, with the rounds up to `hi` reserved.
#[must_use]
pub fn fresh(hi: u64) -> DriveState {
    DriveState {
        floor: Ballot::ZERO,
        ..DriveState::boot(0, hi)
    }
}

/// Returns what a drive would answer.
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

/// A drive, and what a world keeps of its past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive<V, P = ()> {
    /// What it knows of itself.
    pub own: DriveState,
    /// What it holds of the key.
    pub key: KeyState<V>,
    /// The register on the media, where it lags behind.
    pub durable: Option<Register<V>>,
    /// What is known of its past.
    pub past: P,
}

/// What came of a request.
#[derive(Debug)]
pub struct Answered<V> {
    /// The drive's answer.
    pub reply: Reply<V>,
    /// What it held of the key before.
    pub before: KeyState<V>,
    /// The folders that it removed.
    pub removed: Vec<Folder>,
}

impl<V: Value, P: Default> Drive<V, P> {
    /// A drive that was never written to, with the rounds up to `hi` reserved.
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
    /// Hands it a request. `may_boot`: what it stores lazily may yet be lost.
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

    /// Restarts the drive after a power loss: promises and what was not durable are gone.
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

    /// Returns whether a restart would take something from it.
    pub fn has_volatile(&self) -> bool {
        !self.key.promised.is_zero() || self.durable.is_some()
    }

    /// Returns whether it holds a folder.
    pub fn holds(&self, folder: Folder) -> bool {
        self.key.folders.contains(&folder)
    }

    /// Returns whether a request may change anything; what it would not change, it may as well not reach.
    pub fn may_change_by(&self, request: &Request<V>) -> bool {
        let register = &self.key.register;
        match request {
            Request::Finalize { ballot } => register.accepted.ballot == *ballot && !register.committed,
            Request::Purge { ballot } => register.accepted.ballot == *ballot,
            _ => true,
        }
    }

    /// Returns whether its answer to a request is the same from now on, and changes nothing.
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

    /// Returns whether a request will never again change anything.
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

    /// Returns whether a ballot's epoch is one that it takes no more.
    pub fn has_left(&self, ballot: Ballot) -> bool {
        ballot.epoch < self.own.epoch
    }

    /// Returns whether it may vote in a ballot, now or later, as far as its promises go.
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
    /// Hands it a request, an Accept as a change of its base.
    pub fn answer_brief(&mut self, index: u8, request: Request<V>, mutation: Mutation, may_boot: bool) -> Answered<V> {
        self.run(index, mutation, may_boot, |acceptor| match request {
            Request::Accept { vote, prev } => acceptor.step_brief(&Brief::of(&vote, &prev)),
            request => acceptor.step(request),
        })
    }
}
