//! The drives of one node among several: each node looks at its own and writes to no others.

use super::{
    FormatError, Found, Identity, Layout, Opened, Refusal, State, check_folders,
    error::{Given, uuid},
    file::Format,
    look::look_at,
    make, place,
};
use crate::runtime::Files;
use model::formation;
use std::{fmt, path::PathBuf, sync::Arc};

/// A drive of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDrive {
    /// Its place among the drives of the deployment, from 0.
    pub position: usize,
    /// Its folder: absolute.
    pub path: PathBuf,
}

/// This node's drives during its start, in the order of their places. A drive that has anything of ours is locked for
/// this process from when it was looked at.
pub struct OwnDrives {
    files: Arc<dyn Files>,
    own: Vec<OwnDrive>,
    given: Given,
    found: Vec<Found>,
}

impl OwnDrives {
    /// Looks at a node's drives of a deployment of this shape. Blocks, and writes nothing.
    ///
    /// # Errors
    /// [`FormatError`]: two paths are one folder, or another process has a drive open.
    pub fn look(files: &Arc<dyn Files>, own: Vec<OwnDrive>, given: Given) -> Result<OwnDrives, FormatError> {
        let paths: Vec<PathBuf> = own.iter().map(|drive| drive.path.clone()).collect();
        check_folders(&**files, &paths)?;
        let found = paths
            .iter()
            .map(|path| look_at(files, path))
            .collect::<Result<_, _>>()?;
        let files = files.clone();
        Ok(OwnDrives {
            files,
            own,
            given,
            found,
        })
    }

    /// Refuses drives that are all of a deployment of another shape (`format.topology`). Other nodes must not hear of
    /// it: they would take it for theirs, and name drives of their own.
    ///
    /// # Errors
    /// [`FormatError::Topology`], with the path of the first one.
    pub fn check_shape(&self) -> Result<(), FormatError> {
        let complete = self.found.iter().filter_map(|drive| {
            let layout = &drive.format().filter(|format| format.complete)?.layout;
            Some((&drive.path, layout.given()))
        });
        let complete: Vec<_> = complete.collect();
        match complete.first() {
            Some((path, found)) if complete.iter().all(|(_, found)| *found != self.given) => {
                let (path, given, found) = ((*path).clone(), self.given, *found);
                Err(FormatError::Topology { path, given, found })
            }
            _ => Ok(()),
        }
    }

    /// Looks again at those that have no format. Blocks, and writes nothing.
    ///
    /// # Errors
    /// The same as those of [`OwnDrives::look`].
    pub fn look_again(&mut self) -> Result<(), FormatError> {
        for drive in &mut self.found {
            if drive.format().is_none() {
                *drive = look_at(&self.files, &drive.path)?;
            }
        }
        Ok(())
    }

    /// Returns what is on the drives, for a first start.
    #[must_use]
    pub fn found(&self) -> Vec<formation::Found<Layout>> {
        let found = self.own.iter().zip(&self.found);
        found.map(|(own, drive)| self.found_at(own, drive)).collect()
    }

    fn found_at(&self, own: &OwnDrive, drive: &Found) -> formation::Found<Layout> {
        match &drive.state {
            State::Clean { .. } => formation::Found::Empty,
            State::Formatted { format, .. } if format.complete => formation::Found::Complete(format.layout.clone()),
            State::Formatted { format, .. } if self.misplaced(own, format).is_none() => {
                formation::Found::Begun(format.layout.clone())
            }
            _ => formation::Found::Refused,
        }
    }

    /// Returns why each drive that is in the way of a first start is, with its path.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let refusal = |(own, drive): (&OwnDrive, &Found)| match &drive.state {
            State::Formatted { format, .. } if !format.complete => {
                let reason = self.misplaced(own, format)?;
                Some(format!("{}: {reason}", drive.path.display()))
            }
            _ => drive.named_reason(),
        };
        self.own.iter().zip(&self.found).filter_map(refusal).collect()
    }

    /// Returns why a format that was begun cannot be gone on with here.
    fn misplaced(&self, own: &OwnDrive, format: &Format) -> Option<String> {
        let found = format.layout.given();
        if found != self.given {
            let (path, given) = (own.path.clone(), self.given);
            return Some(FormatError::Topology { path, given, found }.to_string());
        }
        let expected = format.layout.drives().nth(own.position)?;
        (expected != format.this).then(|| {
            let (drive, expected) = (uuid(format.this), uuid(expected));
            format!("its format was begun as that of drive {drive}, and its path is that of {expected}: mount it there")
        })
    }

    /// Begins a format on each drive that is empty, and makes its index; also that of a drive that has begun before:
    /// its process may have ended in between (`format.complete-after-all`). Blocks; durable when it returns.
    ///
    /// # Errors
    /// [`FormatError`]: a drive cannot be written. Others may have begun.
    pub fn begin(&mut self, layout: &Layout) -> Result<(), FormatError> {
        for (at, this) in self.ids(layout)?.into_iter().enumerate() {
            if let Some(format) = self.found[at].format() {
                if !format.complete && format.layout == *layout {
                    make::begin_again(&self.found[at], format)?;
                }
                continue;
            }
            let drive = look_at(&self.files, &self.own[at].path)?;
            if !drive.is_usable() || drive.format().is_some() {
                let reason = drive.named_reason();
                let reason = reason.unwrap_or_else(|| "a drive was formatted meanwhile".to_owned());
                return Err(FormatError::NoFormat { reason });
            }
            self.found[at] = make::begin_on(drive, layout, this)?;
        }
        Ok(())
    }

    /// Completes the format on each drive that has begun it. Blocks; durable when it returns.
    ///
    /// # Errors
    /// [`FormatError`]: a drive cannot be written. Others may be complete.
    pub fn complete(&mut self, layout: &Layout) -> Result<(), FormatError> {
        for drive in &mut self.found {
            if drive.format().is_some_and(|format| format.layout == *layout) {
                make::complete_on(drive)?;
            }
        }
        Ok(())
    }

    /// Returns the UUIDs that a layout gives to these drives.
    fn ids(&self, layout: &Layout) -> Result<Vec<u128>, FormatError> {
        let found = layout.given();
        if layout.check().is_err() || found != self.given {
            let path = self.own.first().map(|drive| drive.path.clone()).unwrap_or_default();
            let given = self.given;
            return Err(FormatError::Topology { path, given, found });
        }
        let ids: Vec<u128> = layout.drives().collect();
        Ok(self.own.iter().map(|drive| ids[drive.position]).collect())
    }

    /// Takes the drives into use, in the order of their places. One that is found at another of this node's paths of
    /// its set is in its own place all the same (`format.by-identity`); one of another node or set is refused, and its
    /// place is offline. `known` is the layout of the deployment if no drive of this node has it
    /// (`format.wiped-is-unknown`). Blocks.
    ///
    /// # Errors
    /// [`FormatError`]: the drives are of no deployment, of several or of one of another shape. Nothing was changed.
    pub fn open(self, known: Option<&Layout>) -> Result<Opened, FormatError> {
        let mut found = self.found;
        let layout = match (place::reference(&found)?, known) {
            (Some(reference), _) if reference.complete => reference.layout,
            (_, Some(known)) => known.clone(),
            (Some(_), None) => {
                let reason = "its format is not complete".to_owned();
                return Err(FormatError::Unfinished { reason });
            }
            (None, None) => {
                let reason = found.iter().find_map(Found::named_reason);
                let reason = reason.unwrap_or_else(|| "they are empty".to_owned());
                return Err(FormatError::NoFormat { reason });
            }
        };
        let (given, formatted) = (self.given, layout.given());
        if given != formatted || layout.check().is_err() {
            let path = self.own.first().map(|drive| drive.path.clone()).unwrap_or_default();
            let found = formatted;
            return Err(FormatError::Topology { path, given, found });
        }
        let refusals: Vec<Option<Refusal>> = (0..found.len())
            .map(|at| refusal(&found, at, &self.own, &layout))
            .collect();
        for (drive, refusal) in found.iter_mut().zip(refusals) {
            if let Some(refusal) = refusal {
                drive.state = State::Refused(refusal);
            }
        }
        let placed = by_identity(found, &self.own, &layout);
        let all = Identity::all(&layout);
        Ok(Opened {
            deployment: layout.deployment,
            drives: placed.into_iter().map(make::slot).collect(),
            identities: self
                .own
                .iter()
                .filter_map(|drive| all.get(drive.position).cloned())
                .collect(),
            layout,
        })
    }
}

impl fmt::Debug for OwnDrives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.own.iter().map(|drive| &drive.path))
            .finish()
    }
}

/// Returns why a formatted drive has no place at this node.
fn refusal(found: &[Found], at: usize, own: &[OwnDrive], layout: &Layout) -> Option<Refusal> {
    let format = found[at].format()?;
    if format.layout != *layout {
        return Some(Refusal::OtherDeployment {
            found: format.layout.deployment,
            expected: layout.deployment,
        });
    }
    let (drive, set_size) = (format.this, layout.set_size());
    let place = layout.position(drive)?;
    let expected = own[at].position;
    if place / set_size != expected / set_size {
        return Some(Refusal::OtherSet {
            drive,
            found: place / set_size,
            expected: expected / set_size,
        });
    }
    if !own.iter().any(|own| own.position == place) {
        let expected = layout.drives().nth(expected)?;
        return Some(Refusal::OtherNode { drive, expected });
    }
    let is_copy = |(other, found): &(usize, &Found)| {
        *other != at
            && found
                .format()
                .is_some_and(|other| other.this == drive && other.layout == *layout)
    };
    let (_, copy) = found.iter().enumerate().find(is_copy)?;
    let other = copy.path.clone();
    Some(Refusal::Copy { drive, other })
}

/// Puts each drive in its place among `own`. One that has none keeps that of its path, or takes one that is left.
fn by_identity(found: Vec<Found>, own: &[OwnDrive], layout: &Layout) -> Vec<Found> {
    let mut places: Vec<Option<Found>> = own.iter().map(|_| None).collect();
    let mut others = Vec::new();
    for (at, drive) in found.into_iter().enumerate() {
        let home = drive.format().and_then(|format| layout.position(format.this));
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
        drive::format::{Slot, index_path},
        runtime::{Runtime, real::RealRuntime},
    };
    use std::fs;

    const GIVEN: Given = Given {
        drives: 4,
        set_size: 4,
        nodes: 2,
    };

    /// Two nodes of two drives each, in one set.
    struct Bed {
        dir: tempfile::TempDir,
        files: Arc<dyn Files>,
        layout: Layout,
    }

    impl Bed {
        fn new() -> Bed {
            let rt = RealRuntime::new();
            let mut last = 0;
            let mut fresh = || {
                last += 1;
                last << 64
            };
            Bed {
                dir: tempfile::tempdir().expect("a folder"),
                files: Runtime::files(&*rt),
                layout: Layout::new(&[0, 0, 1, 1], 4, &mut fresh).expect("a shape"),
            }
        }

        /// The same, formatted.
        fn formatted() -> Bed {
            let bed = Bed::new();
            let mut nodes = [0, 1].map(|node| bed.look(node));
            nodes
                .iter_mut()
                .for_each(|node| node.begin(&bed.layout).expect("begun"));
            for mut node in nodes {
                node.complete(&bed.layout).expect("complete");
                let opened = node.open(None).expect("opens");
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

        fn look(&self, node: usize) -> OwnDrives {
            OwnDrives::look(&self.files, self.own(node), GIVEN).expect("looked at")
        }

        /// Returns, for each place of node 0, the index of its drive in the set, or why it is offline.
        fn opened(&self) -> Vec<Result<u8, String>> {
            let opened = self.look(0).open(None).expect("opens");
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

        fn has_index(&self, drive: &str) -> bool {
            self.files.kind(&index_path(&self.dir.path().join(drive))).is_ok()
        }

        #[allow(clippy::disallowed_methods, reason = "loses a drive")]
        fn wipe(&self, drive: &str) {
            let path = self.dir.path().join(drive);
            match path.is_dir() {
                true => fs::remove_dir_all(path).expect("removed"),
                false => fs::remove_file(path).expect("removed"),
            }
        }
    }

    #[tokio::test]
    async fn a_node_opens_its_own_drives_in_their_places() {
        let bed = Bed::formatted();
        assert_eq!(bed.opened(), [Ok(0), Ok(1)]);
        bed.swap("d0", "d1");
        assert_eq!(bed.opened(), [Ok(0), Ok(1)], "format.by-identity");
    }

    #[tokio::test]
    async fn a_drive_of_another_node_is_refused_by_name() {
        let bed = Bed::formatted();
        bed.swap("d0", "d2");
        let found = bed.opened();
        let is_named = |reason: &String| reason.contains("another node") && reason.contains("mount each at its own");
        assert!(found[0].as_ref().is_err_and(is_named), "{found:?}");
        assert_eq!(found[1], Ok(1));
    }

    #[tokio::test]
    async fn other_shapes_and_empty_drives_are_refused() {
        let bed = Bed::formatted();
        let given = Given { drives: 8, ..GIVEN };
        let shape = OwnDrives::look(&bed.files, bed.own(0), given).and_then(|own| own.open(None));
        assert!(matches!(shape, Err(FormatError::Topology { .. })), "{shape:?}");
        let paths = OwnDrives::look(&bed.files, bed.own(0), Given { nodes: 1, ..GIVEN }).and_then(|own| own.open(None));
        let paths = paths
            .expect_err("a deployment of nodes is no store of paths")
            .to_string();
        assert!(paths.contains("give the URLs"), "{paths}");
        let empty = bed.look(3).open(None);
        assert!(matches!(empty, Err(FormatError::NoFormat { .. })), "{empty:?}");
        let again = bed
            .look(0)
            .begin(&Layout::new(&[0, 0, 1, 1], 4, &mut || 9).expect("a shape"));
        assert!(again.is_ok(), "nothing is empty, so nothing is done");
        assert_eq!(
            bed.opened(),
            [Ok(0), Ok(1)],
            "a drive that is formatted is not formatted again"
        );
    }

    #[tokio::test]
    async fn a_first_start_goes_on_where_it_was_cut_short() {
        use formation::Found::{Begun, Complete, Empty, Refused};
        let bed = Bed::new();
        let begun = || Begun(bed.layout.clone());
        let mut first = bed.look(0);
        assert_eq!(first.found(), [Empty, Empty]);
        first.begin(&bed.layout).expect("begun");
        assert_eq!(first.found(), [begun(), begun()]);
        drop(first);
        bed.wipe("d0/.minio.sys/index.redb");
        bed.wipe("d1");
        let mut again = bed.look(0);
        assert_eq!(again.found(), [begun(), Empty]);
        again.begin(&bed.layout).expect("begun");
        let other = Layout::new(&[0, 0, 1, 1], 4, &mut || 9).expect("a shape");
        again.complete(&other).expect("nothing to do");
        assert_eq!(again.found(), [begun(), begun()]);
        again.complete(&bed.layout).expect("complete");
        let complete = || Complete(bed.layout.clone());
        assert_eq!(again.found(), [complete(), complete()]);
        drop(again);
        assert!(
            bed.has_index("d0"),
            "format.complete-after-all: it had begun, without an index"
        );
        let mut second = bed.look(1);
        second.begin(&bed.layout).expect("begun");
        drop(second);
        bed.swap("d2", "d3");
        let second = bed.look(1);
        assert_eq!(second.found(), [Refused, Refused]);
        assert!(
            second.refusals()[0].contains("mount it there"),
            "{:?}",
            second.refusals()
        );
    }

    #[tokio::test]
    async fn a_node_that_has_lost_its_drives_opens_them_as_unknown() {
        let bed = Bed::formatted();
        bed.wipe("d0");
        bed.wipe("d1");
        let opened = bed.look(0).open(Some(&bed.layout)).expect("opens");
        assert_eq!(opened.layout, bed.layout);
        let is_offline = |slot: &Slot| matches!(slot, Slot::Offline { reason, .. } if reason.contains("wiped"));
        assert!(
            opened.drives.iter().all(is_offline),
            "format.wiped-is-unknown: {opened:?}"
        );
        assert_eq!(bed.look(0).found(), [formation::Found::Empty, formation::Found::Empty]);
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "puts something in the way")]
    async fn nothing_is_begun_on_what_has_come_since() {
        let bed = Bed::new();
        let mut first = bed.look(0);
        fs::create_dir_all(bed.dir.path().join("d1/photos")).expect("made");
        assert!(first.begin(&bed.layout).is_err(), "format.foreign-data");
        assert_eq!(first.refusals(), Vec::<String>::new(), "as it was looked at");
        first.look_again().expect("looked at");
        assert!(first.refusals()[0].contains("photos"), "{:?}", first.refusals());
    }
}
