//! Why a start is refused.

use std::{io, path::PathBuf};
use uuid::Uuid;

/// How many drives, in sets of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Drives.
    pub drives: usize,
    /// Drives of one erasure set.
    pub set_size: usize,
}

/// Why a start is refused. Each names what an operator has to look at.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Two or three drives, or none.
    #[error("{drives} drives given: give 1 drive without redundancy, or at least 4")]
    TooFew {
        /// Drives given.
        drives: usize,
    },
    /// The drives do not make whole erasure sets.
    #[error("{drives} drives given, which do not make erasure sets of {set_size} drives")]
    SetSize {
        /// Drives given.
        drives: usize,
        /// Drives of one set.
        set_size: usize,
    },
    /// A path is given twice.
    #[error("{}: this path is given twice", path.display())]
    Twice {
        /// The path.
        path: PathBuf,
    },
    /// Another process has the drive open.
    #[error("{}: another process has this drive open", path.display())]
    Locked {
        /// The path.
        path: PathBuf,
    },
    /// The drive holds something and no `format.json`.
    #[error("{}: there is {name:?}, which is not of this store: give an empty folder", path.display())]
    ForeignData {
        /// The folder.
        path: PathBuf,
        /// One of the names in it.
        name: String,
    },
    /// The drive has the format of MinIO.
    #[error("{}: this drive has the format {format:?} of MinIO, which cannot be adopted yet", path.display())]
    MinioFormat {
        /// The path.
        path: PathBuf,
        /// The format's name.
        format: String,
    },
    /// The drive has a format of nobody known.
    #[error("{}: this drive has the unknown format {format:?}", path.display())]
    UnknownFormat {
        /// The path.
        path: PathBuf,
        /// The format's name.
        format: String,
    },
    /// The drive was formatted by a newer version of this program.
    #[error(
        "{}: the drive's format has version {found}, this program knows versions up to {known}", path.display()
    )]
    NewerVersion {
        /// The path.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// The number of drives or the size of the sets is not that of the format.
    #[error("{}: {}", path.display(), topology(*given, *found))]
    Topology {
        /// The path.
        path: PathBuf,
        /// What was given.
        given: Given,
        /// What its format says.
        found: Given,
    },
    /// The drive belongs to another deployment than the first.
    #[error(
        "{}: this drive is of deployment {}, the others are of {}", path.display(), uuid(*found), uuid(*expected)
    )]
    OtherDeployment {
        /// The path.
        path: PathBuf,
        /// Its deployment.
        found: u128,
        /// The deployment of the first drive.
        expected: u128,
    },
    /// The drive belongs at another position.
    #[error("{}: {}", path.display(), wrong_slot(*drive, *found, *position))]
    WrongSlot {
        /// The path.
        path: PathBuf,
        /// The drive's UUID.
        drive: u128,
        /// Its position in the deployment, from 0, if it has one.
        found: Option<usize>,
        /// The position of its path, from 0.
        position: usize,
    },
    /// No drive has a format, and not all are empty.
    #[error("no drive has a readable format, and not all are empty: {reason}")]
    NoFormat {
        /// One drive's path and what is wrong with it.
        reason: String,
    },
    /// A first start was cut short, and cannot be finished without all drives.
    #[error("the first start was not finished, which needs every drive: {reason}")]
    Unfinished {
        /// One drive's path and what is wrong with it.
        reason: String,
    },
    /// Formatting failed. The next start goes on with it.
    #[error("{}: cannot format this drive: {error}", path.display())]
    FirstStart {
        /// The path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl FormatError {
    pub(super) fn first_start(path: &std::path::Path, error: io::Error) -> FormatError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::WouldBlock => FormatError::Locked { path },
            _ => FormatError::FirstStart { path, error },
        }
    }
}

pub(super) fn uuid(id: u128) -> Uuid {
    Uuid::from_u128(id)
}

fn topology(given: Given, found: Given) -> String {
    if given.drives != found.drives {
        return format!("{} drives given, the drives' format has {}", given.drives, found.drives);
    }
    format!(
        "erasure sets of {} drives given, the drives' format has sets of {}",
        given.set_size, found.set_size
    )
}

fn wrong_slot(drive: u128, found: Option<usize>, position: usize) -> String {
    let (drive, position) = (uuid(drive), position + 1);
    match found {
        Some(found) => format!(
            "drive {drive} is number {} of its deployment, and given as number {position}",
            found + 1
        ),
        None => format!("drive {drive}, given as number {position}, is not among the drives of its deployment"),
    }
}
