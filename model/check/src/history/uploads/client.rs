//! Clients with the machines that serve them.

use model::protocol::Folder;
use model::record::Part;
use model::upload::{Abort, Complete, Event, Step, UploadPart};
use std::collections::{BTreeMap, BTreeSet};

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// What is under way.
    pub running: Option<Running>,
    /// Requests that it has begun.
    pub begun: u8,
    /// Whether it wants no more.
    pub over: bool,
    /// Whether it was answered, and not told that nothing is known.
    pub answered: bool,
    /// Whether it was told that its request is done.
    pub done: bool,
    /// Once its part is staged, whether its upload was open then.
    pub staged: Option<bool>,
    /// By part number, the folders that its completion may name: chosen at a moment since it began.
    pub window: BTreeMap<u16, BTreeSet<Folder>>,
}

/// A request that is being served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The machine.
    pub machine: Machine,
    /// What it wants.
    pub step: Step,
    /// The vote that it waits for.
    pub vote: Option<usize>,
}

/// A machine of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// A put, delete or get: one step.
    Plain,
    /// `model::upload`'s.
    Part(UploadPart),
    /// `model::upload`'s.
    Complete(Complete),
    /// `model::upload`'s.
    Abort(Abort),
}

impl Machine {
    /// Goes on; a plain request is over with its one step.
    pub fn on(&mut self, event: Event) -> Option<Step> {
        match self {
            Machine::Plain => match event {
                Event::Voted(outcome, _) => Some(Step::Answer(outcome)),
                _ => None,
            },
            Machine::Part(machine) => machine.on(event),
            Machine::Complete(machine) => machine.on(event),
            Machine::Abort(machine) => machine.on(event),
        }
    }
}

/// A part's register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartRegister {
    /// Its value.
    pub chosen: Option<Part>,
    /// A vote that may yet be chosen.
    pub open: Option<Part>,
    /// Every folder that it ever named.
    pub named: BTreeSet<Folder>,
}
