//! Key cache of a drive with CLOCK eviction: volatile promises, and the index's rows.
//!
//! A promise is nowhere else. When a key leaves, its promise becomes part of the floor
//! (`drive.promise-holds`), unless the vote for it is in the index.

use super::recording::Recording;
use crate::drive::{
    IndexError, RegisterKey,
    index::{Changes, Held, Hold, RowChange, View},
};
use model::{
    protocol::{DriveState, Folder, KeyState},
    record::Record,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

/// Weight of the keys that stay in memory, about 1 KiB each.
const WEIGHT_MAX: usize = 4096;

/// A key in memory.
pub(super) struct Entry {
    pub(super) state: KeyState<Record>,
    /// Location of each of `state.folders`.
    pub(super) held: BTreeMap<Folder, Held>,
    /// The register has changed since the last commit.
    pub(super) dirty: bool,
    /// Looked at since the clock's hand last passed.
    used: bool,
    weight: usize,
}

impl Entry {
    fn weigh(&self) -> usize {
        let register = &self.state.register;
        let parts = |value: &Record| {
            value
                .object()
                .map_or(0, |object| object.versions.len() + object.uploads.len())
        };
        let named = parts(&register.accepted.value) + parts(&register.prev.value);
        // A multipart version is as long as it has folders, all of which the drive holds or once held.
        1 + (named + self.held.len()) / 4
    }
}

/// The keys in memory, in a clock.
#[derive(Default)]
pub(super) struct Keys {
    /// Never iterated without sorting: its order differs between runs.
    entries: HashMap<RegisterKey, Entry>,
    clock: VecDeque<RegisterKey>,
    weight: usize,
}

impl Keys {
    /// A key, from memory or else as `view` and the changes after it have it.
    pub(super) fn load(
        &mut self,
        key: &RegisterKey,
        view: impl FnOnce() -> Result<Arc<View>, IndexError>,
        pending: &Changes,
        recording: &Recording,
    ) -> Result<&mut Entry, IndexError> {
        // Twice the lookup, for the borrow checker.
        if !self.entries.contains_key(key) {
            let view = view()?;
            let mut state = KeyState::empty();
            let removed = pending
                .registers
                .iter()
                .any(|(other, register)| other == key && register.is_none());
            if !removed {
                state.register = view.register(key)?;
            }
            let mut held = view.held(key)?;
            for row in pending.rows.iter().filter(|row| concerns(row, key)) {
                match row.change {
                    Hold::Removed => held.remove(&row.folder),
                    Hold::Small(_) | Hold::File => held.insert(row.folder, row.held),
                };
            }
            state.folders = held.keys().copied().collect();
            recording.loaded(key, &state.register);
            let (dirty, used, weight) = (false, true, 0);
            let mut entry = Entry {
                state,
                held,
                dirty,
                used,
                weight,
            };
            entry.weight = entry.weigh();
            self.weight += entry.weight;
            self.entries.insert(key.clone(), entry);
            self.clock.push_back(key.clone());
        }
        let entry = self.entries.get_mut(key).ok_or(IndexError::Closed)?;
        entry.used = true;
        Ok(entry)
    }

    /// A key, if it is in memory.
    pub(super) fn get_mut(&mut self, key: &RegisterKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Takes over a change of what is held, in the keys that are in memory.
    pub(super) fn apply(&mut self, row: &RowChange) {
        for key in [
            Some(row.owner.clone()),
            row.owner.part_register(row.held.upload, row.held.part),
        ] {
            let Some(entry) = key.and_then(|key| self.entries.get_mut(&key)) else {
                continue;
            };
            match row.change {
                Hold::Removed => {
                    entry.held.remove(&row.folder);
                    entry.state.folders.remove(&row.folder);
                }
                Hold::Small(_) | Hold::File => {
                    entry.held.insert(row.folder, row.held);
                    entry.state.folders.insert(row.folder);
                }
            }
        }
    }

    /// The keys in memory that begin with `prefix`, in order.
    pub(super) fn below(&self, prefix: &[u8]) -> Vec<RegisterKey> {
        let below = self.entries.keys().filter(|key| key.as_bytes().starts_with(prefix));
        let mut keys: Vec<_> = below.cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Forgets a key whose register is removed.
    pub(super) fn remove(&mut self, key: &RegisterKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.weight -= entry.weight;
        self.clock.retain(|other| other != key);
        Some(entry)
    }

    /// Takes a key's new weight into account.
    pub(super) fn settle(&mut self, key: &RegisterKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.weight -= entry.weight;
            entry.weight = entry.weigh();
            self.weight += entry.weight;
        }
    }

    /// Lets keys go until the rest is light enough. Keys with changes stay until those are committed.
    pub(super) fn shrink(&mut self, drive: &mut DriveState) {
        // Each key is passed at most twice: once to clear its mark, once to let it go.
        for _ in 0..2 * self.clock.len() {
            if self.weight <= WEIGHT_MAX {
                return;
            }
            let Some(key) = self.clock.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if entry.dirty || entry.used {
                entry.used = false;
                self.clock.push_back(key);
                continue;
            }
            self.weight -= entry.weight;
            let (promised, accepted) = (entry.state.promised, entry.state.register.accepted.ballot);
            self.entries.remove(&key);
            if promised > accepted {
                drive.forget(promised);
            }
        }
    }
}

/// Returns whether a change of what is held is one of a key's folders.
fn concerns(row: &RowChange, key: &RegisterKey) -> bool {
    row.owner == *key || row.owner.part_register(row.held.upload, row.held.part).as_ref() == Some(key)
}
