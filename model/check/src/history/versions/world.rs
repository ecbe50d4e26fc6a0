//! One key, its clients and one of its drives, as a stateright model.
//!
//! The key's register is atomic (`register.linearizable`): a change is made of the latest chosen value in one step. Its
//! vote is chosen at once, or its outcome is open: then it is chosen later, or never once another change was made. A
//! client that waits for such a vote looks for its change in the latest chosen value, as a coordinator does.
//!
//! The drive is the server's acceptor. It receives the Accept and the Finalize of a chosen vote together, and may miss
//! any. Each client's clock shows one time; a later client may have an earlier one.

use super::requests::{CLOCKS, Key, Request, Told, UPLOAD, change, folder, object};
use super::rules::{Occasion, Rule};
use super::state::{Action, Client, FIRST, Ledger, State, System, World, ballot, versions_of};
use crate::harness;
use crate::history::exact::Exact;
use crate::kit::drive::{UNBOUNDED, fresh};
use crate::rules::{Seen, Violations};
use model::protocol::{Acceptor, Decision, Drives, KeyState, Operation, Register, Request as Message, Value, Vote};
use model::record::mutant::Mutant;
use model::record::{Content, Object, Op, Record, Refusal, Upload, Version, VersionKind};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::BTreeMap;
use std::sync::Arc;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let upload = Upload {
            id: UPLOAD,
            started_nanos: 1,
            data_shards: 1,
            parity_shards: 0,
            headers: BTreeMap::new(),
            checksum: None,
        };
        let has_upload = self
            .requests
            .iter()
            .any(|request| matches!(request, Request::Complete(..)));
        let mut key = Key {
            open: has_upload,
            ..Key::default()
        };
        let mut object_of = Object::default();
        object_of.uploads.extend(has_upload.then_some(upload));
        if self.initial {
            for (by, id) in [(FIRST[1], 0), (FIRST[0], FIRST[0])] {
                key.add(id, (by, false));
                object_of.versions.push(Version {
                    id: id.into(),
                    change: u128::from(by) + 1,
                    time_nanos: u64::from(100 - by),
                    kind: VersionKind::Data(Arc::new(object(by))),
                });
            }
        }
        let content = if self.initial || has_upload {
            Content::Object(object_of)
        } else {
            Content::Absent
        };
        let name = if content == Content::Absent {
            0
        } else {
            u128::from(FIRST[0]) + 1
        };
        let first = Vote {
            ballot: ballot(0),
            value: Record::new(name, content),
        };
        let drive = KeyState {
            folders: first.value.folders().iter().map(|need| need.folder).collect(),
            register: Register::committed(first.clone()),
            ..KeyState::empty()
        };
        State {
            system: System {
                chain: vec![(Exact(first.value), None)],
                open: None,
                clients: vec![Client::Idle; self.requests.len()],
                drive: Arc::new(drive),
                lost: self.lost,
            },
            ledger: Ledger {
                history: LinearizabilityTester::new(key),
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        if !s.ledger.broken.is_none() {
            return;
        }
        for (client, state) in (0..).zip(&s.system.clients) {
            match state {
                Client::Idle => {
                    actions.push(Action::Do(client));
                    if s.system.lost > 0 && self.request(client) != Request::List {
                        actions.push(Action::Try(client));
                    }
                }
                Client::Waiting if s.system.open.as_ref().is_none_or(|(_, of)| *of != client) => {
                    actions.push(Action::Look(client));
                }
                _ => {}
            }
        }
        if s.system.open.is_some() {
            actions.push(Action::Land);
        }
        if s.system.drive.register.accepted.ballot < s.system.ballot() {
            actions.push(Action::Hear);
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Do(client) => self.ask(&mut s, client, true),
            Action::Try(client) => {
                s.system.lost -= 1;
                self.ask(&mut s, client, false);
            }
            Action::Land => {
                let (value, client) = s.system.open.take()?;
                self.choose(&mut s, value, client);
            }
            Action::Look(client) => self.look(&mut s, client),
            Action::Hear => self.hear(&mut s),
        }
        if s.system.clients.iter().all(|client| *client == Client::Answered) {
            self.seen.see(Occasion::AllAnswered);
        }
        Some(s)
    }

    fn broken(&self, s: &State) -> Violations<Rule> {
        s.ledger.broken
    }

    fn seen(&self) -> &Seen<Occasion> {
        &self.seen
    }
}

impl World {
    pub(super) fn request(&self, client: u8) -> Request {
        self.requests[usize::from(client)]
    }

    fn op(&self, client: u8) -> Op {
        let now_nanos = CLOCKS[usize::from(client) % CLOCKS.len()];
        let kind = change(client, self.request(client));
        Op::new(u128::from(client) + 1, now_nanos, kind).with_mutation(self.mutation)
    }

    /// Sends a client's request: a change is made of the latest chosen value.
    fn ask(&self, s: &mut State, client: u8, known: bool) {
        let request = self.request(client);
        s.ledger
            .history
            .on_invoke(client, (client, request))
            .expect("a client asks once");
        Arc::make_mut(&mut s.system.drive).folders.insert(folder(client));
        let op = self.op(client);
        let base = s.system.latest().clone();
        let decision = op.decide(&base, Drives::one(0));
        s.ledger.audit_decision(self, &op, &base, &decision);
        match decision {
            Decision::Write(value) => {
                // An open vote is not part of the base, so it can never be chosen.
                s.system.open = None;
                if known {
                    self.choose(s, Exact(value), client);
                    self.tell(s, client, Told::Done);
                } else {
                    s.system.open = Some((Exact(value), client));
                    s.system.clients[usize::from(client)] = Client::Waiting;
                }
            }
            Decision::Keep if request == Request::List => {
                let versions = versions_of(&base);
                self.tell(s, client, Told::Versions(versions));
            }
            Decision::Keep => self.tell(s, client, Told::Done),
            Decision::Refuse(refusal) => {
                let told = match refusal {
                    Refusal::PreconditionFailed => Told::PreconditionFailed,
                    Refusal::NoSuchKey => Told::NoSuchKey,
                    _ => Told::NoSuchUpload,
                };
                self.tell(s, client, told);
            }
        }
    }

    fn tell(&self, s: &mut State, client: u8, told: Told) {
        s.system.clients[usize::from(client)] = Client::Answered;
        s.ledger.history.on_return(client, told).expect("it has asked");
        let consistent = s.ledger.history.is_consistent();
        s.ledger.broken.check(Rule::Linearizable, consistent);
    }

    fn choose(&self, s: &mut State, value: Exact, client: u8) {
        s.system.chain.push((value, Some(client)));
        s.ledger.audit_chosen(self, &s.system);
    }

    fn look(&self, s: &mut State, client: u8) {
        let op = self.op(client);
        let seen = op.is_in(s.system.latest());
        s.system.clients[usize::from(client)] = Client::Unknown;
        if seen {
            self.tell(s, client, Told::Done);
        } else if self.mutation.is(Mutant::ChangeProposedAgain)
            && let Decision::Write(value) = op.decide(s.system.latest(), Drives::one(0))
        {
            self.choose(s, Exact(value), client);
            self.tell(s, client, Told::Done);
        }
    }

    /// Delivers the Accept and the Finalize of the latest chosen vote to the drive.
    fn hear(&self, s: &mut State) {
        let mut own = fresh(UNBOUNDED);
        let vote = |at: usize, s: &State| Vote {
            ballot: ballot(at),
            value: s.system.chain[at].0.0.clone(),
        };
        let last = s.system.chain.len() - 1;
        let (latest, prev) = (vote(last, s), vote(last - 1, s));
        let held = s.system.drive.folders.len();
        let key = Arc::make_mut(&mut s.system.drive);
        let mut acceptor = Acceptor {
            drive: &mut own,
            key,
            index: 0,
            mutation: self.protocol,
        };
        acceptor.step(Message::Accept { vote: latest, prev });
        acceptor.step(Message::Finalize { ballot: ballot(last) });
        if s.system.drive.folders.len() < held {
            self.seen.see(Occasion::Dropped);
        }
        s.ledger.audit_drive(&s.system);
    }
}
