//! Linearizability check of a register's history: is there one order of its operations that respects real time and
//! explains every answer?
//!
//! The search is that of Wing and Gong with Lowe's memoization: configurations (operations done, value) that failed
//! are not entered again. Each key is checked by itself, which suffices because linearizability is local.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::{Debug, Display, Formatter, Result as FmtResult},
    sync::Mutex,
    time::Duration,
};

/// Operation that a client requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<V> {
    /// Unconditional write.
    Put(V),
    /// Removal; succeeds also when there is no value.
    Delete,
    /// Read of the value.
    Get,
    /// Compare-and-swap: if the value is `expected`, make it `new`. `None` is no value: `expected: None` is
    /// create-only, `new: None` a conditional delete.
    Compare {
        /// Value required for the swap.
        expected: Option<V>,
        /// Value after the swap.
        new: Option<V>,
    },
}

/// Answer that a client received. An operation that certainly failed without effect must not be in a history; one
/// with an unknown outcome is recorded without an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<V> {
    /// Success of a put, a delete or a comparison.
    Done,
    /// Failure of a comparison: the value was not the expected one.
    Refused,
    /// Value that a get returned.
    Value(Option<V>),
}

/// One operation of a history. Times are of one clock without skew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<V> {
    /// Requested operation.
    pub input: Input<V>,
    /// Time of the call.
    pub invoked: Duration,
    /// Time and content of the answer; `None` if ambiguous: it may take effect at any later time or never.
    pub completed: Option<(Duration, Output<V>)>,
}

/// Counterexample: a history that no order explains.
#[derive(Clone, Debug)]
pub struct Violation<V> {
    /// The whole history, by time of invocation.
    pub history: Vec<Operation<V>>,
    /// Longest order that explains its answers, as indices of the history. No operation fits after it.
    pub longest: Vec<usize>,
}

/// Checks the history of one key, given in any order.
///
/// # Errors
/// When it is not linearizable from the value `initial`.
pub fn check<V: Ord + Clone + Debug>(initial: Option<V>, history: &[Operation<V>]) -> Result<(), Violation<V>> {
    let mut sorted = history.to_vec();
    sorted.sort_by_key(|operation| operation.invoked);
    let mut search = Search::new(initial.as_ref(), &sorted);
    if search.run() {
        return Ok(());
    }
    let longest = search.longest.iter().map(|n| search.steps[*n].index).collect();
    Err(Violation {
        history: sorted,
        longest,
    })
}

/// Histories by key, recorded by concurrent clients.
pub struct Recorder<V>(Mutex<BTreeMap<String, Vec<Option<Operation<V>>>>>);

/// Identifies an operation of a [`Recorder`].
#[derive(Clone, Debug)]
pub struct Ticket {
    key: String,
    index: usize,
}

impl<V> Default for Recorder<V> {
    fn default() -> Self {
        Recorder(Mutex::default())
    }
}

impl<V: Ord + Clone + Debug> Recorder<V> {
    /// Records that an operation is about to be sent. Until its answer is recorded it is ambiguous.
    pub fn invoke(&self, key: &str, now: Duration, input: Input<V>) -> Ticket {
        let mut keys = crate::lock(&self.0);
        let history = keys.entry(key.to_owned()).or_default();
        history.push(Some(Operation {
            input,
            invoked: now,
            completed: None,
        }));
        Ticket {
            key: key.to_owned(),
            index: history.len() - 1,
        }
    }

    /// Records an answer.
    pub fn complete(&self, ticket: &Ticket, now: Duration, output: Output<V>) {
        let mut keys = crate::lock(&self.0);
        if let Some(Some(operation)) = keys
            .get_mut(&ticket.key)
            .and_then(|history| history.get_mut(ticket.index))
        {
            operation.completed = Some((now, output));
        }
    }

    /// Removes an operation that certainly failed without effect, now or later.
    pub fn withdraw(&self, ticket: &Ticket) {
        let mut keys = crate::lock(&self.0);
        if let Some(operation) = keys
            .get_mut(&ticket.key)
            .and_then(|history| history.get_mut(ticket.index))
        {
            *operation = None;
        }
    }

    /// Returns an operation, unless it was removed.
    pub fn operation(&self, ticket: &Ticket) -> Option<Operation<V>> {
        let keys = crate::lock(&self.0);
        keys.get(&ticket.key)?.get(ticket.index)?.clone()
    }

    /// Returns the histories so far.
    pub fn histories(&self) -> BTreeMap<String, Vec<Operation<V>>> {
        let keys = crate::lock(&self.0);
        let history = |history: &Vec<Option<Operation<V>>>| history.iter().flatten().cloned().collect();
        keys.iter().map(|(key, all)| (key.clone(), history(all))).collect()
    }

    /// Checks every key; none had a value at first.
    ///
    /// # Errors
    /// The first key whose history is not linearizable.
    pub fn check(&self) -> Result<(), (String, Violation<V>)> {
        for (key, history) in self.histories() {
            check(None, &history).map_err(|violation| (key, violation))?;
        }
        Ok(())
    }
}

impl<V: Debug> Display for Violation<V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        writeln!(
            f,
            "no order explains this history (times in ms; the number is its place in the longest try):"
        )?;
        for (index, operation) in self.history.iter().enumerate() {
            let place = self
                .longest
                .iter()
                .position(|n| *n == index)
                .map_or("-".to_owned(), |n| (n + 1).to_string());
            let invoked = operation.invoked.as_secs_f64() * 1e3;
            write!(f, "{place:>5}  {invoked:>14.6} ")?;
            match &operation.completed {
                Some((at, output)) => write!(
                    f,
                    "{:>14.6}  {:?} → {output:?}",
                    at.as_secs_f64() * 1e3,
                    operation.input
                ),
                None => write!(f, "{:>14}  {:?} → unknown", "", operation.input),
            }?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Number of a value; 0 is no value.
type Id = u32;

/// Operation with its values numbered.
struct Step {
    /// Index in the sorted history.
    index: usize,
    invoked: Duration,
    /// `None` if ambiguous.
    completed: Option<Duration>,
    kind: StepKind,
}

impl Step {
    fn is_ambiguous(&self) -> bool {
        self.completed.is_none()
    }
}

#[derive(Clone, Copy)]
enum StepKind {
    Write(Id),
    Read(Id),
    Swap(Id, Id),
    /// Failed comparison with this value.
    Refused(Id),
    /// Answer that a register never gives to this operation.
    Impossible,
}

impl StepKind {
    /// Returns whether the step leaves every value as it is.
    fn is_read(self) -> bool {
        matches!(self, StepKind::Read(_) | StepKind::Refused(_))
    }

    /// Returns the value after the step, or `None` if the step cannot happen at this value.
    fn apply(self, value: Id) -> Option<Id> {
        match self {
            StepKind::Write(new) => Some(new),
            StepKind::Read(seen) => (seen == value).then_some(value),
            StepKind::Swap(expected, new) => (expected == value).then_some(new),
            StepKind::Refused(expected) => (expected != value).then_some(value),
            StepKind::Impossible => None,
        }
    }
}

/// Steps done, the value, and after an ambiguous step the value before it (see [`Search::options`]).
type Configuration = (Box<[u64]>, Id, Option<Id>);

struct Search {
    steps: Vec<Step>,
    /// Number of answered steps that are not in the order yet.
    unplaced: usize,
    done: Vec<bool>,
    order: Vec<usize>,
    /// Value before each placed step.
    before: Vec<Id>,
    longest: Vec<usize>,
    value: Id,
    visited: HashSet<Configuration>,
}

impl Search {
    fn new<V: Ord + Clone>(initial: Option<&V>, sorted: &[Operation<V>]) -> Self {
        let mut ids = Ids { known: BTreeMap::new() };
        let value = ids.of(initial);
        let steps: Vec<Step> = sorted
            .iter()
            .enumerate()
            .filter_map(|(index, operation)| ids.step(index, operation))
            .collect();
        Search {
            unplaced: steps.iter().filter(|step| step.completed.is_some()).count(),
            done: vec![false; steps.len()],
            order: Vec::new(),
            before: Vec::new(),
            longest: Vec::new(),
            value,
            visited: HashSet::new(),
            steps,
        }
    }

    /// Searches depth-first, without recursion because histories may be long.
    fn run(&mut self) -> bool {
        // Next step to try at this depth.
        let mut cursor = 0;
        while self.unplaced > 0 {
            if let Some((step, value)) = self.next(cursor) {
                self.place(step, value);
                cursor = 0;
            } else {
                // No step fits: backtrack, and try the steps after the last one.
                let Some(step) = self.take_back() else { return false };
                cursor = step + 1;
            }
        }
        true
    }

    /// Returns the first step from `cursor` on that leads to a new configuration, and the value after it.
    fn next(&mut self, cursor: usize) -> Option<(usize, Id)> {
        self.options(cursor)
            .into_iter()
            .find(|(step, value)| self.is_new(*step, *value))
    }

    /// Returns the steps from `cursor` on that may come next and fit the value, each with the value after it. Two rules
    /// prune the search without missing an order:
    ///
    /// - A step that fits and changes nothing comes first: every order that works without it works after it.
    /// - An ambiguous step is placed only right before a step that does not fit without it. Before a write it is
    ///   superfluous, and it can be postponed past any other step, as it may take effect at any later time.
    fn options(&self, cursor: usize) -> Vec<(usize, Id)> {
        let candidates = self.candidates();
        let last = self.order.last().filter(|last| self.steps[**last].is_ambiguous());
        let before_last = last.and(self.before.last()).copied();
        let fits = |n: usize| {
            let superfluous = before_last.is_some_and(|before| self.steps[n].kind.apply(before).is_some());
            if superfluous {
                None
            } else {
                self.steps[n].kind.apply(self.value)
            }
        };
        if let Some(read) = candidates
            .iter()
            .find(|n| self.steps[**n].kind.is_read() && fits(**n).is_some())
        {
            return if cursor == 0 {
                vec![(*read, self.value)]
            } else {
                Vec::new()
            };
        }
        let needed = |n: usize, value: Id| {
            let needs_it = |m: &usize| {
                let kind = self.steps[*m].kind;
                *m != n && kind.apply(value).is_some() && kind.apply(self.value).is_none()
            };
            !self.steps[n].is_ambiguous() || candidates.iter().any(needs_it)
        };
        let option = |n: &usize| fits(*n).filter(|value| needed(*n, *value)).map(|value| (*n, value));
        candidates.iter().filter(|n| **n >= cursor).filter_map(option).collect()
    }

    /// Returns the steps that may come next: those that began before any unplaced step ended.
    fn candidates(&self) -> Vec<usize> {
        let open = || (0..self.steps.len()).filter(|n| !self.done[*n]);
        let deadline = open().filter_map(|n| self.steps[n].completed).min();
        open()
            .take_while(|n| deadline.is_none_or(|deadline| self.steps[*n].invoked <= deadline))
            .collect()
    }

    /// Returns whether a step leads to a configuration that was not tried, and marks it as tried.
    fn is_new(&mut self, step: usize, value: Id) -> bool {
        self.done[step] = true;
        let before = self.steps[step].is_ambiguous().then_some(self.value);
        let configuration = (bits(&self.done), value, before);
        self.done[step] = false;
        self.visited.insert(configuration)
    }

    fn place(&mut self, step: usize, value: Id) {
        self.done[step] = true;
        self.before.push(self.value);
        self.value = value;
        self.order.push(step);
        self.unplaced -= usize::from(!self.steps[step].is_ambiguous());
        if self.order.len() > self.longest.len() {
            self.longest.clone_from(&self.order);
        }
    }

    /// Undoes the last [`Search::place`]; returns the step, if there was one.
    fn take_back(&mut self) -> Option<usize> {
        let step = self.order.pop()?;
        self.value = self.before.pop()?;
        self.done[step] = false;
        self.unplaced += usize::from(!self.steps[step].is_ambiguous());
        Some(step)
    }
}

struct Ids<'a, V> {
    known: BTreeMap<&'a V, Id>,
}

impl<'a, V: Ord> Ids<'a, V> {
    fn of(&mut self, value: Option<&'a V>) -> Id {
        let next = self.known.len() as Id + 1;
        value.map_or(0, |value| *self.known.entry(value).or_insert(next))
    }

    /// Converts an operation, or returns `None` for a read without an answer, which constrains nothing.
    fn step(&mut self, index: usize, operation: &'a Operation<V>) -> Option<Step> {
        use Output::{Done, Refused, Value};
        let output = operation.completed.as_ref().map(|(_, output)| output);
        let kind = match (&operation.input, output) {
            (Input::Put(value), Some(Done) | None) => StepKind::Write(self.of(Some(value))),
            (Input::Delete, Some(Done) | None) => StepKind::Write(0),
            (Input::Get, Some(Value(value))) => StepKind::Read(self.of(value.as_ref())),
            (Input::Get, None) => return None,
            (Input::Compare { expected, new }, Some(Done) | None) => {
                StepKind::Swap(self.of(expected.as_ref()), self.of(new.as_ref()))
            }
            (Input::Compare { expected, .. }, Some(Refused)) => StepKind::Refused(self.of(expected.as_ref())),
            _ => StepKind::Impossible,
        };
        let completed = operation.completed.as_ref().map(|(at, _)| *at);
        Some(Step {
            index,
            invoked: operation.invoked,
            completed,
            kind,
        })
    }
}

fn bits(done: &[bool]) -> Box<[u64]> {
    let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit));
    done.chunks(64).map(word).collect()
}

#[cfg(test)]
mod tests;
