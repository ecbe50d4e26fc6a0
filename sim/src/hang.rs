//! Check of `live.one-hung-drive` and `live.one-hung-node`, as a bound in virtual time: while one drive or node hangs
//! and the others are healthy, an operation waits for it up to a second, and only briefly once it is suspected.

use crate::World;
use madsim::time::Duration;
use std::sync::{Mutex, MutexGuard};

/// Bounds of operations, and the rule that they check.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub rule: &'static str,
    /// Bound of an operation that begins before suspicion is sure: a wait of up to a second, and its work.
    pub first_max: Duration,
    /// Bound of an operation that begins once what hangs is suspected.
    pub then_max: Duration,
    /// Longest time from the first operation that met what hangs until calls of every kind suspect it.
    pub suspected_after: Duration,
}

/// Operations that met what hangs.
#[derive(Debug)]
pub struct Hangs {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Raised with every change of what hangs, and of what is healthy.
    epoch: u64,
    /// Time at which an operation first met what hangs.
    met: Option<Duration>,
    /// Number of operations held to the bounds, and of those among them that began once it was suspected.
    checked: (u64, u64),
}

/// Operation that is held to a bound.
#[derive(Debug)]
pub struct Watched {
    epoch: u64,
    began: Duration,
    limit: Duration,
}

impl Hangs {
    pub fn new(bounds: Bounds) -> Hangs {
        Hangs {
            bounds,
            state: Mutex::default(),
        }
    }

    /// Records that something begins or ceases to hang, or is struck or healthy again. Operations that are under way
    /// are not held to their bounds.
    pub fn changed(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.met = None;
    }

    /// Begins an operation while one thing hangs and all others are healthy.
    pub fn begin(&self, world: &World) -> Watched {
        let began = world.now();
        let mut state = self.state();
        let met = *state.met.get_or_insert(began);
        let is_suspected = began > met + self.bounds.suspected_after;
        Watched {
            epoch: state.epoch,
            began,
            limit: match is_suspected {
                true => self.bounds.then_max,
                false => self.bounds.first_max,
            },
        }
    }

    /// Ends an operation, and checks its bound unless something has changed meanwhile.
    pub fn end(&self, world: &World, watched: &Watched, what: &str) {
        let Watched { epoch, began, limit } = *watched;
        let mut state = self.state();
        if state.epoch != epoch {
            return;
        }
        state.checked.0 += 1;
        state.checked.1 += u64::from(limit == self.bounds.then_max);
        let (rule, took) = (self.bounds.rule, world.now() - began);
        assert!(took <= limit, "{rule}: {what} has taken {took:?}, more than {limit:?}");
    }

    /// Returns the number of operations held to the bounds: all, and those that met what was suspected.
    pub fn checked(&self) -> (u64, u64) {
        self.state().checked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}
