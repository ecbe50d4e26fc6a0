//! A lock server: every node is one.

use super::mutant::{Mutant, Mutation};
use super::{Owner, Terms};
use std::collections::BTreeMap;

/// A lock that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Owner of the lock.
    pub owner: Owner,
    /// The tick at which it is over.
    pub expires: u64,
}

/// Kind of request to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The lock.
    Lock,
    /// Renew a lock.
    Refresh,
    /// Release a lock.
    Release,
}

/// A request to a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request<R> {
    /// Resource to lock.
    pub resource: R,
    /// Owner of the lock.
    pub owner: Owner,
    /// Kind of the lock.
    pub kind: Kind,
}

/// The leases that a server has granted. They are in memory only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server<R> {
    leases: BTreeMap<R, Lease>,
    /// Nothing is granted before this tick, and nothing renewed: what the server granted in its last life, and to whom
    /// it does not know, may be counted on until then.
    quiet_until: u64,
    terms: Terms,
    mutation: Mutation,
}

impl<R: Ord + Clone> Server<R> {
    /// A server at its start.
    #[must_use]
    pub fn start(terms: Terms, now: u64, mutation: Mutation) -> Self {
        let quiet = match () {
            () if mutation.is(Mutant::RestartGrants) => 0,
            () if mutation.is(Mutant::QuietForEver) => u64::MAX,
            () => now + terms.expiry,
        };
        Server {
            leases: BTreeMap::new(),
            quiet_until: quiet,
            terms,
            mutation,
        }
    }

    /// Does what is asked for, if it may. A renewal is one more lock: a lease that has expired begins anew, unless
    /// somebody else has the lock.
    pub fn on(&mut self, now: u64, request: Request<R>) -> bool {
        let Request { resource, owner, kind } = request;
        self.expire(now);
        let other = self.leases.get(&resource).is_some_and(|lease| lease.owner != owner);
        let taken = other && !self.mutation.is(Mutant::LeaseIgnored);
        match kind {
            Kind::Release => {
                if !other || self.mutation.is(Mutant::ReleasedByAnybody) {
                    self.leases.remove(&resource);
                }
                true
            }
            Kind::Lock | Kind::Refresh if taken => false,
            Kind::Refresh if self.mutation.is(Mutant::RestartRenews) => self.grant(now, resource, owner),
            Kind::Lock | Kind::Refresh if self.is_quiet(now) => false,
            Kind::Lock | Kind::Refresh => self.grant(now, resource, owner),
        }
    }

    fn grant(&mut self, now: u64, resource: R, owner: Owner) -> bool {
        let expires = now + self.terms.expiry;
        self.leases.insert(resource, Lease { owner, expires });
        true
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: u64) {
        if !self.mutation.is(Mutant::NeverExpires) {
            self.leases.retain(|_, lease| now < lease.expires);
        }
    }

    /// Returns whether it has started so lately that it grants nothing.
    #[must_use]
    pub fn is_quiet(&self, now: u64) -> bool {
        now < self.quiet_until
    }

    /// Returns who has a lock.
    #[must_use]
    pub fn owner(&self, resource: &R, now: u64) -> Option<Owner> {
        let lease = self.leases.get(resource).filter(|lease| now < lease.expires);
        lease.map(|lease| lease.owner)
    }

    /// Gives the owners other names.
    #[cfg(feature = "mutants")]
    pub fn rename_owners(&mut self, to: impl Fn(Owner) -> Owner) {
        self.leases.values_mut().for_each(|lease| lease.owner = to(lease.owner));
    }

    /// Lets all that it remembers be so much longer ago, but not before `oldest`: the checker's clocks stand still.
    #[cfg(feature = "mutants")]
    pub fn age(&mut self, ticks: u64, oldest: u64) {
        let aged = |tick: u64| (tick - ticks).max(oldest);
        self.leases
            .values_mut()
            .for_each(|lease| lease.expires = aged(lease.expires));
        if !self.mutation.is(Mutant::QuietForEver) {
            self.quiet_until = aged(self.quiet_until.max(oldest + ticks));
        }
    }
}
