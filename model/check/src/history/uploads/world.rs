//! One key with open uploads, its clients and its drives, as a stateright model.
//!
//! The key's register is atomic, and so is each part's: a change is made of the latest chosen value in one step
//! (`register.linearizable`). The fate of votes and the knowledge of drives are modelled apart from it:
//!
//! - A vote is *open* until A drives have accepted it: then it is *chosen*. A change that is made in between makes it
//!   *dead*: drives that voted for it hold a value that is never read. So a client that loses the reply, or crashes,
//!   leaves a change that takes effect later or never. A crash before the vote is a client without further steps.
//! - Drives are the server's acceptors. An Accept or Finalize reaches each of them late or never; a heal brings one up
//!   to date. Promises, which the register needs, are left out: this only adds behaviours.
//! - A part's register is not modelled drive by drive. Once a drive has forgotten it, a read may find nothing.
//! - Once an upload is gone, any drive may be asked to clean up, at any time.
//!
//! Symmetry reduction: states are kept with their drives sorted.

use super::client::{Machine, PartRegister};
use super::requests::{DRIVES, INITIAL, Key, Request, completion, object, part, part_folder};
use super::rules::{Occasion, Rule};
use super::state::{Action, Cast, Drive, Fate, Ledger, State, System, World, ballot};
use crate::harness;
use crate::history::exact::Exact;
use crate::rules::{Seen, Violations};
use model::protocol::{Folder, KeyState, Register, Vote};
use model::record::{Change, Content, Object, Precondition, Record, Upload, Version, VersionKind, Versioning};
use model::upload::{Abort, Complete, Step, UploadPart};
use stateright::semantics::LinearizabilityTester;
use std::collections::BTreeMap;
use std::sync::Arc;

impl harness::World for World {
    type State = State;
    type Action = Action;
    type Rule = Rule;

    fn initial(&self) -> State {
        let version = Version {
            id: Version::NULL,
            change: 1,
            time_nanos: 1,
            kind: VersionKind::Data(Arc::new(object(INITIAL))),
        };
        let upload = |id: u8| Upload {
            id: id.into(),
            started_nanos: 1,
            data_shards: super::requests::SHARDS.0,
            parity_shards: super::requests::SHARDS.1,
            headers: BTreeMap::new(),
            checksum: None,
        };
        let mut object = Object {
            versions: vec![version],
            uploads: Vec::new(),
        };
        let first = Record::new(1, Content::Object(object.clone()));
        object.uploads = (1..=self.uploads.0).map(upload).collect();
        let opened = Record::new(2, Content::Object(object));
        let uploads = 1..=self.uploads.0;
        let registers = uploads
            .clone()
            .flat_map(|upload| (1..=self.uploads.1).map(move |number| (upload, number)));
        let registers = registers.map(|(upload, number)| {
            let part = part(part_folder(upload, number, 0));
            let register = PartRegister {
                named: [part.data.folder].into(),
                chosen: Some(part),
                open: None,
            };
            ((upload, number), register)
        });
        let parts: BTreeMap<_, _> = registers.collect();
        let mut folders: Vec<Folder> = parts.values().flat_map(|part| part.named.clone()).collect();
        folders.push(INITIAL.into());
        let drive = |vote: usize, value: &Record| {
            let accepted = Vote {
                ballot: ballot(vote),
                value: value.clone(),
            };
            Arc::new(Drive {
                key: KeyState {
                    register: Register::committed(accepted),
                    folders: folders.iter().copied().collect(),
                    ..KeyState::empty()
                },
                voted: (1 << (vote + 1)) - 1,
                forgot: 0,
            })
        };
        let mut drives = vec![drive(1, &opened); usize::from(DRIVES)];
        if self.lags {
            drives[0] = drive(0, &first);
        }
        drives.sort();
        let cast = |value, prev| {
            Arc::new(Cast {
                value: Exact(value),
                prev,
                client: None,
                fate: Fate::Chosen,
            })
        };
        State {
            system: System {
                votes: vec![cast(first, 0), cast(opened, 0)],
                drives,
                clients: self.requests.iter().map(|_| Arc::default()).collect(),
                parts,
                lost: self.lost,
                heals: self.heals,
            },
            ledger: Ledger {
                history: LinearizabilityTester::new(Key {
                    value: Some(INITIAL),
                    open: uploads.collect(),
                }),
                broken: Violations::default(),
            },
        }
    }

    fn enabled(&self, s: &State, actions: &mut Vec<Action>) {
        if s.ledger.broken.is_none() {
            self.offer(s, actions);
        }
    }

    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Begin(client) => self.begin(&mut s, client),
            Action::Go(client) => self.go(&mut s, client),
            Action::ReadForgotten(client) => self.read_parts(&mut s, client, true),
            Action::Hear(client) => self.hear(&mut s, client),
            Action::Lose(client) => self.lose(&mut s, client),
            Action::PartLands(upload, number) => self.land(&mut s, (upload, number)),
            Action::Accept(drive, vote) => self.accept(&mut s, drive, vote),
            Action::Finalize(drive) => self.finalize(&mut s, drive),
            Action::End(drive, upload, vote) => self.end(&mut s, drive, upload, vote),
            Action::Heal(drive) => self.heal(&mut s, drive),
        }
        self.check_invariants(&mut s);
        Some(s)
    }

    fn canonical(&self, mut s: State) -> State {
        s.system.drives.sort();
        s
    }

    fn broken(&self, s: &State) -> Violations<Rule> {
        s.ledger.broken
    }

    fn seen(&self) -> &Seen<Occasion> {
        &self.seen
    }
}

impl World {
    /// Returns a client's request.
    pub(super) fn request(&self, client: u8) -> Request {
        self.requests[usize::from(client)]
    }

    /// Returns the folders of the parts that a completion names.
    pub(super) fn named(&self, upload: u8, replaced: bool) -> Vec<Folder> {
        let by = |number| if replaced && number == 1 { 1 } else { 0 };
        (1..=self.uploads.1)
            .map(|number| part_folder(upload, number, by(number)))
            .collect()
    }

    /// Returns a machine for a client's request, and its first step.
    pub(super) fn machine(&self, client: u8) -> (Machine, Step) {
        let (precondition, versioning) = (Precondition::default(), Versioning::Unversioned);
        match self.request(client) {
            Request::Put => {
                let data = object(client);
                let put = Change::Put {
                    data,
                    precondition,
                    versioning,
                };
                (Machine::Plain, Step::Vote(put))
            }
            Request::Delete => {
                let delete = Change::Delete {
                    precondition,
                    versioning,
                };
                (Machine::Plain, Step::Vote(delete))
            }
            Request::Get => (Machine::Plain, Step::Vote(Change::Read)),
            Request::Part(upload) => {
                let (machine, step) = UploadPart::new(upload.into());
                (Machine::Part(machine.with_mutation(self.mutation)), step)
            }
            Request::Complete { upload, replaced } => {
                let completion = completion(client, &self.named(upload, replaced));
                let (machine, step) = Complete::new(upload.into(), completion, self.mutation);
                (Machine::Complete(machine), step)
            }
            Request::Abort(upload) => {
                let (machine, step) = Abort::new(upload.into());
                (Machine::Abort(machine), step)
            }
        }
    }
}
