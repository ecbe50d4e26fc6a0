//! Erasure set and its clients, with message loss, restarts and deadlines in an order that the input chooses. The model
//! checker does this exhaustively for few drives and few rounds; here sets have up to 16 drives and runs are long.
//!
//! The checks count drives themselves instead of using the protocol's quorum code.

use super::{Append, History};
use model::protocol::mutant::Mutation;
use model::protocol::{
    Acceptor, Ballot, Coordinator, DriveState, Drives, Effect, Event, Folder, KeyState, Outcome, Quorums, Reply,
    Request, Value,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Maximum number of concurrent operations.
const CLIENTS: usize = 3;
/// Maximum number of operations of a run; each change is named by one byte.
const OPERATIONS_MAX: u8 = 250;

struct Client {
    machine: Coordinator<History, Append>,
    /// Node number of its ballots, unique among clients.
    name: u32,
    /// Epoch and round of a requested ballot.
    begin: Option<(u64, u64)>,
    /// Longest history that any client had been told of when this one began.
    known: History,
}

/// Vote with the drives that have ever cast it.
struct Cast {
    value: History,
    prev: Ballot,
    voters: BTreeSet<u8>,
}

pub(super) struct World {
    drives: Vec<(DriveState, KeyState<History>)>,
    clients: Vec<Client>,
    /// Requests by client and drive, in the order sent.
    requests: BTreeMap<(u32, u8), VecDeque<Request<History>>>,
    /// `None` for a reply that was lost.
    replies: VecDeque<(u32, u8, Ballot, Option<Reply<History>>)>,
    cast: BTreeMap<Ballot, Cast>,
    told: History,
    /// Changes reported as not done.
    never: BTreeSet<u8>,
    operations: u8,
    ends: BTreeMap<&'static str, u32>,
    /// False only in the canary.
    raise_floor: bool,
}

impl World {
    pub(super) fn new(drives: u8, raise_floor: bool) -> World {
        let drives = drives % 16 + 1;
        World {
            drives: (0..drives)
                .map(|_| (DriveState::boot(0, 0), KeyState::empty()))
                .collect(),
            clients: Vec::new(),
            requests: BTreeMap::new(),
            replies: VecDeque::new(),
            cast: BTreeMap::new(),
            told: History::absent(),
            never: BTreeSet::new(),
            operations: 0,
            ends: BTreeMap::new(),
            raise_floor,
        }
    }

    /// Runs the acts; returns the number of operations by outcome.
    pub(super) fn run(mut self, acts: &[(u8, u8)]) -> BTreeMap<&'static str, u32> {
        for (act, which) in acts {
            match act % 20 {
                0..4 => self.deliver(*which),
                // Deliver a batch, as large sets would hardly make progress otherwise.
                4..6 => (0..self.all()).for_each(|n| self.deliver(which.wrapping_add(n))),
                6..9 => self.answer(*which),
                9..11 => (0..self.all()).for_each(|_| self.answer(0)),
                11 => self.lose_request(*which),
                12 => self.lose_reply(*which),
                13..15 => self.begin(*which),
                15..17 => self.start(*which),
                17 if *which < 128 => self.restart(*which),
                17 => self.forget(*which),
                18 => self.event(*which, Event::StragglerTimeout),
                _ if *which > 200 => self.event(*which, Event::Deadline),
                _ => self.event(*which, Event::StragglerTimeout),
            }
            self.check();
        }
        self.ends
    }

    fn all(&self) -> u8 {
        self.drives.len() as u8
    }

    /// Delivers the oldest request of one client to one drive.
    fn deliver(&mut self, which: u8) {
        let Some((client, index, request)) = self.take_request(which) else {
            return;
        };
        let (drive, key) = &mut self.drives[usize::from(index)];
        let mut acceptor = Acceptor {
            drive,
            key,
            index,
            mutation: Mutation::NONE,
        };
        let (reply, _) = acceptor.step(request.clone());
        if let (Request::Accept { vote, prev }, Reply::Accepted) = (&request, &reply) {
            let cast = self.cast.entry(vote.ballot).or_insert_with(|| Cast {
                value: vote.value.clone(),
                prev: prev.ballot,
                voters: BTreeSet::new(),
            });
            assert_eq!(cast.value, vote.value, "register.one-value-per-ballot");
            cast.voters.insert(index);
        }
        if let Some(ballot) = request.ballot() {
            self.replies.push_back((client, index, ballot, Some(reply)));
        }
    }

    fn take_request(&mut self, which: u8) -> Option<(u32, u8, Request<History>)> {
        let count = self.requests.len().max(1);
        let (of, queue) = self.requests.iter_mut().nth(usize::from(which) % count)?;
        let (of, request) = (*of, queue.pop_front());
        if queue.is_empty() {
            self.requests.remove(&of);
        }
        Some((of.0, of.1, request?))
    }

    fn lose_request(&mut self, which: u8) {
        if let Some((client, index, request)) = self.take_request(which)
            && let Some(ballot) = request.ballot()
        {
            self.replies.push_back((client, index, ballot, None));
        }
    }

    fn lose_reply(&mut self, which: u8) {
        let count = self.replies.len().max(1);
        if let Some((.., reply)) = self.replies.get_mut(usize::from(which) % count) {
            *reply = None;
        }
    }

    fn answer(&mut self, which: u8) {
        let count = self.replies.len().max(1);
        let Some((client, from, ballot, reply)) = self.replies.remove(usize::from(which) % count) else {
            return;
        };
        let event = match reply {
            Some(reply) => Event::Reply { from, ballot, reply },
            None => Event::Failed { from, ballot },
        };
        if let Some(place) = self.clients.iter().position(|own| own.name == client) {
            self.feed(place, event);
        }
    }

    fn begin(&mut self, which: u8) {
        let count = self.clients.len().max(1);
        let place = usize::from(which) % count;
        let Some(client) = self.clients.get_mut(place) else {
            return;
        };
        if let Some((epoch, round)) = client.begin.take() {
            let ballot = Ballot {
                epoch,
                round: round + 1,
                node: client.name,
                boot: 0,
            };
            self.feed(place, Event::Begin(ballot));
        }
    }

    fn event(&mut self, which: u8, event: Event<History>) {
        let count = self.clients.len().max(1);
        self.feed(usize::from(which) % count, event);
    }

    /// Starts an operation. A change's folder is staged on all or most drives.
    fn start(&mut self, which: u8) {
        if self.clients.len() == CLIENTS || self.operations == OPERATIONS_MAX {
            return;
        }
        self.operations += 1;
        let (name, all) = (u32::from(self.operations), self.all());
        let kind = which % 5;
        let change = if kind < 3 { self.operations } else { 0 };
        let parity = which / 5 % (all / 2 + 1);
        if change > 0 {
            let staged = (0..all).filter(|drive| which < 128 || !(u32::from(*drive) + name).is_multiple_of(3));
            for drive in staged {
                self.drives[usize::from(drive)].1.folders.insert(Folder::from(change));
            }
        }
        let op = Append {
            change,
            touch: kind == 4,
            data: all - parity,
            parity,
        };
        let (machine, effects) = Coordinator::new(Quorums::of(all), op);
        self.clients.push(Client {
            machine,
            name,
            begin: None,
            known: self.told.clone(),
        });
        self.apply_effects(self.clients.len() - 1, effects);
    }

    /// Restarts a drive: it loses its volatile state, and the requests on their way to it.
    fn restart(&mut self, which: u8) {
        let index = which % self.all();
        let (drive, key) = &mut self.drives[usize::from(index)];
        *drive = DriveState::boot(drive.epoch, drive.hi);
        if !self.raise_floor {
            drive.floor = Ballot::ZERO;
        }
        key.promised = Ballot::ZERO;
        let lost: Vec<_> = self.requests.keys().filter(|(_, to)| *to == index).copied().collect();
        for of in lost {
            for request in self.requests.remove(&of).unwrap_or_default() {
                let ballot = request.ballot().unwrap_or_default();
                self.replies.push_back((of.0, index, ballot, None));
            }
        }
    }

    /// Evicts a drive's promise from memory.
    fn forget(&mut self, which: u8) {
        let index = which % self.all();
        let (drive, key) = &mut self.drives[usize::from(index)];
        drive.forget(std::mem::take(&mut key.promised));
    }

    fn feed(&mut self, place: usize, event: Event<History>) {
        let Some(client) = self.clients.get_mut(place) else {
            return;
        };
        let effects = client.machine.on(event);
        self.apply_effects(place, effects);
        let client = &self.clients[place];
        if let Some(outcome) = client.machine.outcome().cloned() {
            let client = self.clients.remove(place);
            self.ended(&client, outcome);
        }
    }

    fn apply_effects(&mut self, place: usize, effects: Vec<Effect<History>>) {
        for effect in effects {
            match effect {
                Effect::Begin { epoch, round, .. } => self.clients[place].begin = Some((epoch, round)),
                Effect::Send { to, request } => self.send(self.clients[place].name, to, &request),
            }
        }
    }

    fn send(&mut self, client: u32, to: Drives, request: &Request<History>) {
        for drive in to.iter() {
            self.requests
                .entry((client, drive))
                .or_default()
                .push_back(request.clone());
        }
    }

    /// Checks the outcome that a client is told.
    fn ended(&mut self, client: &Client, outcome: Outcome<History, ()>) {
        let op = client.machine.operation();
        let end = match outcome {
            Outcome::Written(_) => "written",
            Outcome::Kept(_) => "kept",
            Outcome::Refused { .. } => panic!("nothing is refused here"),
            Outcome::Ambiguous(_) => "ambiguous",
            Outcome::Unavailable(_) => "unavailable",
        };
        *self.ends.entry(end).or_insert(0) += 1;
        match outcome {
            Outcome::Written(value) | Outcome::Kept(value) => {
                let chosen = value.is_absent() || self.chosen().any(|(_, cast)| cast.value == value);
                assert!(chosen, "register.chain: told of {value:?}, which is not chosen");
                assert!(
                    client.known.precedes(&value),
                    "register.linearizable: {:?} was known before {value:?}",
                    client.known
                );
                assert!(op.change == 0 || value.changes.contains(&op.change));
                if op.touch {
                    self.clean_up(client, &value);
                }
                if self.told.precedes(&value) {
                    self.told = value;
                }
            }
            Outcome::Unavailable(_) => drop(self.never.insert(op.change)),
            Outcome::Ambiguous(_) | Outcome::Refused { .. } => {}
        }
    }

    /// Discards folders that the value does not name, also those of concurrent operations.
    fn clean_up(&mut self, client: &Client, value: &History) {
        let ballot = client.machine.ballot();
        for change in (1..=self.operations).rev().take(4) {
            if value.changes.last() != Some(&change) {
                let folder = Folder::from(change);
                self.send(
                    client.name,
                    Drives::all(self.all()),
                    &Request::Discard { ballot, folder },
                );
            }
        }
    }

    fn chosen(&self) -> impl Iterator<Item = (&Ballot, &Cast)> {
        let majority = self.drives.len() / 2 + 1;
        self.cast.iter().filter(move |(_, cast)| cast.voters.len() >= majority)
    }

    fn check(&self) {
        let (mut last, mut before) = (History::absent(), Ballot::ZERO);
        for (ballot, cast) in self.chosen() {
            let follows = cast.value == last || cast.prev == before;
            assert!(
                follows && last.precedes(&cast.value),
                "register.chain: {:?} after {last:?}",
                cast.value
            );
            (last, before) = (cast.value.clone(), *ballot);
        }
        let undone = last.changes.iter().find(|change| self.never.contains(change));
        assert_eq!(undone, None, "register.linearizable: told to be unavailable");
        // No shard is lost here, so each drive that staged the latest change and was asked to keep it still has it.
        for need in last.folders() {
            let holding = self.drives.iter().filter(|(_, key)| key.folders.contains(&need.folder));
            assert!(
                holding.count() >= usize::from(need.data),
                "put.acked-survives: {last:?}"
            );
        }
    }
}
