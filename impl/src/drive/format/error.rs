//! Errors that refuse a start.

use std::{io, path::PathBuf};
use uuid::Uuid;

/// Numbers of drives and of drives in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Number of drives.
    pub drives: usize,
    /// Drives of one erasure set.
    pub set_size: usize,
    /// Number of nodes; 1 for a store that is given paths.
    pub nodes: u16,
}

/// Error that refuses a start. Each names what an operator has to look at.
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
    /// A drive is not one that a new store may be made on.
    #[error("{}: {refusal}; a new store is made only in folders that are missing or empty", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// The refusal.
        refusal: Refusal,
    },
    /// Some drives of a set are refused, and the others cannot read.
    #[error("of erasure set {} {found} drives were found, and {needed} are needed to read: {reasons}", set + 1)]
    NoQuorum {
        /// The set, from 0.
        set: usize,
        /// Number of its formatted drives.
        found: usize,
        /// Read quorum.
        needed: usize,
        /// The paths of the others, and what is wrong with them.
        reasons: String,
    },
    /// The number of drives or the size of the sets is not that of the format.
    #[error("{}: {}", path.display(), topology(*given, *found))]
    Topology {
        /// The path.
        path: PathBuf,
        /// The topology given.
        given: Given,
        /// The topology of its format.
        found: Given,
    },
    /// No majority: as many drives are of one deployment as of another.
    #[error(
        "{}: this drive is of deployment {}, and as many others are of {}: mount the drives of one deployment, or \
         correct the paths",
        path.display(), uuid(*found), uuid(*expected)
    )]
    OtherDeployment {
        /// The path.
        path: PathBuf,
        /// Its deployment.
        found: u128,
        /// The other one.
        expected: u128,
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
        /// The error.
        error: io::Error,
    },
}

/// Reason why a drive is not taken for one of the deployment's. Nothing on it is changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Data without a `format.json`.
    #[error(
        "there is {name:?} and no format.json: it is no drive of this store, or its file system is not mounted, or \
         format.json is lost"
    )]
    ForeignData {
        /// A name in it.
        name: String,
    },
    /// Format of MinIO.
    #[error("it has the format {format:?} of MinIO, which cannot be adopted yet")]
    MinioFormat {
        /// The format's name.
        format: String,
    },
    /// Unknown format.
    #[error("it has the unknown format {format:?}")]
    UnknownFormat {
        /// The format's name.
        format: String,
    },
    /// Format of a newer version of this program.
    #[error("its format has version {found}, this program knows versions up to {known}: start a newer release")]
    NewerVersion {
        /// Its version.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// Rows and values of a newer version of this program may be written to it.
    #[error(
        "what is written to it may be of level {found}, this program reads levels up to {known}: start a newer release"
    )]
    NewerLevel {
        /// Its level.
        found: u32,
        /// The highest level known here.
        known: u32,
    },
    /// Format from before the first release.
    #[error(
        "its format has version {found}, from before the first release, which this program does not read: copy its \
         objects with the program that wrote them"
    )]
    OlderVersion {
        /// Its version.
        found: u64,
    },
    /// Drive of another deployment.
    #[error(
        "it is of deployment {}, this one is {}: mount the drive that belongs here, or correct the path",
        uuid(*found), uuid(*expected)
    )]
    OtherDeployment {
        /// Its deployment.
        found: u128,
        /// Deployment of the others.
        expected: u128,
    },
    /// Drive of another erasure set.
    #[error(
        "it is drive {} of erasure set {}, and its path is one of set {}: mount it at a path of its own set",
        uuid(*drive), found + 1, expected + 1
    )]
    OtherSet {
        /// The drive's UUID.
        drive: u128,
        /// Its set, from 0.
        found: usize,
        /// The set of its path, from 0.
        expected: usize,
    },
    /// Drive of another node.
    #[error(
        "it is drive {}, which belongs to another node, and its path is that of drive {}: mount each at its own node",
        uuid(*drive), uuid(*expected)
    )]
    OtherNode {
        /// The drive's UUID.
        drive: u128,
        /// UUID of the drive of its path.
        expected: u128,
    },
    /// The same drive is found twice: nobody can tell which of the two is the newer one.
    #[error("it is drive {}, and so is {}: unmount the one that is the copy", uuid(*drive), other.display())]
    Copy {
        /// The drive's UUID.
        drive: u128,
        /// The other path.
        other: PathBuf,
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
    match (given.nodes, found.nodes) {
        (1, found) if found > 1 => {
            format!("paths given, and the drives are of a deployment of {found} nodes: give the URLs of all its drives")
        }
        (given, 1) if given > 1 => {
            "URLs of several nodes given, and the drives are of a store of one node, which cannot \
                                    be divided: start it with its paths, and copy its objects to a new store"
                .to_owned()
        }
        (nodes, others) => {
            let differs = if given.drives != found.drives {
                format!("{} drives given, the drives' format has {}", given.drives, found.drives)
            } else if nodes != others {
                format!("{nodes} nodes given, the drives' format has {others}")
            } else {
                format!(
                    "erasure sets of {} drives given, the drives' format has sets of {}",
                    given.set_size, found.set_size
                )
            };
            format!("{differs}: give what it was formatted with, or the right drives; neither can be changed yet")
        }
    }
}
