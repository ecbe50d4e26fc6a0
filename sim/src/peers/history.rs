//! What the clients of all hosts asked and were told, and what was run: outside of the simulation, so it outlives
//! processes. It checks the rules as things happen.

use crate::{World, lock};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use store::peer::{CallError, Caller, Lost, NotSent, Refusal};

/// How often something was seen.
pub type Seen = BTreeMap<&'static str, u64>;

/// Time after the end of a call's wait at which it may still be run: the first frames of a connection have nothing to
/// be compared with, and may be held back for as long as a connection may be silent.
const RUN_LATE_MAX: Duration = Duration::from_secs(15);
/// Time after the end of its wait at which a call must have ended.
const END_LATE_MAX: Duration = Duration::from_millis(50);
/// Time before the end of its wait at which a call may be taken for expired: clocks drift apart.
const REFUSED_EARLY_MAX: Duration = Duration::from_millis(300);
/// Bytes of large calls in a run.
const BULK_BYTES: usize = 12 << 20;

/// End of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    Failed(CallError),
    /// The caller has dropped it.
    Dropped,
}

/// A call. Its number is its place in the history.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Process that made it.
    pub caller: Caller,
    /// Node that was asked.
    pub to: u16,
    pub is_bulk: bool,
    /// Virtual times at which it was made, and at which its wait ends.
    pub made: Duration,
    pub expires: Duration,
    pub outcome: Option<Outcome>,
    /// Processes that ran it.
    pub runs: Vec<Caller>,
}

pub(super) struct History {
    pub world: World,
    state: Mutex<State>,
}

struct State {
    calls: Vec<Call>,
    /// Last process of each node.
    processes: BTreeMap<u16, u64>,
    /// The last small call that was run, by the nodes that asked and answered.
    last_small: BTreeMap<(u16, u16), usize>,
    resumed: BTreeMap<u16, Duration>,
    /// Connections that were accepted.
    accepted: u64,
    bulk_bytes_left: usize,
    is_over: bool,
    /// Pairs of nodes whose first reaches the second after the faults.
    reached: BTreeSet<(u16, u16)>,
    violation: Option<String>,
}

impl History {
    pub fn new(world: World) -> History {
        History {
            world,
            state: Mutex::new(State {
                calls: Vec::new(),
                processes: BTreeMap::new(),
                last_small: BTreeMap::new(),
                resumed: BTreeMap::new(),
                accepted: 0,
                bulk_bytes_left: BULK_BYTES,
                is_over: false,
                reached: BTreeSet::new(),
                violation: None,
            }),
        }
    }

    /// Begins a process of a node.
    pub fn begin(&self, node: u16) -> Caller {
        let mut state = lock(&self.state);
        let process = state.processes.entry(node).or_insert(0);
        *process += 1;
        Caller { node, boot: *process }
    }

    /// Makes a call. Returns its number.
    pub fn make(&self, caller: Caller, to: u16, is_bulk: bool, wait: Duration) -> u64 {
        let made = self.world.now();
        let wait = self.world.clock(u32::from(caller.node) + 1).to_virtual(wait);
        let mut state = lock(&self.state);
        state.calls.push(Call {
            caller,
            to,
            is_bulk,
            made,
            expires: made + wait,
            outcome: None,
            runs: Vec::new(),
        });
        state.calls.len() as u64 - 1
    }

    /// Process `by` runs a call of `caller`.
    pub fn run(&self, number: u64, caller: Caller, by: Caller) {
        let now = self.world.now();
        let mut state = lock(&self.state);
        let number = number as usize;
        let Some(call) = state.calls.get_mut(number) else {
            return state.violated(format!("peer.own-answer: call {number} was never made"));
        };
        call.runs.push(by);
        let call = call.clone();
        if let Some(broken) = broken_by_run(&call, caller, by, now) {
            return state.violated(format!("{broken}: call {number} is run by {by:?}: {call:?}"));
        }
        if call.is_bulk {
            return;
        }
        let last = state.last_small.insert((caller.node, by.node), number);
        if last.is_some_and(|last| last > number) {
            state.violated(format!("peer.order: call {number} is run after {last:?}: {call:?}"));
        }
    }

    /// A call ends.
    pub fn end(&self, number: u64, outcome: Outcome) {
        let now = self.world.now();
        let mut state = lock(&self.state);
        let call = &mut state.calls[number as usize];
        call.outcome = Some(outcome);
        let call = call.clone();
        let resumed = state.resumed.get(&call.caller.node).copied().unwrap_or_default();
        let until = call.expires.max(resumed) + END_LATE_MAX + (call.expires - call.made) / 100;
        let is_early = now + REFUSED_EARLY_MAX < call.expires;
        if is_early && call.outcome == Some(Outcome::Failed(CallError::Refused(Refusal::Expired))) {
            state.violated(format!(
                "peer.expired-is-not-run: call {number} was in time at {now:?}: {call:?}"
            ));
        } else if now > until {
            state.violated(format!("peer.deadline: call {number} ends at {now:?}: {call:?}"));
        }
    }

    /// The caller of a call goes away, or its process dies.
    pub fn dropped(&self, number: u64) {
        lock(&self.state).calls[number as usize].outcome = Some(Outcome::Dropped);
    }

    /// A stopped process of a node goes on.
    pub fn resumed(&self, node: u16) {
        let now = self.world.now();
        lock(&self.state).resumed.insert(node, now);
    }

    pub fn accepted(&self) {
        lock(&self.state).accepted += 1;
    }

    /// Takes bytes for a large call out of what a run may send. Returns how many there are.
    pub fn bulk_bytes(&self, wanted: usize) -> usize {
        let mut state = lock(&self.state);
        let taken = wanted.min(state.bulk_bytes_left);
        state.bulk_bytes_left -= taken;
        taken
    }

    /// The faults are over.
    pub fn calm(&self) {
        lock(&self.state).is_over = true;
    }

    pub fn is_calm(&self) -> bool {
        lock(&self.state).is_over
    }

    pub fn reached(&self, from: u16, to: u16) {
        lock(&self.state).reached.insert((from, to));
    }

    pub fn pairs_reached(&self) -> BTreeSet<(u16, u16)> {
        lock(&self.state).reached.clone()
    }

    /// Notes that a rule was broken. The first one fails the run at its end: a panic in a service would be caught.
    pub fn violated(&self, what: String) {
        lock(&self.state).violated(what);
    }

    /// # Panics
    /// If a rule was broken.
    pub fn check(&self) {
        let violation = lock(&self.state).violation.clone();
        if let Some(violation) = violation {
            panic!("{violation}");
        }
    }

    /// Checks what can be said at the end of a run.
    pub fn check_end(&self) {
        self.check();
        let now = self.world.now();
        let state = lock(&self.state);
        for (number, call) in state.calls.iter().enumerate() {
            let lives = state.processes.get(&call.caller.node) == Some(&call.caller.boot);
            let is_due = call.expires + END_LATE_MAX + (call.expires - call.made) / 100 < now;
            assert!(
                call.outcome.is_some() || !lives || !is_due,
                "peer.deadline: call {number} never ends: {call:?}"
            );
            let runs = call.runs.len();
            let is_right = match &call.outcome {
                Some(Outcome::Answered | Outcome::Failed(CallError::Unknown(Lost::Unanswered))) => runs == 1,
                Some(Outcome::Failed(CallError::NotSent(_) | CallError::Refused(_))) => runs == 0,
                _ => true,
            };
            assert!(is_right, "peer.unknown-is-not-failed: call {number}: {call:?}");
        }
    }

    /// Counts what was seen.
    pub fn seen(&self) -> Seen {
        let state = lock(&self.state);
        let mut seen = Seen::new();
        for call in &state.calls {
            *seen.entry(kind(call)).or_default() += 1;
            let is_answered = call.outcome == Some(Outcome::Answered);
            let restarted = call.caller.boot > 1 || call.runs.iter().any(|by| by.boot > 1);
            if is_answered && restarted {
                *seen.entry("answered after a restart").or_default() += 1;
            }
            if is_answered && call.is_bulk {
                *seen.entry("bulk answered").or_default() += 1;
            }
        }
        let bulk = seen.get("bulk answered").copied().unwrap_or(0);
        seen.insert("bulk connection reused", bulk.saturating_sub(state.accepted));
        seen
    }
}

impl State {
    fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}

/// The rule that is broken when a call is run.
fn broken_by_run(call: &Call, caller: Caller, by: Caller, now: Duration) -> Option<&'static str> {
    let is_not_run = matches!(
        call.outcome,
        Some(Outcome::Failed(CallError::NotSent(_) | CallError::Refused(_)))
    );
    if call.caller != caller || call.to != by.node {
        Some("peer.right-node")
    } else if call.runs.len() > 1 {
        Some("peer.once")
    } else if is_not_run {
        Some("peer.unknown-is-not-failed")
    } else if now > call.expires + RUN_LATE_MAX {
        Some("peer.expired-is-not-run")
    } else {
        None
    }
}

fn kind(call: &Call) -> &'static str {
    match &call.outcome {
        None => "never told",
        Some(Outcome::Answered) => "answered",
        Some(Outcome::Dropped) if !call.runs.is_empty() => "dropped and run",
        Some(Outcome::Dropped) => "dropped",
        Some(Outcome::Failed(error)) => match error {
            CallError::NotSent(NotSent::Unreachable(_)) => "unreachable",
            CallError::NotSent(NotSent::Busy) => "not sent, busy",
            CallError::NotSent(NotSent::TooLarge(_)) => "too large",
            CallError::Unknown(Lost::Deadline) if !call.runs.is_empty() => "late and run",
            CallError::Unknown(Lost::Deadline) => "late and not run",
            CallError::Unknown(Lost::Connection(_)) if !call.runs.is_empty() => "lost and run",
            CallError::Unknown(Lost::Connection(_)) => "lost and not run",
            CallError::Unknown(Lost::Unanswered) => "unanswered",
            CallError::Refused(Refusal::Expired) => "expired",
            CallError::Refused(Refusal::Busy) => "refused, busy",
            CallError::Refused(Refusal::NoService) => "no service",
            CallError::Refused(Refusal::Malformed) => "malformed",
        },
    }
}
