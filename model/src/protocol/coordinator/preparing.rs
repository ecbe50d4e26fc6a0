//! Prepare and Resolve: from grants to a base that is known to be chosen, and what to do on it.

use super::{Coordinator, Missing, Phase};
use crate::protocol::mutant::Mutant;
use crate::protocol::resolve::resolve;
use crate::protocol::{
    Decision, Drives, Effect, Folder, Operation, Outcome, Request, Resolution, Snapshot, Unavailable, Value, Vote,
};
use std::collections::BTreeMap;

/// A round's answers to Prepare.
struct Answers<V> {
    grants: BTreeMap<u8, Snapshot<V>>,
    missing: Missing,
    /// Drives that may still answer.
    pending: Drives,
}

impl<V> Answers<V> {
    /// Returns how many drives may take an Accept: recovering ones too.
    fn voters(&self) -> usize {
        self.grants.len() + self.pending.count()
    }

    /// Returns whether only the drives that have yet to answer are left to make `needed` out of what is `there`:
    /// outbidding the rivals that hold others would not.
    fn waits_for(&self, there: usize, needed: usize) -> bool {
        let rivals = self.missing.contended.count();
        !self.pending.is_empty() && (rivals == 0 || there + rivals < needed)
    }
}

/// Returns whether the grants show K shards of all that a value names.
fn is_readable<V: Value>(value: &V, answers: &Answers<V>) -> bool {
    let holding = |folder: Folder| answers.grants.values().filter(move |s| s.folders.contains(&folder));
    let needs = value.folders();
    needs
        .iter()
        .all(|need| holding(need.folder).count() >= usize::from(need.data))
}

impl<V: Value, O: Operation<V>> Coordinator<V, O> {
    /// Decides, or goes on waiting, after an answer to a Prepare. `timeout`: stragglers have just had their
    /// moment.
    pub(super) fn prepared(&mut self, timeout: bool) -> Vec<Effect<V>> {
        let Phase::Preparing {
            grants,
            missing,
            timed_out,
        } = &self.phase
        else {
            return Vec::new();
        };
        let (missing, timed_out) = (*missing, *timed_out);
        let authoritative = grants.values().filter(|s| s.authoritative).count();
        let pending = self.pending(grants.keys().copied().collect(), missing);
        let needed = usize::from(self.quorums.prepare);
        if authoritative >= needed && (timed_out || pending.is_empty()) {
            let grants = grants.clone();
            return self.resolve(&Answers {
                grants,
                missing,
                pending,
            });
        }
        let possible = authoritative + pending.count();
        if possible < needed {
            return self.again_or(Unavailable::PrepareQuorum, possible, needed, missing);
        }
        if timeout && !missing.contended.is_empty() {
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

    /// Tries again if a higher ballot stands in the way and winning the drives that it holds would make
    /// `needed` out of what is `possible` without them; otherwise ends.
    pub(super) fn again_or(
        &mut self,
        why: Unavailable,
        possible: usize,
        needed: usize,
        missing: Missing,
    ) -> Vec<Effect<V>> {
        if !missing.contended.is_empty() && possible + missing.contended.count() >= needed {
            self.start(true)
        } else {
            self.give_up(why)
        }
    }

    fn resolve(&mut self, answers: &Answers<V>) -> Vec<Effect<V>> {
        match resolve(self.quorums, &answers.grants, self.mutation) {
            Resolution::Repeat { .. } if self.op.heals() && self.mutation.is(Mutant::InstallUnchosen) => {
                let votes = answers.grants.values().map(|s| s.accepted.clone());
                let top = votes.max_by_key(|vote| vote.ballot).unwrap_or_else(Vote::absent);
                self.found_base(top, answers)
            }
            Resolution::Repeat { prev, .. } if self.op.heals() && self.mutation.is(Mutant::HealOnlyChosen) => {
                self.end(Outcome::Kept(prev.value));
                Vec::new()
            }
            Resolution::TooFew => Vec::new(),
            Resolution::Chosen(base) => self.found_base(base, answers),
            Resolution::Repeat { value, prev } => self.repeat(value, prev, answers),
            Resolution::Stuck { top, prev } if !self.proposed && self.op.replaces(&top.value) => {
                self.repeat(top.value, prev, answers)
            }
            // A drive that has yet to answer may hold what is missing; so may one that a rival holds, and to outbid the
            // rival takes a moment, where a drive that hangs may never answer (`live.one-hung-node`).
            Resolution::Stuck { .. } if answers.waits_for(0, 0) => Vec::new(),
            Resolution::Stuck { .. } => self.again_or(Unavailable::Stuck, 0, 0, answers.missing),
        }
    }

    fn repeat(&mut self, value: V, prev: Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        if let Some(effects) = self.without_voters(answers) {
            return effects;
        }
        let holders = self.holders(answers);
        let mut effects = self.bring_base(&prev, answers);
        effects.extend(self.vote(value, prev, false, holders));
        effects
    }

    /// Sends what a change is made of to the drives that have granted, speak for the key, and lack it. It arrives
    /// before the change, or not at all; it is known to be chosen, and they have promised this ballot
    /// (`heal.install-is-chosen`).
    fn bring_base(&self, base: &Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        if !self.changes || self.mutation.is(Mutant::LaggardNotHealed) {
            return Vec::new();
        }
        let lacks = |s: &Snapshot<V>| s.accepted.value != base.value && s.prev.value != base.value;
        // The base may not be the last that was chosen: a drive that has forgotten its votes would speak for it as if
        // it were (`heal.authority-is-earned`).
        let speaks = |s: &Snapshot<V>| s.authoritative || self.mutation.is(Mutant::BaseToForgetful);
        let lagging = answers.grants.iter().filter(|(_, s)| lacks(s) && speaks(s));
        let to: Drives = lagging.map(|(drive, _)| *drive).collect();
        if to.is_empty() {
            return Vec::new();
        }
        let request = Request::Install {
            ballot: self.ballot,
            vote: base.clone(),
            shards: Vec::new(),
        };
        vec![Effect::Send { to, request }]
    }

    /// Returns what to do on a base that is known to be chosen.
    fn found_base(&mut self, base: Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        let holders = self.holders(answers);
        if self.op.heals() && self.mutation.is(Mutant::DanglingDeleted) && !is_readable(&base.value, answers) {
            return self.vote(V::absent(), base, false, holders);
        }
        let is_for_all = self.op.is_for_all() && !self.mutation.is(Mutant::CleanUpOfSome);
        if is_for_all && !answers.missing.contended.is_empty() {
            // Those that a higher ballot holds may be the ones to heal, or to clean.
            let mut effects = self.mend(&base, answers);
            effects.extend(self.start(true));
            return effects;
        }
        match self.answer_on(&base.value, holders) {
            Some(value) => self.propose(value, base, holders, answers),
            None => self.mend(&base, answers),
        }
    }

    /// Ends the operation on a chosen value, unless it needs a vote on another: that value then.
    pub(super) fn answer_on(&mut self, chosen: &V, holders: Drives) -> Option<V> {
        let chosen = chosen.clone();
        if self.proposed && !self.mutation.is(Mutant::ProposeAgain) {
            self.end(if self.op.is_in(&chosen) {
                Outcome::Written(chosen)
            } else {
                // It may have been done and then replaced.
                Outcome::Ambiguous(Unavailable::Deadline)
            });
            return None;
        }
        match self.op.decide(&chosen, holders) {
            Decision::Write(value) => return Some(value),
            Decision::Keep => self.end(Outcome::Kept(chosen)),
            Decision::Refuse(refusal) => self.end(Outcome::Refused { refusal, base: chosen }),
        }
        None
    }

    /// Lets the operation's own change leave, if it can succeed (`put.accepted-means-staged`).
    fn propose(&mut self, value: V, base: Vote<V>, holders: Drives, answers: &Answers<V>) -> Vec<Effect<V>> {
        let needed = self.op.staged().map_or(0, |(_, write)| usize::from(write));
        let trusting = self.mutation.is(Mutant::TrustStaging) || self.mutation.is(Mutant::AcceptWithoutShard);
        if holders.count() < needed && !trusting {
            if answers.waits_for(holders.count(), needed) {
                return Vec::new();
            }
            return self.again_or(Unavailable::StagedQuorum, holders.count(), needed, answers.missing);
        }
        if let Some(effects) = self.without_voters(answers) {
            return effects;
        }
        self.proposed = true;
        let mut effects = self.bring_base(&base, answers);
        effects.extend(self.vote(value, base, true, holders));
        effects
    }

    /// Returns what to do instead of an Accept that fewer than A drives are there to take: `Some` if so. It
    /// would only make the outcome ambiguous.
    fn without_voters(&mut self, answers: &Answers<V>) -> Option<Vec<Effect<V>>> {
        let (voters, needed) = (answers.voters(), usize::from(self.quorums.accept));
        (voters < needed).then(|| self.again_or(Unavailable::PrepareQuorum, voters, needed, answers.missing))
    }

    fn holders(&self, answers: &Answers<V>) -> Drives {
        let Some((folder, _)) = self.op.staged() else {
            return Drives::NONE;
        };
        let holding = answers.grants.iter().filter(|(_, s)| s.folders.contains(&folder));
        holding.map(|(drive, _)| *drive).collect()
    }

    /// Tells what is chosen to drives that lack something of it.
    fn mend(&self, base: &Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        let mut effects = self.finalize_base(base, answers);
        effects.extend(self.install_base(base, answers));
        effects
    }

    /// Tells the drives that do not know it that the base is chosen, so that a key does not stay
    /// uncommitted for want of a next write.
    fn finalize_base(&self, base: &Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        let ballot = base.ballot;
        let grants = answers.grants.iter();
        let ignorant = grants.filter(|(_, s)| s.accepted.ballot == ballot && !s.committed);
        let to: Drives = ignorant.map(|(drive, _)| *drive).collect();
        if to.is_empty() || self.mutation.is(Mutant::BaseNotChosen) {
            return Vec::new();
        }
        let request = Request::Finalize { ballot };
        vec![Effect::Send { to, request }]
    }

    /// Heals the drives that lack the base or shards of it, as far as what is seen rebuilds them.
    fn install_base(&self, base: &Vote<V>, answers: &Answers<V>) -> Vec<Effect<V>> {
        if !self.op.heals() {
            return Vec::new();
        }
        let holding = |folder: Folder| answers.grants.values().filter(move |s| s.folders.contains(&folder));
        let mut needs = base.value.folders();
        needs.retain(|need| holding(need.folder).count() >= usize::from(need.data));
        let mut lacking: BTreeMap<Vec<Folder>, Drives> = BTreeMap::new();
        for (drive, snapshot) in &answers.grants {
            let knows = snapshot.authoritative && snapshot.accepted.ballot == base.ballot;
            let shards = needs.iter().map(|need| need.folder);
            let shards: Vec<Folder> = shards.filter(|folder| !snapshot.folders.contains(folder)).collect();
            if !knows || !shards.is_empty() {
                lacking.entry(shards).or_default().insert(*drive);
            }
        }
        let sends = lacking.into_iter().map(|(shards, to)| Effect::Send {
            to,
            request: Request::Install {
                ballot: self.ballot,
                vote: base.clone(),
                shards,
            },
        });
        sends.collect()
    }
}
