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
mod layout;
mod look;
mod make;
mod own;
mod place;

pub use error::{FormatError, Given, Refusal};
pub use file::{FORMAT, LEVEL, VERSION};
pub use layout::Layout;
#[cfg(feature = "mutants")]
pub(crate) use make::adopt_wiped;
pub use own::{OwnDrive, OwnDrives};

use crate::runtime::{Files, Guard};
use error::uuid;
use look::{Found, State, look_at};
use std::{
    fmt,
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
const LOG_FILE: &str = "index.log";

/// Returns the path of a drive's `format.json`.
pub(crate) fn format_path(drive: &Path) -> PathBuf {
    drive.join(SYSTEM_FOLDER).join(FORMAT_FILE)
}

/// Returns the path of a drive's index.
pub(crate) fn index_path(drive: &Path) -> PathBuf {
    drive.join(SYSTEM_FOLDER).join(INDEX_FILE)
}

/// Returns the path of the log of a drive's index.
pub(crate) fn log_path(drive: &Path) -> PathBuf {
    drive.join(SYSTEM_FOLDER).join(LOG_FILE)
}

/// The drives of one node's deployment.
#[derive(Debug)]
pub struct Opened {
    /// The deployment's UUID, big-endian.
    pub deployment: u128,
    /// The drives of the deployment.
    pub layout: Layout,
    /// Slots in the order of the deployment; `set_size` of them make an erasure set.
    pub drives: Vec<Slot>,
    /// The expected drive of each place.
    pub identities: Vec<Identity>,
}

/// The expected drive of a place: the identity that its `format.json` must have.
#[derive(Clone, Debug)]
pub struct Identity {
    layout: Arc<Layout>,
    this: u128,
}

impl Identity {
    fn all(layout: &Layout) -> Vec<Identity> {
        let layout = Arc::new(layout.clone());
        let of = |this| Identity {
            layout: layout.clone(),
            this,
        };
        layout.drives().map(of).collect()
    }
}

/// Looks whether the drive that belongs in a place of a running node is at `path`, and locks it. Blocks, and writes
/// nothing.
///
/// # Errors
/// Why it is not, for operators.
pub(super) fn find_again(files: &Arc<dyn Files>, path: &Path, identity: &Identity) -> Result<ReadySlot, String> {
    let found = look_at(files, path).map_err(|error| match error {
        FormatError::Locked { .. } => "another process has this drive open".to_owned(),
        other => other.to_string(),
    })?;
    match &found.state {
        State::Formatted { format, .. }
            if format.layout == *identity.layout && format.this == identity.this && format.complete => {}
        State::Formatted { format, .. } if format.layout == *identity.layout => {
            let (found, expected) = (uuid(format.this), uuid(identity.this));
            return Err(match format.complete {
                true => format!("drive {found} is at its path, and not {expected}: a restart puts it in its own place"),
                false => format!("drive {found} is at its path, and its format is not complete"),
            });
        }
        State::Formatted { format, .. } => {
            let (found, expected) = (format.layout.deployment, identity.layout.deployment);
            return Err(Refusal::OtherDeployment { found, expected }.to_string());
        }
        _ => {}
    }
    match make::slot(found) {
        Slot::Ready(ready) => Ok(ready),
        Slot::Offline { reason, .. } => Err(reason),
    }
}

/// Slot of one drive in the deployment.
#[derive(Debug)]
pub enum Slot {
    /// Filled by the drive that belongs there.
    Ready(ReadySlot),
    /// Offline: what it has is unknown, never absent.
    Offline {
        /// The path given.
        path: PathBuf,
        /// Reason, for operators.
        reason: String,
    },
}

impl Slot {
    /// The path of what it has.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Slot::Ready(ReadySlot { path, .. }) | Slot::Offline { path, .. } => path,
        }
    }
}

/// A drive in its place, locked for this process.
pub struct ReadySlot {
    /// The path at which it was found.
    pub path: PathBuf,
    /// The drive's UUID, big-endian.
    pub drive: u128,
    /// The erasure set.
    pub set: usize,
    /// The drive's index within the set.
    pub index: u8,
    /// Files below the folder that was opened, whatever has become of its path since.
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
/// The drives of the result are in the order of the deployment. One that was found at another path of its set is in
/// its own place all the same (`format.by-identity`).
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
    let Some(reference) = place::reference(&drives)? else {
        if let Some(error) = make::refusal(&drives) {
            return Err(error);
        }
        let layout = Layout::new(&vec![0; paths.len()], set_size, fresh)?;
        return make::first_start(drives, &layout);
    };
    let drives = place::place(drives, &reference, set_size)?;
    let formatted = drives
        .iter()
        .any(|drive| drive.format().is_some_and(|format| format.complete));
    if !formatted {
        return make::finish_first_start(drives, &reference);
    }
    place::check_quorum(&drives, set_size)?;
    Ok(Opened {
        deployment: reference.layout.deployment,
        identities: Identity::all(&reference.layout),
        layout: reference.layout,
        drives: drives.into_iter().map(make::slot).collect(),
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

#[cfg(test)]
mod tests;
