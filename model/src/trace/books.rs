//! Global knowledge of a replay about one register: who voted for what, and what is chosen.
//!
//! A is counted from N here, and never taken from the protocol's own quorums.

use super::replay::{Violation, demand};
use crate::protocol::{Ballot, Register, Vote};
use crate::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The votes of one register.
#[derive(Default)]
pub(super) struct Books {
    ballots: BTreeMap<Ballot, Votes>,
}

struct Votes {
    value: Record,
    prev: Ballot,
    /// Drives that have voted.
    voters: BTreeSet<u8>,
    /// Drives whose vote is known to be durable.
    durable: BTreeSet<u8>,
    /// Known from before the trace began.
    given: bool,
    /// Chosen at some moment.
    was_chosen: bool,
}

impl Books {
    /// Takes over what a drive had when the trace began, or after a restart.
    pub(super) fn found(&mut self, drive: u8, register: &Register<Record>, drives: u8) -> Result<(), Violation> {
        self.enter(drive, &register.accepted, register.prev.ballot, register.committed)?;
        // What is named as the vote before was chosen.
        self.enter(drive, &register.prev, register.prev.ballot, true)?;
        self.durable(drive, register.accepted.ballot, drives)
    }

    /// Notes a vote, which may be lost as long as it is not durable.
    pub(super) fn voted(&mut self, drive: u8, vote: &Vote<Record>, prev: &Vote<Record>) -> Result<(), Violation> {
        self.enter(drive, vote, prev.ballot, false)
    }

    fn enter(&mut self, drive: u8, vote: &Vote<Record>, prev: Ballot, given: bool) -> Result<(), Violation> {
        let votes = self.ballots.entry(vote.ballot).or_insert_with(|| Votes {
            value: vote.value.clone(),
            prev,
            voters: BTreeSet::new(),
            durable: BTreeSet::new(),
            given: false,
            was_chosen: false,
        });
        votes.given |= given;
        votes.was_chosen |= given;
        votes.voters.insert(drive);
        demand(votes.value == vote.value, "register.one-value-per-ballot", || {
            format!(
                "{:?} carries {:x} and {:x}",
                vote.ballot,
                votes.value.name(),
                vote.value.name()
            )
        })
    }

    /// Notes that a drive's vote is durable.
    pub(super) fn durable(&mut self, drive: u8, ballot: Ballot, drives: u8) -> Result<(), Violation> {
        if let Some(votes) = self.ballots.get_mut(&ballot)
            && votes.durable.insert(drive)
            && votes.is_chosen(drives)
        {
            votes.was_chosen = true;
            self.check_chain(ballot, drives)?;
        }
        Ok(())
    }

    /// A drive has removed the register with all its votes: of a part whose upload has ended. What was chosen need not
    /// stay so.
    pub(super) fn removed(&mut self, drive: u8) {
        for votes in self.ballots.values_mut() {
            votes.voters.remove(&drive);
            votes.durable.remove(&drive);
            votes.given = false;
        }
    }

    /// Returns whether more than half of the drives have at some moment voted durably in a ballot. Absence before the
    /// first write is chosen from the start.
    pub(super) fn was_chosen(&self, ballot: Ballot) -> bool {
        ballot.is_zero() || self.ballots.get(&ballot).is_some_and(|votes| votes.was_chosen)
    }

    /// Returns whether that may be so: a reader may see a commit before its drive has told that it is durable.
    pub(super) fn may_be_chosen(&self, ballot: Ballot, drives: u8) -> bool {
        let votes = self.ballots.get(&ballot);
        self.was_chosen(ballot) || votes.is_some_and(|votes| is_majority(&votes.voters, drives))
    }

    /// Returns whether a value is chosen by votes that are durable.
    pub(super) fn has_chosen(&self, value: &Record, drives: u8) -> bool {
        let mut of_value = self.ballots.values().filter(|votes| votes.value == *value);
        of_value.any(|votes| votes.is_chosen(drives))
    }

    /// Of two chosen ballots next to each other, the values are equal, or the second's previous vote is the first or
    /// one above it.
    fn check_chain(&self, ballot: Ballot, drives: u8) -> Result<(), Violation> {
        let chosen = |(ballot, votes): &(&Ballot, &Votes)| ballot.is_zero() || votes.is_chosen(drives);
        let before = self.ballots.range(..ballot).rev().find(chosen);
        let after = self.ballots.range(ballot..).find(chosen);
        let next = self
            .ballots
            .range((Bound::Excluded(ballot), Bound::Unbounded))
            .find(chosen);
        for pair in [(before, after), (after, next)] {
            let (Some((first, old)), Some((second, new))) = pair else {
                continue;
            };
            let follows = new.value == old.value || new.prev >= *first || new.given;
            demand(follows, "register.chain", || {
                format!("{second:?} follows {:?}, but {first:?} was chosen between", new.prev)
            })?;
        }
        Ok(())
    }
}

impl Votes {
    /// Returns whether more than half of the drives have voted durably.
    fn is_chosen(&self, drives: u8) -> bool {
        self.given || is_majority(&self.durable, drives)
    }
}

fn is_majority(voters: &BTreeSet<u8>, drives: u8) -> bool {
    2 * voters.len() > usize::from(drives)
}
