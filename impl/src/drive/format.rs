//! `format.json`: which deployment a drive belongs to, and which of its drives it is.
//!
//! The rules are in `specs/format.md`, under the names cited here. Two of them shape the code:
//! - `format.refuse-changes-nothing`: everything is looked at before anything is written.
//! - `format.complete-after-all`: a drive counts as part of a deployment only once every drive of it has its
//!   `format.json` and its index. So a first start that a crash cut short can be finished, and a drive that
//!   is empty later is one that was wiped or replaced.

mod error;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use error::FormatError;
pub use file::{FORMAT, VERSION};

use super::index::Index;
use crate::runtime::{Entry, Files, Guard, Kind, OpenMode};
use error::{Given, uuid};
use file::{Format, Parsed};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The folder of everything on a drive that is not shards.
pub(crate) const SYSTEM_FOLDER: &str = ".minio.sys";
/// The folder of shards.
pub(crate) const DATA_FOLDER: &str = "data";

const FORMAT_FILE: &str = "format.json";
const FORMAT_TEMP_FILE: &str = "format.json.tmp";
const INDEX_FILE: &str = "index.redb";
const INDEX_TEMP_FILE: &str = "index.redb.tmp";

/// Where a drive's `format.json` is.
pub(crate) fn format_path(drive: &Path) -> PathBuf {
    drive.join(SYSTEM_FOLDER).join(FORMAT_FILE)
}

/// Where a drive's index is.
pub(crate) fn index_path(drive: &Path) -> PathBuf {
    drive.join(SYSTEM_FOLDER).join(INDEX_FILE)
}

/// The drives of one node's deployment.
#[derive(Debug)]
pub struct Opened {
    /// The deployment's UUID, big-endian.
    pub deployment: u128,
    /// In the order of the paths given; `set_size` of them make an erasure set.
    pub drives: Vec<Slot>,
}

/// One drive's place in the deployment.
#[derive(Debug)]
pub enum Slot {
    /// It has the drive that belongs there.
    Ready(ReadySlot),
    /// What it has cannot be told or used: unknown, never absent.
    Offline {
        /// The path given.
        path: PathBuf,
        /// Why, for operators.
        reason: String,
    },
}

/// A drive in its place, locked for this process.
pub struct ReadySlot {
    /// The path given.
    pub path: PathBuf,
    /// The drive's UUID, big-endian.
    pub drive: u128,
    /// The erasure set.
    pub set: usize,
    /// The drive's index within the set.
    pub index: u8,
    /// Of the folder that was at the path, whatever has become of the path since.
    pub(crate) files: Arc<dyn Files>,
    /// Held while the drive is open.
    pub(crate) lock: Guard,
}

impl fmt::Debug for ReadySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadySlot {
            path,
            drive,
            set,
            index,
            ..
        } = self;
        let drive = uuid(*drive);
        write!(f, "ReadySlot {{ {path:?}, drive {drive}, set {set}, index {index} }}")
    }
}

/// Opens the drives at `paths`, in sets of `set_size`, and formats them if all are empty. `fresh` gives new
/// random identifiers. Blocks.
///
/// # Errors
/// [`FormatError`]; then nothing on any drive has changed, unless the error is `FirstStart`.
pub fn open_all(
    files: &Arc<dyn Files>,
    paths: &[PathBuf],
    set_size: usize,
    fresh: &mut dyn FnMut() -> u128,
) -> Result<Opened, FormatError> {
    check_paths(paths, set_size)?;
    check_folders(&**files, paths)?;
    let mut drives = Vec::with_capacity(paths.len());
    for path in paths {
        drives.push(look_at(files, path)?);
    }
    let Some(reference) = reference(&drives) else {
        if let Some(reason) = drives.iter().find_map(Found::offline) {
            return Err(FormatError::NoFormat { reason });
        }
        let format = Format::new(fresh(), paths.len(), set_size, fresh);
        return first_start(drives, &format);
    };
    check_topology(&drives, &reference, set_size)?;
    let formatted = drives
        .iter()
        .any(|drive| drive.format().is_some_and(|format| format.complete));
    if !formatted {
        // No drive has ever served: what an earlier start began is finished. A drive whose `format.json` has
        // rotted since is offline from the start, as it would be later; to wait for one helps only if it can
        // come back.
        let absent = drives.iter().filter(|drive| !drive.is_damaged());
        return match absent.filter_map(Found::offline).next() {
            Some(reason) => Err(FormatError::Unfinished { reason }),
            None => first_start(drives, &reference),
        };
    }
    Ok(Opened {
        deployment: reference.deployment,
        drives: drives.into_iter().map(slot).collect(),
    })
}

fn check_paths(paths: &[PathBuf], set_size: usize) -> Result<(), FormatError> {
    let drives = paths.len();
    if matches!(drives, 0 | 2 | 3) {
        return Err(FormatError::TooFew { drives });
    }
    if set_size == 0 || set_size > 16 || !drives.is_multiple_of(set_size) {
        return Err(FormatError::SetSize { drives, set_size });
    }
    for (n, path) in paths.iter().enumerate() {
        if paths[..n].iter().any(|other| other.components().eq(path.components())) {
            return Err(FormatError::Twice { path: path.clone() });
        }
    }
    Ok(())
}

/// Two names of one folder. Paths that do not exist yet are told apart when they are locked.
fn check_folders(files: &dyn Files, paths: &[PathBuf]) -> Result<(), FormatError> {
    let ids: Vec<_> = paths.iter().map(|path| files.id(path).ok()).collect();
    match (1..ids.len()).find(|n| ids[*n].is_some() && ids[..*n].contains(&ids[*n])) {
        None => Ok(()),
        Some(n) => Err(FormatError::Twice { path: paths[n].clone() }),
    }
}

/// What is at a path.
struct Found {
    path: PathBuf,
    /// Of the folder that was found there; of the host if there was none.
    files: Arc<dyn Files>,
    state: State,
}

enum State {
    /// Nothing, or a folder without anything of anybody.
    Clean {
        missing: bool,
    },
    Formatted {
        format: Format,
        lock: Guard,
    },
    Offline {
        reason: String,
        /// Its `format.json` has been read, and is not to be used.
        damaged: bool,
    },
}

impl Found {
    fn format(&self) -> Option<&Format> {
        match &self.state {
            State::Formatted { format, .. } => Some(format),
            _ => None,
        }
    }

    fn is_damaged(&self) -> bool {
        matches!(self.state, State::Offline { damaged: true, .. })
    }

    fn offline(&self) -> Option<String> {
        match &self.state {
            State::Offline { reason, .. } => Some(format!("{}: {reason}", self.path.display())),
            _ => None,
        }
    }
}

/// Looks at a path without writing.
fn look_at(host: &Arc<dyn Files>, path: &Path) -> Result<Found, FormatError> {
    // `drive.opened-root`
    let rooted = host.rooted(path);
    let files = rooted.as_ref().unwrap_or(host);
    let found = |state| {
        let (path, files) = (path.to_owned(), files.clone());
        Found { path, files, state }
    };
    let offline = |what: &str, error: &dyn fmt::Display| {
        let reason = format!("{what}: {error}");
        let damaged = false;
        found(State::Offline { reason, damaged })
    };
    let entries = match rooted
        .as_ref()
        .map_err(copy_of)
        .and_then(|rooted| rooted.read_dir(path))
    {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found(State::Clean { missing: true })),
        Err(error) => return Ok(offline("cannot read the folder", &error)),
    };
    let system = path.join(SYSTEM_FOLDER);
    if !entries.iter().any(|entry| entry.name == SYSTEM_FOLDER) {
        check_foreign(path, &entries, &[])?;
        return Ok(found(State::Clean { missing: false }));
    }
    let lock = match files.lock(&system) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(FormatError::Locked { path: path.to_owned() });
        }
        Err(error) => return Ok(offline("cannot lock .minio.sys", &error)),
    };
    match read_all(&**files, &format_path(path)) {
        Ok(bytes) => match file::parse(path, &bytes)? {
            Parsed::Ours(format) => Ok(found(State::Formatted { format, lock })),
            Parsed::Corrupt(error) => {
                let (reason, damaged) = (format!("format.json is not readable: {error}"), true);
                Ok(found(State::Offline { reason, damaged }))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A first start that was cut short before its first file left an empty folder, or half a file.
            let inside = match files.read_dir(&system) {
                Ok(inside) => inside,
                Err(error) => return Ok(offline("cannot read .minio.sys", &error)),
            };
            check_foreign(path, &entries, &[SYSTEM_FOLDER])?;
            check_foreign(&system, &inside, &[FORMAT_TEMP_FILE])?;
            Ok(found(State::Clean { missing: false }))
        }
        Err(error) => Ok(offline("cannot read format.json", &error)),
    }
}

/// An error has no copy; what it was is kept.
fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

/// `format.foreign-data`: what nobody can tell the owner of is not overwritten.
fn check_foreign(folder: &Path, entries: &[Entry], known: &[&str]) -> Result<(), FormatError> {
    let is_known = |entry: &&Entry| entry.name == "lost+found" || known.contains(&&*entry.name);
    match entries.iter().find(|entry| !is_known(entry)) {
        None => Ok(()),
        Some(entry) => Err(FormatError::ForeignData {
            path: folder.to_owned(),
            name: entry.name.clone(),
        }),
    }
}

/// The format that the others are compared with: a complete one before one that is not, then the first.
fn reference(drives: &[Found]) -> Option<Format> {
    let formats = || drives.iter().filter_map(Found::format);
    formats()
        .find(|format| format.complete)
        .or_else(|| formats().next())
        .cloned()
}

/// `format.topology`: every drive that can be read is of this deployment, and in its place.
fn check_topology(drives: &[Found], reference: &Format, set_size: usize) -> Result<(), FormatError> {
    let given = Given {
        drives: drives.len(),
        set_size,
    };
    for (position, drive) in drives.iter().enumerate() {
        let Some(format) = drive.format() else { continue };
        let path = || drive.path.clone();
        if format.drives().count() != given.drives || format.set_size() != set_size {
            let (path, found) = (path(), format.given());
            return Err(FormatError::Topology { path, given, found });
        }
        if format.deployment != reference.deployment {
            return Err(FormatError::OtherDeployment {
                path: path(),
                found: format.deployment,
                expected: reference.deployment,
            });
        }
        let found = reference.drives().position(|drive| drive == format.this);
        if format.sets != reference.sets || found != Some(position) {
            let path = path();
            let drive = format.this;
            return Err(FormatError::WrongSlot {
                path,
                drive,
                found,
                position,
            });
        }
    }
    Ok(())
}

/// Of a deployment that has been formatted.
fn slot(drive: Found) -> Slot {
    let Found { path, files, state } = drive;
    let (format, lock) = match state {
        State::Formatted { format, lock } => (format, lock),
        State::Offline { reason, .. } => return Slot::Offline { path, reason },
        // `format.wiped-is-unknown`
        State::Clean { missing } => {
            let what = if missing {
                "there is nothing at its path"
            } else {
                "it is empty"
            };
            let reason = format!(
                "{what}, but the other drives are formatted: was it unmounted, wiped or replaced? Healing a \
                 replaced drive is not built yet; nothing was written to it"
            );
            return Slot::Offline { path, reason };
        }
    };
    // Every drive had its first `format.json` when the first complete one was written, and a drive with an
    // incomplete one has never served: it is finished, with nothing in its index.
    if !format.complete
        && let Err(error) = finish(&*files, &path, &format)
    {
        let reason = format!("cannot finish its format: {error}");
        return Slot::Offline { path, reason };
    }
    ready(path, &format, files, lock)
}

/// Formats drives that are empty among others that are not, as if they had been there from the first start.
#[cfg(feature = "mutants")]
pub(crate) fn adopt_wiped(files: &Arc<dyn Files>, paths: &[PathBuf]) -> Result<(), FormatError> {
    let mut drives = Vec::with_capacity(paths.len());
    for path in paths {
        drives.push(look_at(files, path)?);
    }
    let Some(reference) = reference(&drives).filter(|format| format.complete) else {
        return Ok(());
    };
    for (this, drive) in reference.drives().zip(&drives) {
        if matches!(drive.state, State::Clean { missing: false }) {
            let format = Format {
                this,
                ..reference.clone()
            };
            let (files, path) = (&drive.files, &drive.path);
            let made = begin(files, path, &format).and_then(|_| create_index(&**files, path));
            made.map_err(|error| FormatError::first_start(&drive.path, error))?;
        }
    }
    Ok(())
}

fn ready(path: PathBuf, format: &Format, files: Arc<dyn Files>, lock: Guard) -> Slot {
    let (set, index) = format.place().unwrap_or_default();
    let drive = format.this;
    Slot::Ready(ReadySlot {
        path,
        drive,
        set,
        index,
        files,
        lock,
    })
}

/// Formats drives of which none is complete, each step on all of them before the next
/// (`format.complete-after-all`).
fn first_start(drives: Vec<Found>, format: &Format) -> Result<Opened, FormatError> {
    let mut begun = Vec::with_capacity(drives.len());
    for (this, Found { path, files, state }) in format.drives().zip(drives) {
        let format = Format {
            this,
            complete: false,
            ..format.clone()
        };
        begun.push(match state {
            State::Formatted { lock, .. } => Ok((path, format, files, lock)),
            State::Offline { reason, .. } => Err(Slot::Offline { path, reason }),
            State::Clean { .. } => match begin(&files, &path, &format) {
                Ok((files, lock)) => Ok((path, format, files, lock)),
                Err(error) => return Err(FormatError::first_start(&path, error)),
            },
        });
    }
    for (path, _, files, _) in begun.iter().flatten() {
        create_index(&**files, path).map_err(|error| FormatError::first_start(path, error))?;
    }
    let mut slots = Vec::with_capacity(begun.len());
    for drive in begun {
        slots.push(match drive {
            Ok((path, format, files, lock)) => {
                complete(&*files, &path, &format).map_err(|error| FormatError::first_start(&path, error))?;
                ready(path, &format, files, lock)
            }
            Err(offline) => offline,
        });
    }
    Ok(Opened {
        deployment: format.deployment,
        drives: slots,
    })
}

fn finish(files: &dyn Files, drive: &Path, format: &Format) -> io::Result<()> {
    create_index(files, drive)?;
    complete(files, drive, format)
}

/// `files` are those of the drive's folder, or of the host if there is none yet.
fn begin(files: &Arc<dyn Files>, drive: &Path, format: &Format) -> io::Result<(Arc<dyn Files>, Guard)> {
    files.create_dir_all(drive)?;
    let files = files.rooted(drive)?;
    let system = drive.join(SYSTEM_FOLDER);
    files.create_dir_all(&system)?;
    let lock = files.lock(&system)?;
    write_format(&*files, drive, format)?;
    Ok((files, lock))
}

fn complete(files: &dyn Files, drive: &Path, format: &Format) -> io::Result<()> {
    write_format(
        files,
        drive,
        &Format {
            complete: true,
            ..format.clone()
        },
    )
}

/// Replaces `format.json` as a whole, durably.
fn write_format(files: &dyn Files, drive: &Path, format: &Format) -> io::Result<()> {
    let system = drive.join(SYSTEM_FOLDER);
    let temp = system.join(FORMAT_TEMP_FILE);
    let file = files.open(&temp, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(0, format.to_json().as_bytes())?;
    file.sync()?;
    files.rename(&temp, &format_path(drive))?;
    files.sync_dir(&system)
}

/// An empty index in the place of whatever an unfinished start left there.
fn create_index(files: &dyn Files, drive: &Path) -> io::Result<()> {
    let system = drive.join(SYSTEM_FOLDER);
    files.create_dir_all(&drive.join(DATA_FOLDER))?;
    let temp = system.join(INDEX_TEMP_FILE);
    let file = files.open(&temp, OpenMode::Create)?;
    file.set_len(0)?;
    Index::create(file).map_err(|error| io::Error::other(format!("cannot make its index: {error}")))?;
    files.rename(&temp, &index_path(drive))?;
    files.sync_dir(&system)
}

/// A file of at most 1 MiB, which no `format.json` reaches.
fn read_all(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    if files.kind(path)? != Kind::File {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file"));
    }
    let file = files.open(path, OpenMode::Read)?;
    let len = file.len()?.min(1 << 20) as usize;
    let mut bytes = vec![0; len];
    let n = file.read_at(0, &mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
