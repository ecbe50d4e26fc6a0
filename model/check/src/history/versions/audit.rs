//! Checks of the rules after each step, from the chain of chosen values alone.

use super::requests::{Mode, Request, When};
use super::rules::{Occasion, Rule};
use super::state::{Ledger, System, World};
use model::protocol::{Decision, Operation, Value};
use model::record::{Op, Record, Refusal, Version};
use std::collections::BTreeSet;

fn versions(record: &Record) -> &[Version] {
    record.object().map_or(&[], |object| &object.versions)
}

impl Ledger {
    /// Checks an operation's decision on a base.
    pub(super) fn audit_decision(
        &mut self,
        world: &World,
        op: &Op,
        base: &Record,
        decision: &Decision<Record, Refusal>,
    ) {
        let Decision::Write(value) = decision else { return };
        let last = |version: &&Version| version.change == base.name() && version.data().is_some();
        if !op.replaces(base) {
            return;
        }
        world.seen.see(Occasion::Replaces);
        let kept = versions(value).iter().any(|version| last(&version));
        self.broken.check(Rule::ReplacedIsGone, !kept);
    }

    /// Checks a value that has become chosen.
    pub(super) fn audit_chosen(&mut self, world: &World, s: &System) {
        let at = s.chain.len() - 1;
        let (value, base) = (s.chain[at].0.0.clone(), s.chain[at - 1].0.0.clone());
        let Some(request) = s.chain[at].1.map(|client| world.request(client)) else {
            return;
        };
        self.audit_order(world, s, &base, &value);
        self.audit_kept(world, request, &base, &value);
        self.audit_condition(world, request, &base);
        let all: Vec<BTreeSet<u128>> = s
            .chain
            .iter()
            .map(|(value, _)| versions(&value.0).iter().map(|version| version.change).collect())
            .collect();
        let gone: BTreeSet<u128> = all[..at]
            .iter()
            .flatten()
            .filter(|change| !all[at - 1].contains(change))
            .copied()
            .collect();
        self.broken.check(Rule::NoResurrection, gone.is_disjoint(&all[at]));
    }

    /// Checks that versions are in the order in which they were chosen, that times increase, and that ids differ.
    fn audit_order(&mut self, world: &World, s: &System, base: &Record, value: &Record) {
        let versions = versions(value);
        let chosen = |version: &Version| {
            let has = |(value, _): &(crate::history::exact::Exact, _)| self::versions(&value.0).contains(version);
            s.chain.iter().position(has)
        };
        let in_order = versions.windows(2).all(|pair| {
            let (first, second) = (chosen(&pair[0]), chosen(&pair[1]));
            first <= second && pair[0].time_nanos < pair[1].time_nanos
        });
        let ids: BTreeSet<u128> = versions.iter().map(|version| version.id).collect();
        self.broken
            .check(Rule::OrderIsChain, in_order && ids.len() == versions.len());
        if let (Some(before), Some(new)) = (self::versions(base).last(), versions.last())
            && new.change == value.name()
            && new.time_nanos == before.time_nanos + 1
        {
            world.seen.see(Occasion::ClockBehind);
        }
    }

    /// Checks that at most the version that the request replaces or deletes is removed, and the others are unchanged.
    fn audit_kept(&mut self, world: &World, request: Request, base: &Record, value: &Record) {
        let may_go = match request {
            Request::DeleteVersion(id) => Some(u128::from(id)),
            _ => request.adds().filter(|(mode, _)| *mode != Mode::Enabled).map(|_| 0),
        };
        let (before, after) = (versions(base), versions(value));
        let kept = before
            .iter()
            .filter(|version| Some(version.id) != may_go)
            .all(|version| after.contains(version));
        let added = after.iter().filter(|version| !before.contains(version)).count();
        self.broken.check(Rule::Kept, kept && added <= 1);
        if before.len() < after.len() && !before.is_empty() {
            world.seen.see(Occasion::Overwritten);
        }
        if matches!(request, Request::DeleteVersion(_)) {
            world.seen.see(Occasion::DeletedForGood);
        }
    }

    /// Checks a request's condition on the current object.
    fn audit_condition(&mut self, world: &World, request: Request, base: &Record) {
        let current = versions(base).last();
        let by = current.and_then(|version| version.data()).map(|data| data.etag.clone());
        let when = request.adds().map_or(When::Always, |(_, when)| when);
        let holds = match when {
            When::Always => true,
            When::Absent => by.is_none(),
            When::Is(client) => by == Some(client.to_string()),
        };
        self.broken.check(Rule::Precondition, holds);
        if when == When::Absent && current.is_some() {
            world.seen.see(Occasion::ConditionOnMarker);
        }
    }

    /// Checks that a drive which knows that the latest value is chosen has the data of every version.
    pub(super) fn audit_drive(&mut self, s: &System) {
        let named = s.drive.register.accepted.value.folders();
        let has = named.iter().all(|need| s.drive.folders.contains(&need.folder));
        self.broken.check(Rule::DataKept, has && s.drive.register.committed);
    }
}
