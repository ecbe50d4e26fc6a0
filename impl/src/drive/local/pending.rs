//! Changes that wait for the next commit.

use super::staged::Staged;
use crate::drive::{RegisterKey, index::Changes};
use model::protocol::Folder;
use std::{sync::Arc, time::Duration};

/// Longest delay of a change that no reply requires.
const LAZY_MAX: Duration = Duration::from_millis(100);

/// Changes since the last commit, and what follows from the next one.
#[derive(Default)]
pub(super) struct Pending {
    /// Rows of folders and shards, and removed registers.
    pub(super) changes: Changes,
    /// Keys whose registers have changed.
    pub(super) keys: Vec<RegisterKey>,
    /// The drive's epoch or `hi` has changed.
    pub(super) drive: bool,
    /// A queued reply requires a commit.
    pub(super) durable: bool,
    /// Time of the first change that no reply requires.
    pub(super) lazy_since: Option<Duration>,
    /// Files whose rows the commit removes: they go after it.
    pub(super) unnamed: Vec<(Folder, u16)>,
    /// Guards of files whose rows the commit makes durable.
    pub(super) staged: Vec<Arc<Staged>>,
}

impl Pending {
    /// Returns the deadline of the changes that no reply requires, if there are any.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.lazy_since.map(|since| since + LAZY_MAX)
    }

    /// Returns whether it is time for a commit. Changes that no reply requires begin to wait.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let has_changes = self.drive || !self.keys.is_empty() || !self.changes.is_empty();
        if has_changes && !self.durable {
            self.lazy_since.get_or_insert(now);
        }
        self.durable || self.deadline().is_some_and(|deadline| now >= deadline)
    }
}
