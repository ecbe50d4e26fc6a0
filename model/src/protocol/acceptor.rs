//! A drive's side of the register.

use super::mutant::{Mutant, Mutation};
use super::value::new_folders;
use super::{Ballot, Brief, Chained, DriveState, Folder, Membership, Nack, Reply, Request, Snapshot, Value, Vote};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Durable state of one register on a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Register<V> {
    /// The highest vote.
    pub accepted: Vote<V>,
    /// The chosen vote that `accepted` follows; equal to `accepted` once that is committed.
    pub prev: Vote<V>,
    /// `accepted` is known to be chosen.
    pub committed: bool,
    /// Folders held that older votes named, and that `accepted` and `prev` do not. Whether those votes can still be
    /// chosen is not known before `accepted` is; then they go (`drive.no-garbage`).
    pub superseded: BTreeSet<Folder>,
}

impl<V: Value> Register<V> {
    /// The register of a key that was never written: absence is chosen.
    #[must_use]
    pub fn absent() -> Self {
        Register::committed(Vote::absent())
    }

    /// The register of a key whose highest vote is known to be chosen.
    #[must_use]
    pub fn committed(vote: Vote<V>) -> Self {
        Register {
            committed: true,
            ..Register::open(vote.clone(), vote)
        }
    }

    /// The register of a key whose highest vote is not known to be chosen.
    #[must_use]
    pub fn open(accepted: Vote<V>, prev: Vote<V>) -> Self {
        Register {
            accepted,
            prev,
            committed: false,
            superseded: BTreeSet::new(),
        }
    }
}

/// State of one key while a drive answers a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyState<V> {
    /// The highest promise, in memory only: a reboot replaces it by the floor.
    pub promised: Ballot,
    /// The durable part.
    pub register: Register<V>,
    /// The data folders of this key that the drive holds, staged or live.
    pub folders: BTreeSet<Folder>,
    /// The drive may speak for the key: false while it may have lost what it voted for
    /// (`heal.authority-is-earned`). A vote makes it true.
    pub known: bool,
}

impl<V: Value> KeyState<V> {
    /// A key of which the drive knows nothing.
    #[must_use]
    pub fn empty() -> Self {
        KeyState {
            promised: Ballot::ZERO,
            register: Register::absent(),
            folders: BTreeSet::new(),
            known: true,
        }
    }

    /// A key of which a drive has lost whatever it knew.
    #[must_use]
    pub fn lost() -> Self {
        KeyState {
            known: false,
            ..KeyState::empty()
        }
    }
}

/// Effect that must happen before the reply leaves, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DriveEffect {
    /// Store the drive's epoch and `hi` durably.
    PersistDrive,
    /// Store the key's register durably.
    PersistRegister,
    /// Store the key's register without waiting for it to be durable: losing it costs a repeated
    /// Resolve, never a vote.
    PersistRegisterLazily,
    /// These folders are no longer held: remove them. Never before the register's change is durable.
    Remove(Vec<Folder>),
}

/// Answers messages to one drive about one key.
#[derive(Debug)]
pub struct Acceptor<'a, V> {
    /// The drive.
    pub drive: &'a mut DriveState,
    /// The key.
    pub key: &'a mut KeyState<V>,
    /// This drive's index in its set.
    pub index: u8,
    /// The mutant that is switched on, if any.
    pub mutation: Mutation,
}

/// High-water marks of a drive for a key: the ballots that it refuses, and the stored numbers by which it goes on to
/// refuse them after a restart. No step lowers any of them.
#[derive(Clone, Copy, Debug)]
struct HighWater {
    epoch: u64,
    hi: u64,
    floor: Ballot,
    /// No ballot at or below it is promised anew.
    refused: Ballot,
}

impl HighWater {
    fn of<V>(drive: &DriveState, key: &KeyState<V>) -> HighWater {
        HighWater {
            epoch: drive.epoch,
            hi: drive.hi,
            floor: drive.floor,
            refused: key.promised.max(key.register.accepted.ballot).max(drive.floor),
        }
    }

    /// Asserts that nothing has fallen; with a mutant that `forgets`, what is refused of the key may.
    fn assert_not_below(&self, before: &HighWater, forgets: bool) {
        assert!(self.epoch >= before.epoch, "drive.epoch-fences: the epoch has fallen");
        assert!(self.hi >= before.hi, "drive.hi-covers: hi has fallen");
        assert!(self.floor >= before.floor, "drive.promise-holds: the floor has fallen");
        assert!(
            forgets || self.refused >= before.refused,
            "drive.promise-holds: a promise or a vote is forgotten without a floor"
        );
    }
}

impl<V: Chained> Acceptor<'_, V> {
    /// Applies an Accept that carries a change. A drive that lacks the change's base refuses and changes nothing.
    pub fn step_brief(&mut self, brief: &Brief<V>) -> (Reply<V>, Vec<DriveEffect>) {
        match brief.on(&self.key.register, self.mutation) {
            Some((vote, prev)) => self.step(Request::Accept { vote, prev }),
            None => (Reply::Refused(self.nack()), Vec::new()),
        }
    }
}

impl<V: Value> Acceptor<'_, V> {
    /// Applies a message. The reply may leave only after the effects have happened, and after those of
    /// every earlier step on this drive: a snapshot or a repeated acknowledgement speaks for them too.
    ///
    /// # Panics
    /// If the step takes back what the drive has promised: a bug, with which the drive must not go on.
    pub fn step(&mut self, request: Request<V>) -> (Reply<V>, Vec<DriveEffect>) {
        let before = HighWater::of(self.drive, self.key);
        let stepped = self.apply(request);
        let forgets = [Mutant::PurgeWithoutFloor, Mutant::PurgeForgetsPromise];
        let forgets = forgets.into_iter().any(|mutant| self.mutation.is(mutant));
        HighWater::of(self.drive, self.key).assert_not_below(&before, forgets);
        let Register { accepted, prev, .. } = &self.key.register;
        assert!(
            prev.ballot <= accepted.ballot,
            "register.chain: the vote before the accepted one is not an older one"
        );
        stepped
    }

    fn apply(&mut self, request: Request<V>) -> (Reply<V>, Vec<DriveEffect>) {
        let mut effects = Vec::new();
        if self.drive.membership == Membership::Unjoined {
            return (Reply::Refused(self.nack()), effects);
        }
        if let Some(ballot) = request.ballot().filter(|_| request.is_fenced()) {
            if ballot.epoch < self.drive.epoch {
                return (Reply::Refused(self.nack()), effects);
            }
            let joins = ballot.epoch > self.drive.epoch;
            self.drive.epoch = ballot.epoch;
            // A refused round needs no cover: nothing is promised.
            let votes = self.would_vote(&request) && !self.mutation.is(Mutant::HiNotRaised);
            // A vote is stored in any case: `hi` goes along, so that promises rarely wait for it.
            let ahead = match request {
                Request::Accept { .. } => DriveState::RESERVE / 2,
                _ => 0,
            };
            let covers = votes && self.drive.cover(ballot.round, ahead);
            if joins || covers {
                effects.push(DriveEffect::PersistDrive);
            }
        }
        let reply = match request {
            Request::Prepare { ballot } => self.prepare(ballot),
            Request::Accept { vote, prev } => self.accept(vote, prev, &mut effects),
            Request::Finalize { ballot } => self.finalize(ballot, &mut effects),
            Request::Discard { ballot, folder } => self.discard_staged(ballot, folder, &mut effects),
            Request::Install { ballot, vote, shards } => self.install(ballot, vote, shards, &mut effects),
            Request::Purge { ballot } => self.purge(ballot, &mut effects),
            Request::Read => Reply::Read(self.snapshot()),
            Request::Fence { .. } | Request::Membership => Reply::Membership {
                epoch: self.drive.epoch,
                whole: self.drive.membership == Membership::Active,
            },
        };
        (reply, effects)
    }

    /// Returns whether the request will be granted, or accepted as a new vote.
    fn would_vote(&self, request: &Request<V>) -> bool {
        match request {
            Request::Prepare { ballot } => self.may_promise(*ballot) || self.mutation.is(Mutant::NoFencing),
            Request::Accept { vote, prev } => self.may_accept(vote, prev),
            _ => false,
        }
    }

    fn prepare(&mut self, ballot: Ballot) -> Reply<V> {
        if !self.may_promise(ballot) && !self.mutation.is(Mutant::NoFencing) {
            return Reply::Refused(self.nack());
        }
        self.key.promised = self.key.promised.max(ballot);
        assert!(
            ballot.round <= self.drive.hi || self.mutation.is(Mutant::HiNotRaised),
            "drive.hi-covers: promised a round above hi"
        );
        Reply::Granted(self.snapshot())
    }

    fn accept(&mut self, vote: Vote<V>, prev: Vote<V>, effects: &mut Vec<DriveEffect>) -> Reply<V> {
        if vote == self.key.register.accepted {
            return Reply::Accepted;
        }
        if !self.may_accept(&vote, &prev) {
            return Reply::Refused(self.nack());
        }
        let ballot = vote.ballot;
        self.key.promised = self.key.promised.max(ballot);
        let mut dropped = if self.mutation.is(Mutant::PreviousDroppedAtAccept) {
            self.forget_folders_of(&prev.value, &vote.value)
        } else {
            Vec::new()
        };
        let superseded = self.superseded_by(&vote.value, &prev.value);
        self.key.register = Register {
            superseded,
            ..Register::open(vote, prev)
        };
        if self.mutation.is(Mutant::SupersededDroppedAtAccept) {
            dropped.extend(self.forget_superseded());
        }
        // All that the slot voted for before is of an older epoch, and chosen before this vote's base if at all.
        self.key.known = true;
        assert!(
            ballot.round <= self.drive.hi || self.mutation.is(Mutant::HiNotRaised),
            "drive.hi-covers: voted in a round above hi"
        );
        effects.push(if self.mutation.is(Mutant::ReplyBeforeDurable) {
            DriveEffect::PersistRegisterLazily
        } else {
            DriveEffect::PersistRegister
        });
        if !dropped.is_empty() {
            effects.push(DriveEffect::Remove(dropped));
        }
        Reply::Accepted
    }

    fn finalize(&mut self, ballot: Ballot, effects: &mut Vec<DriveEffect>) -> Reply<V> {
        let register = &mut self.key.register;
        if register.accepted.ballot != ballot || register.committed {
            return Reply::Done;
        }
        register.committed = true;
        let prev = std::mem::replace(&mut register.prev, register.accepted.clone());
        let value = register.accepted.value.clone();
        let mut dropped = if self.mutation.is(Mutant::FinalizeDropsKept) {
            self.forget_folders_of(&prev.value, &V::absent())
        } else if value.drops_unnamed() && !self.mutation.is(Mutant::FinalizeDropsNothing) {
            self.forget_folders_of(&prev.value, &value)
        } else {
            Vec::new()
        };
        dropped.extend(self.forget_superseded());
        // Were the flag lost after the removal, the drive would still name a previous value whose data
        // it no longer has.
        if dropped.is_empty() {
            effects.push(DriveEffect::PersistRegisterLazily);
        } else {
            effects.extend([DriveEffect::PersistRegister, DriveEffect::Remove(dropped)]);
        }
        Reply::Done
    }

    fn discard_staged(&mut self, ballot: Ballot, folder: Folder, effects: &mut Vec<DriveEffect>) -> Reply<V> {
        let register = &self.key.register;
        if self.mutation.is(Mutant::BestEffortUndo) && register.accepted.ballot == ballot {
            self.key.register.accepted = register.prev.clone();
            self.key.register.committed = true;
            self.key.folders.remove(&folder);
            effects.extend([DriveEffect::PersistRegister, DriveEffect::Remove(vec![folder])]);
            return Reply::Done;
        }
        // A promise that was forgotten, at a restart or from memory, is at or below the floor. Whoever had it may
        // have counted this drive's shard.
        let forgotten = if self.mutation.is(Mutant::DiscardIgnoresFloor) {
            Ballot::ZERO
        } else {
            self.drive.floor
        };
        let fenced = register.accepted.ballot == ballot && self.key.promised.max(forgotten) <= ballot;
        let named = names(&register.accepted.value, folder) || names(&register.prev.value, folder);
        let may_drop = fenced || self.mutation.is(Mutant::DiscardWithoutAccepted);
        if may_drop && !named && self.key.folders.remove(&folder) {
            effects.push(DriveEffect::Remove(vec![folder]));
        }
        Reply::Done
    }

    /// Takes over a chosen vote, if nobody has prepared since the healer that found it chosen
    /// (`heal.install-is-chosen`).
    fn install(
        &mut self,
        ballot: Ballot,
        vote: Vote<V>,
        shards: Vec<Folder>,
        effects: &mut Vec<DriveEffect>,
    ) -> Reply<V> {
        let promised = self.key.promised == ballot || self.mutation.is(Mutant::InstallWithoutPromise);
        let lower = vote.ballot < self.key.register.accepted.ballot && !self.mutation.is(Mutant::InstallLowersVote);
        if !promised || lower {
            return Reply::Refused(self.nack());
        }
        if self.drive.cover(vote.ballot.round, DriveState::RESERVE / 2) {
            effects.push(DriveEffect::PersistDrive);
        }
        let replaced = if self.mutation.is(Mutant::InstallReplacesShards) {
            std::mem::take(&mut self.key.folders)
        } else {
            BTreeSet::new()
        };
        self.key
            .folders
            .extend(shards.into_iter().filter(|folder| names(&vote.value, *folder)));
        let superseded = self.superseded_by(&vote.value, &vote.value);
        let installed = Register {
            superseded,
            ..Register::committed(vote.clone())
        };
        let old = std::mem::replace(&mut self.key.register, installed);
        self.key.known = true;
        effects.push(DriveEffect::PersistRegister);
        if !replaced.is_empty() {
            effects.push(DriveEffect::Remove(replaced.into_iter().collect()));
        }
        if vote.value.drops_unnamed() {
            let mut dropped = self.forget_folders_of(&old.prev.value, &vote.value);
            dropped.extend(self.forget_superseded());
            if !dropped.is_empty() {
                effects.push(DriveEffect::Remove(dropped));
            }
        }
        Reply::Done
    }

    /// Forgets a tombstone; the floor goes on refusing what it refused (`delete.purge-is-total`).
    fn purge(&mut self, ballot: Ballot, effects: &mut Vec<DriveEffect>) -> Reply<V> {
        let register = &self.key.register;
        let is_tombstone = !ballot.is_zero()
            && register.accepted.ballot == ballot
            && register.committed
            && register.accepted.value.is_absent();
        // Whoever has a higher promise would lose this drive's vote: once the promise has left memory, or later.
        let may_forget = self.key.promised <= ballot || self.mutation.is(Mutant::PurgeForgetsPromise);
        if is_tombstone && may_forget {
            self.key.register = Register::absent();
            self.key.promised = Ballot::ZERO;
            if !self.mutation.is(Mutant::PurgeWithoutFloor) {
                self.drive.forget(ballot);
            }
            effects.push(DriveEffect::PersistRegister);
        }
        Reply::Done
    }

    /// Returns whether a ballot is above all that was promised, voted for or forgotten.
    fn may_promise(&self, ballot: Ballot) -> bool {
        ballot
            > self
                .key
                .promised
                .max(self.key.register.accepted.ballot)
                .max(self.drive.floor)
    }

    fn may_accept(&self, vote: &Vote<V>, prev: &Vote<V>) -> bool {
        let ballot = vote.ballot;
        let promised = self.key.promised == ballot && ballot > self.key.register.accepted.ballot;
        let unfenced = self.mutation.is(Mutant::NoFencing) && ballot != self.key.register.accepted.ballot;
        (promised || unfenced || self.may_promise(ballot))
            && prev.ballot < ballot
            && (self.holds_new_shards(vote, prev) || self.mutation.is(Mutant::AcceptWithoutShard))
    }

    /// Returns whether the drive has every new shard that the vote says it has (`put.accepted-means-staged`).
    ///
    /// What it has since lost of older values is the business of heal: neither a replaced drive nor a
    /// lost shard may keep a key from being written. So folders that `prev` names are not asked for, nor
    /// those of the very value that it voted for before.
    fn holds_new_shards(&self, vote: &Vote<V>, prev: &Vote<V>) -> bool {
        vote.value == self.key.register.accepted.value
            || new_folders(&vote.value, &prev.value)
                .iter()
                .all(|need| !need.holders.contains(self.index) || self.key.folders.contains(&need.folder))
    }

    /// Takes out of the key's folders what `old` names and `new` does not. Folders that neither names
    /// are staged for writes that others have in hand.
    fn forget_folders_of(&mut self, old: &V, new: &V) -> Vec<Folder> {
        let KeyState { folders, register, .. } = &mut *self.key;
        let unnamed = new_folders(old, new).into_iter().map(|need| need.folder);
        let dropped: Vec<Folder> = unnamed.filter(|folder| folders.remove(folder)).collect();
        for folder in &dropped {
            register.superseded.remove(folder);
        }
        dropped
    }

    /// The folders held that votes before this one named, and that neither it nor its prev names.
    fn superseded_by(&self, value: &V, prev: &V) -> BTreeSet<Folder> {
        let old = &self.key.register;
        if !value.drops_unnamed() || self.mutation.is(Mutant::SupersededForgotten) {
            return BTreeSet::new();
        }
        let replaced = [&old.accepted.value, &old.prev.value].into_iter();
        let replaced = replaced.filter(|replaced| *replaced != value && *replaced != prev);
        let mut left: BTreeSet<Folder> = replaced
            .flat_map(Value::folders)
            .map(|need| need.folder)
            .chain(old.superseded.iter().copied())
            .filter(|folder| self.key.folders.contains(folder))
            .collect();
        if !left.is_empty() {
            left.retain(|folder| !names(value, *folder) && !names(prev, *folder));
        }
        left
    }

    /// Once the accepted vote is chosen: takes what older votes named out of the key's folders. A vote that was never
    /// chosen may have named parts that the value's open uploads need: then it stays for later.
    fn forget_superseded(&mut self) -> Vec<Folder> {
        let register = &mut self.key.register;
        if register.accepted.value.awaits_parts() && !self.mutation.is(Mutant::InstallDropsParts) {
            return Vec::new();
        }
        let superseded = std::mem::take(&mut register.superseded).into_iter();
        superseded.filter(|folder| self.key.folders.remove(folder)).collect()
    }

    fn snapshot(&self) -> Snapshot<V> {
        let Register {
            accepted,
            prev,
            committed,
            superseded: _,
        } = self.key.register.clone();
        Snapshot {
            accepted,
            prev,
            committed,
            folders: self.key.folders.iter().copied().collect(),
            authoritative: self.key.known || self.mutation.is(Mutant::WipedSpeaks),
            floor: self.drive.floor,
            epoch: self.drive.epoch,
        }
    }

    fn nack(&self) -> Nack {
        Nack {
            promised: self.key.promised.max(self.key.register.accepted.ballot),
            floor: self.drive.floor,
            epoch: self.drive.epoch,
        }
    }
}

fn names<V: Value>(value: &V, folder: Folder) -> bool {
    value.folders().iter().any(|need| need.folder == folder)
}

#[cfg(test)]
mod tests;
