//! Prepare and Resolve: from grants to a base that is known to be chosen, and what to do on it.

use super::{Coordinator, Missing, Phase};
use crate::protocol::mutant::Mutant;
use crate::protocol::resolve::resolve_mutated;
use crate::protocol::{
    Decision, Drives, Effect, Operation, Outcome, Request, Resolution, Snapshot, Unavailable, Value, Vote,
};
use std::collections::BTreeMap;

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Decides, or goes on waiting, after an answer to a Prepare. `hurry`: stragglers have just had their
    /// moment.
    pub(super) fn prepared(&mut self, hurry: bool) -> Vec<Effect<V>> {
        let Phase::Preparing {
            grants,
            missing,
            hurried,
        } = &self.phase
        else {
            return Vec::new();
        };
        let (missing, hurried) = (*missing, *hurried);
        let authoritative = grants.values().filter(|s| s.authoritative).count();
        let granted: Drives = grants.keys().copied().collect();
        let pending = self.pending(granted, missing);
        let needed = usize::from(self.quorums.prepare);
        if authoritative >= needed && (hurried || pending.is_empty()) {
            let grants = grants.clone();
            return self.resolve(&grants, missing, pending);
        }
        let hopeless = authoritative + pending.count() < needed;
        if hopeless {
            return self.again_or(
                Unavailable::PrepareQuorum,
                authoritative + pending.count() + missing.contended.count() >= needed,
                missing,
            );
        }
        if hurry && !missing.contended.is_empty() {
            return self.start(true);
        }
        Vec::new()
    }

    pub(super) fn pending(&self, answered: Drives, missing: Missing) -> Drives {
        Drives::all(self.quorums.drives)
            .without(answered)
            .without(missing.contended)
            .without(missing.failed)
    }

    /// Tries again if a higher ballot stood in the way and winning the drives that it holds would do;
    /// otherwise ends.
    pub(super) fn again_or(
        &mut self,
        why: Unavailable,
        enough_with_contended: bool,
        missing: Missing,
    ) -> Vec<Effect<V>> {
        if enough_with_contended && !missing.contended.is_empty() {
            self.start(true)
        } else {
            self.give_up(why)
        }
    }

    fn resolve(&mut self, grants: &BTreeMap<u8, Snapshot<V>>, missing: Missing, pending: Drives) -> Vec<Effect<V>> {
        match resolve_mutated(self.quorums, grants, self.mutation) {
            Resolution::TooFew => Vec::new(),
            Resolution::Chosen(base) => self.base(base, grants, missing, pending),
            Resolution::Repeat { value, prev } => self.repeat(value, prev, grants, missing, pending),
            Resolution::Stuck { top, prev } if !self.proposed && self.op.replaces(&top.value) => {
                self.repeat(top.value, prev, grants, missing, pending)
            }
            Resolution::Stuck { .. } if pending.is_empty() => self.again_or(Unavailable::Stuck, true, missing),
            Resolution::Stuck { .. } => Vec::new(),
        }
    }

    fn repeat(
        &mut self,
        value: V,
        prev: Vote<V>,
        grants: &BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        pending: Drives,
    ) -> Vec<Effect<V>> {
        if let Some(effects) = self.without_voters(grants.len() + pending.count(), missing) {
            return effects;
        }
        let holders = self.holders(grants);
        self.vote(value, prev, false, holders)
    }

    /// What to do on a base that is known to be chosen.
    fn base(
        &mut self,
        base: Vote<V>,
        grants: &BTreeMap<u8, Snapshot<V>>,
        missing: Missing,
        pending: Drives,
    ) -> Vec<Effect<V>> {
        if self.proposed && !self.mutation.is(Mutant::ProposeAgain) {
            let finalize = self.finalize_base(&base, grants);
            self.judge(base.value);
            return finalize;
        }
        let holders = self.holders(grants);
        let value = match self.op.decide(&base.value, holders) {
            Decision::Write(value) => value,
            answer => {
                let finalize = self.finalize_base(&base, grants);
                self.answer(answer, base.value);
                return finalize;
            }
        };
        if let Some((_, needed)) = self.op.staged() {
            let needed = usize::from(needed);
            let short = holders.count() < needed
                && !self.mutation.is(Mutant::TrustStaging)
                && !self.mutation.is(Mutant::AcceptWithoutShard);
            if short && !pending.is_empty() {
                return Vec::new();
            }
            if short {
                let enough = holders.count() + missing.contended.count() >= needed;
                return self.again_or(Unavailable::StagedQuorum, enough, missing);
            }
        }
        if let Some(effects) = self.without_voters(grants.len() + pending.count(), missing) {
            return effects;
        }
        self.proposed = true;
        self.vote(value, base, true, holders)
    }

    /// What to do instead of an Accept that fewer than A drives are there to take: `Some` if so. It
    /// would only make the outcome ambiguous.
    fn without_voters(&mut self, voters: usize, missing: Missing) -> Option<Vec<Effect<V>>> {
        let accept = usize::from(self.quorums.accept);
        if voters >= accept {
            return None;
        }
        let enough = voters + missing.contended.count() >= accept;
        Some(self.again_or(Unavailable::PrepareQuorum, enough, missing))
    }

    fn holders(&self, grants: &BTreeMap<u8, Snapshot<V>>) -> Drives {
        let Some((folder, _)) = self.op.staged() else {
            return Drives::NONE;
        };
        let holding = grants.iter().filter(|(_, s)| s.folders.contains(&folder));
        holding.map(|(drive, _)| *drive).collect()
    }

    /// Tells the drives that may not know it that the base is chosen, so that a key does not stay
    /// uncommitted for want of a next write.
    fn finalize_base(&self, base: &Vote<V>, grants: &BTreeMap<u8, Snapshot<V>>) -> Vec<Effect<V>> {
        let ignorant = grants
            .iter()
            .filter(|(_, s)| s.accepted.ballot == base.ballot && !s.committed);
        let to: Drives = ignorant.map(|(drive, _)| *drive).collect();
        if to.is_empty() || self.mutation.is(Mutant::BaseNotChosen) {
            return Vec::new();
        }
        let ballot = base.ballot;
        let request = Request::Finalize { ballot };
        vec![Effect::Send { to, request }]
    }

    /// Ends an operation whose Accept has left by what is chosen now.
    pub(super) fn judge(&mut self, chosen: V) {
        self.end(if self.op.is_in(&chosen) {
            Outcome::Written(chosen)
        } else {
            // It may have been done and then replaced.
            Outcome::Ambiguous(Unavailable::Deadline)
        });
    }

    pub(super) fn answer(&mut self, answer: Decision<V, O::Refusal>, base: V) {
        self.end(match answer {
            Decision::Keep => Outcome::Kept(base),
            Decision::Refuse(refusal) => Outcome::Refused { refusal, base },
            Decision::Write(_) => unreachable!("a write is voted on"),
        });
    }
}
