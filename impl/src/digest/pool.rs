//! Bodies that are hashed together while they come in.

use super::{
    Md5,
    lanes::{self, BLOCK, Kernels, LANES_MAX},
};
use crate::runtime::{self, Gone, Rt};
use bytes::{Buf, Bytes};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Bytes of each body that a worker takes in before it looks again which bodies have some.
const TURN_BYTES: usize = 32 << 10;

/// Bytes that may wait of a body; then [`BodyHash::push`] waits, until half of them are left.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Bytes of a body that may wait before a worker has to begin, for each body on its way. At most half of
/// [`WAITING_BYTES_MAX`].
const DELAY_BYTES: usize = 64 << 10;

/// Hashes bodies off the threads that serve connections, in each vector lane another body.
///
/// The more lanes have something to do, the less a byte costs. Only the end of a body is waited for, so bytes are left
/// to gather until a body has ended, or has many; a worker then takes in what there is of all bodies. A lone body waits
/// for nobody.
pub struct HashPool {
    rt: Rt,
    kernels: Kernels,
    bodies: Mutex<Bodies>,
}

#[derive(Default)]
struct Bodies {
    by_id: BTreeMap<u64, Body>,
    next_id: u64,
    /// Those that a worker may take, in the order in which they have become so.
    ready: VecDeque<u64>,
    /// How many have to be worked on.
    due: usize,
    workers: usize,
    /// How many are in the hands of workers.
    working: usize,
}

/// A body on its way.
struct Body {
    /// `None` while a worker has it.
    md5: Option<Md5>,
    data: VecDeque<Bytes>,
    waiting_bytes: usize,
    ended: bool,
    is_ready: bool,
    is_due: bool,
    /// Who waits until [`Body::is_settled`].
    waiter: Option<oneshot::Sender<()>>,
}

/// MD5 of one body, which is computed while the body comes in. Dropped before its end, it leaves nothing in the pool.
pub struct BodyHash {
    pool: Arc<HashPool>,
    id: u64,
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
            bodies: Mutex::default(),
        })
    }

    /// Begins a body.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> BodyHash {
        let mut bodies = self.lock();
        let id = bodies.next_id;
        bodies.next_id += 1;
        bodies.by_id.insert(id, Body::default());
        BodyHash { pool: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a worker if one more is of use.
    fn employ(self: &Arc<Self>, mut bodies: MutexGuard<'_, Bodies>) {
        let busy = bodies.ready.len() + bodies.working;
        // Bodies that are too few for lanes go each alone.
        let wanted = match busy < self.kernels.lanes_min {
            true => busy,
            false => (busy / LANES_MAX).max(1),
        };
        if bodies.due == 0 || bodies.ready.is_empty() || bodies.workers >= wanted {
            return;
        }
        bodies.workers += 1;
        drop(bodies);
        // In a task of its own: a request that is given up must not take the others' worker away.
        let pool = self.clone();
        let rt = self.rt.clone();
        let work = async move { runtime::cpu(&rt, move || pool.work()).await.unwrap_or_default() };
        runtime::spawn(&self.rt, "hash", work);
    }

    /// Works until no body is due.
    fn work(&self) {
        let mut turns = Vec::new();
        loop {
            let mut bodies = self.lock();
            turns.drain(..).for_each(|turn| bodies.put_back(turn));
            bodies.take(self.kernels.lanes_min, &mut turns);
            if turns.is_empty() {
                bodies.workers -= 1;
                return;
            }
            drop(bodies);
            self.hash(&mut turns);
        }
    }

    /// Takes all bytes in, side by side as far as they go.
    fn hash(&self, turns: &mut [Turn]) {
        loop {
            turns.iter_mut().for_each(Turn::align);
            let mut going: Vec<&mut Turn> = turns.iter_mut().filter(|turn| !turn.data.is_empty()).collect();
            let Some(bytes) = going.iter().map(|turn| turn.whole_bytes()).min() else {
                return;
            };
            let data: Vec<&[u8]> = going
                .iter()
                .filter_map(|turn| turn.data.front()?.get(..bytes))
                .collect();
            let mut states: Vec<[u32; 4]> = going.iter().map(|turn| turn.md5.state).collect();
            if going.len() < self.kernels.lanes_min {
                for (state, data) in states.iter_mut().zip(data) {
                    lanes::one(state, data);
                }
            } else {
                self.kernels.compress(&mut states, &data);
            }
            for (turn, state) in going.iter_mut().zip(states) {
                turn.md5.state = state;
                turn.md5.took(bytes);
                turn.data.iter_mut().take(1).for_each(|data| data.advance(bytes));
            }
        }
    }
}

impl Bodies {
    /// Takes the next turn of as many bodies as a worker works on at once; none if no body is due.
    fn take(&mut self, lanes_min: usize, turns: &mut Vec<Turn>) {
        let lanes = if self.ready.len() < lanes_min { 1 } else { LANES_MAX };
        while self.due > 0
            && turns.len() < lanes
            && let Some(id) = self.ready.pop_front()
        {
            let Some(body) = self.by_id.get_mut(&id) else { continue };
            body.is_ready = false;
            if let Some(md5) = body.md5.take() {
                self.working += 1;
                let data = body.take(TURN_BYTES);
                turns.push(Turn { id, md5, data });
            }
        }
    }

    /// Returns a body after its turn.
    fn put_back(&mut self, turn: Turn) {
        self.working -= 1;
        // Nobody needs what was given up meanwhile.
        if let Some(body) = self.by_id.get_mut(&turn.id) {
            body.md5 = Some(turn.md5);
            self.update(turn.id);
        }
    }

    /// Takes account of a change of a body.
    fn update(&mut self, id: u64) {
        let delay_bytes = (self.by_id.len() * DELAY_BYTES).min(WAITING_BYTES_MAX / 2);
        let Some(body) = self.by_id.get_mut(&id) else { return };
        self.due -= usize::from(body.is_due);
        body.is_due = body.has_bytes(delay_bytes);
        self.due += usize::from(body.is_due);
        if body.has_bytes(TURN_BYTES) && !body.is_ready && body.md5.is_some() {
            body.is_ready = true;
            self.ready.push_back(id);
        }
        if body.is_settled()
            && let Some(waiter) = body.waiter.take()
        {
            // It may have stopped waiting.
            waiter.send(()).ok();
        }
    }
}

impl Default for Body {
    fn default() -> Body {
        Body {
            md5: Some(Md5::default()),
            data: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
            is_ready: false,
            is_due: false,
            waiter: None,
        }
    }
}

impl Body {
    /// Whether so many bytes wait, or the last.
    fn has_bytes(&self, bytes: usize) -> bool {
        self.waiting_bytes >= if self.ended { 1 } else { bytes }
    }

    /// Whether there is room for more, or all is taken in if it has ended.
    fn is_settled(&self) -> bool {
        match self.ended {
            true => self.waiting_bytes == 0 && self.md5.is_some(),
            false => self.waiting_bytes <= WAITING_BYTES_MAX / 2,
        }
    }

    /// Takes at most `bytes` off the front.
    fn take(&mut self, bytes: usize) -> VecDeque<Bytes> {
        let mut taken = VecDeque::new();
        let mut left = bytes;
        while left > 0
            && let Some(data) = self.data.front_mut()
        {
            let part = data.split_to(data.len().min(left));
            left -= part.len();
            taken.push_back(part);
            if data.is_empty() {
                self.data.pop_front();
            }
        }
        self.waiting_bytes -= bytes - left;
        taken
    }
}

impl BodyHash {
    /// Appends bytes. Returns at once, unless the bytes of the body that wait already are too many.
    ///
    /// # Errors
    /// [`Gone`] when the process is stopping.
    pub async fn push(&self, data: Bytes) -> Result<(), Gone> {
        let (waiter, settled) = oneshot::channel();
        let is_full = self.change(|body| {
            body.waiting_bytes += data.len();
            body.data.push_back(data);
            let is_full = body.waiting_bytes > WAITING_BYTES_MAX;
            body.waiter = is_full.then_some(waiter);
            is_full
        });
        match is_full {
            true => settled.await.map_err(|_| Gone),
            false => Ok(()),
        }
    }

    /// The MD5 of all bytes, once they are taken in.
    ///
    /// # Errors
    /// As [`BodyHash::push`].
    pub async fn finish(self) -> Result<[u8; 16], Gone> {
        let (waiter, settled) = oneshot::channel();
        self.change(|body| {
            body.ended = true;
            body.waiter = Some(waiter);
        });
        settled.await.map_err(|_| Gone)?;
        let md5 = self
            .pool
            .lock()
            .by_id
            .get_mut(&self.id)
            .and_then(|body| body.md5.take());
        md5.map(Md5::finish).ok_or(Gone)
    }

    /// Changes the body, and has a worker begin if that makes it due.
    fn change<T>(&self, change: impl FnOnce(&mut Body) -> T) -> T {
        let mut bodies = self.pool.lock();
        let changed = change(bodies.by_id.get_mut(&self.id).expect("it is there until it is dropped"));
        bodies.update(self.id);
        self.pool.employ(bodies);
        changed
    }
}

impl Drop for BodyHash {
    fn drop(&mut self) {
        let mut bodies = self.pool.lock();
        if let Some(body) = bodies.by_id.remove(&self.id) {
            bodies.due -= usize::from(body.is_due);
            if body.is_ready {
                bodies.ready.retain(|id| *id != self.id);
            }
        }
    }
}

/// What a worker does of a body before it looks for others.
struct Turn {
    id: u64,
    md5: Md5,
    data: VecDeque<Bytes>,
}

impl Turn {
    /// Bytes of the whole blocks at the front.
    fn whole_bytes(&self) -> usize {
        self.data.front().map_or(0, |data| data.len() / BLOCK * BLOCK)
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
    use futures::{FutureExt, future::join_all};
    use proptest::prelude::*;

    fn bodies() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (any::<u8>(), 0usize..300_000).prop_map(|(byte, len)| vec![byte; len]),
        ];
        prop::collection::vec(prop::collection::vec(piece, 0..5), 1..40)
    }

    fn with_pool<F: Future<Output = ()>>(kernels: Kernels, test: impl FnOnce(Arc<HashPool>) -> F) {
        let tokio = tokio::runtime::Runtime::new().expect("a runtime");
        tokio.block_on(async {
            let pool = HashPool {
                kernels,
                rt: RealRuntime::new(),
                bodies: Mutex::default(),
            };
            let pool = Arc::new(pool);
            test(pool.clone()).await;
            let bodies = pool.lock();
            assert_eq!((bodies.by_id.len(), bodies.ready.len(), bodies.due), (0, 0, 0));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// However many are on their way, however their bytes are cut, each gets its own, with lanes and without.
        #[test]
        fn bodies_do_not_meet(bodies in bodies(), few: bool) {
            let mut kernels = Kernels::detect();
            if few {
                kernels.lanes_min = bodies.len() + 1;
            }
            with_pool(kernels, |pool| async move {
                let hash = |pieces: &Vec<Vec<u8>>| {
                    let (body, pieces) = (pool.begin(), pieces.clone());
                    async move {
                        for piece in pieces {
                            body.push(Bytes::from(piece)).await.expect("taken");
                        }
                        body.finish().await.expect("hashed")
                    }
                };
                let hashed = join_all(bodies.iter().map(hash)).await;
                for (pieces, hashed) in bodies.iter().zip(hashed) {
                    assert_eq!(hashed, Md5::of(&pieces.concat()));
                }
            });
        }
    }

    /// Bodies that are far ahead wait, and those that are given up while they wait leave nothing.
    #[test]
    fn waiting_bytes_are_bounded() {
        with_pool(Kernels::detect(), |pool| async move {
            let body = pool.begin();
            // Whole, it is more than may wait: the worker that it starts cannot be done at once.
            let data = Bytes::from(vec![7; 32 * WAITING_BYTES_MAX]);
            assert!(body.push(data.clone()).now_or_never().is_none());
            drop(body);
            let body = pool.begin();
            body.push(data.clone()).await.expect("taken");
            assert!(pool.lock().by_id[&body.id].waiting_bytes <= WAITING_BYTES_MAX / 2);
            assert_eq!(body.finish().await.expect("hashed"), Md5::of(&data));
            let unfinished = pool.begin();
            unfinished.push(data.slice(..100)).await.expect("taken");
        });
    }
}
