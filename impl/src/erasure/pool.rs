//! Buffers of full stripes, used again by the next stripe.
//!
//! A stripe with its parity is up to 2 MiB. Memory of that size that is freed and asked for again with every stripe is
//! given back to the system and zeroed anew, or kept by the allocator once for each thread that has had some.

use bytes::Bytes;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Buffers that nobody uses at the moment.
pub struct StripePool {
    free: Mutex<Vec<Vec<u8>>>,
    kept_max: usize,
}

impl fmt::Debug for StripePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StripePool")
    }
}

impl StripePool {
    /// A pool that keeps at most `kept_max` buffers; those above are freed.
    #[must_use]
    pub fn new(kept_max: usize) -> Arc<StripePool> {
        Arc::new(StripePool {
            free: Mutex::default(),
            kept_max,
        })
    }

    /// A buffer of at least this capacity. It has the length and the bytes that its last user has left, so that the
    /// next need not initialize it again.
    pub(super) fn take(&self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.lock().pop().unwrap_or_default();
        buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
        buffer
    }

    /// The bytes in `buffer`, which comes back to the pool once nobody uses any of them.
    pub(super) fn share(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Pooled {
            buffer,
            pool: self.clone(),
        })
    }

    /// Takes a buffer back that was taken and not shared.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut free = self.lock();
        if free.len() < self.kept_max {
            free.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Pooled {
    buffer: Vec<u8>,
    pool: Arc<StripePool>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_user() {
        let pool = StripePool::new(1);
        let mut buffer = pool.take(100);
        buffer.extend_from_slice(b"some bytes");
        let address = buffer.as_ptr();
        let bytes = pool.share(buffer);
        let part = bytes.slice(5..);
        drop(bytes);
        assert_eq!(pool.lock().len(), 0);
        assert_eq!(&part[..], b"bytes");
        drop(part);
        assert_eq!(pool.lock().len(), 1);
        let again = pool.take(50);
        assert_eq!((again.as_ptr(), &again[..]), (address, &b"some bytes"[..]));
        // It keeps no more than it was told.
        drop((pool.share(again), pool.share(pool.take(100))));
        assert_eq!(pool.lock().len(), 1);
    }
}
