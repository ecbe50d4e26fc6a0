//! Group commit: whatever waits is applied in its order, made durable by one transaction, and answered.
//!
//! One task per drive. Its batches run one after the other in the commit lane, and nothing else writes to
//! the index. `drive.reply-after-durable`: no reply of a batch leaves before the batch is durable, also none
//! that needs nothing itself, for it may tell of what an earlier message of the batch changed. A batch in
//! which nothing has to be durable costs no transaction.

use super::{
    compaction,
    keys::Keys,
    pending::Pending,
    queue::{AnswerTo, Message},
    slow::SlowCommits,
    staged::remove_shard,
    state::{Shared, lock},
};
use crate::{
    drive::{
        DriveError, IndexError, ListFrom, RegisterKey, Staging, decode_register,
        index::{Durable, Held, Hold, RowChange},
    },
    runtime::{Lane, Mutant, of_protocol, of_uploads, run, spawn},
};
use model::{
    protocol::{Acceptor, Ballot, DriveEffect, DriveState, Folder, Reply, Request, Value},
    record::Record,
};
use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

/// Messages of one batch.
const BATCH_MESSAGES_MAX: usize = 256;
/// Bytes of small shards of one batch.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Interval of housekeeping.
const TICK: Duration = Duration::from_secs(1);
/// Part registers looked at at once when an upload ends.
const PARTS_PAGE: usize = 1000;

/// An answer and whom it goes to, held back until the batch is durable.
enum Outgoing {
    Reply(AnswerTo<Reply<Record>>, Result<Reply<Record>, DriveError>),
    Done(AnswerTo<()>, Result<(), DriveError>),
}

impl Outgoing {
    /// Sends the answer. A dropped receiver (cancelled caller) is ignored.
    fn send(self, failed: Option<&DriveError>) {
        fn tell<T>(to: AnswerTo<T>, result: Result<T, DriveError>, failed: Option<&DriveError>) {
            to.send(failed.cloned().map_or(result, Err)).ok();
        }
        match self {
            Outgoing::Reply(to, result) => tell(to, result, failed),
            Outgoing::Done(to, result) => tell(to, result, failed),
        }
    }
}

/// Serves the queue until it is closed.
pub(super) async fn serve(shared: Arc<Shared>, mut core: Core, mut queue: mpsc::Receiver<Message>) {
    let mut ticked = shared.rt.mono();
    loop {
        let now = shared.rt.mono();
        let wait = (ticked + TICK).min(core.pending.deadline().unwrap_or(Duration::MAX));
        let first = tokio::select! {
            biased;
            message = queue.recv() => Some(message),
            () = shared.rt.sleep(wait.saturating_sub(now)) => None,
        };
        let (batch, closed) = match first {
            Some(None) => (Vec::new(), true),
            Some(Some(first)) => core.collect(first, &mut queue),
            None => (Vec::new(), false),
        };
        let now = shared.rt.mono();
        let tick = now >= ticked + TICK;
        if tick {
            ticked = now;
        }
        let job = move || {
            core.step(batch, now, tick);
            if closed {
                core.close();
            }
            core
        };
        match run(&shared.executor, Lane::Commit, job).await {
            Ok(_) if closed => return,
            Ok(back) => core = back,
            Err(gone) => {
                shared.health.fail(format!("its commit thread ended: {gone}"));
                break;
            }
        }
        if shared.health.check().is_err() {
            break;
        }
    }
    // Who still waits in the queue is told the reason, whatever the last calls take.
    queue.close();
    while queue.try_recv().is_ok() {}
    let failed = shared.clone();
    run(&shared.executor, Lane::Commit, move || failed.release()).await.ok();
    shared.released.send_replace(true);
}

/// The drive's state machine with its effects.
pub(super) struct Core {
    shared: Arc<Shared>,
    drive: DriveState,
    keys: Keys,
    pending: Pending,
    /// The last commit was one before the drive rests.
    at_rest: bool,
    /// A message was applied since the last tick.
    busy: bool,
    outgoing: Vec<Outgoing>,
    slow: SlowCommits,
    /// Callers that wait for the drive to be closed.
    closing: Vec<AnswerTo<()>>,
}

impl Core {
    pub(super) fn new(shared: Arc<Shared>, drive: DriveState) -> Core {
        Core {
            shared,
            drive,
            keys: Keys::default(),
            pending: Pending::default(),
            at_rest: false,
            busy: false,
            outgoing: Vec::new(),
            slow: SlowCommits::default(),
            closing: Vec::new(),
        }
    }

    /// A batch: `first` and what waits behind it. Whether the drive is to be closed after it.
    fn collect(&mut self, first: Message, queue: &mut mpsc::Receiver<Message>) -> (Vec<Message>, bool) {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(message) = next {
            if let Message::Close { answer } = message {
                self.closing.push(answer);
                return (batch, true);
            }
            self.shared.waiting_bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
            bytes += message.bytes();
            batch.push(message);
            let full = batch.len() >= BATCH_MESSAGES_MAX || bytes >= BATCH_BYTES_MAX;
            next = if full { None } else { queue.try_recv().ok() };
        }
        if self.shared.mutation.is(Mutant::CallsReversed) {
            batch.reverse();
        }
        (batch, false)
    }

    /// Applies a batch and answers it.
    fn step(&mut self, batch: Vec<Message>, now: Duration, tick: bool) {
        let failed = self.try_step(batch, now, tick).err();
        for outgoing in self.outgoing.drain(..) {
            outgoing.send(failed.as_ref());
        }
        compaction::adopt(&self.shared);
    }

    fn try_step(&mut self, batch: Vec<Message>, now: Duration, tick: bool) -> Result<(), DriveError> {
        // A failed drive has no state left to go on with; whoever waits in the batch sees the reason.
        self.shared.health.check()?;
        self.busy |= !batch.is_empty();
        for message in batch {
            self.apply(message).map_err(|error| self.shared.index_failed(&error))?;
        }
        if self.shared.mutation.is(Mutant::ReplyBeforeCommit) {
            self.outgoing.drain(..).for_each(|outgoing| outgoing.send(None));
        }
        if self.pending.is_due(now) {
            self.commit(false)?;
        }
        if tick {
            self.tick()?;
        }
        self.keys.shrink(&mut self.drive);
        if self.shared.mutation.is(Mutant::FloorForgotten) {
            self.drive.floor = Ballot::ZERO;
        }
        self.publish_floor();
        Ok(())
    }

    /// Shows readers the floor. Of the rest they see what is durable.
    fn publish_floor(&self) {
        let published = *lock(&self.shared.drive);
        let floor = self.drive.floor;
        self.shared.publish(DriveState { floor, ..published });
    }

    fn tick(&mut self) -> Result<(), DriveError> {
        let busy = mem::take(&mut self.busy);
        if !busy && !self.at_rest {
            self.commit(true)?;
        }
        self.shared.check_still_there()?;
        self.shared.check_log_still_there()?;
        self.shared.reserve.tend();
        Ok(())
    }

    /// Ends cleanly, if the drive still can.
    fn close(&mut self) {
        if self.shared.health.check().is_ok() && self.commit(true).is_ok() {
            // Jobs whose turn comes later find the drive closed (`drive.removed-after-jobs`).
            let removing = mem::take(&mut *lock(&self.shared.removing));
            for (folder, part) in removing {
                remove_shard(&self.shared, folder, part);
            }
            self.shared.health.close();
        }
        if let Err(error) = self.shared.index.close() {
            tracing::warn!(drive = %self.shared.path.display(), %error, "the index was not closed cleanly");
        }
        lock(&self.shared.lock).take();
        self.shared.root.close();
        self.shared.released.send_replace(true);
        for answer in self.closing.drain(..) {
            answer.send(Ok(())).ok();
        }
    }

    /// Makes all changes durable, then removes the files that nothing names any more.
    fn commit(&mut self, rest: bool) -> Result<(), DriveError> {
        if self.pending.drive {
            self.pending.changes.drive = Some((self.drive.epoch, self.drive.hi));
        }
        for key in &self.pending.keys {
            if let Some(entry) = self.keys.get_mut(key).filter(|entry| entry.dirty) {
                entry.dirty = false;
                let register = entry.state.register.clone();
                self.pending.changes.registers.push((key.clone(), Some(register)));
                self.keys.settle(key);
            }
        }
        // What the commit makes readers forget is below the floor that they read after it.
        self.publish_floor();
        let result = self.commit_index(rest);
        result.map_err(|error| self.shared.index_failed(&error))?;
        self.shared.publish(self.drive);
        self.shared.check_still_there()?;
        self.at_rest = rest;
        self.shared.recording.durable();
        let Pending { unnamed, .. } = mem::take(&mut self.pending);
        self.remove_unnamed(unnamed);
        Ok(())
    }

    /// The commit itself, timed.
    fn commit_index(&mut self, rest: bool) -> Result<(), IndexError> {
        let shared = &self.shared;
        let began = shared.rt.mono();
        shared.meter.commit_begins(began);
        let durable = match (rest, shared.reserve.is_kept()) {
            (true, _) => Durable::Rest,
            (false, true) => Durable::Logged,
            // Nothing may pile up that needs room later.
            (false, false) => Durable::Checkpoint,
        };
        let result = shared.index.commit(&self.pending.changes, durable);
        let now = shared.rt.mono();
        let took = now.saturating_sub(began);
        shared.meter.commit_ended(took, self.outgoing.len() as u64);
        self.slow.ended(&shared.path, now, took);
        result
    }

    /// Removes files beside the commits. What a crash leaves of them goes at the next start.
    fn remove_unnamed(&self, unnamed: Vec<(Folder, u16)>) {
        if unnamed.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        lock(&shared.removing).extend(unnamed.iter().copied());
        let removal = async move {
            let job = move |shared: &Shared| {
                for (folder, part) in unnamed {
                    remove_shard(shared, folder, part);
                }
                Ok(())
            };
            shared.run(job).await.ok();
        };
        spawn(&self.shared.rt, "remove shards", removal);
    }

    fn apply(&mut self, message: Message) -> Result<(), IndexError> {
        match message {
            Message::Register { key, request, answer } => {
                let reply = self.register(&key, request)?;
                self.outgoing.push(Outgoing::Reply(answer, reply));
            }
            Message::StageSmall {
                staging,
                framed,
                key,
                then,
                answer,
            } => {
                self.hold(staging, false, Hold::Small(framed));
                let reply = self.register(&key, then)?;
                self.outgoing.push(Outgoing::Reply(answer, reply));
            }
            Message::StagedFile {
                staging,
                guard,
                key,
                then,
                answer,
            } => {
                // From here on the row may become durable, whoever still waits: the file stays.
                guard.keep();
                self.hold(staging, true, Hold::File);
                self.pending.staged.push(guard);
                let reply = self.register(&key, then)?;
                self.outgoing.push(Outgoing::Reply(answer, reply));
            }
            Message::Abandon { owner, folder, answer } => {
                let done = self.abandon(&owner, folder)?;
                self.outgoing.push(Outgoing::Done(answer, done));
            }
            Message::EndUpload {
                owner,
                upload,
                ended,
                answer,
            } => {
                let done = self.end_upload(&owner, upload, ended)?;
                self.outgoing.push(Outgoing::Done(answer, done));
            }
            // Taken out when the batch was collected.
            Message::Close { answer } => self.closing.push(answer),
        }
        Ok(())
    }

    fn register(
        &mut self,
        key: &RegisterKey,
        request: Request<Record>,
    ) -> Result<Result<Reply<Record>, DriveError>, IndexError> {
        let recording = &self.shared.recording;
        let view = || self.shared.index.view();
        let entry = self.keys.load(key, view, &self.pending.changes, recording)?;
        // `drive.installs-staged`
        if let Request::Install { shards, .. } = &request
            && !self.shared.mutation.is(Mutant::InstallsUnstaged)
            && shards.iter().any(|folder| !entry.held.contains_key(folder))
        {
            return Ok(Err(DriveError::NotFound));
        }
        let input = recording.input(&self.drive, &entry.state, &request);
        let mut acceptor = Acceptor {
            drive: &mut self.drive,
            key: &mut entry.state,
            index: recording.index(),
            mutation: of_protocol(self.shared.mutation),
        };
        let (reply, effects) = acceptor.step(request);
        recording.stepped(key, input, &reply, &effects);
        for effect in effects {
            match effect {
                DriveEffect::PersistDrive => (self.pending.drive, self.pending.durable) = (true, true),
                DriveEffect::PersistRegister => {
                    self.pending.durable = true;
                    self.mark_dirty(key);
                }
                DriveEffect::PersistRegisterLazily => self.mark_dirty(key),
                DriveEffect::Remove(folders) => self.remove(key, &folders),
            }
        }
        Ok(Ok(reply))
    }

    fn mark_dirty(&mut self, key: &RegisterKey) {
        if let Some(entry) = self.keys.get_mut(key)
            && !mem::replace(&mut entry.dirty, true)
        {
            self.pending.keys.push(key.clone());
        }
    }

    fn hold(&mut self, staging: Staging, file: bool, change: Hold) {
        let Staging {
            owner,
            folder,
            upload,
            part,
        } = staging;
        let upload = upload.unwrap_or(0);
        let held = Held { upload, part, file };
        self.change_row(RowChange {
            owner,
            folder,
            held,
            change,
        });
        self.pending.durable = true;
    }

    /// Lets folders of a loaded key go.
    fn remove(&mut self, key: &RegisterKey, folders: &[Folder]) {
        let owner = key.part_of().map_or_else(|| key.clone(), |part| part.owner);
        for folder in folders {
            let held = self.keys.get_mut(key).and_then(|entry| entry.held.get(folder).copied());
            if let Some(held) = held {
                let (owner, folder, change) = (owner.clone(), *folder, Hold::Removed);
                self.change_row(RowChange {
                    owner,
                    folder,
                    held,
                    change,
                });
            }
        }
    }

    fn change_row(&mut self, row: RowChange) {
        if matches!(row.change, Hold::Removed) && row.held.file {
            self.pending.unnamed.push((row.folder, row.held.part));
        }
        self.keys.apply(&row);
        self.pending.changes.rows.push(row);
    }

    /// `put.abandon-before-accept`. A folder that is not held was never staged, or has gone already.
    fn abandon(&mut self, owner: &RegisterKey, folder: Folder) -> Result<Result<(), DriveError>, IndexError> {
        let obeys = self.shared.mutation.is(Mutant::AbandonAfterAccept);
        if self.named(owner)?.contains(&folder) && !obeys {
            tracing::error!(drive = %self.shared.path.display(), ?owner, "asked to abandon a folder that a vote names");
            return Ok(Err(DriveError::StillReferenced));
        }
        self.remove(owner, &[folder]);
        Ok(Ok(()))
    }

    /// The folders that the votes for a key name, and those of older votes that may yet be chosen.
    fn named(&mut self, key: &RegisterKey) -> Result<BTreeSet<Folder>, IndexError> {
        let view = || self.shared.index.view();
        let entry = self
            .keys
            .load(key, view, &self.pending.changes, &self.shared.recording)?;
        let register = &entry.state.register;
        let votes = [&register.accepted, &register.prev];
        let named = votes.iter().flat_map(|vote| vote.value.folders());
        let named = named.map(|need| need.folder);
        Ok(named.chain(register.superseded.iter().copied()).collect())
    }

    /// `multipart.end-is-known`.
    fn end_upload(
        &mut self,
        owner: &RegisterKey,
        upload: u128,
        ended: Ballot,
    ) -> Result<Result<(), DriveError>, IndexError> {
        let view = || self.shared.index.view();
        let entry = self
            .keys
            .load(owner, view, &self.pending.changes, &self.shared.recording)?;
        let (register, held) = (&entry.state.register, entry.held.iter());
        let held = held.map(|(folder, held)| (*folder, held.upload));
        let mutation = of_uploads(self.shared.mutation);
        let Some(folders) = model::upload::left_by(register, upload, ended, held, mutation) else {
            return Ok(Err(DriveError::Behind));
        };
        self.remove(owner, &folders);
        self.forget_parts(owner, upload)?;
        self.pending.durable = true;
        Ok(Ok(()))
    }

    /// Removes the registers of an upload's parts. What they promised and voted for is below the floor from
    /// now on (`drive.promise-holds`).
    fn forget_parts(&mut self, owner: &RegisterKey, upload: u128) -> Result<(), IndexError> {
        let Some(prefix) = owner.parts_of(upload) else {
            return Ok(());
        };
        for key in self.keys.below(&prefix) {
            if let Some(entry) = self.keys.remove(&key) {
                let ballot = entry.state.promised.max(entry.state.register.accepted.ballot);
                self.drive.forget(ballot);
                self.shared.recording.removed(&key);
                self.pending.changes.registers.push((key, None));
            }
        }
        let view = self.shared.index.view()?;
        let mut from = ListFrom::Start;
        loop {
            let (parts, complete) = view.list(&prefix, &from, PARTS_PAGE)?;
            if let Some(last) = parts.last_key() {
                from = ListFrom::After(last.to_vec());
            }
            for (key, row) in parts.iter() {
                self.drive.forget(decode_register(row)?.accepted.ballot);
                let key = RegisterKey::from_bytes(key.to_vec());
                self.shared.recording.removed(&key);
                self.pending.changes.registers.push((key, None));
            }
            if complete {
                return Ok(());
            }
        }
    }
}
