//! The drives of one node among several: each node looks at its own and writes to no others.

use super::{
    FormatError, Found, Identity, Opened, Refusal, State, check_folders,
    error::{Given, uuid},
    file::Format,
    look::look_at,
    make, place,
};
use crate::runtime::Files;
use std::{path::PathBuf, sync::Arc};

/// The drives of a deployment by their UUIDs, each with its place, before they are formatted.
#[derive(Clone, Debug)]
pub struct Layout(Format);

impl Layout {
    /// A new deployment; `fresh` gives new random identifiers.
    ///
    /// # Errors
    /// [`FormatError::SetSize`]: the drives do not make whole sets.
    pub fn new(drives: usize, set_size: usize, fresh: &mut dyn FnMut() -> u128) -> Result<Layout, FormatError> {
        if set_size == 0 || set_size > 16 || drives == 0 || !drives.is_multiple_of(set_size) {
            return Err(FormatError::SetSize { drives, set_size });
        }
        Ok(Layout(Format::new(fresh(), drives, set_size, fresh)))
    }
}

/// A drive of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDrive {
    /// Its place among the drives of the deployment, from 0.
    pub position: usize,
    /// Its folder: absolute.
    pub path: PathBuf,
}

/// Opens this node's drives of a deployment of `drives` drives that has been formatted, in the order of `own`. Blocks.
/// A drive that is found at another of this node's paths of its set is in its own place all the same
/// (`format.by-identity`); one of another node or set is refused, and its place is offline.
///
/// # Errors
/// [`FormatError`]: this node's drives are not formatted, or not of one deployment of this shape. Nothing was changed.
pub fn open_own(
    files: &Arc<dyn Files>,
    own: &[OwnDrive],
    drives: usize,
    set_size: usize,
) -> Result<Opened, FormatError> {
    let mut found = look(files, own)?;
    let Some(reference) = place::reference(&found)? else {
        let reason = found.iter().find_map(Found::named_reason);
        let reason = reason.unwrap_or_else(|| "they are empty".to_owned());
        return Err(FormatError::NoFormat { reason });
    };
    if !found
        .iter()
        .any(|drive| drive.format().is_some_and(|format| format.complete))
    {
        let reason = "its format is not complete".to_owned();
        return Err(FormatError::Unfinished { reason });
    }
    let (given, formatted) = (Given { drives, set_size }, reference.given());
    if given != formatted {
        let path = own.first().map(|drive| drive.path.clone()).unwrap_or_default();
        let found = formatted;
        return Err(FormatError::Topology { path, given, found });
    }
    let refusals: Vec<Option<Refusal>> = (0..found.len())
        .map(|at| refusal(&found, at, own, &reference))
        .collect();
    for (drive, refusal) in found.iter_mut().zip(refusals) {
        if let Some(refusal) = refusal {
            drive.state = State::Refused(refusal);
        }
    }
    let placed = by_identity(found, own, &reference);
    Ok(opened(&reference, own, placed.into_iter().map(make::slot).collect()))
}

/// Formats this node's drives, which are empty, as part of a new deployment. Blocks. That no drive of it serves before
/// all are formatted (`format.complete-after-all`) is the caller's to see to.
///
/// # Errors
/// [`FormatError`]: a drive is not empty, or cannot be written.
pub fn format_own(files: &Arc<dyn Files>, own: &[OwnDrive], layout: &Layout) -> Result<Opened, FormatError> {
    let found = look(files, own)?;
    if let Some(error) = make::refusal(&found) {
        return Err(error);
    }
    let ids: Vec<u128> = layout.0.drives().collect();
    let this = own
        .iter()
        .map(|drive| ids.get(drive.position).copied().unwrap_or_default());
    for (id, drive) in this.clone().zip(&found) {
        // A start that was cut short is gone on with.
        let is_begun = |format: &&Format| format.is_of_same(&layout.0) && format.this == id && !format.complete;
        if let Some(format) = drive.format().filter(|format| !is_begun(format)) {
            let (found, expected) = (format.deployment, layout.0.deployment);
            return Err(FormatError::Refused {
                path: drive.path.clone(),
                refusal: Refusal::OtherDeployment { found, expected },
            });
        }
    }
    let slots = make::format(this.zip(found), &layout.0)?;
    Ok(opened(&layout.0, own, slots))
}

fn look(files: &Arc<dyn Files>, own: &[OwnDrive]) -> Result<Vec<Found>, FormatError> {
    let paths: Vec<PathBuf> = own.iter().map(|drive| drive.path.clone()).collect();
    check_folders(&**files, &paths)?;
    paths.iter().map(|path| look_at(files, path)).collect()
}

fn opened(reference: &Format, own: &[OwnDrive], drives: Vec<super::Slot>) -> Opened {
    let all = Identity::all(reference);
    Opened {
        deployment: reference.deployment,
        fingerprint: reference.fingerprint(),
        drives,
        identities: own
            .iter()
            .filter_map(|drive| all.get(drive.position).cloned())
            .collect(),
    }
}

/// Returns why a formatted drive has no place at this node.
fn refusal(found: &[Found], at: usize, own: &[OwnDrive], reference: &Format) -> Option<Refusal> {
    let format = found[at].format()?;
    if !format.is_of_same(reference) {
        return Some(Refusal::OtherDeployment {
            found: format.deployment,
            expected: reference.deployment,
        });
    }
    let (drive, set_size) = (format.this, reference.set_size());
    let place = reference.position(drive)?;
    let expected = own[at].position;
    if place / set_size != expected / set_size {
        return Some(Refusal::OtherSet {
            drive,
            found: place / set_size,
            expected: expected / set_size,
        });
    }
    if !own.iter().any(|own| own.position == place) {
        return Some(Refusal::OtherNode { drive });
    }
    let is_copy = |(other, found): &(usize, &Found)| {
        *other != at
            && found
                .format()
                .is_some_and(|other| other.this == drive && other.is_of_same(reference))
    };
    let (_, copy) = found.iter().enumerate().find(is_copy)?;
    let other = copy.path.clone();
    Some(Refusal::Copy { drive, other })
}

/// Puts each drive in its place among `own`. One that has none keeps that of its path, or takes one that is left.
fn by_identity(found: Vec<Found>, own: &[OwnDrive], reference: &Format) -> Vec<Found> {
    let mut places: Vec<Option<Found>> = own.iter().map(|_| None).collect();
    let mut others = Vec::new();
    for (at, drive) in found.into_iter().enumerate() {
        let home = drive.format().and_then(|format| reference.position(format.this));
        match home.and_then(|home| own.iter().position(|own| own.position == home)) {
            Some(home) => {
                if home != at {
                    let (path, drive) = (drive.path.display(), drive.format().map(|format| uuid(format.this)));
                    tracing::warn!(%path, ?drive, "the drive is used at its own place: its path has another one");
                }
                places[home] = Some(drive);
            }
            None => others.push((at, drive)),
        }
    }
    for (at, drive) in others {
        let free = std::iter::once(at)
            .chain(0..places.len())
            .find(|place| places[*place].is_none());
        if let Some(free) = free {
            places[free] = Some(drive);
        }
    }
    places.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::format::Slot,
        runtime::{Runtime, real::RealRuntime},
    };
    use std::fs;

    /// Two nodes of two drives each, in one set.
    struct Bed {
        dir: tempfile::TempDir,
        files: Arc<dyn Files>,
    }

    impl Bed {
        fn new() -> Bed {
            let rt = RealRuntime::new();
            let bed = Bed {
                dir: tempfile::tempdir().expect("a folder"),
                files: Runtime::files(&*rt),
            };
            let mut last = 0;
            let mut fresh = || {
                last += 1;
                last << 64
            };
            let layout = Layout::new(4, 4, &mut fresh).expect("a shape");
            for node in 0..2 {
                let opened = format_own(&bed.files, &bed.own(node), &layout).expect("formatted");
                assert!(opened.drives.iter().all(|slot| matches!(slot, Slot::Ready(_))));
            }
            bed
        }

        fn own(&self, node: usize) -> Vec<OwnDrive> {
            let own = |position: usize| OwnDrive {
                position,
                path: self.dir.path().join(format!("d{position}")),
            };
            (2 * node..2 * node + 2).map(own).collect()
        }

        /// Returns, for each place of node 0, the index of its drive in the set, or why it is offline.
        fn found(&self) -> Vec<Result<u8, String>> {
            let opened = open_own(&self.files, &self.own(0), 4, 4).expect("opens");
            assert_eq!(opened.identities.len(), 2);
            let what = |slot| match slot {
                Slot::Ready(ready) => Ok(ready.index),
                Slot::Offline { reason, .. } => Err(reason),
            };
            opened.drives.into_iter().map(what).collect()
        }

        #[allow(clippy::disallowed_methods, reason = "mounts the drives elsewhere")]
        fn swap(&self, a: &str, b: &str) {
            let path = |name: &str| self.dir.path().join(name);
            fs::rename(path(a), path("away")).expect("renamed");
            fs::rename(path(b), path(a)).expect("renamed");
            fs::rename(path("away"), path(b)).expect("renamed");
        }
    }

    #[tokio::test]
    async fn a_node_opens_its_own_drives_in_their_places() {
        let bed = Bed::new();
        assert_eq!(bed.found(), [Ok(0), Ok(1)]);
        bed.swap("d0", "d1");
        assert_eq!(bed.found(), [Ok(0), Ok(1)], "format.by-identity");
    }

    #[tokio::test]
    async fn a_drive_of_another_node_is_refused_by_name() {
        let bed = Bed::new();
        bed.swap("d0", "d2");
        let found = bed.found();
        assert!(
            matches!(&found[0], Err(reason) if reason.contains("another node")),
            "{found:?}"
        );
        assert_eq!(found[1], Ok(1));
    }

    #[tokio::test]
    async fn other_shapes_and_empty_drives_are_refused() {
        let bed = Bed::new();
        let shape = open_own(&bed.files, &bed.own(0), 8, 4);
        assert!(matches!(shape, Err(FormatError::Topology { .. })), "{shape:?}");
        let empty = open_own(&bed.files, &bed.own(3), 4, 4);
        assert!(matches!(empty, Err(FormatError::NoFormat { .. })), "{empty:?}");
        let layout = Layout::new(4, 4, &mut || 9).expect("a shape");
        let again = format_own(&bed.files, &bed.own(0), &layout);
        assert!(again.is_err(), "a drive that is formatted is not formatted again");
        assert!(Layout::new(6, 4, &mut || 9).is_err() && Layout::new(17, 17, &mut || 9).is_err());
    }
}
