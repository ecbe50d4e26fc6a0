//! Counters that a hot path can afford: atomics, added to without a lock, read without stopping anybody.
//!
//! Who counts does not know who reads: `drive` and `http` own theirs, `metrics` writes what is read of them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds for durations, in microseconds: from a fast drive's sync to a request that times out.
const DURATION_BOUNDS_MICROS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Upper bounds for how many there are of something.
const SIZE_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// `more` more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns how many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Gauge of concurrent activities.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one until the returned guard is dropped.
    #[must_use]
    pub fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self)
    }

    /// Returns how many now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Guard of an activity that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Entered<'a>(&'a Gauge);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Histogram: counts of values by bound, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// Counts by bound, and the count above the last.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// Creates a histogram of durations, in microseconds.
    #[must_use]
    pub fn of_durations() -> Histogram {
        Histogram::with(DURATION_BOUNDS_MICROS)
    }

    /// Creates a histogram of sizes of up to a few hundred.
    #[must_use]
    pub fn of_sizes() -> Histogram {
        Histogram::with(SIZE_BOUNDS)
    }

    fn with(bounds: &'static [u64]) -> Histogram {
        Histogram {
            bounds,
            counts: (0..=bounds.len()).map(|_| Counter::default()).collect(),
            sum: Counter::default(),
        }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].count();
        self.sum.add(value);
    }

    /// Counts a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns what it has counted. Values that come in meanwhile may be in it or not.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut below = 0;
        let cumulative = self.counts.iter().map(|count| {
            below += count.get();
            below
        });
        Snapshot {
            bounds: self.bounds,
            cumulative: cumulative.collect(),
            sum: self.sum.get(),
        }
    }
}

/// A histogram as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The bounds, ascending.
    pub bounds: &'static [u64],
    /// Numbers of values up to each bound; the last is the total.
    pub cumulative: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Snapshot {
    /// Returns how many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_goes_up_and_down() {
        let level = Gauge::default();
        let (first, _second) = (level.enter(), level.enter());
        assert_eq!(level.get(), 2);
        drop(first);
        assert_eq!(level.get(), 1);
    }

    #[test]
    fn bounds_are_inclusive() {
        let histogram = Histogram::of_sizes();
        for size in [1, 2, 3, 256, 257, 100_000] {
            histogram.observe(size);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.cumulative, [1, 2, 3, 3, 3, 3, 3, 3, 4, 6]);
        assert_eq!((snapshot.count(), snapshot.sum), (6, 100_519));
    }

    #[test]
    fn durations_are_counted_in_microseconds() {
        let histogram = Histogram::of_durations();
        histogram.observe_duration(Duration::from_millis(1));
        histogram.observe_duration(Duration::from_secs(60));
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.sum, 60_001_000);
        assert_eq!(snapshot.cumulative[..2], [0, 1]);
        assert_eq!(snapshot.cumulative[13..], [1, 2]);
    }
}
