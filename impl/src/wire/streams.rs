//! The answers under way on an HTTP/2 connection. Whether it is idle cannot be seen on its socket, nor whether
//! a client reads one answer and leaves another.

use super::outgoing::Answer;
use crate::runtime::Rt;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// A connection's streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Streams {
    rt: Rt,
    state: Arc<Mutex<State>>,
}

struct State {
    open: usize,
    active_at: Duration,
    answers: Vec<Weak<Mutex<Answer>>>,
}

impl Streams {
    pub fn new(rt: &Rt) -> Streams {
        let state = State {
            open: 0,
            active_at: rt.mono(),
            answers: Vec::new(),
        };
        Streams {
            rt: rt.clone(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come; it is open until the guard is dropped.
    pub fn enter(&self) -> OpenStream {
        self.lock().open += 1;
        OpenStream(self.clone())
    }

    /// An answer is ready to be sent.
    pub fn watch(&self, answer: &Arc<Mutex<Answer>>) {
        self.lock().answers.push(Arc::downgrade(answer));
    }

    /// Whether nothing was asked for so long.
    pub fn are_idle(&self, limit: Duration) -> bool {
        let state = self.lock();
        state.open == 0 && self.rt.mono().saturating_sub(state.active_at) >= limit
    }

    /// Gives up answers of which the client takes nothing: they hold memory.
    pub fn drop_stalled(&self) {
        let now = self.rt.mono();
        self.lock().answers.retain(|answer| {
            let Some(answer) = answer.upgrade() else { return false };
            let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.drop_if_stalled(now)
        });
    }
}

/// A request that is not answered to the end.
pub(super) struct OpenStream(Streams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let now = self.0.rt.mono();
        let mut state = self.0.lock();
        state.open -= 1;
        state.active_at = now;
    }
}
