//! The steps of a first start, and what a drive is at the end of a start.

use super::{
    DATA_FOLDER, FORMAT_TEMP_FILE, FormatError, Found, INDEX_TEMP_FILE, Identity, Layout, Opened, ReadySlot,
    SYSTEM_FOLDER, Slot, State, file::Format, format_path, index_path, log_path,
};
#[cfg(feature = "mutants")]
use super::{look::look_at, place};
use crate::{
    drive::index::{Index, create_log},
    runtime::{Files, Guard, OpenMode},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Returns why a first start is refused: a drive is anything but missing or empty (`format.first-start`).
pub(super) fn refusal(drives: &[Found]) -> Option<FormatError> {
    let refused = drives.iter().find_map(|drive| match &drive.state {
        State::Refused(refusal) => Some(FormatError::Refused {
            path: drive.path.clone(),
            refusal: refusal.clone(),
        }),
        _ => None,
    });
    let unreadable = || drives.iter().find_map(Found::named_reason);
    refused.or_else(|| Some(FormatError::NoFormat { reason: unreadable()? }))
}

/// Finishes what an earlier start began: no drive has ever served. A drive whose `format.json` has rotted since is
/// offline from the start, as it would be later; to wait for one helps only if it can come back.
///
/// # Errors
/// [`FormatError::Unfinished`]: another drive cannot be used.
pub(super) fn finish_first_start(drives: Vec<Found>, format: &Format) -> Result<Opened, FormatError> {
    let absent = drives.iter().filter(|drive| !matches!(drive.state, State::Damaged(_)));
    match absent.filter_map(Found::named_reason).next() {
        Some(reason) => Err(FormatError::Unfinished { reason }),
        None => first_start(drives, &format.layout),
    }
}

/// Makes the slot of a drive in a deployment that has been formatted.
pub(super) fn slot(drive: Found) -> Slot {
    let reason = drive.reason();
    let Found { path, files, state } = drive;
    let (format, lock) = match state {
        State::Formatted { format, lock } => (format, lock),
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
        State::Refused(_) | State::Unreadable(_) | State::Damaged(_) => {
            let reason = reason.unwrap_or_default();
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
    let Some(reference) = place::reference(&drives)?.filter(|format| format.complete) else {
        return Ok(());
    };
    let set_size = reference.layout.set_size();
    let drives = place::place(drives, &reference, set_size)?;
    for (this, drive) in reference.layout.drives().zip(&drives) {
        if matches!(drive.state, State::Clean { missing: false }) {
            let mut format = Format {
                this,
                ..reference.clone()
            };
            let (files, path) = (&drive.files, &drive.path);
            let made = begin(files, path, &mut format).and_then(|_| create_index(&**files, path, &format));
            made.map_err(|error| FormatError::first_start(&drive.path, error))?;
        }
    }
    Ok(())
}

fn ready(path: PathBuf, format: &Format, files: Arc<dyn Files>, lock: Guard) -> Slot {
    let drive = format.this;
    let (set, index) = format.layout.place(drive).unwrap_or_default();
    Slot::Ready(ReadySlot {
        path,
        drive,
        set,
        index,
        files,
        lock,
    })
}

/// Formats all drives of a deployment, of which none is complete: each step on all of them before the next
/// (`format.complete-after-all`).
pub(super) fn first_start(drives: Vec<Found>, layout: &Layout) -> Result<Opened, FormatError> {
    let mut begun = Vec::with_capacity(drives.len());
    for (this, drive) in layout.drives().zip(drives) {
        let drive = match drive.is_usable() {
            true => begin_on(drive, layout, this)?,
            false => drive,
        };
        begun.push(drive);
    }
    for drive in &mut begun {
        complete_on(drive)?;
    }
    Ok(Opened {
        deployment: layout.deployment,
        layout: layout.clone(),
        identities: Identity::all(layout),
        drives: begun.into_iter().map(slot).collect(),
    })
}

/// Begins the format of a drive that is empty, and makes its index. One that has begun keeps its format.
pub(super) fn begin_on(drive: Found, layout: &Layout, this: u128) -> Result<Found, FormatError> {
    let Found { path, files, state } = drive;
    let failed = |error| FormatError::first_start(&path, error);
    let (files, state) = match state {
        State::Formatted { format, lock } => {
            create_index(&*files, &path, &format).map_err(failed)?;
            (files, State::Formatted { format, lock })
        }
        _ => {
            let mut format = Format::begun(layout.clone(), this);
            let (files, lock) = begin(&files, &path, &mut format).map_err(failed)?;
            create_index(&*files, &path, &format).map_err(failed)?;
            (files, State::Formatted { format, lock })
        }
    };
    Ok(Found { path, files, state })
}

/// Makes the index of a drive that has begun, in the place of what an unfinished start has left of it. Its format is
/// written first, since its name may not be durable: other names without it would be foreign data.
pub(super) fn begin_again(drive: &Found, format: &Format) -> Result<(), FormatError> {
    let (files, path) = (&*drive.files, &drive.path);
    let made = write_format(files, path, format).and_then(|()| create_index(files, path, format));
    made.map_err(|error| FormatError::first_start(path, error))
}

/// Completes the format of a drive that has begun, and has its index.
pub(super) fn complete_on(drive: &mut Found) -> Result<(), FormatError> {
    if let State::Formatted { format, .. } = &mut drive.state
        && !format.complete
    {
        complete(&*drive.files, &drive.path, format).map_err(|error| FormatError::first_start(&drive.path, error))?;
        format.complete = true;
    }
    Ok(())
}

fn finish(files: &dyn Files, drive: &Path, format: &Format) -> io::Result<()> {
    create_index(files, drive, format)?;
    complete(files, drive, format)
}

/// `files` are those of the drive's folder, or of the host if there is none yet.
fn begin(files: &Arc<dyn Files>, drive: &Path, format: &mut Format) -> io::Result<(Arc<dyn Files>, Guard)> {
    files.create_dir_all(drive)?;
    format.is_own_device = is_own_device(&**files, drive);
    let files = files.rooted(drive)?;
    let system = drive.join(SYSTEM_FOLDER);
    files.create_dir_all(&system)?;
    let lock = files.lock(&system)?;
    write_format(&*files, drive, format)?;
    Ok((files, lock))
}

/// Returns whether a folder is the root of a file system; `false` if its parent cannot be asked.
fn is_own_device(files: &dyn Files, drive: &Path) -> bool {
    let device = |path: Option<&Path>| files.id(path?).ok().map(|id| id.device);
    matches!((device(Some(drive)), device(drive.parent())), (Some(own), Some(parent)) if own != parent)
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

/// An empty index and its log in the place of whatever an unfinished start left there.
fn create_index(files: &dyn Files, drive: &Path, format: &Format) -> io::Result<()> {
    let system = drive.join(SYSTEM_FOLDER);
    files.create_dir_all(&drive.join(DATA_FOLDER))?;
    let log = files.open(&log_path(drive), OpenMode::Create)?;
    log.set_len(0)?;
    create_log(&*log, format.this)?;
    let temp = system.join(INDEX_TEMP_FILE);
    let file = files.open(&temp, OpenMode::Create)?;
    file.set_len(0)?;
    Index::create(file).map_err(|error| io::Error::other(format!("cannot make its index: {error}")))?;
    files.rename(&temp, &index_path(drive))?;
    files.sync_dir(&system)
}
