//! Clients with the machines that serve them.

use model::protocol::Folder;
use model::record::Part;
use model::upload::{Abort, Complete, Event, Step, UploadPart};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// The request in progress.
    pub running: Option<Running>,
    /// Number of attempts that it has begun.
    pub begun: u8,
    /// True if it will send nothing more.
    pub over: bool,
    /// True if it received a definite reply.
    pub answered: bool,
    /// True if its request succeeded.
    pub done: bool,
    /// Set once its part is staged: true if its upload was open at that moment.
    pub staged: Option<bool>,
    /// The folders that its completion may name, by part number: those that were chosen at a moment since it began.
    pub window: BTreeMap<u16, BTreeSet<Folder>>,
}

/// A request that is being served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    pub machine: Machine,
    /// The step that the machine requests.
    pub step: Step,
    /// The vote that it waits for.
    pub vote: Option<usize>,
}

/// A machine of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// A put, delete or get: a single step.
    Plain,
    Part(UploadPart),
    Complete(Complete),
    Abort(Abort),
}

impl Machine {
    /// Passes an event to the machine and returns its next step. A plain request ends with its vote.
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

/// The register of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartRegister {
    pub chosen: Option<Part>,
    /// A vote that may yet be chosen.
    pub open: Option<Part>,
    /// Every folder that it ever named.
    pub named: BTreeSet<Folder>,
}
