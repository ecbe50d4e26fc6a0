//! Locks by key, to save wasted work: writers of one key queue instead of outbidding each other.
//!
//! Nothing rests on them (`lock.not-for-safety`): they are shared by keys with the same hash, held for a
//! moment, and given up after a while.

use crate::{
    drive::RegisterKey,
    runtime::{self, Rt},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, OwnedMutexGuard};
use xxhash_rust::xxh3::xxh3_64;

const SLOTS: usize = 1024;

/// The locks of one erasure set.
#[derive(Debug)]
pub struct KeyLocks(Vec<Arc<Mutex<()>>>);

impl Default for KeyLocks {
    fn default() -> KeyLocks {
        KeyLocks((0..SLOTS).map(|_| Arc::default()).collect())
    }
}

impl KeyLocks {
    /// Waits for the key's lock, at most `limit`; goes on without it afterwards.
    pub async fn lock(&self, rt: &Rt, key: &RegisterKey, limit: Duration) -> Option<OwnedMutexGuard<()>> {
        if runtime::grants_every_lock(rt.mutation()) {
            return None;
        }
        let slot = (xxh3_64(key.as_bytes()) % SLOTS as u64) as usize;
        let mutex = self.0.get(slot)?.clone();
        if let Ok(guard) = mutex.clone().try_lock_owned() {
            return Some(guard);
        }
        runtime::timeout(rt, limit, mutex.lock_owned()).await
    }
}
