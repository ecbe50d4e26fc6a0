//! Lock client: an attempt to take a lock, and to keep it.

use super::mutant::{Mutant, Mutation};
use super::{Kind, Owner, Terms};
use std::collections::BTreeSet;

/// The side of the node that wants a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    owner: Owner,
    /// Number of nodes, each of them a lock server.
    servers: u32,
    terms: Terms,
    step: Step,
    mutation: Mutation,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Asking {
        sent: u64,
        granted: BTreeSet<u32>,
        refused: BTreeSet<u32>,
    },
    Holding {
        /// The tick from which it no longer believes that it holds the lock.
        until: u64,
        /// Send time of the request that the lease is counted from.
        sent: u64,
        /// The servers that have renewed it; none once they are enough.
        renewed: Option<BTreeSet<u32>>,
    },
    Over(Over),
}

/// Reason why an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// Too many servers refused, or did not answer in time.
    Refused,
    /// Held, and not renewed in time.
    Lost,
    /// Released by its holder.
    Released,
}

/// Request to all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Effect {
    /// Kind of request.
    pub kind: Kind,
    /// The tick at which it is sent; an answer comes back with it.
    pub sent: u64,
}

impl Client {
    /// An attempt, and what it sends.
    #[must_use]
    pub fn new(owner: Owner, servers: u32, terms: Terms, now: u64, mutation: Mutation) -> (Client, Effect) {
        let client = Client {
            owner,
            servers,
            terms,
            step: asking(now),
            mutation,
        };
        let kind = Kind::Lock;
        (client, Effect { kind, sent: now })
    }

    /// Whose attempt it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Returns whether the lock is held, as far as its holder can know. It asks before each step that the lock is to
    /// save from being done twice.
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        match self.step {
            Step::Holding { until, .. } => now < until || self.mutation.is(Mutant::BelievesUntilRefused),
            _ => false,
        }
    }

    /// Returns why it is over, if it is.
    #[must_use]
    pub fn over(&self) -> Option<Over> {
        match self.step {
            Step::Over(why) => Some(why),
            _ => None,
        }
    }

    /// A server's answer to what was sent at `at`.
    pub fn answer(&mut self, now: u64, at: u64, from: u32, granting: bool) -> Option<Effect> {
        let half = self.mutation.is(Mutant::GrantedByHalf);
        let needed = if half { self.servers / 2 } else { self.servers / 2 + 1 } as usize;
        let believes = self.mutation.is(Mutant::BelievesUntilRefused);
        // What was sent is granted later: to count from there errs on the safe side.
        let from_answer = self.mutation.is(Mutant::DeadlineFromAnswer);
        let granted_until = if from_answer { now } else { at } + self.terms.deadline;
        match &mut self.step {
            Step::Asking { sent, granted, refused } if *sent == at && from < self.servers => {
                if granting {
                    granted.insert(from);
                } else {
                    refused.insert(from);
                }
                let too_late = now >= granted_until;
                if too_late || refused.len() + needed > self.servers as usize {
                    return Some(self.leave(now, Over::Refused));
                }
                if granted.len() >= needed {
                    self.step = Step::Holding {
                        until: granted_until,
                        sent: at,
                        renewed: None,
                    };
                }
                None
            }
            // What is lost stays lost, since somebody else may have had it in between.
            Step::Holding { until, .. } if now >= *until && !believes => Some(self.leave(now, Over::Lost)),
            // A holder that is refused has its time, but not a longer one.
            Step::Holding { .. } if !granting => believes.then(|| self.leave(now, Over::Lost)),
            Step::Holding {
                until,
                sent,
                renewed: waiting @ Some(_),
            } if *sent == at && from < self.servers => {
                let renewed = waiting.get_or_insert_default();
                renewed.insert(from);
                if renewed.len() >= needed || self.mutation.is(Mutant::RenewedByOne) {
                    *until = granted_until.max(*until);
                    *waiting = None;
                }
                None
            }
            _ => None,
        }
    }

    /// Called at times: renews, and finds out what is lost.
    pub fn tick(&mut self, now: u64) -> Option<Effect> {
        let holds = self.holds(now);
        match &mut self.step {
            Step::Asking { sent, .. } if now >= *sent + self.terms.deadline => Some(self.leave(now, Over::Refused)),
            Step::Holding { .. } if !holds => Some(self.leave(now, Over::Lost)),
            Step::Holding { sent, renewed, .. } if now >= *sent + self.terms.refresh => {
                *sent = now;
                *renewed = Some(BTreeSet::new());
                let kind = Kind::Refresh;
                Some(Effect { kind, sent: now })
            }
            _ => None,
        }
    }

    /// The holder is done.
    pub fn release(&mut self, now: u64) -> Effect {
        self.leave(now, Over::Released)
    }

    fn leave(&mut self, now: u64, why: Over) -> Effect {
        self.step = Step::Over(why);
        let kind = Kind::Release;
        Effect { kind, sent: now }
    }

    /// Lets all that it remembers be so much longer ago, but not before `oldest`: the checker's clocks stand still.
    #[cfg(feature = "mutants")]
    pub fn age(&mut self, ticks: u64, oldest: u64) {
        match &mut self.step {
            Step::Asking { sent, .. } => *sent = (*sent - ticks).max(oldest),
            Step::Holding { until, sent, .. } => {
                *sent = (*sent - ticks).max(oldest);
                *until = (*until - ticks).max(oldest);
            }
            Step::Over(_) => {}
        }
    }

    /// Returns whether the next look at the clock ends it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn has_run_out(&self, now: u64) -> bool {
        match &self.step {
            Step::Asking { sent, .. } => now >= *sent + self.terms.deadline,
            Step::Holding { .. } => !self.holds(now),
            Step::Over(_) => false,
        }
    }

    /// Returns when that was sent whose answers it waits for.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn sent(&self) -> Option<u64> {
        match &self.step {
            Step::Asking { sent, .. } | Step::Holding { sent, .. } => Some(*sent),
            Step::Over(_) => None,
        }
    }

    /// Gives it another name.
    #[cfg(feature = "mutants")]
    pub fn rename_owner(&mut self, to: Owner) {
        self.owner = to;
    }

    /// Gives the servers their new names, by old one.
    #[cfg(feature = "mutants")]
    pub fn rename(&mut self, to: &[u32]) {
        let rename = |servers: &mut BTreeSet<u32>| *servers = servers.iter().map(|old| to[*old as usize]).collect();
        match &mut self.step {
            Step::Asking { granted, refused, .. } => [granted, refused].into_iter().for_each(rename),
            Step::Holding { renewed, .. } => renewed.iter_mut().for_each(rename),
            Step::Over(_) => {}
        }
    }

    /// Returns whether a server has granted or refused what was sent last.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn answer_of(&self, server: u32) -> (bool, bool) {
        match &self.step {
            Step::Asking { granted, refused, .. } => (granted.contains(&server), refused.contains(&server)),
            Step::Holding { renewed, .. } => (renewed.iter().any(|renewed| renewed.contains(&server)), false),
            Step::Over(_) => (false, false),
        }
    }
}

fn asking(sent: u64) -> Step {
    Step::Asking {
        sent,
        granted: BTreeSet::new(),
        refused: BTreeSet::new(),
    }
}
