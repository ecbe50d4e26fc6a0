//! One key with open uploads, its clients and its drives, as a stateright model.
//!
//! The key's register is atomic, and so is each part's: a change is made of the latest chosen value in one step
//! (`register.linearizable`). What is not known of a vote, and what drives know, is kept apart:
//!
//! - A vote is *open* until A drives have it: then it is *chosen*. A change that is made meanwhile makes it *dead*:
//!   drives that voted for it have what nobody will ever read. So a client that is not told, or crashes, leaves what
//!   takes effect later or never. A crash before the vote is a client that takes no more steps.
//! - Drives are the server's acceptors. An Accept or Finalize reaches each of them late or never; a heal brings one up
//!   to date. Promises, which the register needs, are left out: more may happen here than in truth.
//! - A part's register is not kept by drives one by one. Once a drive has forgotten it, a read may find nothing.
//! - Whoever knows that an upload is gone may ask any drive to clean up, at any time.
//!
//! Drives that differ only in their names are one.

use super::client::{Client, Machine, PartRegister, Running};
use super::requests::{DRIVES, INITIAL, Key, Request, completion, object, part, part_folder, part_of};
use super::rules::properties;
use crate::explore::Charted;
use crate::history::exact::Exact;
use crate::rules::{Broken, Seen};
use model::protocol::mutant::Mutation as ProtocolMutation;
use model::protocol::{Ballot, Folder, KeyState, Register, Vote};
use model::record::mutant::Mutation;
use model::record::{Change, Content, Object, Precondition, Record, Upload, Version, VersionKind, Versioning};
use model::upload::{Abort, Complete, Step, UploadPart};
use stateright::semantics::LinearizabilityTester;
use stateright::{Model, Property};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct World {
    /// What is asked for, one client each.
    pub requests: Vec<Request>,
    /// Open uploads, and parts of each.
    pub uploads: (u8, u16),
    /// Whether one drive has not heard of the uploads.
    pub lags: bool,
    /// Requests whose fate the client is not told; one that would end an upload is tried once more.
    pub lost: u8,
    /// Drives that are healed.
    pub heals: u8,
    /// The break, if any.
    pub mutation: Mutation,
    /// The break of the drives, if any.
    pub protocol: ProtocolMutation,
    /// The occasions that arose in some state.
    pub seen: Seen,
}

/// All that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The votes on the key, in the order of their ballots.
    pub votes: Vec<Arc<Cast>>,
    /// The drives, in their order.
    pub drives: Vec<Arc<Drive>>,
    /// The clients, by request.
    pub clients: Vec<Arc<Client>>,
    /// The parts' registers, by upload and number.
    pub parts: BTreeMap<(u8, u16), PartRegister>,
    /// What clients asked and were told.
    pub history: LinearizabilityTester<u8, Key>,
    /// What is left of them.
    pub lost: u8,
    /// What is left of them.
    pub heals: u8,
    /// The rules that were broken.
    pub broken: Broken,
}

/// A vote on the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// Its value.
    pub value: Exact,
    /// The chosen vote that it follows.
    pub prev: usize,
    /// Whose it is.
    pub client: Option<u8>,
    /// What has become of it.
    pub fate: Fate,
}

/// What becomes of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It may be chosen.
    Open,
    /// It is.
    Chosen,
    /// It will never be.
    Dead,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drive {
    /// What it holds of the key, its parts' folders included.
    pub key: KeyState<Record>,
    /// The votes that it took part in, by bit.
    pub voted: u32,
    /// The uploads whose part registers it has forgotten, by bit.
    pub forgot: u8,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client asks.
    Begin(u8),
    /// A client's machine has what it wants: it reads, stages, votes.
    Go(u8),
    /// It reads the parts where drives have forgotten them.
    ReadForgotten(u8),
    /// It learns what has become of its vote.
    Hear(u8),
    /// It does not: its vote stays as it is.
    Lose(u8),
    /// A vote on a part's register is chosen, late.
    PartLands(u8, u16),
    /// A drive votes.
    Accept(u8, usize),
    /// A drive learns that its vote is chosen.
    Finalize(u8),
    /// A drive is asked to clean up after an upload that ended with this vote.
    End(u8, u8, usize),
    /// A drive is brought up to date.
    Heal(u8),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial_state()]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        if s.broken.is_none() {
            self.offer(s, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = self.unsorted(last, action);
        s.drives.sort();
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }

    fn format_action(&self, action: &Action) -> String {
        self.asks(*action, None, &self.names())
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        self.line(last, &action, &mut self.names())
    }
}

/// The ballot of a vote.
pub(super) fn ballot(vote: usize) -> Ballot {
    Ballot {
        round: vote as u64 + 1,
        ..Ballot::ZERO
    }
}

impl World {
    /// The state after an action, its drives in the order that they were in.
    pub(super) fn unsorted(&self, last: &State, action: Action) -> State {
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
        self.judge(&mut s);
        s
    }

    /// A client's request.
    pub(super) fn request(&self, client: u8) -> Request {
        self.requests[usize::from(client)]
    }

    /// The parts that a completion names.
    pub(super) fn named(&self, upload: u8, replaced: bool) -> Vec<Folder> {
        let by = |number| if replaced && number == 1 { 1 } else { 0 };
        (1..=self.uploads.1)
            .map(|number| part_folder(upload, number, by(number)))
            .collect()
    }

    /// A machine for a client's request, and its first step.
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

    fn initial_state(&self) -> State {
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
            votes: vec![cast(first, 0), cast(opened, 0)],
            drives,
            clients: self.requests.iter().map(|_| Arc::default()).collect(),
            parts,
            history: LinearizabilityTester::new(Key {
                value: Some(INITIAL),
                open: uploads.collect(),
            }),
            lost: self.lost,
            heals: self.heals,
            broken: Broken::default(),
        }
    }
}

impl State {
    pub(super) fn client(&mut self, client: u8) -> &mut Client {
        Arc::make_mut(&mut self.clients[usize::from(client)])
    }

    pub(super) fn running(&self, client: u8) -> Option<&Running> {
        self.clients[usize::from(client)].running.as_ref()
    }

    pub(super) fn drive(&mut self, drive: u8) -> &mut Drive {
        Arc::make_mut(&mut self.drives[usize::from(drive)])
    }

    /// The vote that was chosen last.
    pub(super) fn latest(&self) -> usize {
        let chosen = self.votes.iter().rposition(|cast| cast.fate == Fate::Chosen);
        chosen.unwrap_or(0)
    }

    pub(super) fn value(&self, vote: usize) -> &Record {
        &self.votes[vote].value.0
    }

    /// A vote as drives have it.
    pub(super) fn vote(&self, vote: usize) -> Vote<Record> {
        Vote {
            ballot: ballot(vote),
            value: self.value(vote).clone(),
        }
    }

    /// Returns whether an upload is open in the latest chosen value.
    pub(super) fn is_open(&self, upload: u8) -> bool {
        let record = self.value(self.latest());
        let object = record.object();
        object.is_some_and(|object| object.uploads.iter().any(|open| open.id == u128::from(upload)))
    }

    /// The vote by which an upload is gone, if it is.
    pub(super) fn ended_by(&self, upload: u8) -> Option<usize> {
        let has = |cast: &Cast| {
            let object = cast.value.0.object();
            object.is_some_and(|object| object.uploads.iter().any(|open| open.id == u128::from(upload)))
        };
        let chosen = |at: &usize| self.votes[*at].fate == Fate::Chosen;
        let mut after = (0..self.votes.len())
            .filter(chosen)
            .skip_while(|at| !has(&self.votes[*at]));
        after.find(|at| !has(&self.votes[*at]))
    }

    /// Returns how many drives hold a folder.
    pub(super) fn holding(&self, folder: Folder) -> usize {
        self.drives
            .iter()
            .filter(|drive| drive.key.folders.contains(&folder))
            .count()
    }

    /// Returns whether some drive has forgotten an upload's parts.
    pub(super) fn is_forgotten(&self, upload: u8) -> bool {
        self.drives.iter().any(|drive| drive.forgot >> upload & 1 == 1)
    }
}

/// The upload of a folder, as drives remember it with the folder; 0 is none.
pub(super) fn upload_of(folder: Folder) -> u128 {
    part_of(folder).map_or(0, |(upload, _, _)| upload.into())
}
