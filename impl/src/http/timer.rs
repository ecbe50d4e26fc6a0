//! hyper's clock, on the Runtime's.

use crate::runtime::{BoxFuture, Rt};
use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A [`Timer`] for hyper. hyper speaks of `Instant`s, which only the system's clock makes: one taken at the
/// start stands for the Runtime's monotonic clock at that moment, all others are computed from it.
#[derive(Clone)]
pub struct RtTimer {
    rt: Rt,
    origin: Instant,
    origin_mono: Duration,
}

impl RtTimer {
    /// Takes now as its origin.
    #[must_use]
    pub fn new(rt: &Rt) -> RtTimer {
        #[allow(
            clippy::disallowed_methods,
            reason = "an origin only; all differences are Runtime::mono's"
        )]
        let origin = Instant::now();
        RtTimer {
            rt: rt.clone(),
            origin,
            origin_mono: rt.mono(),
        }
    }
}

impl Timer for RtTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(RtSleep(Mutex::new(self.rt.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.origin + self.rt.mono().saturating_sub(self.origin_mono)
    }
}

/// hyper wants it `Sync`; it is only ever polled by its owner.
struct RtSleep(Mutex<BoxFuture<()>>);

impl Future for RtSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        sleep.as_mut().poll(cx)
    }
}

impl Sleep for RtSleep {}

/// Fires when nothing has happened for a while. Cheap to keep alive: activity only notes the time.
pub struct IdleTimer {
    rt: Rt,
    limit: Duration,
    active_at: Duration,
    sleep: Option<BoxFuture<()>>,
}

impl IdleTimer {
    /// Rings after `limit` without a touch.
    #[must_use]
    pub fn new(rt: &Rt, limit: Duration) -> IdleTimer {
        IdleTimer {
            rt: rt.clone(),
            limit,
            active_at: rt.mono(),
            sleep: None,
        }
    }

    /// Something happened.
    pub fn touch(&mut self) {
        self.active_at = self.rt.mono();
    }

    /// Ready once nothing has happened for the whole limit. Poll it only while waiting.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let idle = self.rt.mono().saturating_sub(self.active_at);
            if idle >= self.limit {
                return Poll::Ready(());
            }
            let sleep = self.sleep.get_or_insert_with(|| self.rt.sleep(self.limit - idle));
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.sleep = None,
            }
        }
    }
}
