//! Load generator: a closed loop of threads with one connection each, and its measurements.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::tests::s3::{Client, Error};

/// Limits of a run: the first one reached ends it, but each thread does at least one operation.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Time after the start from which on no operation begins.
    pub time: Duration,
    /// Maximum number of operations of all threads together.
    pub ops_max: u64,
}

/// Measurements of one run.
pub struct Run {
    /// Time from the common start to the end of the last operation.
    pub elapsed: Duration,
    /// Latencies of all operations, ascending.
    pub latencies: Vec<Duration>,
}

impl Run {
    /// Number of operations done; all of them succeeded.
    pub fn ops(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Returns the latency at this percentile (share from 0 to 1), by nearest rank.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.max(1) - 1).copied().unwrap_or_default()
    }
}

/// Runs `operation` in a loop on each client, with the next number of `counter`, so that the numbers below the counter
/// are done when this returns.
///
/// # Errors
/// The first error of an operation. It ends the run, since figures of a failing server are meaningless.
pub fn run(
    clients: &mut [Client],
    limit: Limit,
    counter: &AtomicU64,
    operation: impl Fn(&mut Client, u64) -> Result<(), Error> + Sync,
) -> Result<Run, Error> {
    let ready = Barrier::new(clients.len() + 1);
    let failed = AtomicBool::new(false);
    let end = counter.load(Ordering::Relaxed).saturating_add(limit.ops_max);
    let worker = |client: &mut Client| {
        let mut latencies = Vec::with_capacity(1 << 16);
        ready.wait();
        let start = Instant::now();
        let mut before = start;
        while !failed.load(Ordering::Relaxed) {
            let Ok(number) = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < end).then_some(n + 1))
            else {
                break;
            };
            operation(client, number).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            let now = Instant::now();
            latencies.push(now - before);
            before = now;
            if now - start >= limit.time {
                break;
            }
        }
        Ok(latencies)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| worker(client)))
            .collect();
        ready.wait();
        let start = Instant::now();
        let results: Vec<Result<Vec<Duration>, Error>> = workers
            .into_iter()
            .map(|worker| worker.join().expect("a thread of the generator does not panic"))
            .collect();
        let elapsed = start.elapsed();
        let mut latencies = Vec::new();
        for result in results {
            latencies.extend(result?);
        }
        latencies.sort_unstable();
        Ok(Run { elapsed, latencies })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn clients(count: usize) -> Vec<Client> {
        vec![Client::new("127.0.0.1:9".parse().unwrap(), "access", "secret"); count]
    }

    #[test]
    fn each_number_is_done_once() {
        let counter = AtomicU64::new(100);
        let seen = Mutex::new(Vec::new());
        let limit = Limit {
            time: Duration::from_secs(60),
            ops_max: 50,
        };
        let run = run(&mut clients(4), limit, &counter, |_, number| {
            seen.lock().unwrap().push(number);
            Ok(())
        });
        assert_eq!(run.unwrap().ops(), 50);
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (100..150).collect::<Vec<_>>());
    }

    #[test]
    fn time_ends_a_run_after_one_operation_at_least() {
        let limit = Limit {
            time: Duration::ZERO,
            ops_max: u64::MAX,
        };
        let run = run(&mut clients(3), limit, &AtomicU64::new(0), |_, _| Ok(())).unwrap();
        assert_eq!(run.ops(), 3);
    }

    #[test]
    fn an_error_ends_the_run() {
        let limit = Limit {
            time: Duration::from_secs(60),
            ops_max: u64::MAX,
        };
        let result = run(&mut clients(3), limit, &AtomicU64::new(0), |_, number| match number {
            0..20 => Ok(()),
            _ => Err(Error::Wrong("refused".into())),
        });
        assert!(matches!(result, Err(Error::Wrong(what)) if what == "refused"));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = (1..=200).map(Duration::from_millis).collect();
        let run = Run {
            elapsed: Duration::from_secs(1),
            latencies,
        };
        assert_eq!(run.percentile(0.5), Duration::from_millis(100));
        assert_eq!(run.percentile(0.99), Duration::from_millis(198));
        assert_eq!(run.percentile(0.0), Duration::from_millis(1));
        assert_eq!(run.percentile(1.0), Duration::from_millis(200));
    }
}
