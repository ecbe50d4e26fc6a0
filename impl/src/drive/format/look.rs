//! Inspection of a drive's path, read-only.

use super::{
    FORMAT_TEMP_FILE, FormatError, Refusal, SYSTEM_FOLDER,
    file::{self, Format, Parsed},
    format_path,
};
use crate::runtime::{Entry, Files, Guard, Kind, OpenMode};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// State of a drive's path.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Files below the folder that was found; the host's if there was none.
    pub(super) files: Arc<dyn Files>,
    pub(super) state: State,
}

pub(super) enum State {
    /// Nothing, or a folder without anything of anybody.
    Clean { missing: bool },
    /// A drive with a format of ours.
    Formatted { format: Format, lock: Guard },
    /// Something that is not a drive of this deployment's, or not one that this program can use.
    Refused(Refusal),
    /// I/O error.
    Unreadable(String),
    /// Damaged `format.json`, with the reason.
    Damaged(String),
}

impl Found {
    pub(super) fn format(&self) -> Option<&Format> {
        match &self.state {
            State::Formatted { format, .. } => Some(format),
            _ => None,
        }
    }

    /// Returns whether it is empty, or has a format of ours.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, State::Clean { .. } | State::Formatted { .. })
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    /// Returns whether it is refused as one of several copies of a drive.
    pub(super) fn is_copy_of(&self, drive: u128) -> bool {
        matches!(&self.state, State::Refused(Refusal::Copy { drive: copied, .. }) if *copied == drive)
    }

    /// Returns why the drive is not taken; `None` if it is empty or formatted.
    pub(super) fn reason(&self) -> Option<String> {
        match &self.state {
            State::Clean { .. } | State::Formatted { .. } => None,
            State::Refused(refusal) => Some(refusal.to_string()),
            State::Unreadable(reason) | State::Damaged(reason) => Some(reason.clone()),
        }
    }

    /// The same, with its path.
    pub(super) fn named_reason(&self) -> Option<String> {
        let reason = self.reason()?;
        Some(format!("{}: {reason}", self.path.display()))
    }
}

/// Looks at a path.
///
/// # Errors
/// [`FormatError::Locked`]: another process serves the drive.
pub(super) fn look_at(host: &Arc<dyn Files>, path: &Path) -> Result<Found, FormatError> {
    // `drive.opened-root`
    let (files, opened) = match host.rooted(path) {
        Ok(rooted) => (rooted, Ok(())),
        Err(error) => (host.clone(), Err(error)),
    };
    let state = match opened.and_then(|()| files.read_dir(path)) {
        Ok(entries) => look_into(&*files, path, &entries)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::Clean { missing: true },
        Err(error) => unreadable("cannot read the folder", &error),
    };
    let path = path.to_owned();
    Ok(Found { path, files, state })
}

fn unreadable(what: &str, error: &dyn fmt::Display) -> State {
    State::Unreadable(format!("{what}: {error}"))
}

fn look_into(files: &dyn Files, path: &Path, entries: &[Entry]) -> Result<State, FormatError> {
    let system = path.join(SYSTEM_FOLDER);
    if !entries.iter().any(|entry| entry.name == SYSTEM_FOLDER) {
        return Ok(foreign("", entries, &[]).unwrap_or(State::Clean { missing: false }));
    }
    let lock = match files.lock(&system) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(FormatError::Locked { path: path.to_owned() });
        }
        Err(error) => return Ok(unreadable("cannot lock .minio.sys", &error)),
    };
    Ok(match read_all(files, &format_path(path)) {
        Ok(bytes) => match file::parse(&bytes) {
            Ok(Parsed::Ours(format)) => State::Formatted { format, lock },
            Ok(Parsed::Corrupt(error)) => State::Damaged(format!("format.json is not readable: {error}")),
            Err(refusal) => State::Refused(refusal),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A first start that was cut short before its first file left an empty folder, or half a file.
            match files.read_dir(&system) {
                Ok(inside) => foreign("", entries, &[SYSTEM_FOLDER])
                    .or_else(|| foreign(".minio.sys/", &inside, &[FORMAT_TEMP_FILE]))
                    .unwrap_or(State::Clean { missing: false }),
                Err(error) => unreadable("cannot read .minio.sys", &error),
            }
        }
        Err(error) => unreadable("cannot read format.json", &error),
    })
}

/// `format.foreign-data`: what nobody can tell the owner of is not overwritten.
fn foreign(folder: &str, entries: &[Entry], known: &[&str]) -> Option<State> {
    let is_known = |entry: &&Entry| entry.name == "lost+found" || known.contains(&&*entry.name);
    let found = entries.iter().find(|entry| !is_known(entry))?;
    let name = format!("{folder}{}", found.name);
    Some(State::Refused(Refusal::ForeignData { name }))
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
