//! State of a simulated drive and the operations on it. Locked by [`super::SimDrive`].

use super::{
    faults::{Faults, eio},
    inode::Inode,
    names::{Change, Name, Names, ROOT},
};
use crate::world::Process;
use madsim::rand::Rng;
use std::{collections::BTreeMap, io, sync::Arc};
use store::runtime::{Entry, Kind, OpenMode};

/// A file with its links and open descriptors.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) inode: Inode,
    linked: bool,
    opens: u32,
}

impl Slot {
    fn in_use(&self) -> bool {
        self.linked || self.opens > 0
    }
}

/// Path relative to a folder's inode.
#[derive(Clone)]
pub(super) struct Below {
    pub(super) folder: u64,
    pub(super) names: Vec<String>,
}

struct Lock {
    ticket: u64,
    process: Arc<Process>,
}

pub(super) struct State {
    pub(super) faults: Faults,
    names: Names,
    pub(super) slots: BTreeMap<u64, Slot>,
    /// Locks by inode. A lock is free once the process that took it has ended.
    locks: BTreeMap<u64, Lock>,
    next_inode: u64,
    next_ticket: u64,
    /// Raised to make every descriptor stale.
    pub(super) epoch: u64,
    pub(super) used_bytes: u64,
    pub(super) removed: bool,
    /// Number of times that an index file was replaced.
    pub(super) compactions: u64,
    /// Remaining writes and syncs that succeed before the drive is cut off.
    cut_after: Option<u64>,
    pub(super) cut: bool,
}

impl Default for State {
    fn default() -> Self {
        State {
            faults: Faults::default(),
            names: Names::default(),
            slots: BTreeMap::new(),
            locks: BTreeMap::new(),
            next_inode: ROOT + 1,
            next_ticket: 0,
            epoch: 0,
            used_bytes: 0,
            removed: false,
            compactions: 0,
            cut_after: None,
            cut: false,
        }
    }
}

/// Outcome of a write or sync that is not refused.
#[derive(PartialEq, Eq)]
enum Fate {
    Succeeds,
    /// Takes effect but reports an error: the drive was cut off meanwhile.
    Ambiguous,
}

impl State {
    // ---- names

    pub(super) fn walk(&self, path: &Below) -> io::Result<u64> {
        self.walk_names(path.folder, &path.names)
    }

    fn walk_names(&self, from: u64, names: &[String]) -> io::Result<u64> {
        if self.removed {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut inode = from;
        for name in names {
            let folder = self.names.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
            inode = *folder.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    pub(super) fn folder(&self, path: &Below) -> io::Result<u64> {
        let inode = self.walk(path)?;
        self.names.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(inode)
    }

    /// Returns the inodes of the files below a folder, in order of their names.
    pub(super) fn files_below(&self, path: &Below) -> Vec<u64> {
        let mut files = Vec::new();
        let mut left: Vec<u64> = self.walk(path).into_iter().collect();
        while let Some(inode) = left.pop() {
            match self.names.folder(inode) {
                Some(folder) => left.extend(folder.values().rev()),
                None => files.push(inode),
            }
        }
        files
    }

    /// Returns the names below a folder with their inodes, files and folders.
    pub(super) fn names_below(&self, path: &Below) -> Vec<(String, u64)> {
        let (mut found, mut left) = (Vec::new(), vec![(String::new(), self.walk(path).ok())]);
        while let Some((above, inode)) = left.pop() {
            let names = inode.and_then(|inode| self.names.folder(inode));
            for (name, inode) in names.into_iter().flatten() {
                let name = format!("{above}/{name}");
                found.push((name.clone(), *inode));
                left.push((name, Some(*inode)));
            }
        }
        found
    }

    /// Returns what a file holds for who reads it without a fault.
    pub(super) fn bytes(&mut self, inode: u64) -> io::Result<Vec<u8>> {
        let inode = &self.slot(inode)?.inode;
        let mut bytes = vec![0; usize::try_from(inode.len()).unwrap_or(usize::MAX)];
        let len = inode.read(0, &mut bytes);
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Resolves a path to a name in an existing folder.
    fn name(&self, from: u64, names: &[String]) -> io::Result<Name> {
        // The root of a mounted drive can be neither made, renamed nor removed.
        let (name, parent) = names.split_last().ok_or(io::ErrorKind::ResourceBusy)?;
        let folder = self.walk_names(from, parent)?;
        self.names.folder(folder).ok_or(io::ErrorKind::NotADirectory)?;
        Ok((folder, name.clone()))
    }

    /// # Errors
    /// `NotFound` when an open folder has been removed: no names can be made in it any more.
    fn takes_names(&self, folder: u64) -> io::Result<()> {
        if folder == ROOT || self.names.is_named(folder) {
            return Ok(());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    pub(super) fn kind(&self, inode: u64) -> Kind {
        if self.names.folder(inode).is_some() {
            Kind::Folder
        } else {
            Kind::File
        }
    }

    pub(super) fn read_dir(&self, path: &Below, rng: &mut impl Rng) -> io::Result<Vec<Entry>> {
        let inode = self.walk(path)?;
        let folder = self.names.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
        self.read_fault(rng)?;
        Ok(folder
            .iter()
            .map(|(name, inode)| Entry {
                name: name.clone(),
                kind: self.kind(*inode),
            })
            .collect())
    }

    pub(super) fn create_dir_all(&mut self, path: &Below, rng: &mut impl Rng) -> io::Result<()> {
        let (from, names) = (path.folder, &path.names);
        for depth in 1..=names.len() {
            match self.walk_names(from, &names[..depth]) {
                Ok(inode) if self.kind(inode) == Kind::Folder => continue,
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.removed => {}
                Err(error) => return Err(error),
            }
            let name = self.name(from, &names[..depth])?;
            self.takes_names(name.0)?;
            self.need_space(1)?;
            let fate = self.mutation(rng)?;
            let (inode, parent) = (self.new_inode(), name.0);
            self.names.change(Change::LinkFolder(name, inode));
            fate.end()?;
            self.sync_folder(parent, rng)?;
        }
        Ok(())
    }

    /// Opens a file and returns its inode.
    pub(super) fn open(&mut self, path: &Below, mode: OpenMode, rng: &mut impl Rng) -> io::Result<u64> {
        let inode = match self.walk(path) {
            Ok(_) if mode == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(inode) if self.kind(inode) == Kind::Folder => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(inode) => {
                self.read_fault(rng)?;
                inode
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && makes(mode) => self.make_file(path, rng)?,
            Err(error) => return Err(error),
        };
        self.slot(inode)?.opens += 1;
        Ok(inode)
    }

    fn make_file(&mut self, path: &Below, rng: &mut impl Rng) -> io::Result<u64> {
        let name = self.name(path.folder, &path.names)?;
        self.takes_names(name.0)?;
        self.need_space(1)?;
        let fate = self.mutation(rng)?;
        let inode = self.new_inode();
        self.slots.insert(
            inode,
            Slot {
                linked: true,
                ..Slot::default()
            },
        );
        self.names.change(Change::LinkFile(name, inode));
        fate.end()?;
        Ok(inode)
    }

    /// Forgets one descriptor of a file.
    pub(super) fn close(&mut self, inode: u64) {
        if let Some(slot) = self.slots.get_mut(&inode) {
            slot.opens -= 1;
            self.release(inode);
        }
    }

    /// Makes all descriptors stale; `epoch` must be greater than that of any of them.
    pub(super) fn forget_descriptors(&mut self, epoch: u64) {
        self.epoch = epoch;
        let open: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.opens > 0)
            .map(|(inode, _)| *inode)
            .collect();
        for inode in open {
            if let Some(slot) = self.slots.get_mut(&inode) {
                slot.opens = 0;
                self.release(inode);
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Below, to: &Below, rng: &mut impl Rng) -> io::Result<()> {
        let is_index = to.names.last().is_some_and(|name| name == "index.redb");
        let into_itself = to.names.len() > from.names.len() && to.names.starts_with(&from.names);
        let (old, to) = (self.name(from.folder, &from.names)?, self.name(to.folder, &to.names)?);
        let (from, inode) = (old, self.walk(from)?);
        if into_itself {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let replaced = self.names.get(&to).filter(|replaced| *replaced != inode);
        if let Some(replaced) = replaced {
            match (self.kind(inode), self.kind(replaced)) {
                (Kind::File, Kind::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
                (Kind::Folder, Kind::File) => return Err(io::ErrorKind::NotADirectory.into()),
                (Kind::Folder, _) if self.names.folder(replaced).is_some_and(|names| !names.is_empty()) => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        let fate = self.mutation(rng)?;
        self.names.change(Change::Rename(from, to));
        if let Some(replaced) = replaced {
            self.unlinked(replaced);
            self.compactions += u64::from(is_index);
        }
        fate.end()
    }

    pub(super) fn remove(&mut self, path: &Below, kind: Kind, rng: &mut impl Rng) -> io::Result<()> {
        let (name, inode) = (self.name(path.folder, &path.names)?, self.walk(path)?);
        match (kind, self.kind(inode)) {
            (Kind::File, Kind::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            (Kind::Folder, Kind::File) => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        if self.names.folder(inode).is_some_and(|names| !names.is_empty()) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let fate = self.mutation(rng)?;
        self.names.change(Change::Unlink(name));
        self.unlinked(inode);
        fate.end()
    }

    pub(super) fn sync_dir(&mut self, path: &Below, rng: &mut impl Rng) -> io::Result<()> {
        let inode = self.folder(path)?;
        self.sync_folder(inode, rng)
    }

    fn sync_folder(&mut self, inode: u64, rng: &mut impl Rng) -> io::Result<()> {
        if self.mutation(rng)? == Fate::Ambiguous || rng.gen_bool(self.faults.sync_error) {
            return Err(eio());
        }
        if !rng.gen_bool(self.faults.lying_sync) {
            self.names.sync(inode);
            self.forget_nameless();
        }
        Ok(())
    }

    /// Locks an inode; returns a ticket to release the lock with.
    pub(super) fn lock(&mut self, inode: u64, process: &Arc<Process>) -> io::Result<u64> {
        if self.locks.get(&inode).is_some_and(|held| held.process.is_alive()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.next_ticket += 1;
        self.locks.insert(
            inode,
            Lock {
                ticket: self.next_ticket,
                process: process.clone(),
            },
        );
        Ok(self.next_ticket)
    }

    pub(super) fn unlock(&mut self, inode: u64, ticket: u64) {
        if self.locks.get(&inode).is_some_and(|held| held.ticket == ticket) {
            self.locks.remove(&inode);
        }
    }

    // ---- content

    pub(super) fn read(&mut self, inode: u64, offset: u64, buf: &mut [u8], rng: &mut impl Rng) -> io::Result<usize> {
        self.read_fault(rng)?;
        let len = self.slot(inode)?.inode.read(offset, buf);
        if len > 0 && rng.gen_bool(self.faults.read_flip) {
            buf[rng.gen_range(0..len)] ^= 1 << rng.gen_range(0..8);
        }
        Ok(len)
    }

    pub(super) fn write(&mut self, inode: u64, offset: u64, data: &[u8], rng: &mut impl Rng) -> io::Result<()> {
        offset
            .checked_add(data.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let missing = self.slot(inode)?.inode.missing(offset, data.len() as u64);
        self.need_space(missing)?;
        let fate = self.mutation(rng)?;
        self.change(inode, |inode| inode.write(offset, data))?;
        fate.end()
    }

    pub(super) fn set_len(&mut self, inode: u64, len: u64, rng: &mut impl Rng) -> io::Result<()> {
        let fate = self.mutation(rng)?;
        self.change(inode, |inode| inode.set_len(len))?;
        fate.end()
    }

    pub(super) fn punch(&mut self, inode: u64, offset: u64, len: u64, rng: &mut impl Rng) -> io::Result<()> {
        let fate = self.mutation(rng)?;
        self.change(inode, |inode| inode.punch(offset, len))?;
        fate.end()
    }

    pub(super) fn sync(&mut self, inode: u64, rng: &mut impl Rng) -> io::Result<()> {
        if self.mutation(rng)? == Fate::Ambiguous {
            return Err(eio());
        }
        if rng.gen_bool(self.faults.sync_error) {
            self.slot(inode)?.inode.sync_in_vain(rng);
            return Err(eio());
        }
        if !rng.gen_bool(self.faults.lying_sync) {
            self.slot(inode)?.inode.sync();
        }
        Ok(())
    }

    pub(super) fn slot(&mut self, inode: u64) -> io::Result<&mut Slot> {
        self.slots.get_mut(&inode).ok_or_else(eio)
    }

    // ---- faults

    /// Loses power: an arbitrary part of what was not synced survives; descriptors become stale, locks are released.
    pub(super) fn power_loss(&mut self, rng: &mut impl Rng) {
        self.epoch += 1;
        self.locks.clear();
        (self.cut_after, self.cut) = (None, false);
        self.names.power_loss(rng);
        let named = self.names.named();
        self.slots.retain(|inode, _| named.contains(inode));
        for slot in self.slots.values_mut() {
            slot.inode.power_loss(rng);
            (slot.linked, slot.opens) = (true, 0);
        }
        self.used_bytes = self.slots.values().map(|slot| slot.inode.allocated()).sum();
    }

    pub(super) fn cut_after(&mut self, writes: u64) {
        self.cut_after = Some(writes);
    }

    /// Returns the outcome of the next write or sync.
    fn mutation(&mut self, rng: &mut impl Rng) -> io::Result<Fate> {
        if self.cut {
            return Err(eio());
        }
        match &mut self.cut_after {
            Some(0) => {
                self.cut = true;
                // The write in progress may have reached the drive's own cache, and then perhaps the media.
                return if rng.gen_bool(0.5) {
                    Ok(Fate::Ambiguous)
                } else {
                    Err(eio())
                };
            }
            Some(left) => *left -= 1,
            None => {}
        }
        if rng.gen_bool(self.faults.write_error) {
            Err(eio())
        } else {
            Ok(Fate::Succeeds)
        }
    }

    fn read_fault(&self, rng: &mut impl Rng) -> io::Result<()> {
        if rng.gen_bool(self.faults.read_error) {
            Err(eio())
        } else {
            Ok(())
        }
    }

    fn need_space(&self, bytes: u64) -> io::Result<()> {
        if bytes > 0 && self.used_bytes + bytes > self.faults.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    // ---- inodes

    fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode - 1
    }

    /// Changes a file's content, and the used space with it.
    fn change(&mut self, inode: u64, change: impl FnOnce(&mut Inode)) -> io::Result<()> {
        let slot = self.slot(inode)?;
        let before = slot.inode.allocated();
        change(&mut slot.inode);
        let after = slot.inode.allocated();
        self.used_bytes = self.used_bytes + after - before;
        Ok(())
    }

    fn unlinked(&mut self, inode: u64) {
        if let Some(slot) = self.slots.get_mut(&inode) {
            slot.linked = false;
            self.release(inode);
        }
    }

    /// Counts a file's space as free once it has neither a name nor a descriptor. Its bytes are kept: the media may
    /// still have a name for it, which a power loss brings back.
    fn release(&mut self, inode: u64) {
        if let Some(slot) = self.slots.get(&inode).filter(|slot| !slot.in_use()) {
            self.used_bytes -= slot.inode.allocated();
        }
    }

    /// Drops the content of files that have no name in the cache, on the media or in the journal.
    fn forget_nameless(&mut self) {
        if self.slots.values().any(|slot| !slot.in_use()) {
            let named = self.names.named();
            self.slots.retain(|inode, slot| slot.in_use() || named.contains(inode));
        }
    }
}

impl Fate {
    fn end(self) -> io::Result<()> {
        if self == Fate::Ambiguous { Err(eio()) } else { Ok(()) }
    }
}

fn makes(mode: OpenMode) -> bool {
    matches!(mode, OpenMode::CreateNew | OpenMode::Create)
}
