//! Identification of drives: their deployment, and the place of each in it.

use super::{
    Found, State,
    error::{FormatError, Given, Refusal},
    file::Format,
};
use model::protocol::Quorums;

/// The format of the deployment that is started: the one that most drives are of. Drives that are complete count
/// before those that are not. `None` if no drive has a format.
///
/// # Errors
/// [`FormatError::OtherDeployment`]: as many drives are of another one.
pub(super) fn reference(drives: &[Found]) -> Result<Option<Format>, FormatError> {
    let mut deployments: Vec<(&Found, &Format, (usize, usize))> = Vec::new();
    for drive in drives {
        let Some(format) = drive.format() else { continue };
        let place = deployments.iter().position(|(_, other, _)| other.is_of_same(format));
        let place = place.unwrap_or_else(|| {
            deployments.push((drive, format, (0, 0)));
            deployments.len() - 1
        });
        let (_, first, (complete, all)) = &mut deployments[place];
        if format.complete && !first.complete {
            *first = format;
        }
        *complete += usize::from(format.complete);
        *all += 1;
    }
    let most = deployments.iter().map(|(.., count)| *count).max();
    let mut largest = deployments.iter().filter(|(.., count)| Some(*count) == most);
    match (largest.next(), largest.next()) {
        (Some((_, format, _)), None) => Ok(Some((*format).clone())),
        (Some((_, expected, _)), Some((drive, found, _))) => Err(FormatError::OtherDeployment {
            path: drive.path.clone(),
            found: found.layout.deployment,
            expected: expected.layout.deployment,
        }),
        (None, _) => Ok(None),
    }
}

/// Puts each drive in its place, in the order of the deployment (`format.by-identity`). A drive that has none here is
/// refused, and left as it is.
///
/// # Errors
/// [`FormatError::Topology`]: another number of drives is given, or another size of sets (`format.topology`).
pub(super) fn place(mut drives: Vec<Found>, reference: &Format, set_size: usize) -> Result<Vec<Found>, FormatError> {
    let (given, found) = (
        Given {
            drives: drives.len(),
            set_size,
            nodes: 1,
        },
        reference.layout.given(),
    );
    if given != found {
        let of_deployment = |drive: &&Found| drive.format().is_some_and(|format| format.is_of_same(reference));
        let path = drives.iter().find(of_deployment).map(|drive| drive.path.clone());
        let path = path.unwrap_or_default();
        return Err(FormatError::Topology { path, given, found });
    }
    for position in 0..drives.len() {
        if let Some(refusal) = refusal(&drives, position, reference, set_size) {
            drives[position].state = State::Refused(refusal);
        }
    }
    let own = |drive: &Found| drive.format().and_then(|format| reference.layout.position(format.this));
    let mut places: Vec<Option<Found>> = drives.iter().map(|_| None).collect();
    let mut others = Vec::new();
    for (position, drive) in drives.into_iter().enumerate() {
        match own(&drive) {
            Some(place) => {
                if place != position {
                    let (found_as, number) = (position + 1, place + 1);
                    let path = drive.path.display();
                    tracing::warn!(
                        drive = %path,
                        number,
                        found_as,
                        "the drive is used at its own place: its path has another one, as when mounts are renumbered"
                    );
                }
                places[place] = Some(drive);
            }
            None => others.push((position, drive)),
        }
    }
    // What has no place of its own keeps that of its path, or takes one that is left in the set.
    for (position, drive) in others {
        let first = position / set_size * set_size;
        let mut left = std::iter::once(position).chain(first..first + set_size);
        if let Some(place) = left.find(|place| places[*place].is_none()) {
            places[place] = Some(drive);
        }
    }
    Ok(places.into_iter().flatten().collect())
}

/// Returns why a formatted drive has no place here.
fn refusal(drives: &[Found], position: usize, reference: &Format, set_size: usize) -> Option<Refusal> {
    let format = drives[position].format()?;
    if !format.is_of_same(reference) {
        return Some(Refusal::OtherDeployment {
            found: format.layout.deployment,
            expected: reference.layout.deployment,
        });
    }
    let drive = format.this;
    let place = reference.layout.position(drive)?;
    if place / set_size != position / set_size {
        return Some(Refusal::OtherSet {
            drive,
            found: place / set_size,
            expected: position / set_size,
        });
    }
    // The copy of a drive: nobody can tell which of the two is the newer one.
    let is_copy = |(other, found): &(usize, &Found)| {
        let same = |format: &Format| format.this == drive && format.is_of_same(reference);
        *other != position && (found.format().is_some_and(same) || found.is_copy_of(drive))
    };
    let (_, copy) = drives.iter().enumerate().find(is_copy)?;
    let other = copy.path.clone();
    Some(Refusal::Copy { drive, other })
}

/// A set of which some drives are refused is served by the others only if those can read: otherwise it is more likely
/// that the wrong drives were given (`format.foreign-data`).
///
/// # Errors
/// [`FormatError::NoQuorum`].
pub(super) fn check_quorum(drives: &[Found], set_size: usize) -> Result<(), FormatError> {
    let needed = usize::from(Quorums::of(u8::try_from(set_size).unwrap_or(u8::MAX)).prepare);
    for (set, drives) in drives.chunks(set_size).enumerate() {
        let found = drives.iter().filter(|drive| drive.format().is_some()).count();
        if found < needed && drives.iter().any(Found::is_refused) {
            let reasons: Vec<_> = drives.iter().filter_map(Found::named_reason).collect();
            let reasons = reasons.join("; ");
            return Err(FormatError::NoQuorum {
                set,
                found,
                needed,
                reasons,
            });
        }
    }
    Ok(())
}
