//! How late a request comes, without clocks that agree.

use std::time::Duration;

/// Time after which an earlier comparison no longer counts: clocks drift apart.
const WINDOW: Duration = Duration::from_secs(60);

/// Estimates how late frames come, from when they were sent by the sender's clock and when they come by this node's.
/// The frame that came fastest of the last minute or two counts as being in time: so what a stopped process, or a full
/// buffer on the way, has held back is noticed, and what every frame takes is not.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    began: Duration,
    /// Least difference of the clocks in milliseconds, in this window and in the one before it.
    least: Option<i64>,
    least_before: Option<i64>,
}

impl Lateness {
    /// Takes the times of a frame, both since the connection began. Returns how late it is.
    pub fn of(&mut self, came: Duration, sent_ms: u32) -> Duration {
        let difference = super::ask::millis(came).wrapping_sub(sent_ms).cast_signed();
        let difference = i64::from(difference);
        if came.saturating_sub(self.began) >= WINDOW {
            self.began = came;
            self.least_before = self.least.take();
        }
        let least = self.least.map_or(difference, |least| least.min(difference));
        self.least = Some(least);
        let least = self.least_before.map_or(least, |before| before.min(least));
        Duration::from_millis(u64::try_from(difference - least).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(lateness: &mut Lateness, came_ms: u64, sent_ms: u32) -> u128 {
        lateness.of(Duration::from_millis(came_ms), sent_ms).as_millis()
    }

    #[test]
    fn what_is_held_back_is_late_by_as_much() {
        let mut lateness = Lateness::default();
        assert_eq!(late(&mut lateness, 2, 0), 0);
        assert_eq!(late(&mut lateness, 1_001, 1_000), 0);
        assert_eq!(late(&mut lateness, 9_000, 1_500), 7_499);
        // A process that was stopped for hours finds what came in the meantime.
        assert_eq!(late(&mut lateness, 7_200_000, 10_000), 7_189_999);
        assert_eq!(late(&mut lateness, 7_200_000, 11_000), 7_188_999);
    }

    #[test]
    fn clocks_that_drift_apart_make_nothing_late_for_long() {
        let mut lateness = Lateness::default();
        for second in 0..100_000u64 {
            let sent = u32::try_from(second * 990).expect("a day");
            let late = late(&mut lateness, second * 1000, sent);
            assert!(late <= 1200, "{late} ms after {second} s");
        }
    }

    #[test]
    fn the_senders_clock_may_wrap() {
        let mut lateness = Lateness::default();
        let wrap = u64::from(u32::MAX);
        assert_eq!(late(&mut lateness, wrap, u32::MAX), 0);
        assert_eq!(late(&mut lateness, wrap + 10, 9), 0);
        assert_eq!(late(&mut lateness, wrap + 110, 9), 100);
    }
}
