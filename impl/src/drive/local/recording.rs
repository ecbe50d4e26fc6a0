//! Trace of a drive's machine, if a recorder is attached.

use crate::{
    drive::RegisterKey,
    runtime::{Recorder, Rt},
};
use model::{
    protocol::{DriveEffect, DriveState, KeyState, Register, Reply, Request},
    record::Record,
    trace::{Event, Key, Place},
};
use std::sync::Arc;

/// A drive's way to the recorder.
pub(super) struct Recording {
    at: Place,
    recorder: Option<Arc<dyn Recorder>>,
}

/// The input of a step, kept until its outputs are known.
pub(super) struct Input {
    state: DriveState,
    folders: Vec<u128>,
    request: Request<Record>,
}

impl Recording {
    pub(super) fn new(rt: &Rt, set: usize, drive: u8) -> Recording {
        let set = u32::try_from(set).unwrap_or(u32::MAX);
        Recording {
            at: Place { set, drive },
            recorder: rt.recorder(),
        }
    }

    /// The drive's index in its set.
    pub(super) fn index(&self) -> u8 {
        self.at.drive
    }

    fn record(&self, event: impl FnOnce(Place) -> Event) {
        if let Some(recorder) = &self.recorder {
            recorder.record(event(self.at));
        }
    }

    pub(super) fn opened(&self, state: DriveState) {
        self.record(|at| Event::Opened { at, state });
    }

    pub(super) fn loaded(&self, key: &RegisterKey, register: &Register<Record>) {
        self.record(|at| Event::Loaded {
            at,
            key: key_of(key),
            register: register.clone(),
        });
    }

    /// Takes down the input of a step that is about to be made.
    pub(super) fn input(&self, state: &DriveState, key: &KeyState<Record>, request: &Request<Record>) -> Option<Input> {
        self.recorder.is_some().then(|| Input {
            state: *state,
            folders: key.folders.iter().copied().collect(),
            request: request.clone(),
        })
    }

    pub(super) fn stepped(
        &self,
        key: &RegisterKey,
        input: Option<Input>,
        reply: &Reply<Record>,
        effects: &[DriveEffect],
    ) {
        let Some(Input {
            state,
            folders,
            request,
        }) = input
        else {
            return;
        };
        self.record(|at| Event::Stepped {
            at,
            key: key_of(key),
            state,
            folders,
            request,
            reply: reply.clone(),
            effects: effects.to_vec(),
        });
    }

    pub(super) fn removed(&self, key: &RegisterKey) {
        self.record(|at| Event::Removed { at, key: key_of(key) });
    }

    pub(super) fn durable(&self) {
        self.record(|at| Event::Durable { at });
    }
}

fn key_of(key: &RegisterKey) -> Key {
    Key(key.as_bytes().to_vec())
}
