//! A small value and a notation for snapshots, shared by the unit tests.

use super::{Ballot, Drives, Folder, FolderNeed, Snapshot, Value, Vote, write_quorum};
use std::collections::BTreeMap;

/// Names from here on are tombstones.
pub(crate) const TOMBSTONES: u8 = 90;

/// A value that is its name; each but absence and tombstones names one folder, called as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Named {
    pub(crate) name: u8,
    pub(crate) data: u8,
    pub(crate) write: u8,
    pub(crate) holders: Drives,
}

impl Value for Named {
    fn absent() -> Self {
        Named {
            name: 0,
            data: 0,
            write: 0,
            holders: Drives::NONE,
        }
    }

    fn is_absent(&self) -> bool {
        self.name == 0 || self.name >= TOMBSTONES
    }

    fn folders(&self) -> Vec<FolderNeed> {
        if self.is_absent() {
            return Vec::new();
        }
        vec![FolderNeed {
            folder: Folder::from(self.name),
            data: self.data,
            write: self.write,
            holders: self.holders,
        }]
    }
}

/// A value in a set with K = `data` and M = `parity`, whose holders are not recorded.
pub(crate) fn named(name: u8, data: u8, parity: u8) -> Named {
    if name == 0 {
        return Named::absent();
    }
    Named {
        name,
        data,
        write: write_quorum(data, parity),
        holders: Drives::NONE,
    }
}

pub(crate) fn ballot(round: u64) -> Ballot {
    Ballot { round, ..Ballot::ZERO }
}

/// Snapshots of drives 0, 1, … from words: `-` has nothing, `?` did not answer, `1@3<2@1` voted for value
/// 1 in round 3 after 2 in round 1, `1@3*` knows that it is chosen; then `+1` for each folder that it
/// holds, `~` if it may not speak for the key, `^9` for a floor.
pub(crate) fn snapshots(data: u8, parity: u8, words: &str) -> BTreeMap<u8, Snapshot<Named>> {
    let drives = words.split_whitespace().enumerate();
    let answered = drives.filter(|(_, word)| *word != "?");
    answered
        .map(|(drive, word)| (drive as u8, snapshot(data, parity, word)))
        .collect()
}

fn snapshot(data: u8, parity: u8, word: &str) -> Snapshot<Named> {
    let (word, floor) = word.split_once('^').unwrap_or((word, "0"));
    let authoritative = !word.ends_with('~');
    let mut parts = word.trim_end_matches('~').split('+');
    let register = parts.next().unwrap();
    let folders = parts.map(|name| name.parse().unwrap()).collect();
    let vote = |text: &str| {
        let (name, round) = text.split_once('@').unwrap();
        Vote {
            ballot: ballot(round.parse().unwrap()),
            value: named(name.parse().unwrap(), data, parity),
        }
    };
    let (accepted, prev, committed) = match register.split_once('<') {
        Some((accepted, prev)) => (vote(accepted), vote(prev), false),
        None if register == "-" => (Vote::absent(), Vote::absent(), true),
        None => (
            vote(register.trim_end_matches('*')),
            vote(register.trim_end_matches('*')),
            true,
        ),
    };
    Snapshot {
        accepted,
        prev,
        committed,
        folders,
        authoritative,
        floor: ballot(floor.parse().unwrap()),
        epoch: 0,
    }
}
