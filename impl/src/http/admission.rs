//! Admission control: limits of concurrent requests and of the memory of their streams. A request without room waits
//! a moment, and is then answered `SlowDown`; the server never takes more than it was given.

use crate::{
    metrics::{AdmissionStats, QueueStats, Resource},
    runtime::{self, BoxFuture, Rt},
    stats::{Counter, Gauge},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is reserved in units of so many bytes.
const UNIT_BYTES: u64 = 64 << 10;

/// Bytes that a connection and its request take at most beside reserved memory: buffers of input and
/// output, headers, and a small body.
const REQUEST_BYTES: u64 = 256 << 10;

/// Requests that are served at once, whatever the memory: each may hold a connection, and connections are
/// descriptors.
const REQUESTS_MAX: u64 = 4096;
const REQUESTS_MIN: u64 = 64;

/// A body of at most so many bytes needs no reservation.
pub const UNRESERVED_BYTES: u64 = UNIT_BYTES;

/// Limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that are served at once, and half of the connections.
    pub requests: usize,
    /// Memory of streams, in bytes.
    pub stream_bytes: u64,
    /// Longest wait of a request for admission.
    pub wait: Duration,
}

impl Limits {
    /// Derives limits from `memory_bytes` of the process: half of it for streams, a quarter for connections and their
    /// requests. The last quarter is for the index, the program, and what an allocator wastes.
    #[must_use]
    pub fn new(memory_bytes: u64, requests: Option<usize>, wait: Duration) -> Limits {
        let by_memory = (memory_bytes / 4 / REQUEST_BYTES).clamp(REQUESTS_MIN, REQUESTS_MAX);
        Limits {
            requests: requests.unwrap_or(by_memory as usize),
            stream_bytes: memory_bytes / 2,
            wait,
        }
    }
}

/// Timeouts of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest time without progress: on a connection without a request, within the body of one, and while an
    /// answer waits to be read.
    pub idle: Duration,
    /// Time limit for the headers of a request.
    pub headers: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            idle: Duration::from_secs(60),
            headers: Duration::from_secs(60),
        }
    }
}

/// Error of a request that had to wait too long for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are under way")]
pub struct Overloaded;

/// Admission: what is left of the limits. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    rt: Rt,
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    memory_units: u64,
    requests_max: usize,
    wait: Duration,
    counts: Arc<Counts>,
}

/// Counters of admission.
#[derive(Default)]
struct Counts {
    incoming: Counter,
    slot: QueueCounts,
    memory: QueueCounts,
}

#[derive(Default)]
struct QueueCounts {
    waiting: Gauge,
    refused: Counter,
}

impl QueueCounts {
    fn read(&self) -> QueueStats {
        QueueStats {
            waiting: self.waiting.get(),
            refused: self.refused.get(),
        }
    }
}

impl Admission {
    /// Admits as many requests, and as much memory, as `limits` allow.
    #[must_use]
    pub fn new(rt: &Rt, limits: Limits) -> Admission {
        let memory_units = (limits.stream_bytes / UNIT_BYTES).clamp(1, u64::from(u32::MAX));
        let requests_max = limits.requests.clamp(1, Semaphore::MAX_PERMITS);
        Admission {
            rt: rt.clone(),
            requests: Arc::new(Semaphore::new(requests_max)),
            memory: Arc::new(Semaphore::new(memory_units as usize)),
            memory_units,
            requests_max,
            wait: limits.wait,
            counts: Arc::default(),
        }
    }

    /// Returns the current usage.
    pub fn stats(&self) -> AdmissionStats {
        let memory_used = self.memory_units.saturating_sub(self.memory.available_permits() as u64);
        AdmissionStats {
            incoming: self.counts.incoming.get(),
            slots_used: self.requests_max.saturating_sub(self.requests.available_permits()) as u64,
            slots_limit: self.requests_max as u64,
            memory_used_bytes: memory_used * UNIT_BYTES,
            memory_limit_bytes: self.memory_units * UNIT_BYTES,
            slot: self.counts.slot.read(),
            memory: self.counts.memory.read(),
        }
    }

    /// AdmissionStats for one request.
    ///
    /// # Errors
    /// [`Overloaded`] when there is none for too long.
    pub async fn admit(&self) -> Result<AdmissionPermit, Overloaded> {
        self.counts.incoming.count();
        let permit = self.take(Resource::Slot, 1).await?;
        Ok(AdmissionPermit(Arc::new(Held {
            admission: self.clone(),
            permits: Mutex::new(vec![permit]),
        })))
    }

    async fn take(&self, want: Resource, count: u32) -> Result<OwnedSemaphorePermit, Overloaded> {
        let (semaphore, counts) = match want {
            Resource::Slot => (&self.requests, &self.counts.slot),
            Resource::Memory => (&self.memory, &self.counts.memory),
        };
        // The semaphore is FIFO: `try_acquire` cannot starve those that wait.
        if let Ok(permit) = semaphore.clone().try_acquire_many_owned(count) {
            return Ok(permit);
        }
        let _waiting = counts.waiting.enter();
        let waited = runtime::timeout(&self.rt, self.wait, semaphore.clone().acquire_many_owned(count)).await;
        // The semaphores are never closed.
        waited.and_then(Result::ok).ok_or_else(|| {
            counts.refused.count();
            Overloaded
        })
    }
}

/// Admission permit of one request, held until its answer was sent. Cheap to clone; the last clone releases it.
#[derive(Clone)]
pub struct AdmissionPermit(Arc<Held>);

struct Held {
    admission: Admission,
    permits: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl AdmissionPermit {
    /// Reserves memory; what is more than all of it counts as all of it. One reservation for each request: two
    /// requests that each waited for a second one could deadlock.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub fn reserve(&self, bytes: u64) -> BoxFuture<Result<(), Overloaded>> {
        let permit = self.clone();
        Box::pin(async move {
            let Held { admission, permits } = &*permit.0;
            let units = bytes.div_ceil(UNIT_BYTES).min(admission.memory_units);
            let permit = admission.take(Resource::Memory, units as u32).await?;
            permits.lock().unwrap_or_else(PoisonError::into_inner).push(permit);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;

    const MIB: u64 = 1 << 20;

    #[test]
    fn limits_follow_memory() {
        let of = |memory, requests| {
            let limits = Limits::new(memory, requests, Duration::ZERO);
            (limits.requests, limits.stream_bytes / MIB)
        };
        assert_eq!(of(16 << 30, None), (4096, 8192));
        assert_eq!(of(1 << 30, None), (1024, 512));
        assert_eq!(of(MIB, None), (64, 0));
        assert_eq!(of(1 << 30, Some(7)), (7, 512));
    }

    fn admission(requests: usize, stream_bytes: u64) -> Admission {
        let wait = Duration::from_millis(20);
        let limits = Limits {
            requests,
            stream_bytes,
            wait,
        };
        Admission::new(&RealRuntime::new(), limits)
    }

    #[tokio::test]
    async fn too_many_requests_are_told_to_slow_down() {
        let admission = admission(2, MIB);
        let (first, _second) = (admission.admit().await.unwrap(), admission.admit().await.unwrap());
        assert_eq!(admission.admit().await.err(), Some(Overloaded));
        drop(first);
        assert_eq!(admission.admit().await.err(), None);
    }

    #[tokio::test]
    async fn memory_comes_back_with_the_permit() {
        let admission = admission(10, 4 * MIB);
        let (first, second) = (admission.admit().await.unwrap(), admission.admit().await.unwrap());
        first.reserve(3 * MIB).await.unwrap();
        assert_eq!(second.reserve(2 * MIB).await.err(), Some(Overloaded));
        let waiting = second.reserve(2 * MIB);
        drop(first);
        waiting.await.unwrap();
        // More than there is counts as all.
        drop(second);
        admission.admit().await.unwrap().reserve(1 << 40).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_and_who_is_refused_is_counted() {
        let admission = admission(1, 4 * MIB);
        let permit = admission.admit().await.unwrap();
        permit.reserve(MIB).await.unwrap();
        let stats = admission.stats();
        assert_eq!((stats.incoming, stats.slots_used, stats.slots_limit), (1, 1, 1));
        assert_eq!((stats.memory_used_bytes, stats.memory_limit_bytes), (MIB, 4 * MIB));
        assert_eq!(
            (stats.slot, stats.memory),
            (QueueStats::default(), QueueStats::default())
        );

        // A client that leaves while it waits has not been refused.
        let mut waiting = Box::pin(admission.admit());
        assert!(futures::poll!(&mut waiting).is_pending());
        let mut more = permit.reserve(8 * MIB);
        assert!(futures::poll!(&mut more).is_pending());
        let one = |waiting, refused| QueueStats { waiting, refused };
        let stats = admission.stats();
        assert_eq!((stats.slot, stats.memory), (one(1, 0), one(1, 0)));
        assert_eq!(
            stats.memory_used_bytes,
            4 * MIB,
            "all that is left is for the one that waits"
        );
        drop((waiting, more));
        let stats = admission.stats();
        assert_eq!((stats.slot, stats.memory), (one(0, 0), one(0, 0)));

        assert_eq!(admission.admit().await.err(), Some(Overloaded));
        assert_eq!(permit.reserve(8 * MIB).await.err(), Some(Overloaded));
        drop(permit);
        let stats = admission.stats();
        assert_eq!((stats.slot, stats.memory), (one(0, 1), one(0, 1)));
        assert_eq!((stats.incoming, stats.slots_used, stats.memory_used_bytes), (3, 0, 0));
    }
}
