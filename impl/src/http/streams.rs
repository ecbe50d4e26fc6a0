//! The requests and answers under way on a connection. With HTTP/2, whether it is idle cannot be seen on its
//! socket, nor whether a client reads one answer and leaves another.

use super::{Body, admission::AdmissionPermit, interim::Interim};
use crate::runtime::Rt;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// A connection's streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    rt: Rt,
    /// Longest time for which a client may read nothing of an answer.
    stall_max: Duration,
    state: Arc<Mutex<State>>,
    interim: Interim,
}

/// An answer that is being sent.
pub(super) struct Answer {
    /// None: it was given up.
    pub body: Option<Body>,
    permit: Option<AdmissionPermit>,
    /// Time of the last poll that returned data.
    pub taken_at: Duration,
    /// A poll is pending.
    pub is_awaited: bool,
}

impl Answer {
    pub fn new(body: Body, permit: Option<AdmissionPermit>, now: Duration) -> Answer {
        Answer {
            body: Some(body),
            permit,
            taken_at: now,
            is_awaited: false,
        }
    }

    /// Gives it up if nobody has asked for more for so long; whether it may still be asked for.
    pub fn drop_if_stalled(&mut self, now: Duration, limit: Duration) -> bool {
        if !self.is_awaited && now.saturating_sub(self.taken_at) >= limit {
            self.body = None;
            self.permit = None;
        }
        self.body.is_some()
    }
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
    pub(super) fn new(rt: &Rt, stall_max: Duration) -> Streams {
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
    pub(super) fn interim(&self) -> &Interim {
        &self.interim
    }

    /// Returns the activity so far.
    pub(super) fn activity(&self) -> Activity {
        self.lock().activity
    }

    /// An answer is ready to be sent.
    pub(super) fn watch(&self, answer: &Arc<Mutex<Answer>>) {
        let answers = &mut self.lock().answers;
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(answer));
    }

    /// Returns whether there was no request for this long.
    pub(super) fn are_idle(&self, limit: Duration) -> bool {
        let Activity { open, active_at, .. } = self.activity();
        open == 0 && self.rt.mono().saturating_sub(active_at) >= limit
    }

    /// Gives up answers of which the client takes nothing: they hold memory.
    pub(super) fn drop_stalled(&self) {
        let now = self.rt.mono();
        self.lock().answers.retain(|answer| {
            let Some(answer) = answer.upgrade() else { return false };
            let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.drop_if_stalled(now, self.stall_max)
        });
    }
}

/// A request that is not answered to the end.
pub struct OpenStream(Streams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let now = self.0.rt.mono();
        let activity = &mut self.0.lock().activity;
        activity.open -= 1;
        activity.active_at = now;
    }
}
