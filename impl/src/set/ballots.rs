//! Ballot numbers of this process.

use crate::runtime::Rt;
use model::protocol::{Ballot, Reply, Snapshot};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Issuer of this process's ballots: never the same one twice, each above all rounds that answers have told of.
///
/// Rounds keep up with the wall clock in microseconds, and with what drives answer. A drive refuses rounds below its
/// floor, which rises with everybody's promises; a process that counted its own operations alone would fall behind
/// and have its first Prepare refused again and again. No safety rests on the clock: set back, rounds go on by one.
pub struct Ballots {
    rt: Rt,
    node: u32,
    boot: u64,
    /// The highest round that was issued or heard of.
    round: AtomicU64,
}

impl fmt::Debug for Ballots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let round = self.round.load(Ordering::Relaxed);
        f.debug_struct("Ballots").field("round", &round).finish_non_exhaustive()
    }
}

impl Ballots {
    /// Creates the issuer of a process of `node` that starts now: `boot` is 64 fresh random bits.
    #[must_use]
    pub fn new(rt: &Rt, node: u32) -> Ballots {
        let mut boot = [0u8; 8];
        rt.fill_random(&mut boot);
        Ballots {
            rt: rt.clone(),
            node,
            boot: u64::from_le_bytes(boot),
            round: AtomicU64::new(0),
        }
    }

    /// Issues a ballot of `epoch`, in a round above `round` and above all that this process has issued or heard of.
    pub(super) fn issue(&self, epoch: u64, round: u64) -> Ballot {
        let clock = self.rt.wall_nanos() / 1000;
        let next = |last: u64| last.max(round).saturating_add(1).max(clock);
        let last = self
            .round
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        let (Ok(last) | Err(last)) = last;
        Ballot {
            epoch,
            round: next(last),
            node: self.node,
            boot: self.boot,
        }
    }

    /// Takes note of the rounds that a drive's answer tells of.
    pub(super) fn heard<V>(&self, reply: &Reply<V>) {
        match reply {
            Reply::Granted(snapshot) | Reply::Read(snapshot) => self.saw(snapshot),
            Reply::Refused(nack) => self.raise(nack.promised.max(nack.floor)),
            _ => {}
        }
    }

    /// Takes note of the rounds that a drive's snapshot tells of.
    pub(super) fn saw<V>(&self, snapshot: &Snapshot<V>) {
        self.raise(snapshot.floor.max(snapshot.accepted.ballot));
    }

    fn raise(&self, seen: Ballot) {
        // Most answers tell nothing new: they must not all write to the same line of memory.
        if seen.round > self.round.load(Ordering::Relaxed) {
            self.round.fetch_max(seen.round, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;
    use model::{list::unlisted, protocol::Nack, record::Record};

    fn at(round: u64) -> Ballot {
        Ballot { round, ..Ballot::ZERO }
    }

    // `live.rounds-keep-up`
    #[tokio::test]
    async fn rounds_keep_up_with_the_clock_and_never_repeat() {
        let rt = RealRuntime::new();
        let ballots = Ballots::new(&rt, 7);
        let micros = rt.wall_nanos() / 1000;
        let rounds: Vec<u64> = (0..1000).map(|_| ballots.issue(2, 0).round).collect();
        assert!(rounds[0] >= micros && rounds.is_sorted_by(|a, b| a < b), "{rounds:?}");
        let another = Ballots::new(&rt, 7).issue(2, 0);
        assert_eq!((another.epoch, another.node), (2, 7));
        assert!(another.boot != ballots.boot);
    }

    #[tokio::test]
    async fn rounds_are_above_all_that_was_asked_for_and_heard_of() {
        let rt = RealRuntime::new();
        let ballots = Ballots::new(&rt, 0);
        // Ahead of the clock, as after it was set back: rounds go on by one.
        let round = rt.wall_nanos();
        assert_eq!(ballots.issue(0, round).round, round + 1);
        assert_eq!(ballots.issue(0, 0).round, round + 2);
        let next = |reply: Reply<Record>| {
            ballots.heard(&reply);
            ballots.issue(0, 0).round
        };
        let snapshot = Snapshot {
            floor: at(round + 10),
            ..unlisted()
        };
        assert_eq!(next(Reply::Granted(snapshot.clone())), round + 11);
        assert_eq!(next(Reply::Read(snapshot)), round + 12);
        let nack = Nack {
            promised: at(round + 20),
            floor: at(round + 30),
            epoch: 0,
        };
        assert_eq!(next(Reply::Refused(nack)), round + 31);
    }
}
