//! Records and files for the tests of this module.
#![allow(clippy::disallowed_methods, reason = "tests look at a drive's files from outside")]

pub(crate) use super::conformance::records::{ballot, object, object_of, part, part_data, upload};

use crate::runtime::{File, FileId, Files, OpenMode, real::RealRuntime};
use model::{
    protocol::{Ballot, Drives, Register, Vote},
    record::{Bucket, Content, Record},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A vote for an object in folder `name`, that no drive need hold.
pub(crate) fn vote(round: u64, name: u128) -> Vote<Record> {
    Vote {
        ballot: ballot(round),
        value: object(name, name, Drives::NONE),
    }
}

fn record_strategy() -> impl Strategy<Value = Record> {
    let names = any::<u128>();
    let content = prop_oneof![
        Just(Content::Absent),
        (any::<u128>(), any::<u64>()).prop_map(|(incarnation, created_nanos)| Content::Bucket(Bucket {
            incarnation,
            created_nanos
        })),
        (any::<u16>(), any::<u128>(), any::<u16>()).prop_map(|(number, folder, holders)| {
            part(0, number, folder, Drives::from_bits(holders)).content().clone()
        }),
        (any::<u128>(), any::<u128>(), 0..4usize).prop_map(|(folder, id, uploads)| {
            let parts = (1..4)
                .map(|n| part_data(n, folder ^ u128::from(n), Drives::all(4)))
                .collect();
            let uploads = (0..uploads as u128).map(|n| upload(id ^ n)).collect();
            object_of(0, parts, uploads).content().clone()
        }),
    ];
    (names, content).prop_map(|(name, content)| Record::new(name, content))
}

fn vote_strategy() -> impl Strategy<Value = Vote<Record>> {
    let ballot = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>());
    (ballot, record_strategy()).prop_map(|((epoch, round, node, boot), value)| Vote {
        ballot: Ballot {
            epoch,
            round,
            node,
            boot,
        },
        value,
    })
}

pub(crate) fn register_strategy() -> impl Strategy<Value = Register<Record>> {
    let superseded = prop::collection::btree_set(any::<u128>(), 0..3);
    let parts = (vote_strategy(), vote_strategy(), any::<bool>(), superseded);
    parts.prop_map(|(accepted, prev, committed, superseded)| {
        let register = if committed {
            Register::committed(accepted)
        } else {
            Register::open(accepted, prev)
        };
        Register { superseded, ..register }
    })
}

/// The host's files; the runtime that owns them may have ended.
pub(crate) fn host_files() -> Arc<dyn Files> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let _context = tokio.enter();
    RealRuntime::new().files()
}

pub(crate) fn open_file(path: &Path, mode: OpenMode) -> Arc<dyn File> {
    host_files().open(path, mode).expect("opens")
}

/// A file on a file system that is full as long as the switch is on.
#[derive(Debug)]
pub(crate) struct FullFile(pub(crate) Arc<dyn File>, pub(crate) Arc<AtomicBool>);

impl FullFile {
    fn check(&self) -> io::Result<()> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl File for FullFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.0.write_at(offset, data)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.0.sync()
    }
    fn id(&self) -> io::Result<FileId> {
        self.0.id()
    }
}

/// Every file and folder below `root`, with its bytes: two trees are equal if nothing was changed.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}
