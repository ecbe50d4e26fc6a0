//! Commits that take too long: worth a line, but not one for each of them.

use std::{path::Path, time::Duration};

/// Duration from which a commit is slow.
const SLOW: Duration = Duration::from_secs(1);
/// Minimum interval between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// Says when commits of a drive are slow.
#[derive(Debug, Default)]
pub(super) struct SlowCommits {
    /// Time of the last line.
    told_at: Option<Duration>,
    /// Slow commits since then that no line has told of.
    untold: u64,
}

impl SlowCommits {
    /// A commit has ended at `now` and took `took`.
    pub(super) fn ended(&mut self, drive: &Path, now: Duration, took: Duration) {
        if let Some(untold) = self.due(now, took) {
            let secs = took.as_secs_f64();
            tracing::warn!(drive = %drive.display(), secs, untold, "slow commit: the drive takes long to sync");
        }
    }

    /// Returns the number of slow commits since the last line, if a line is due.
    fn due(&mut self, now: Duration, took: Duration) -> Option<u64> {
        if took < SLOW {
            return None;
        }
        if self.told_at.is_some_and(|told_at| now < told_at + PAUSE) {
            self.untold += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_minute_tells_of_all() {
        let mut slow = SlowCommits::default();
        let mut due = |now, took| slow.due(Duration::from_secs(now), Duration::from_millis(took));
        assert_eq!(due(10, 999), None);
        assert_eq!(due(10, 1000), Some(0));
        assert_eq!(due(20, 5000), None);
        assert_eq!(due(69, 2000), None);
        assert_eq!(due(70, 10), None);
        assert_eq!(due(70, 2000), Some(2));
        assert_eq!(due(200, 2000), Some(0));
    }
}
