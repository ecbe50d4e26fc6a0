//! Size of erasure sets.

use super::TopologyError;
use std::ops::RangeInclusive;

/// The set sizes there are, beside the single drive. Sets of 2 and 3 are refused: they could lose only
/// one drive, and half of one set could not be told from the other half.
pub const SET_SIZES: RangeInclusive<usize> = 4..=16;

/// Largest distance of a suggested number of drives.
const SEARCH_DRIVES_MAX: usize = 32;

/// The set size for `drives` drives on `nodes` nodes: the largest that divides the drives and takes
/// as many from every node. `forced` asks for one size; it only has to divide.
///
/// `even` says whether every node has as many drives; otherwise no set can spread evenly, and the
/// spread is not asked for.
///
/// # Errors
/// Too few drives, or a number that no size divides; the error names counts nearby that would work.
pub fn choose(drives: usize, nodes: usize, even: bool, forced: Option<usize>) -> Result<usize, TopologyError> {
    match drives {
        0 => return Err(TopologyError::NoDrives),
        1 => return Ok(1),
        2 | 3 => return Err(TopologyError::TooFewDrives { drives }),
        _ => {}
    }
    if let Some(asked) = forced {
        let possible: Vec<_> = SET_SIZES.filter(|size| drives.is_multiple_of(*size)).collect();
        return match possible.contains(&asked) {
            true => Ok(asked),
            false => Err(TopologyError::SetSizeNotPossible {
                asked,
                drives,
                possible,
            }),
        };
    }
    largest(drives, if even { nodes } else { 1 }).ok_or_else(|| TopologyError::NoSetSize {
        drives,
        nodes,
        working: nearby(drives, nodes),
    })
}

/// The largest fitting size for `drives` drives that `nodes` nodes share equally.
fn largest(drives: usize, nodes: usize) -> Option<usize> {
    // A set no larger than the number of nodes takes one drive from each node that it touches; a larger
    // one takes as many from every node.
    let even = |size: usize| {
        if nodes > size {
            nodes.is_multiple_of(size)
        } else {
            size.is_multiple_of(nodes)
        }
    };
    SET_SIZES.rev().find(|size| drives.is_multiple_of(*size) && even(*size))
}

/// The nearest counts below and above that work on as many nodes: (drives, sets, set size).
fn nearby(drives: usize, nodes: usize) -> Vec<(usize, usize, usize)> {
    let works = |drives: usize| {
        let size = largest(drives, nodes).filter(|_| drives.is_multiple_of(nodes))?;
        Some((drives, drives / size, size))
    };
    let reach = SEARCH_DRIVES_MAX.max(4 * nodes);
    let below = (drives.saturating_sub(reach)..drives)
        .rev()
        .filter(|count| *count > 0)
        .find_map(works);
    let above = (drives + 1..=drives + reach).find_map(works);
    below.into_iter().chain(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is (sets, size), or the counts that the error proposes.
    fn check(drives: usize, nodes: usize, expected: Result<(usize, usize), &[usize]>) {
        let found = match choose(drives, nodes, true, None) {
            Ok(size) => Ok((drives / size, size)),
            Err(TopologyError::NoSetSize { working, .. }) => Err(working.iter().map(|w| w.0).collect::<Vec<_>>()),
            Err(error) => panic!("{drives} drives on {nodes} nodes: {error}"),
        };
        assert_eq!(
            found,
            expected.map_err(<[usize]>::to_vec),
            "{drives} drives on {nodes} nodes"
        );
    }

    #[test]
    fn one_set_up_to_sixteen_drives() {
        assert_eq!(choose(1, 1, true, None), Ok(1));
        for drives in [2, 3] {
            assert_eq!(
                choose(drives, 1, true, None),
                Err(TopologyError::TooFewDrives { drives })
            );
        }
        for drives in 4..=16 {
            check(drives, 1, Ok((1, drives)));
        }
    }

    #[test]
    fn more_drives_are_divided() {
        check(17, 1, Err(&[16, 18]));
        check(18, 1, Ok((2, 9)));
        check(19, 1, Err(&[18, 20]));
        check(20, 1, Ok((2, 10)));
        check(21, 1, Ok((3, 7)));
        check(22, 1, Ok((2, 11)));
        check(23, 1, Err(&[22, 24]));
        check(24, 1, Ok((2, 12)));
        check(31, 1, Err(&[30, 32]));
        check(32, 1, Ok((2, 16)));
        check(33, 1, Ok((3, 11)));
        check(34, 1, Err(&[33, 35]));
        check(35, 1, Ok((5, 7)));
        check(36, 1, Ok((3, 12)));
        check(37, 1, Err(&[36, 39]));
        check(38, 1, Err(&[36, 39]));
        check(64, 1, Ok((4, 16)));
    }

    /// The set sizes of H nodes with D drives each, as far as they are 4 or more, are those that
    /// operators of MinIO know.
    #[test]
    fn sets_spread_evenly_over_nodes() {
        for (nodes, row) in [
            (2, [0, 4, 6, 8, 10, 12, 16, 10, 12, 16, 16]),
            (3, [0, 6, 9, 12, 15, 9, 12, 15, 12, 12, 12]),
            (4, [4, 8, 12, 16, 4, 12, 16, 8, 16, 16, 16]),
            (5, [5, 10, 15, 10, 5, 15, 10, 10, 15, 10, 15]),
            (6, [6, 12, 6, 12, 6, 12, 12, 12, 12, 12, 12]),
            (7, [7, 14, 7, 14, 7, 14, 14, 14, 14, 14, 14]),
            (8, [8, 16, 8, 16, 8, 16, 16, 16, 16, 16, 16]),
            (9, [9; 11]),
            (16, [16; 11]),
        ] {
            for (per_node, size) in [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24].into_iter().zip(row) {
                let found = choose(nodes * per_node, nodes, true, None).unwrap_or(0);
                assert_eq!(found, size, "{nodes} nodes of {per_node} drives");
            }
        }
        check(32 * 32, 32, Ok((64, 16)));
        check(12 * 12, 12, Ok((12, 12)));
        check(17 * 2, 17, Err(&[]));
    }

    #[test]
    fn nodes_of_different_sizes_are_not_asked_to_spread() {
        assert_eq!(choose(20, 3, false, None), Ok(10));
        assert!(choose(20, 3, true, None).is_err());
    }

    #[test]
    fn a_forced_size_must_divide() {
        assert_eq!(choose(16, 1, true, Some(4)), Ok(4));
        assert_eq!(
            choose(16, 1, true, Some(5)),
            Err(TopologyError::SetSizeNotPossible {
                asked: 5,
                drives: 16,
                possible: vec![4, 8, 16]
            })
        );
        assert!(choose(16, 1, true, Some(2)).is_err());
    }
}
