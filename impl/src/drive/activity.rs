//! Metrics of a drive's own work; their presentation is elsewhere.

use crate::stats::{Histogram, Snapshot};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counted by a drive while it works.
#[derive(Debug)]
pub(super) struct Meter {
    commit_messages: Histogram,
    commit_time: Histogram,
    sync_time: Histogram,
    /// Start of the commit under way, in nanoseconds of the monotonic clock; 0 while there is none.
    commit_since: AtomicU64,
}

impl Meter {
    pub(super) fn new() -> Meter {
        Meter {
            commit_messages: Histogram::of_sizes(),
            commit_time: Histogram::of_durations(),
            sync_time: Histogram::of_durations(),
            commit_since: AtomicU64::new(0),
        }
    }

    /// A commit to the index begins.
    pub(super) fn commit_begins(&self, now: Duration) {
        self.commit_since.store(nanos(now).max(1), Ordering::Relaxed);
    }

    /// Notes the end of a commit that took `took`, and that `messages` waited for.
    pub(super) fn commit_ended(&self, took: Duration, messages: u64) {
        self.commit_since.store(0, Ordering::Relaxed);
        self.commit_messages.observe(messages);
        self.commit_time.observe_duration(took);
    }

    /// The number of group commits.
    pub(super) fn commits(&self) -> u64 {
        self.commit_time.snapshot().count()
    }

    /// A shard's file was synced.
    pub(super) fn synced(&self, took: Duration) {
        self.sync_time.observe_duration(took);
    }

    pub(super) fn read(&self, now: Duration, longest_call: Option<Call>) -> Activity {
        let since = self.commit_since.load(Ordering::Relaxed);
        let commit_under_way = match since {
            0 => Duration::ZERO,
            since => Duration::from_nanos(nanos(now).saturating_sub(since)),
        };
        Activity {
            commit_messages: self.commit_messages.snapshot(),
            commit_time: self.commit_time.snapshot(),
            sync_time: self.sync_time.snapshot(),
            commit_under_way,
            longest_call,
        }
    }
}

fn nanos(mono: Duration) -> u64 {
    u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX)
}

/// Metrics of a drive since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Group commits by how many messages waited for each.
    pub commit_messages: Snapshot,
    /// Durations of group commits, including the sync of the index.
    pub commit_time: Snapshot,
    /// Durations of the syncs of shards' files.
    pub sync_time: Snapshot,
    /// Age of the commit under way; zero if there is none.
    pub commit_under_way: Duration,
    /// The call to the operating system that has been under way for longest.
    pub longest_call: Option<Call>,
}

/// A call to the operating system that has not returned yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Name of the call.
    pub what: Cow<'static, str>,
    /// The file or folder.
    pub path: String,
    /// Time since it began.
    pub time: Duration,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { what, path, time } = self;
        write!(f, "{what} of {path} has not returned for {} s", time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_does_not_end_is_seen() {
        let meter = Meter::new();
        let second = Duration::from_secs(1);
        assert_eq!(meter.read(9 * second, None).commit_under_way, Duration::ZERO);
        meter.commit_begins(2 * second);
        assert_eq!(meter.read(9 * second, None).commit_under_way, 7 * second);
        meter.commit_ended(8 * second, 3);
        let activity = meter.read(11 * second, None);
        assert_eq!(activity.commit_under_way, Duration::ZERO);
        assert_eq!((activity.commit_messages.sum, activity.commit_messages.count()), (3, 1));
        assert_eq!(activity.commit_time.sum, 8_000_000);
    }
}
