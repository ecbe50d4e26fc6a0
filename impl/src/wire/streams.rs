//! The requests and answers under way on a connection. With HTTP/2, whether it is idle cannot be seen on its
//! socket, nor whether a client reads one answer and leaves another.

use super::{interim::Interim, outgoing::Answer};
use crate::runtime::Rt;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// A connection's streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Streams {
    rt: Rt,
    /// Longest time for which a client may read nothing of an answer.
    stall_max: Duration,
    state: Arc<Mutex<State>>,
    interim: Interim,
}

/// Activity of a connection.
#[derive(Clone, Copy)]
pub(super) struct Activity {
    /// Requests under way.
    pub open: usize,
    /// Requests that have come so far.
    pub count: u64,
    /// End of the last request; before the first, the start of the connection.
    pub active_at: Duration,
}

struct State {
    activity: Activity,
    answers: Vec<Weak<Mutex<Answer>>>,
}

impl Streams {
    pub fn new(rt: &Rt, stall_max: Duration) -> Streams {
        let state = State {
            activity: Activity {
                open: 0,
                count: 0,
                active_at: rt.mono(),
            },
            answers: Vec::new(),
        };
        Streams {
            rt: rt.clone(),
            stall_max,
            state: Arc::new(Mutex::new(state)),
            interim: Interim::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come; it is open until the guard is dropped.
    pub fn enter(&self) -> OpenStream {
        let activity = &mut self.lock().activity;
        activity.open += 1;
        activity.count += 1;
        OpenStream(self.clone())
    }

    /// The interim answer to the request under way, in HTTP/1.1.
    pub fn interim(&self) -> &Interim {
        &self.interim
    }

    /// Returns the activity so far.
    pub fn activity(&self) -> Activity {
        self.lock().activity
    }

    /// An answer is ready to be sent.
    pub fn watch(&self, answer: &Arc<Mutex<Answer>>) {
        let answers = &mut self.lock().answers;
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(answer));
    }

    /// Returns whether there was no request for this long.
    pub fn are_idle(&self, limit: Duration) -> bool {
        let Activity { open, active_at, .. } = self.activity();
        open == 0 && self.rt.mono().saturating_sub(active_at) >= limit
    }

    /// Gives up answers of which the client takes nothing: they hold memory.
    pub fn drop_stalled(&self) {
        let now = self.rt.mono();
        self.lock().answers.retain(|answer| {
            let Some(answer) = answer.upgrade() else { return false };
            let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.drop_if_stalled(now, self.stall_max)
        });
    }
}

/// A request that is not answered to the end.
pub(super) struct OpenStream(Streams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let now = self.0.rt.mono();
        let activity = &mut self.0.lock().activity;
        activity.open -= 1;
        activity.active_at = now;
    }
}
