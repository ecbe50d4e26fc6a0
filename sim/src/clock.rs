//! Clock of a node: the simulation's clock, read with an offset and a drift.

use std::time::Duration;

const MILLION: i128 = 1_000_000;

/// Skew of a node's clocks. All integers, so that it is the same on every machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Nanoseconds added to the wall clock.
    pub(crate) offset_nanos: i64,
    /// Drift in parts per million; positive when the node's clock runs fast.
    drift_ppm: i32,
    /// Virtual time at which the drift was set, and the reading of the monotonic clock then.
    since_nanos: i128,
    shown_nanos: i128,
}

impl Clock {
    /// Changes the drift at virtual time `now`, without a jump.
    pub(crate) fn set_drift(&mut self, now: Duration, drift_ppm: i32) {
        let now_nanos = now.as_nanos() as i128;
        self.shown_nanos = self.mono_nanos(now_nanos);
        self.since_nanos = now_nanos;
        // A clock that stands still or runs backwards is not monotonic.
        self.drift_ppm = drift_ppm.clamp(-900_000, 900_000);
    }

    /// Returns the reading of the monotonic clock at virtual time `now`.
    pub(crate) fn mono(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.mono_nanos(now.as_nanos() as i128) as u64)
    }

    /// Returns the reading of the node's wall clock at virtual time `now`, where `wall_nanos` is the simulation's; both
    /// in nanoseconds since the Unix epoch.
    pub(crate) fn wall_nanos(&self, now: Duration, wall_nanos: u64) -> u64 {
        let now_nanos = now.as_nanos() as i128;
        let ahead = self.mono_nanos(now_nanos) - now_nanos + i128::from(self.offset_nanos);
        (i128::from(wall_nanos) + ahead).clamp(0, i128::from(u64::MAX)) as u64
    }

    /// Converts a duration by the node's clock into virtual time.
    pub(crate) fn to_virtual(self, local: Duration) -> Duration {
        let nanos = local.as_nanos() as i128 * MILLION / (MILLION + i128::from(self.drift_ppm));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn mono_nanos(&self, now_nanos: i128) -> i128 {
        self.shown_nanos + (now_nanos - self.since_nanos) * (MILLION + i128::from(self.drift_ppm)) / MILLION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_scales_clocks_and_timers_and_never_jumps() {
        let mut clock = Clock::default();
        let at = Duration::from_secs;
        assert_eq!(clock.mono(at(10)), at(10));
        clock.set_drift(at(10), 500_000);
        assert_eq!(clock.mono(at(10)), at(10));
        assert_eq!(clock.mono(at(20)), at(25));
        assert_eq!(clock.to_virtual(at(3)), at(2));
        clock.set_drift(at(20), -500_000);
        assert_eq!(clock.mono(at(20)), at(25));
        assert_eq!(clock.mono(at(22)), at(26));
        assert_eq!(clock.to_virtual(at(3)), at(6));
    }

    #[test]
    fn the_offset_moves_the_wall_clock_alone() {
        let clock = Clock {
            offset_nanos: -3_000_000_000,
            ..Clock::default()
        };
        assert_eq!(
            clock.wall_nanos(Duration::from_secs(1), 100_000_000_000),
            97_000_000_000
        );
        assert_eq!(clock.mono(Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(clock.wall_nanos(Duration::ZERO, 5), 0);
    }
}
