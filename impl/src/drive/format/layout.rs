//! The drives of a deployment by their UUIDs: what all of its drives have in common.

use super::error::{FormatError, Given};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// Most drives of an erasure set.
const SET_SIZE_MAX: usize = 16;
/// Most drives that accept configuration.
const ACCEPTORS_MAX: usize = 7;

/// The drives of a deployment, each in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Layout {
    pub(super) deployment: u128,
    /// The pool, from 0.
    pub(super) pool: u16,
    /// Number of nodes; 1 for a store that is given paths.
    pub(super) nodes: u16,
    /// Never empty, and of one size.
    pub(super) sets: Vec<Vec<u128>>,
    /// Drives that accept configuration (`specs/configuration.md`); none in version 2 of the format.
    pub(super) acceptors: Vec<u128>,
}

impl Layout {
    /// A new deployment, whose drives are of these nodes, in order; `fresh` gives new random identifiers.
    ///
    /// # Errors
    /// [`FormatError::SetSize`]: the drives do not make whole sets.
    pub fn new(nodes: &[u16], set_size: usize, fresh: &mut dyn FnMut() -> u128) -> Result<Layout, FormatError> {
        let drives = nodes.len();
        if set_size == 0 || set_size > SET_SIZE_MAX || drives == 0 || !drives.is_multiple_of(set_size) {
            return Err(FormatError::SetSize { drives, set_size });
        }
        let deployment = version_4(fresh());
        let ids: Vec<u128> = nodes.iter().map(|_| version_4(fresh())).collect();
        let acceptors = acceptors(nodes, set_size).into_iter().map(|drive| ids[drive]).collect();
        Ok(Layout {
            deployment,
            pool: 0,
            nodes: nodes.iter().max().map_or(1, |last| last + 1),
            sets: ids.chunks(set_size).map(<[u128]>::to_vec).collect(),
            acceptors,
        })
    }

    /// Returns the drives' UUIDs in the order of their places.
    pub(super) fn drives(&self) -> impl Iterator<Item = u128> {
        self.sets.iter().flatten().copied()
    }

    pub(super) fn set_size(&self) -> usize {
        self.sets.first().map_or(0, Vec::len)
    }

    pub(super) fn given(&self) -> Given {
        Given {
            drives: self.drives().count(),
            set_size: self.set_size(),
            nodes: self.nodes,
        }
    }

    /// Returns a hash: the same for all drives of one deployment that agree on its drives and their places, and for no
    /// others.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let ids = [self.deployment, self.set_size() as u128]
            .into_iter()
            .chain(self.drives());
        let bytes: Vec<u8> = ids.flat_map(u128::to_be_bytes).collect();
        xxh3_128(&bytes)
    }

    /// The place of a drive in the deployment, from 0.
    pub(super) fn position(&self, drive: u128) -> Option<usize> {
        self.drives().position(|other| other == drive)
    }

    /// Set of a drive, and its index within it.
    pub(super) fn place(&self, drive: u128) -> Option<(usize, u8)> {
        self.sets.iter().enumerate().find_map(|(set, drives)| {
            let index = drives.iter().position(|other| *other == drive)?;
            Some((set, u8::try_from(index).ok()?))
        })
    }

    /// # Errors
    /// The defect, in words.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let set_size = self.set_size();
        if set_size == 0 || set_size > SET_SIZE_MAX || self.sets.iter().any(|set| set.len() != set_size) {
            return Err("its erasure sets are not of one size from 1 to 16");
        }
        let is_unknown = |drive: &u128| self.position(*drive).is_none();
        if self.acceptors.len() > ACCEPTORS_MAX || self.acceptors.iter().any(is_unknown) {
            return Err("its configuration is accepted by drives that it does not name");
        }
        Ok(())
    }

    /// Returns the UUID of the deployment.
    #[must_use]
    pub fn deployment(&self) -> Uuid {
        Uuid::from_u128(self.deployment)
    }
}

/// Chooses the drives that accept configuration: of as many nodes as there are, and then of as many sets.
fn acceptors(nodes: &[u16], set_size: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < ACCEPTORS_MAX.min(nodes.len()) {
        let left = (0..nodes.len()).filter(|drive| !chosen.contains(drive));
        let beside = |drive: usize| {
            let of_node = chosen.iter().filter(|other| nodes[**other] == nodes[drive]).count();
            let of_set = chosen
                .iter()
                .filter(|other| **other / set_size == drive / set_size)
                .count();
            (of_node, of_set, drive)
        };
        let Some(next) = left.min_by_key(|drive| beside(*drive)) else {
            break;
        };
        chosen.push(next);
    }
    chosen
}

/// Random bits as a UUID of version 4.
fn version_4(random: u128) -> u128 {
    uuid::Builder::from_random_bytes(random.to_be_bytes())
        .into_uuid()
        .as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_accepted_by_drives_of_all_nodes_and_sets() {
        let four_by_four: Vec<u16> = (0..16).map(|drive| drive % 4).collect();
        let chosen = acceptors(&four_by_four, 4);
        assert_eq!(
            chosen,
            [0, 5, 10, 15, 1, 4, 11],
            "of each node and set one, then a second one"
        );
        assert_eq!(acceptors(&[0; 16], 8), [0, 8, 1, 9, 2, 10, 3]);
        assert_eq!(acceptors(&[0, 1, 2, 3], 4), [0, 1, 2, 3]);
        assert_eq!(acceptors(&[0], 1), [0]);
    }

    #[test]
    fn a_layout_has_whole_sets() {
        let mut last = 0;
        let mut fresh = || {
            last += 1;
            last << 64
        };
        let layout = Layout::new(&[0, 1, 2, 3], 4, &mut fresh).expect("a shape");
        assert_eq!(layout.check(), Ok(()));
        assert_eq!((layout.nodes, layout.given().drives, layout.set_size()), (4, 4, 4));
        for (drives, set_size) in [(0, 1), (6, 4), (17, 17), (4, 0)] {
            let nodes = vec![0; drives];
            assert!(
                Layout::new(&nodes, set_size, &mut || 9).is_err(),
                "{drives} in {set_size}"
            );
        }
        let mut broken = layout.clone();
        broken.acceptors.push(5);
        assert!(broken.check().is_err());
        broken = layout;
        broken.sets.push(vec![1]);
        assert!(broken.check().is_err());
    }
}
