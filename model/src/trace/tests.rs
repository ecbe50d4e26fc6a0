use super::*;
use crate::protocol::mutant::Mutation;
use crate::protocol::{Acceptor, Ballot, Coordinator, KeyState};
use crate::record::Change;
use std::collections::BTreeSet;

const BUCKET: u128 = 7;

fn key() -> Key {
    Key(b"bphotos".to_vec())
}

fn at(drive: u8) -> Place {
    Place { set: 0, drive }
}

/// Writes down what the machines of a set of three drives do while a bucket is made.
#[derive(Default)]
struct Scribe {
    entries: Vec<Entry>,
}

impl Scribe {
    fn write(&mut self, event: Event) {
        let sequence = self.entries.len() as u64 + 1;
        self.entries.push(Entry {
            sequence,
            node: 0,
            event,
        });
    }

    fn of_a_new_bucket() -> Vec<Entry> {
        let mut scribe = Scribe::default();
        let mut drives: Vec<_> = (0..3).map(|_| (DriveState::boot(0, 0), KeyState::empty())).collect();
        for (drive, (state, key_state)) in (0..).zip(&drives) {
            let (state, register) = (*state, key_state.register.clone());
            scribe.write(Event::Opened { at: at(drive), state });
            scribe.write(Event::Loaded {
                at: at(drive),
                key: key(),
                register,
            });
        }
        let op = Op::new(BUCKET, 1, Change::CreateBucket { incarnation: 9 });
        let quorums = Quorums::of(3);
        let (mut machine, mut todo) = Coordinator::new(quorums, op.clone());
        scribe.write(Event::Began {
            set: 0,
            key: key(),
            quorums,
            settled: 0,
            op,
            effects: todo.clone(),
        });
        while !todo.is_empty() {
            let effect = todo.remove(0);
            let events = match effect {
                Effect::Begin { epoch, round, .. } => vec![protocol::Event::Begin(Ballot {
                    epoch,
                    round: round + 1,
                    node: 1,
                    boot: 1,
                })],
                Effect::Send { to, request } => to
                    .iter()
                    .map(|drive| scribe.step(drive, &mut drives, &request))
                    .collect(),
            };
            for event in events {
                let effects = machine.on(event.clone());
                scribe.write(Event::Reacted {
                    operation: BUCKET,
                    event,
                    effects: effects.clone(),
                });
                todo.extend(effects);
            }
        }
        scribe.entries
    }

    fn step(
        &mut self,
        drive: u8,
        drives: &mut [(DriveState, KeyState<Record>)],
        request: &Request<Record>,
    ) -> protocol::Event<Record> {
        let (state, key_state) = &mut drives[usize::from(drive)];
        let before = *state;
        let mut acceptor = Acceptor {
            drive: state,
            key: key_state,
            index: drive,
            mutation: Mutation::NONE,
        };
        let (reply, effects) = acceptor.step(request.clone());
        self.write(Event::Stepped {
            at: at(drive),
            key: key(),
            state: before,
            folders: Vec::new(),
            request: request.clone(),
            reply: reply.clone(),
            effects,
        });
        self.write(Event::Durable { at: at(drive) });
        let ballot = request.ballot().expect("sent under one");
        protocol::Event::Reply {
            from: drive,
            ballot,
            reply,
        }
    }
}

/// The rule that a trace breaks, if any.
fn verdict(entries: Vec<Entry>) -> Option<&'static str> {
    let mut replay = Replay::new();
    let broken = entries.into_iter().find_map(|entry| replay.take(entry).err());
    broken.map(|violation| violation.rule)
}

/// The trace with something done to it, numbered anew.
fn tampered(tamper: impl FnOnce(&mut Vec<Entry>)) -> Vec<Entry> {
    let mut entries = Scribe::of_a_new_bucket();
    tamper(&mut entries);
    for (entry, sequence) in entries.iter_mut().zip(1..) {
        entry.sequence = sequence;
    }
    entries
}

fn position(entries: &[Entry], is_it: impl Fn(&Event) -> bool) -> usize {
    entries
        .iter()
        .position(|entry| is_it(&entry.event))
        .expect("there is one")
}

fn is_vote(event: &Event) -> bool {
    matches!(
        event,
        Event::Stepped {
            request: Request::Accept { .. },
            ..
        }
    )
}

#[test]
fn what_machines_did_replays() {
    let entries = Scribe::of_a_new_bucket();
    let mut replay = Replay::new();
    let steps = entries.len();
    for entry in entries {
        replay.take(entry).expect("it follows");
    }
    assert!(replay.steps() > 10 && (replay.steps() as usize) < steps);
}

/// Each way to falsify a trace breaks a rule.
#[test]
fn what_they_did_not_is_noticed() {
    let check = |rule: &str, tamper: fn(&mut Vec<Entry>)| {
        assert_eq!(verdict(tampered(tamper)), Some(rule));
    };
    assert_eq!(verdict(tampered(|_| {})), None);
    check("trace.same-outputs", |entries| {
        let at = position(entries, is_vote);
        if let Event::Stepped { effects, .. } = &mut entries[at].event {
            effects.clear();
        }
    });
    check("trace.same-outputs", |entries| {
        let is_last = |event: &Event| matches!(event, Event::Reacted { effects, .. } if !effects.is_empty());
        let at = entries
            .iter()
            .rposition(|entry| is_last(&entry.event))
            .expect("there is one");
        if let Event::Reacted { effects, .. } = &mut entries[at].event {
            effects.pop();
        }
    });
    check("trace.inputs-are-possible", |entries| {
        let at = position(entries, |event| matches!(event, Event::Began { .. }));
        entries.remove(at);
    });
    // A vote that its drive never cast.
    check("trace.inputs-are-possible", |entries| {
        let at = position(entries, is_vote);
        entries.remove(at);
    });
    check("drive.reply-after-durable", |entries| {
        let at = position(entries, is_vote);
        entries.remove(at + 1);
    });
    check("drive.hi-covers", |entries| {
        let state = DriveState::boot(0, 0);
        entries.push(Entry {
            sequence: 0,
            node: 0,
            event: Event::Opened { at: at(0), state },
        });
    });
    // A restart that lost a durable vote.
    check("put.survives-power-loss", |entries| {
        let state = DriveState::boot(0, DriveState::RESERVE * 2);
        let register = Register::absent();
        let events = [
            Event::Opened { at: at(0), state },
            Event::Loaded {
                at: at(0),
                key: key(),
                register,
            },
        ];
        entries.extend(events.map(|event| Entry {
            sequence: 0,
            node: 0,
            event,
        }));
    });
}

#[test]
fn an_event_that_is_missing_is_noticed() {
    let mut entries = Scribe::of_a_new_bucket();
    entries.remove(3);
    assert_eq!(verdict(entries), Some("trace.is-whole"));
}

/// Votes that no machine would cast, straight into the books.
#[test]
fn the_books_know_the_rules_of_votes() {
    use super::books::Books;
    use crate::protocol::Vote;
    use crate::record::Content;
    let vote = |round, name| Vote {
        ballot: Ballot { round, ..Ballot::ZERO },
        value: Record::new(name, Content::Absent),
    };
    let none = Vote::absent();
    let mut books = Books::default();
    let (first, other) = (vote(1, 1), vote(2, 3));
    for drive in 0..2 {
        assert_eq!(books.voted(drive, &first, &none), Ok(()));
    }
    // Two of three have voted; a crash may take that back.
    assert!(books.may_be_chosen(first.ballot, 3) && !books.was_chosen(first.ballot));
    for drive in 0..2 {
        assert_eq!(books.durable(drive, first.ballot, 3), Ok(()));
    }
    assert!(books.was_chosen(first.ballot) && books.has_chosen(&first.value, 3));
    let second = books.voted(2, &vote(1, 2), &none).expect_err("two values");
    assert_eq!(second.rule, "register.one-value-per-ballot");
    // A second value that does not know of the first.
    for drive in [0, 2] {
        assert_eq!(books.voted(drive, &other, &none), Ok(()));
    }
    assert_eq!(books.durable(0, other.ballot, 3), Ok(()));
    let fork = books.durable(2, other.ballot, 3).expect_err("a fork");
    assert_eq!(fork.rule, "register.chain");
}

#[test]
fn keys_are_written_readably_and_come_back() {
    let bytes: BTreeSet<Vec<u8>> = BTreeSet::from([
        b"bphotos".to_vec(),
        vec![b'o', 0, 255, b'%', b' ', b'a', b'/'],
        Vec::new(),
    ]);
    assert_eq!(Key(b"o\0a%".to_vec()).to_string(), "o%00a%25");
    for bytes in bytes {
        let key = Key(bytes);
        let text = key.to_string();
        let back = Key::deserialize(de::value::StrDeserializer::<de::value::Error>::new(&text));
        assert_eq!(back, Ok(key));
    }
}
