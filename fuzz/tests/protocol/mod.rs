//! State machines of the register: arbitrary messages to a drive, arbitrary events to a coordinator, and whole sets of
//! both with message loss, restarts and deadlines in any order.

mod world;

use bolero::{TypeGenerator, check};
use model::protocol::mutant::Mutation;
use model::protocol::{
    Acceptor, Ballot, Coordinator, Decision, DriveEffect, DriveState, Drives, Effect, Event, Folder, FolderNeed,
    KeyState, Nack, Operation, Outcome, Quorums, Reply, Request, Snapshot, Value, Vote, write_quorum,
};
use std::collections::{BTreeMap, BTreeSet};
use world::World;

/// Value that consists of its changes, in order. Each staged a folder of its name; the value names that of the last
/// one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct History {
    changes: Vec<u8>,
    data: u8,
    parity: u8,
    holders: Drives,
}

impl History {
    /// Returns whether `self` is a prefix of `later`.
    fn precedes(&self, later: &History) -> bool {
        later.changes.starts_with(&self.changes)
    }
}

impl Value for History {
    fn absent() -> History {
        History {
            changes: Vec::new(),
            data: 1,
            parity: 0,
            holders: Drives::NONE,
        }
    }

    fn is_absent(&self) -> bool {
        self.changes.is_empty()
    }

    fn folders(&self) -> Vec<FolderNeed> {
        let need = |change: &u8| FolderNeed {
            folder: Folder::from(*change),
            data: self.data,
            write: write_quorum(self.data, self.parity),
            holders: self.holders,
        };
        self.changes.last().map(need).into_iter().collect()
    }
}

/// Operation that appends a change, reads, or has the base voted for again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Append {
    /// Change to append; 0 for none.
    change: u8,
    touch: bool,
    data: u8,
    parity: u8,
}

impl Operation<History> for Append {
    type Refusal = ();

    fn staged(&self) -> Option<(Folder, u8)> {
        (self.change > 0).then(|| (Folder::from(self.change), write_quorum(self.data, self.parity)))
    }

    fn decide(&self, base: &History, holders: Drives) -> Decision<History, ()> {
        if self.touch {
            return Decision::Write(base.clone());
        }
        if self.change == 0 {
            return Decision::Keep;
        }
        let mut changes = base.changes.clone();
        changes.push(self.change);
        Decision::Write(History {
            changes,
            data: self.data,
            parity: self.parity,
            holders,
        })
    }

    fn is_in(&self, value: &History) -> bool {
        value.changes.contains(&self.change)
    }

    fn replaces(&self, _top: &History) -> bool {
        self.change > 0
    }
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
struct AnyBallot(u8, u8, u8);

impl AnyBallot {
    /// Returns one of few ballots, so that they collide; some are at the ends of the range.
    fn ballot(self) -> Ballot {
        let wide = |n: u8, few: u8| match n {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            253 => 1 << 20,
            n => u64::from(n % few),
        };
        Ballot {
            epoch: wide(self.0, 3),
            round: wide(self.1, 12),
            node: if self.2 == 255 { u32::MAX } else { u32::from(self.2 % 3) },
            boot: if self.2 == 255 {
                u64::MAX
            } else {
                u64::from(self.2 / 3 % 2)
            },
        }
    }
}

#[derive(Clone, Debug, TypeGenerator)]
struct AnyVote(AnyBallot, Vec<u8>, u8, u16);

impl AnyVote {
    fn vote(&self) -> Vote<History> {
        let AnyVote(ballot, changes, shape, holders) = self;
        let parity = shape % 4;
        let value = History {
            changes: changes.iter().take(3).map(|change| change % OWN).collect(),
            data: parity + shape / 4 % 4,
            parity,
            holders: Drives::from_bits(*holders),
        };
        let ballot = ballot.ballot();
        Vote { ballot, value }
    }
}

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Prepare(AnyBallot),
    Accept(AnyVote, AnyVote),
    /// Repeats the accepted vote under a new ballot.
    Repeat(AnyBallot),
    /// Proposes a vote that follows the accepted one.
    Follow(AnyVote),
    Finalize(AnyBallot),
    FinalizeAccepted,
    Drop(AnyBallot, u8),
    DropUnderAccepted(u8),
    Read,
    Stage(u8),
    Restart,
    Forget,
}

impl Step {
    fn request(&self, key: &KeyState<History>) -> Option<Request<History>> {
        let accepted = &key.register.accepted;
        Some(match self {
            Step::Prepare(ballot) => {
                let ballot = ballot.ballot();
                Request::Prepare { ballot }
            }
            Step::Accept(vote, prev) => {
                let (vote, prev) = (vote.vote(), prev.vote());
                Request::Accept { vote, prev }
            }
            Step::Repeat(ballot) => {
                let (ballot, value) = (ballot.ballot(), accepted.value.clone());
                let (vote, prev) = (Vote { ballot, value }, key.register.prev.clone());
                Request::Accept { vote, prev }
            }
            Step::Follow(vote) => {
                let (vote, prev) = (vote.vote(), accepted.clone());
                Request::Accept { vote, prev }
            }
            Step::Finalize(ballot) => {
                let ballot = ballot.ballot();
                Request::Finalize { ballot }
            }
            Step::FinalizeAccepted => {
                let ballot = accepted.ballot;
                Request::Finalize { ballot }
            }
            Step::Drop(ballot, folder) => {
                let (ballot, folder) = (ballot.ballot(), Folder::from(folder % 6));
                Request::Discard { ballot, folder }
            }
            Step::DropUnderAccepted(folder) => {
                let (ballot, folder) = (accepted.ballot, Folder::from(folder % 6));
                Request::Discard { ballot, folder }
            }
            Step::Read => Request::Read,
            Step::Stage(_) | Step::Restart | Step::Forget => return None,
        })
    }
}

fn names(value: &History, folder: Folder) -> bool {
    value.folders().iter().any(|need| need.folder == folder)
}

/// Checks the transition of a drive by one message.
fn check_step(
    (drive, key): (&DriveState, &KeyState<History>),
    request: &Request<History>,
    (reply, effects): &(Reply<History>, Vec<DriveEffect>),
    (drive_after, after): (&DriveState, &KeyState<History>),
) {
    let (old, new) = (&key.register, &after.register);
    assert!(after.promised >= key.promised, "a promise went back");
    assert!(new.accepted.ballot >= old.accepted.ballot, "a vote went back");
    assert!(drive_after.epoch >= drive.epoch && drive_after.hi >= drive.hi && drive_after.floor == drive.floor);
    if new.committed {
        assert_eq!(new.prev, new.accepted, "committed is all there is to know");
    }
    let at = |effect: &DriveEffect| effects.iter().position(|e| e == effect);
    let stored = at(&DriveEffect::PersistRegister);
    let stored_later = at(&DriveEffect::PersistRegisterLazily);
    assert_eq!(
        new != old,
        stored.or(stored_later).is_some(),
        "a change is stored: {effects:?}"
    );
    if new.accepted != old.accepted {
        assert!(stored.is_some(), "a vote is durable before its reply");
    }
    let drive_changed = (drive_after.epoch, drive_after.hi) != (drive.epoch, drive.hi);
    assert!(
        !drive_changed || at(&DriveEffect::PersistDrive) == Some(0),
        "drive.hi-covers: {effects:?}"
    );
    let mut gone = BTreeSet::new();
    for (place, effect) in effects.iter().enumerate() {
        if let DriveEffect::Remove(folders) = effect {
            assert!(
                new == old || stored.is_some_and(|stored| stored < place),
                "removed before it is durable"
            );
            gone.extend(folders.iter().copied());
        }
    }
    let missing: BTreeSet<Folder> = key.folders.difference(&after.folders).copied().collect();
    assert_eq!(gone, missing, "what is removed is what is no longer held");
    for folder in gone {
        assert!(
            !names(&new.accepted.value, folder),
            "the accepted value lost its folder"
        );
        assert!(!names(&new.prev.value, folder), "the previous value lost its folder");
    }
    match reply {
        Reply::Refused(_) => assert_eq!((new, &after.folders, after.promised), (old, &key.folders, key.promised)),
        Reply::Granted(snapshot) | Reply::Read(snapshot) => {
            assert_eq!((&snapshot.accepted, &snapshot.prev), (&new.accepted, &new.prev));
            assert_eq!(snapshot.committed, new.committed);
            assert!(snapshot.folders.iter().eq(after.folders.iter()));
        }
        Reply::Accepted | Reply::Done | Reply::Membership { .. } => {}
    }
    let answers = match request {
        Request::Prepare { .. } => matches!(reply, Reply::Granted(_) | Reply::Refused(_)),
        Request::Accept { .. } => matches!(reply, Reply::Accepted | Reply::Refused(_)),
        Request::Finalize { .. } | Request::Discard { .. } | Request::Install { .. } | Request::Purge { .. } => {
            matches!(reply, Reply::Done | Reply::Refused(_))
        }
        Request::Read => matches!(reply, Reply::Read(_)),
        Request::Fence { .. } => matches!(reply, Reply::Membership { .. } | Reply::Refused(_)),
        Request::Membership => matches!(reply, Reply::Membership { .. }),
    };
    assert!(answers, "{reply:?} to {request:?}");
}

/// `drive.hi-covers`, `drive.promise-holds`, `put.accepted-means-staged` and the order of effects.
#[test]
fn any_messages_leave_a_drive_sound() {
    check!().with_type::<(u8, Vec<Step>)>().for_each(|(index, steps)| {
        let index = index % 16;
        let (mut drive, mut key) = (DriveState::boot(0, 0), KeyState::<History>::empty());
        // Highest ballot that was ever granted or voted for: after a restart, nothing below it may be voted for.
        let mut fence = Ballot::ZERO;
        for step in steps {
            match step {
                Step::Stage(folder) => drop(key.folders.insert(Folder::from(folder % 6))),
                Step::Restart => {
                    (drive, key.promised) = (DriveState::boot(drive.epoch, drive.hi), Ballot::ZERO);
                }
                Step::Forget => drive.forget(std::mem::take(&mut key.promised)),
                _ => {}
            }
            let Some(request) = step.request(&key) else {
                continue;
            };
            let (drive_before, before) = (drive, key.clone());
            let mut acceptor = Acceptor {
                drive: &mut drive,
                key: &mut key,
                index,
                mutation: Mutation::NONE,
            };
            let answer = acceptor.step(request.clone());
            check_step((&drive_before, &before), &request, &answer, (&drive, &key));
            let ballot = request.ballot().unwrap_or_default();
            match answer.0 {
                Reply::Granted(_) => {
                    assert!(
                        ballot > fence,
                        "drive.promise-holds: granted {ballot:?} at or below {fence:?}"
                    );
                    fence = ballot;
                }
                Reply::Accepted if key.register != before.register => {
                    assert!(
                        ballot >= fence,
                        "drive.promise-holds: voted in {ballot:?} below {fence:?}"
                    );
                    fence = ballot;
                    check_staged(&request, &before, index);
                }
                _ => {}
            }
            assert!(key.promised.round <= drive.hi && key.register.accepted.ballot.round <= drive.hi);
        }
    });
}

/// `put.accepted-means-staged`
fn check_staged(request: &Request<History>, before: &KeyState<History>, index: u8) {
    let Request::Accept { vote, prev } = request else {
        return;
    };
    let new = vote.value != before.register.accepted.value;
    for need in vote
        .value
        .folders()
        .iter()
        .filter(|need| new && need.holders.contains(index))
    {
        let held = before.folders.contains(&need.folder) || names(&prev.value, need.folder);
        assert!(held, "put.accepted-means-staged: {need:?}");
    }
}

#[derive(Clone, Debug, TypeGenerator)]
struct AnySnapshot {
    accepted: AnyVote,
    prev: AnyVote,
    committed: bool,
    folders: Vec<u8>,
    authoritative: bool,
    floor: AnyBallot,
}

#[derive(Clone, Debug, TypeGenerator)]
enum AnyReply {
    Granted(AnySnapshot),
    /// Reply of a drive without a register that holds these folders.
    Empty(Vec<u8>),
    Accepted,
    Done,
    Read(AnySnapshot),
    Refused(AnyBallot, AnyBallot, u8),
}

fn folders_of(names: &[u8]) -> Vec<Folder> {
    names.iter().map(|name| Folder::from(name % 6)).collect()
}

impl AnySnapshot {
    fn snapshot(&self) -> Snapshot<History> {
        Snapshot {
            accepted: self.accepted.vote(),
            prev: self.prev.vote(),
            committed: self.committed,
            folders: folders_of(&self.folders),
            authoritative: self.authoritative,
            floor: self.floor.ballot(),
            epoch: self.floor.ballot().epoch,
        }
    }
}

impl AnyReply {
    fn reply(&self) -> Reply<History> {
        match self {
            AnyReply::Granted(snapshot) => Reply::Granted(snapshot.snapshot()),
            AnyReply::Empty(folders) => Reply::Granted(Snapshot {
                accepted: Vote::absent(),
                prev: Vote::absent(),
                committed: true,
                folders: folders_of(folders),
                authoritative: true,
                floor: Ballot::ZERO,
                epoch: 0,
            }),
            AnyReply::Accepted => Reply::Accepted,
            AnyReply::Done => Reply::Done,
            AnyReply::Read(snapshot) => Reply::Read(snapshot.snapshot()),
            AnyReply::Refused(promised, floor, epoch) => Reply::Refused(Nack {
                promised: promised.ballot(),
                floor: floor.ballot(),
                epoch: u64::from(epoch % 4),
            }),
        }
    }
}

#[derive(Clone, Debug, TypeGenerator)]
enum AnyEvent {
    Begin(u8),
    Reply(u8, AnyReply),
    Late(u8, AnyBallot, AnyReply),
    Failed(u8),
    StragglerTimeout,
    Deadline,
}

impl AnyEvent {
    /// Converts to an event; `next` has the epoch and the round of a requested ballot.
    fn event(&self, current: Ballot, next: &mut Option<(u64, u64)>) -> Option<Event<History>> {
        let reply = |from: u8, ballot, reply: &AnyReply| Event::Reply {
            from: from % 17,
            ballot,
            reply: reply.reply(),
        };
        Some(match self {
            AnyEvent::Begin(node) => {
                let (epoch, round) = next.take()?;
                Event::Begin(Ballot {
                    epoch,
                    // The last round of the range is never reached.
                    round: round.checked_add(1)?,
                    node: u32::from(*node),
                    boot: 0,
                })
            }
            AnyEvent::Reply(from, any) => reply(*from, current, any),
            AnyEvent::Late(from, ballot, any) => reply(*from, ballot.ballot(), any),
            AnyEvent::Failed(from) => Event::Failed {
                from: from % 17,
                ballot: current,
            },
            AnyEvent::StragglerTimeout => Event::StragglerTimeout,
            AnyEvent::Deadline => Event::Deadline,
        })
    }
}

/// Change that no generated value has.
const OWN: u8 = 5;

/// `put.never-propose-twice`, `register.one-value-per-ballot`: under any replies, even impossible ones.
#[test]
fn any_events_leave_a_coordinator_sound() {
    type Input = ((u8, u8), Vec<AnyEvent>);
    check!().with_type::<Input>().for_each(|((drives, parity), events)| {
        let drives = drives % 16 + 1;
        let parity = parity % (drives / 2 + 1);
        let op = Append {
            change: OWN,
            touch: false,
            data: drives - parity,
            parity,
        };
        let (mut machine, mut effects) = Coordinator::new(Quorums::of(drives), op);
        let mut votes: BTreeMap<Ballot, Vote<History>> = BTreeMap::new();
        let (mut proposals, mut next) = (0, None);
        for event in events {
            for effect in &std::mem::take(&mut effects) {
                match effect {
                    Effect::Begin { epoch, round, .. } => next = Some((*epoch, *round)),
                    Effect::Send { to, request } => {
                        assert!(to.without(Drives::all(drives)).is_empty() && !to.is_empty(), "{to:?}");
                        if let Request::Accept { vote, .. } = request {
                            assert_eq!(vote.ballot, machine.ballot());
                            let first = votes.insert(vote.ballot, vote.clone());
                            assert!(first.is_none(), "register.one-value-per-ballot");
                            proposals += usize::from(vote.value.changes.contains(&OWN));
                        }
                    }
                }
            }
            assert!(proposals <= 1, "put.never-propose-twice");
            let ended = machine.outcome().cloned();
            match &ended {
                Some(Outcome::Unavailable(_)) => assert_eq!(proposals, 0, "it never will be done"),
                Some(Outcome::Ambiguous(_)) => assert_eq!(proposals, 1, "it was not begun"),
                Some(Outcome::Written(value)) => assert!(proposals == 1 && value.changes.contains(&OWN)),
                Some(Outcome::Kept(_) | Outcome::Refused { .. }) => panic!("a change ends in neither"),
                None => {}
            }
            let Some(event) = event.event(machine.ballot(), &mut next) else {
                continue;
            };
            effects = machine.on(event);
            if ended.is_some() {
                assert!(
                    effects.is_empty() && machine.outcome().cloned() == ended,
                    "an end is an end"
                );
            }
        }
    });
}

/// `register.chain`, `put.ack-needs-write-quorum` in sets of any size: see [`world`].
#[test]
fn what_is_chosen_stays_chosen() {
    // One write to a set of 16 drives takes 64 deliveries and answers.
    let acts = bolero::produce::<Vec<(u8, u8)>>().with().len(0usize..1000);
    check!()
        .with_generator((bolero::produce::<u8>(), acts))
        .for_each(|(drives, acts)| {
            World::new(*drives, true).run(acts);
        });
}

/// Returns pseudo-random acts from a seed, for states that must be reached in a bounded time.
fn acts_of(seed: u64, count: usize) -> Vec<(u8, u8)> {
    let mut state = seed * 2 + 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..count).map(|_| (random(), random())).collect()
}

/// Canary: if drives forget their promises at a restart, a chosen value is lost, and the check must notice.
#[test]
#[should_panic(expected = "register.chain")]
fn canary_forgotten_promises_are_noticed() {
    for seed in 0..20_000 {
        World::new(2, false).run(&acts_of(seed, 150));
    }
}

/// Canary: operations must reach every outcome, or the checks of outcomes prove nothing.
#[test]
fn canary_runs_reach_every_end() {
    for drives in [0, 2, 3, 7, 15] {
        let mut ends = BTreeMap::new();
        for seed in 0..60 {
            for (end, count) in World::new(drives, true).run(&acts_of(seed, 1000)) {
                *ends.entry(end).or_insert(0) += count;
            }
        }
        for end in ["written", "kept", "ambiguous", "unavailable"] {
            assert!(ends.contains_key(end), "{} drives: {ends:?}", drives + 1);
        }
    }
}
