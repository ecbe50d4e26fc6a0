//! Runs the machines of a trace again.

use super::books::Books;
use super::{Entry, Event, Key, Place};
use crate::protocol::mutant::Mutation;
use crate::protocol::{
    self, Acceptor, Ballot, Coordinator, DriveEffect, DriveState, Drives, Effect, Folder, KeyState, Outcome, Quorums,
    ReadDecision, Register, Reply, Request, Snapshot, decide_read,
};
use crate::record::{Op, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};

/// Violation found in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule that is broken.
    pub rule: &'static str,
    /// Description of what broke the rule.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

impl std::error::Error for Violation {}

/// An error unless `holds`.
pub(super) fn demand(holds: bool, rule: &'static str, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation { rule, what: what() })
    }
}

fn same<T: PartialEq + Debug>(found: &T, expected: &T, what: &str) -> Result<(), Violation> {
    demand(found == expected, "trace.same-outputs", || {
        format!("{what}: the trace has {found:?}, the machine gives {expected:?}")
    })
}

/// A replay under way.
#[derive(Default)]
pub struct Replay {
    sequences: BTreeMap<u32, u64>,
    drives: BTreeMap<Place, Drive>,
    operations: BTreeMap<u128, Operation>,
    /// The operations on each key.
    of_key: BTreeMap<(u32, Key), Vec<u128>>,
    /// N of each set, as operations tell it.
    sizes: BTreeMap<u32, u8>,
    books: BTreeMap<(u32, Key), Books>,
    steps: u64,
}

/// A drive as the trace tells it.
struct Drive {
    state: DriveState,
    keys: BTreeMap<Key, Held>,
    /// `hi` when last all was durable.
    durable_hi: u64,
    /// Steps so far, and up to which of them everything is durable.
    steps: u64,
    durable: u64,
    /// The last step that may not be answered before it is durable.
    strict: u64,
    /// Keys that changed since all was durable.
    changed: BTreeSet<Key>,
}

/// A key on a drive.
struct Held {
    state: KeyState<Record>,
    /// Registers that the index may have after a crash: the durable one, and those since.
    possible: Vec<Register<Record>>,
    /// The ballots that it voted in since all was durable.
    voted: Vec<Ballot>,
    /// Every register that the drive has had, to tell what a reader may have seen.
    past: Vec<Register<Record>>,
    /// Promises of earlier processes: nothing below them is voted for.
    promised_before: Ballot,
    /// This process has the key in memory, or had it.
    loaded: bool,
    /// Replies to messages of a ballot, with the step after which they are durable.
    replies: Vec<(Ballot, Reply<Record>, u64)>,
    /// Durable replies of earlier processes: a network may deliver them yet.
    under_way: Vec<(Ballot, Reply<Record>)>,
}

struct Operation {
    set: u32,
    key: Key,
    drives: u8,
    machine: Coordinator<Record, Op>,
    sent: Vec<(Drives, Request<Record>)>,
}

impl Replay {
    /// A replay of a trace from its beginning.
    #[must_use]
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Returns how many steps of machines were run again.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// An event that does not follow from those before.
    pub fn take(&mut self, entry: Entry) -> Result<(), Violation> {
        let Entry { sequence, node, event } = entry;
        let last = self.sequences.insert(node, sequence).unwrap_or(0);
        demand(sequence == last + 1, "trace.is-whole", || {
            format!("event {sequence} of node {node} comes behind {last}")
        })?;
        match event {
            Event::Opened { at, state } => self.open(at, state),
            Event::Loaded { at, key, register } => self.load(at, key, register),
            Event::Stepped {
                at,
                key,
                state,
                folders,
                request,
                reply,
                effects,
            } => {
                self.steps += 1;
                self.check_sent(at, &key, &request)?;
                self.step(at, key, state, folders, request, reply, effects)
            }
            Event::Removed { at, key } => self.remove(at, &key),
            Event::Durable { at } => self.durable(at),
            Event::Began {
                set,
                key,
                quorums,
                settled,
                op,
                effects,
            } => self.begin(set, key, quorums, settled, op, effects),
            Event::Reacted {
                operation,
                event,
                effects,
            } => {
                self.steps += 1;
                self.react(operation, event, effects)
            }
            Event::Decided {
                set,
                key,
                quorums,
                answers,
                decision,
            } => {
                self.steps += 1;
                self.decide(set, &key, quorums, &answers, &decision)
            }
        }
    }

    /// A drive begins in a new process: promises and what was not durable may be gone.
    fn open(&mut self, at: Place, state: DriveState) -> Result<(), Violation> {
        let floor = DriveState::boot(state.epoch, state.hi).floor;
        demand(state.floor >= floor, "drive.promise-holds", || {
            format!("drive {at:?} opens with the floor {:?} below {floor:?}", state.floor)
        })?;
        let Some(drive) = self.drives.get_mut(&at) else {
            let drive = Drive {
                state,
                keys: BTreeMap::new(),
                durable_hi: state.hi,
                steps: 0,
                durable: 0,
                strict: 0,
                changed: BTreeSet::new(),
            };
            self.drives.insert(at, drive);
            return Ok(());
        };
        demand(state.hi >= drive.durable_hi, "drive.hi-covers", || {
            format!(
                "drive {at:?} opens with hi {}, of which {} was durable",
                state.hi, drive.durable_hi
            )
        })?;
        drive.state = state;
        // What the last process had not made durable, nobody will answer for.
        let answered_for = std::mem::replace(&mut drive.durable, drive.steps);
        drive.changed.clear();
        for held in drive.keys.values_mut() {
            // A promise that was not answered for is none.
            let answered = std::mem::take(&mut held.replies).into_iter();
            let answered = answered.filter(|(_, _, strict)| *strict <= answered_for);
            for (ballot, reply, _) in answered {
                if matches!(reply, Reply::Granted(_) | Reply::Accepted) {
                    held.promised_before = held.promised_before.max(ballot);
                }
                held.under_way.push((ballot, reply));
            }
            held.state.promised = Ballot::ZERO;
            held.loaded = false;
            held.voted.clear();
        }
        Ok(())
    }

    fn load(&mut self, at: Place, key: Key, register: Register<Record>) -> Result<(), Violation> {
        let drives = self.size_of(at.set);
        let books = self.books.entry((at.set, key.clone())).or_default();
        let drive = drive_of(&mut self.drives, at)?;
        let Some(held) = drive.keys.get_mut(&key) else {
            books.found(at.drive, &register, drives)?;
            let held = Held {
                possible: vec![register.clone()],
                voted: Vec::new(),
                past: vec![Register::absent(), register.clone()],
                promised_before: Ballot::ZERO,
                loaded: true,
                replies: Vec::new(),
                under_way: Vec::new(),
                state: KeyState {
                    register,
                    ..KeyState::empty()
                },
            };
            drive.keys.insert(key, held);
            return Ok(());
        };
        let possible = if held.loaded {
            // It was let go from memory; its promise is part of the floor.
            let forgotten = held.state.promised;
            let covered = forgotten <= drive.state.floor.max(register.accepted.ballot);
            held.promised_before = held.promised_before.max(forgotten);
            demand(
                covered || forgotten <= held.state.register.accepted.ballot,
                "drive.promise-holds",
                || {
                    format!(
                        "drive {at:?} forgot {forgotten:?} of {key}, its floor is {:?}",
                        drive.state.floor
                    )
                },
            )?;
            register == held.state.register
        } else {
            held.possible.contains(&register)
        };
        demand(possible, "put.survives-power-loss", || {
            format!("drive {at:?} finds {register:?} of {key}, and had {:?}", held.possible)
        })?;
        books.durable(at.drive, register.accepted.ballot, drives)?;
        held.possible = vec![register.clone()];
        held.state = KeyState {
            register,
            ..KeyState::empty()
        };
        held.loaded = true;
        Ok(())
    }

    /// Checks that a coordinator has sent a drive this message.
    fn check_sent(&self, at: Place, key: &Key, request: &Request<Record>) -> Result<(), Violation> {
        let names = self.of_key.get(&(at.set, key.clone())).into_iter().flatten();
        let mut operations = names.filter_map(|name| self.operations.get(name));
        let sent = match request {
            // By a clean-up whose own vote is chosen.
            Request::Discard { ballot, .. } => operations.any(|operation| {
                let written = matches!(operation.machine.outcome(), Some(Outcome::Written(_)));
                written && operation.machine.ballot() == *ballot
            }),
            _ => operations.any(|operation| {
                let is_it = |(to, sent): &(Drives, Request<Record>)| to.contains(at.drive) && sent == request;
                operation.sent.iter().any(is_it)
            }),
        };
        demand(sent, "trace.inputs-are-possible", || {
            format!("nobody has sent drive {at:?} {request:?} of {key}")
        })
    }

    #[allow(clippy::too_many_arguments)] // the fields of the event
    fn step(
        &mut self,
        at: Place,
        key: Key,
        state: DriveState,
        folders: Vec<Folder>,
        request: Request<Record>,
        reply: Reply<Record>,
        effects: Vec<DriveEffect>,
    ) -> Result<(), Violation> {
        let drive = drive_of(&mut self.drives, at)?;
        // Floors rise when keys leave the memory; nothing else changes between steps.
        let raised = DriveState {
            floor: drive.state.floor.max(state.floor),
            ..drive.state
        };
        same(&state, &raised, "the drive's state before a step")?;
        drive.state = state;
        let held = drive.keys.get_mut(&key).filter(|held| held.loaded);
        let held = held.ok_or_else(|| not_loaded(at, &key))?;
        held.state.folders = folders.into_iter().collect();
        let before = held.state.register.clone();
        let mut acceptor = Acceptor {
            drive: &mut drive.state,
            key: &mut held.state,
            index: at.drive,
            mutation: Mutation::NONE,
        };
        let (own_reply, own_effects) = acceptor.step(request.clone());
        same(&reply, &own_reply, "a drive's reply")?;
        same(&effects, &own_effects, "a drive's effects")?;
        drive.steps += 1;
        let is_strict =
            |effect: &DriveEffect| matches!(effect, DriveEffect::PersistDrive | DriveEffect::PersistRegister);
        if effects.iter().any(is_strict) {
            drive.strict = drive.steps;
        }
        let register = &held.state.register;
        if *register != before {
            held.possible.push(register.clone());
            held.past.push(register.clone());
            drive.changed.insert(key.clone());
        }
        if let Some(ballot) = request.ballot() {
            held.replies.push((ballot, reply.clone(), drive.strict));
        }
        let (hi, promised_before) = (drive.state.hi, held.promised_before);
        let covers = |ballot: Ballot| {
            demand(ballot.round <= hi, "drive.hi-covers", || {
                format!("drive {at:?} has hi {hi} and answered {ballot:?}")
            })
        };
        match (&request, &reply) {
            (Request::Prepare { ballot }, Reply::Granted(_)) => covers(*ballot),
            (Request::Accept { vote, prev }, Reply::Accepted) if before.accepted != *vote => {
                covers(vote.ballot)?;
                demand(vote.ballot >= promised_before, "drive.promise-holds", || {
                    format!(
                        "drive {at:?} votes in {:?} and had promised {promised_before:?}",
                        vote.ballot
                    )
                })?;
                held.voted.push(vote.ballot);
                let books = self.books.entry((at.set, key)).or_default();
                books.voted(at.drive, vote, prev)?;
                demand(books.was_chosen(prev.ballot), "register.prev-is-chosen", || {
                    format!("{:?} follows {:?}, which is not chosen", vote.ballot, prev.ballot)
                })
            }
            (Request::Finalize { ballot }, _) => {
                let books = self.books.entry((at.set, key)).or_default();
                demand(books.was_chosen(*ballot), "register.prev-is-chosen", || {
                    format!("{ballot:?} is finalized and not chosen")
                })
            }
            _ => Ok(()),
        }
    }

    fn remove(&mut self, at: Place, key: &Key) -> Result<(), Violation> {
        let drive = drive_of(&mut self.drives, at)?;
        if let Some(held) = drive.keys.get_mut(key) {
            held.promised_before = held.promised_before.max(held.state.promised);
            held.state = KeyState::empty();
            held.possible.push(Register::absent());
            held.voted.clear();
            drive.changed.insert(key.clone());
            self.books.entry((at.set, key.clone())).or_default().removed(at.drive);
        }
        Ok(())
    }

    /// N of a set; before any operation has told it, no set is a majority.
    fn size_of(&self, set: u32) -> u8 {
        self.sizes.get(&set).copied().unwrap_or(u8::MAX)
    }

    fn durable(&mut self, at: Place) -> Result<(), Violation> {
        let drives = self.size_of(at.set);
        let drive = drive_of(&mut self.drives, at)?;
        drive.durable = drive.steps;
        drive.durable_hi = drive.state.hi;
        for key in std::mem::take(&mut drive.changed) {
            if let Some(held) = drive.keys.get_mut(&key) {
                let register = held.state.register.clone();
                let books = self.books.entry((at.set, key)).or_default();
                for ballot in held.voted.drain(..) {
                    books.durable(at.drive, ballot, drives)?;
                }
                held.possible = vec![register];
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        set: u32,
        key: Key,
        quorums: Quorums,
        settled: u64,
        op: Op,
        effects: Vec<Effect<Record>>,
    ) -> Result<(), Violation> {
        let name = op.change;
        let (machine, own) = Coordinator::new(quorums, op);
        same(&effects, &own, "an operation's first effects")?;
        let operation = Operation {
            set,
            key: key.clone(),
            drives: quorums.drives,
            machine: machine.with_settled(settled),
            sent: Vec::new(),
        };
        let earlier = self.operations.insert(name, operation);
        demand(earlier.is_none(), "trace.inputs-are-possible", || {
            format!("operation {name:x} begins twice")
        })?;
        self.sizes.insert(set, quorums.drives);
        self.of_key.entry((set, key)).or_default().push(name);
        self.send(name, effects);
        Ok(())
    }

    fn send(&mut self, name: u128, effects: Vec<Effect<Record>>) {
        if let Some(operation) = self.operations.get_mut(&name) {
            for effect in effects {
                if let Effect::Send { to, request } = effect {
                    operation.sent.push((to, request));
                }
            }
        }
    }

    fn react(
        &mut self,
        name: u128,
        event: protocol::Event<Record>,
        effects: Vec<Effect<Record>>,
    ) -> Result<(), Violation> {
        let operation = self.operations.get_mut(&name).ok_or_else(|| Violation {
            rule: "trace.inputs-are-possible",
            what: format!("operation {name:x} goes on and has not begun"),
        })?;
        if let protocol::Event::Reply { from, ballot, reply } = &event {
            let at = Place {
                set: operation.set,
                drive: *from,
            };
            check_replied(&self.drives, at, &operation.key, *ballot, reply)?;
        }
        let own = operation.machine.on(event);
        same(&effects, &own, "an operation's effects")?;
        if let Some(Outcome::Written(value)) = operation.machine.outcome() {
            let books = self.books.entry((operation.set, operation.key.clone())).or_default();
            let chosen = books.has_chosen(value, operation.drives);
            demand(chosen, "put.survives-power-loss", || {
                format!("operation {name:x} ended as written, and its value is not chosen by durable votes")
            })?;
        }
        self.send(name, effects);
        Ok(())
    }

    fn decide(
        &mut self,
        set: u32,
        key: &Key,
        quorums: Quorums,
        answers: &BTreeMap<u8, Snapshot<Record>>,
        decision: &ReadDecision<Record>,
    ) -> Result<(), Violation> {
        same(
            decision,
            &decide_read(quorums, answers, Mutation::NONE),
            "what a read decides",
        )?;
        self.sizes.insert(set, quorums.drives);
        let books = self.books.entry((set, key.clone())).or_default();
        for (drive, snapshot) in answers {
            let at = Place { set, drive: *drive };
            let held = self.drives.get(&at).and_then(|drive| drive.keys.get(key));
            match held {
                Some(held) => demand(held.had(snapshot), "trace.inputs-are-possible", || {
                    format!("drive {at:?} never had {snapshot:?} of {key}")
                })?,
                // Nothing in this trace has touched the key on that drive.
                None => books.found(*drive, &as_register(snapshot), quorums.drives)?,
            }
        }
        if let ReadDecision::Chosen(vote) = decision {
            demand(
                books.may_be_chosen(vote.ballot, quorums.drives),
                "register.linearizable",
                || format!("a read of {key} shows {:?}, which is not chosen", vote.ballot),
            )?;
        }
        Ok(())
    }
}

impl Held {
    fn had(&self, snapshot: &Snapshot<Record>) -> bool {
        let is_it = |past: &Register<Record>| {
            past.accepted == snapshot.accepted && past.prev == snapshot.prev && past.committed == snapshot.committed
        };
        self.past.iter().any(is_it)
    }
}

fn as_register(snapshot: &Snapshot<Record>) -> Register<Record> {
    Register {
        committed: snapshot.committed,
        ..Register::open(snapshot.accepted.clone(), snapshot.prev.clone())
    }
}

fn drive_of(drives: &mut BTreeMap<Place, Drive>, at: Place) -> Result<&mut Drive, Violation> {
    drives.get_mut(&at).ok_or_else(|| Violation {
        rule: "trace.inputs-are-possible",
        what: format!("drive {at:?} works and was not opened"),
    })
}

fn not_loaded(at: Place, key: &Key) -> Violation {
    Violation {
        rule: "trace.inputs-are-possible",
        what: format!("drive {at:?} answers about {key} and has not loaded it"),
    }
}

/// Checks that a drive has given this reply, and that all it promises is durable (`drive.reply-after-durable`).
fn check_replied(
    drives: &BTreeMap<Place, Drive>,
    at: Place,
    key: &Key,
    ballot: Ballot,
    reply: &Reply<Record>,
) -> Result<(), Violation> {
    let drive = drives.get(&at);
    let held = drive.and_then(|drive| Some((drive, drive.keys.get(key)?)));
    let is_under_way = |held: &Held| held.under_way.iter().any(|(of, given)| *of == ballot && given == reply);
    if held.is_some_and(|(_, held)| is_under_way(held)) {
        return Ok(());
    }
    let given = held.and_then(|(drive, held)| {
        let is_it = |(of, given, _): &&(Ballot, Reply<Record>, u64)| *of == ballot && given == reply;
        Some((drive, held.replies.iter().find(is_it)?.2))
    });
    let (drive, strict) = given.ok_or_else(|| Violation {
        rule: "trace.inputs-are-possible",
        what: format!("drive {at:?} has not answered {reply:?} to {ballot:?} of {key}"),
    })?;
    demand(drive.durable >= strict, "drive.reply-after-durable", || {
        format!("drive {at:?} answered {ballot:?} of {key} before it was durable")
    })
}
