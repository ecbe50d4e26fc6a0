//! Bodies that are hashed together.

use super::{
    Md5,
    lanes::{BLOCK, Kernels, LANES_MAX},
};
use crate::runtime::{self, Gone, Rt};
use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Bytes of each body until the next look at who has come to wait.
const TURN_BYTES: usize = 64 << 10;

/// Hashes bodies off the threads that serve connections, those that wait at the same time side by side.
///
/// As with a group commit, the first is begun at once and whoever comes meanwhile goes together: a lone body
/// waits for nobody, and the more there are the less each costs.
pub struct HashPool {
    rt: Rt,
    kernels: Kernels,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    workers: usize,
    /// Number of jobs that wait or are worked on.
    jobs_total: usize,
}

/// The next bytes of a body.
struct Job {
    md5: Md5,
    data: VecDeque<Bytes>,
    done: oneshot::Sender<Md5>,
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashPool")
    }
}

impl HashPool {
    /// A pool that works in the runtime's threads for such work.
    #[must_use]
    pub fn new(rt: Rt) -> Arc<HashPool> {
        Arc::new(HashPool {
            rt,
            kernels: Kernels::detect(),
            waiting: Mutex::default(),
        })
    }

    /// `md5` with `data` taken in.
    ///
    /// # Errors
    /// [`Gone`] when the process is stopping.
    pub async fn update(self: &Arc<Self>, md5: Md5, data: Vec<Bytes>) -> Result<Md5, Gone> {
        let (done, answer) = oneshot::channel();
        let data = data.into();
        let more = {
            let mut waiting = self.lock();
            waiting.jobs.push_back(Job { md5, data, done });
            waiting.jobs_total += 1;
            // A few go each alone, many together: another worker comes when it has all its lanes to fill.
            let few = waiting.jobs_total < self.kernels.lanes_min;
            let more = waiting.workers == 0 || few || waiting.jobs.len() >= LANES_MAX;
            waiting.workers += usize::from(more);
            more
        };
        if more {
            // In a task of its own: whoever gives up must not take the others' worker away.
            let pool = self.clone();
            let rt = self.rt.clone();
            let work = async move { runtime::cpu(&rt, move || pool.work()).await.unwrap_or_default() };
            runtime::spawn(&self.rt, "hash", work);
        }
        answer.await.map_err(|_| Gone)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until nobody waits.
    fn work(&self) {
        let mut jobs: Vec<Job> = Vec::new();
        while self.take(&mut jobs) {
            if jobs.len() < self.kernels.lanes_min {
                jobs.iter_mut().for_each(Job::turn);
            } else {
                self.turn_together(&mut jobs);
            }
            let (ended, left): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.data.is_empty());
            jobs = left;
            self.lock().jobs_total -= ended.len();
            for Job { md5, done, .. } in ended {
                // Whoever has given up does not need it.
                done.send(md5).ok();
            }
        }
    }

    /// Fills a worker's lanes; false if it is not needed any more.
    fn take(&self, jobs: &mut Vec<Job>) -> bool {
        let mut waiting = self.lock();
        let few = jobs.len() + waiting.jobs.len() < self.kernels.lanes_min;
        let elsewhere = few && waiting.workers > 1 && waiting.jobs_total >= self.kernels.lanes_min;
        if elsewhere {
            // Another worker takes them together with its own.
            waiting.jobs.extend(jobs.drain(..));
        } else {
            let room = LANES_MAX - jobs.len();
            let take = room.min(waiting.jobs.len());
            jobs.extend(waiting.jobs.drain(..take));
        }
        if jobs.is_empty() {
            waiting.workers -= 1;
        }
        !jobs.is_empty()
    }

    /// Hashes as many bytes of each body as all have at hand, at most a turn's.
    fn turn_together(&self, jobs: &mut [Job]) {
        let mut left = TURN_BYTES;
        while left >= BLOCK {
            jobs.iter_mut().for_each(Job::align);
            if jobs.iter().any(|job| job.data.is_empty()) {
                return;
            }
            let whole = |job: &Job| job.data.front().map_or(0, |data| data.len() / BLOCK * BLOCK);
            let bytes = jobs.iter().map(whole).min().unwrap_or(0).min(left / BLOCK * BLOCK);
            let data: Vec<&[u8]> = jobs.iter().filter_map(|job| job.data.front()?.get(..bytes)).collect();
            let mut states: Vec<[u32; 4]> = jobs.iter().map(|job| job.md5.state).collect();
            self.kernels.compress(&mut states, &data);
            for (job, state) in jobs.iter_mut().zip(states) {
                job.md5.state = state;
                job.md5.took(bytes);
                job.data.iter_mut().take(1).for_each(|data| data.advance(bytes));
            }
            left -= bytes;
        }
    }
}

impl Job {
    /// A turn alone.
    fn turn(&mut self) {
        let mut left = TURN_BYTES;
        while left > 0
            && let Some(data) = self.data.front_mut()
        {
            let part = data.split_to(data.len().min(left));
            self.md5.update(&part);
            left -= part.len();
            if data.is_empty() {
                self.data.pop_front();
            }
        }
    }

    /// Takes in what is less than a block, until whole blocks are at the front or nothing is left.
    fn align(&mut self) {
        while let Some(data) = self.data.front_mut() {
            let rest = self.md5.fill_tail(data).len();
            data.advance(data.len() - rest);
            if rest >= BLOCK {
                return;
            }
            if rest == 0 {
                self.data.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;
    use futures::future::join_all;
    use proptest::prelude::*;

    fn bodies() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (any::<u8>(), 0usize..300_000).prop_map(|(byte, len)| vec![byte; len]),
        ];
        prop::collection::vec(prop::collection::vec(piece, 0..5), 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// However many wait, however their bytes are cut, each gets its own.
        #[test]
        fn bodies_do_not_meet(bodies in bodies()) {
            let tokio = tokio::runtime::Runtime::new().expect("a runtime");
            tokio.block_on(async {
                let pool = HashPool::new(RealRuntime::new());
                let hash = |pieces: &Vec<Vec<u8>>| {
                    let (pool, pieces) = (pool.clone(), pieces.clone());
                    async move {
                        let mut md5 = Md5::default();
                        // In two calls, the second with a tail from the first.
                        let (first, second) = pieces.split_at(pieces.len() / 2);
                        for part in [first, second] {
                            let data = part.iter().cloned().map(Bytes::from).collect();
                            md5 = pool.update(md5, data).await.expect("hashed");
                        }
                        md5.finish()
                    }
                };
                let hashed = join_all(bodies.iter().map(hash)).await;
                for (pieces, hashed) in bodies.iter().zip(hashed) {
                    assert_eq!(hashed, Md5::of(&pieces.concat()));
                }
                let waiting = pool.lock();
                assert_eq!((waiting.jobs.len(), waiting.jobs_total), (0, 0));
            });
        }
    }
}
