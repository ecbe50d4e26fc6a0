//! Pools of erasure sets, from drive arguments.

use super::{Endpoint, NodeAddress, TopologyError, ellipses, ellipses::DRIVES_MAX, set_size};
use std::collections::{BTreeMap, BTreeSet};

/// Drives that were added together, divided into erasure sets of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its drives in order: set i holds the drives from i × `set_size`.
    pub endpoints: Vec<Endpoint>,
    /// N, the drives of a set.
    pub set_size: usize,
}

impl Pool {
    /// A pool of `drives` folders on one host that nobody has named, to calculate with.
    ///
    /// # Errors
    /// A count that makes no sets, or an absurd one.
    pub fn of_count(drives: usize) -> Result<Pool, TopologyError> {
        if drives > DRIVES_MAX {
            return Err(TopologyError::TooManyDrives {
                argument: drives.to_string(),
                limit: DRIVES_MAX,
            });
        }
        let set_size = set_size::choose(drives, 1, true, None)?;
        let endpoints = (1..=drives)
            .map(|drive| Endpoint::Local(format!("/drive{drive}").into()))
            .collect();
        Ok(Pool { endpoints, set_size })
    }

    /// Returns how many erasure sets it has.
    #[must_use]
    pub fn sets(&self) -> usize {
        self.endpoints.len() / self.set_size
    }

    /// Returns how many nodes serve it; 1 for folders of this host.
    #[must_use]
    pub fn nodes(&self) -> usize {
        per_node(&self.endpoints).len()
    }

    /// Returns how many nodes may fail, whichever they are, while every set keeps `quorum` drives.
    #[must_use]
    pub fn node_failures_tolerated(&self, quorum: usize) -> usize {
        let of_set = |set: &[Endpoint]| {
            let mut drives: Vec<_> = per_node(set).into_values().collect();
            drives.sort_unstable_by(|a, b| b.cmp(a));
            let mut left = set.len();
            let survives = |drives: &usize| {
                left -= drives;
                left >= quorum
            };
            drives.into_iter().take_while(survives).count()
        };
        self.endpoints.chunks(self.set_size).map(of_set).min().unwrap_or(0)
    }
}

/// The pools that drive arguments describe. A URL without a port means `default_port`.
///
/// When an argument has a range `{N...M}`, every argument is a pool and needs one. Otherwise all
/// arguments together are one pool, whose drives are dealt out node by node so that sets spread.
///
/// `forced_set_size` overrides the choice of the set size.
///
/// # Errors
/// See [`TopologyError`].
pub fn pools(
    arguments: &[String],
    default_port: u16,
    forced_set_size: Option<usize>,
) -> Result<Vec<Pool>, TopologyError> {
    groups(arguments, default_port)?
        .into_iter()
        .map(|endpoints| pool(endpoints, forced_set_size))
        .collect()
}

/// The drives of each pool, in order.
///
/// # Errors
/// Arguments that cannot be read, or drives that do not fit together.
pub(super) fn groups(arguments: &[String], default_port: u16) -> Result<Vec<Vec<Endpoint>>, TopologyError> {
    let parse = |drives: &[String]| -> Result<Vec<_>, _> {
        let endpoints = drives.iter().map(|drive| Endpoint::parse(drive, default_port));
        endpoints.collect()
    };
    let mut groups = Vec::new();
    if arguments.iter().any(|argument| ellipses::has_ellipses(argument)) {
        for argument in arguments {
            if !ellipses::has_ellipses(argument) {
                return Err(TopologyError::MixedEllipses {
                    argument: argument.clone(),
                });
            }
            groups.push(parse(&ellipses::expand(argument)?)?);
        }
    } else {
        groups.push(interleave(parse(arguments)?));
    }
    check_together(groups.iter().flatten())?;
    Ok(groups)
}

/// Divides drives into sets.
///
/// # Errors
/// A number that makes no sets.
pub(super) fn pool(endpoints: Vec<Endpoint>, forced_set_size: Option<usize>) -> Result<Pool, TopologyError> {
    let counts: BTreeSet<usize> = per_node(&endpoints).into_values().collect();
    let nodes = per_node(&endpoints).len();
    let set_size = set_size::choose(endpoints.len(), nodes, counts.len() <= 1, forced_set_size)?;
    Ok(Pool { endpoints, set_size })
}

/// Drives per node; all folders of this host are one node's.
fn per_node(endpoints: &[Endpoint]) -> BTreeMap<Option<&NodeAddress>, usize> {
    let mut counts = BTreeMap::new();
    for endpoint in endpoints {
        *counts.entry(endpoint.node()).or_insert(0) += 1;
    }
    counts
}

/// The first drive of each node, then the second of each, and so on; nodes in order of appearance.
fn interleave(endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    let mut nodes: Vec<(Option<NodeAddress>, usize)> = Vec::new();
    let mut dealt = BTreeMap::new();
    for endpoint in endpoints {
        let node = endpoint.node().cloned();
        let place = nodes.iter().position(|(known, _)| *known == node).unwrap_or_else(|| {
            nodes.push((node, 0));
            nodes.len() - 1
        });
        let round = nodes[place].1;
        nodes[place].1 += 1;
        dealt.insert((round, place), endpoint);
    }
    dealt.into_values().collect()
}

/// All drives of a deployment are written in one style, differ, and lie beside one another.
pub(super) fn check_together<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Result<(), TopologyError> {
    let mut seen: BTreeSet<&Endpoint> = BTreeSet::new();
    for endpoint in endpoints {
        if seen.first().is_some_and(|first| first.style() != endpoint.style()) {
            return Err(TopologyError::MixedStyles {
                argument: endpoint.to_string(),
            });
        }
        if !seen.insert(endpoint) {
            return Err(TopologyError::Duplicate {
                endpoint: endpoint.to_string(),
            });
        }
    }
    check_apart(seen)
}

/// No folder is given to two processes, or lies inside another one, on one host. Several names of a host are several
/// hosts here.
fn check_apart(endpoints: BTreeSet<&Endpoint>) -> Result<(), TopologyError> {
    let mut sorted: Vec<_> = endpoints.into_iter().collect();
    sorted.sort_by_key(|endpoint| (host(endpoint), endpoint.path()));
    // Sorted by components, a folder stands directly before the first one within it.
    for pair in sorted.windows(2) {
        let [outer, inner] = pair else { continue };
        if host(outer) != host(inner) || !inner.path().starts_with(outer.path()) {
            continue;
        }
        return Err(if inner.path() == outer.path() {
            TopologyError::ServedTwice {
                first: outer.to_string(),
                second: inner.to_string(),
            }
        } else {
            TopologyError::Nested {
                outer: outer.to_string(),
                inner: inner.to_string(),
            }
        });
    }
    Ok(())
}

fn host(endpoint: &Endpoint) -> Option<&str> {
    endpoint.node().map(|node| node.host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Vec<Pool>, TopologyError> {
        pools(
            &arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            9000,
            None,
        )
    }

    /// `expected`: (nodes, sets, set size) of each pool.
    fn check(arguments: &str, expected: &[(usize, usize, usize)]) {
        let found = parse(arguments).unwrap();
        let shapes: Vec<_> = found
            .iter()
            .map(|pool| (pool.nodes(), pool.sets(), pool.set_size))
            .collect();
        assert_eq!(shapes, expected, "{arguments}");
    }

    fn check_refused(arguments: &str, message: &str) {
        assert_eq!(parse(arguments).unwrap_err().to_string(), message, "{arguments}");
    }

    #[test]
    fn arguments_with_ranges_are_pools() {
        check("/data", &[(1, 1, 1)]);
        check("/data{1...1}", &[(1, 1, 1)]);
        check("/data{1...4}", &[(1, 1, 4)]);
        check("/a/d{1...18}", &[(1, 2, 9)]);
        check("/mnt{1...4}/d{1...5}", &[(1, 2, 10)]);
        check("/a{1...4} /b{1...16}", &[(1, 1, 4), (1, 1, 16)]);
        check("http://host{1...4}/d{1...4}", &[(4, 1, 16)]);
        check("http://host{1...4}/d{1...5}", &[(4, 5, 4)]);
        check(
            "http://n{1...4}/d{1...4} http://n{5...8}/d{1...4}",
            &[(4, 1, 16), (4, 1, 16)],
        );
    }

    #[test]
    fn plain_arguments_are_one_pool() {
        check("/a /b /c /d /e /f /g", &[(1, 1, 7)]);
        check("http://h1/d1 http://h1/d2 http://h2/d1 http://h2/d2", &[(2, 1, 4)]);
        check(
            "http://h:9001/a http://h:9002/b http://h:9003/c http://h:9004/d",
            &[(4, 1, 4)],
        );
        check("http://h1/a http://h1/b http://h1/c http://h2/d", &[(2, 1, 4)]);
    }

    #[test]
    fn plain_arguments_are_dealt_out_node_by_node() {
        let found = parse("http://b/1 http://b/2 http://a/1 http://a/2 http://b/3").unwrap();
        let order: Vec<_> = found[0].endpoints.iter().map(Endpoint::to_string).collect();
        assert_eq!(
            order,
            [
                "http://b:9000/1",
                "http://a:9000/1",
                "http://b:9000/2",
                "http://a:9000/2",
                "http://b:9000/3"
            ]
        );
    }

    #[test]
    fn neighbours_are_on_different_nodes() {
        let found = parse("http://h{1...4}/d{1...8}").unwrap();
        for set in found[0].endpoints.chunks(found[0].set_size) {
            assert_eq!(per_node(set).into_values().collect::<Vec<_>>(), [4; 4]);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        check_refused(
            "/a{1...4} /b",
            "/b: when one argument has a range {N...M}, each is a pool and needs one",
        );
        check_refused(
            "/a /b /c /a",
            "/a: given twice; every drive must be a folder of its own",
        );
        check_refused(
            "/a /b /c /a/",
            "/a: given twice; every drive must be a folder of its own",
        );
        check_refused(
            "/d{1...4} /d{4...7}",
            "/d4: given twice; every drive must be a folder of its own",
        );
        check_refused(
            "http://h:9000/a http://H/a",
            "http://h:9000/a: given twice; every drive must be a folder of its own",
        );
        check_refused(
            "/a /b /c /a/d",
            "/a/d lies inside /a; every drive must be a folder of its own",
        );
        for (inner, outer) in [
            ("http://h:9000/a/d", "http://h:9000/a"),
            ("http://h:9001/a/d", "http://h:9000/a"),
            ("http://h:9000/a/d", "http://h:9001/a"),
        ] {
            check_refused(
                &format!("http://g/a {inner} http://g/b {outer}"),
                &format!("{inner} lies inside {outer}; every drive must be a folder of its own"),
            );
        }
        check_refused(
            "http://h:9001/d http://h:9002/e http://h:9003/d http://h:9004/f",
            "http://h:9001/d and http://h:9003/d are one folder, served by two processes; every drive must be a folder \
             of its own",
        );
        let styles = "all drives must be given in the same way: paths, or URLs of one scheme";
        check_refused("/a http://h/b", &format!("http://h:9000/b: {styles}"));
        check_refused("http://h/a https://h/b", &format!("https://h:9000/b: {styles}"));
        check_refused(
            "/a /b",
            "2 drives are too few to protect objects: give 1 drive, or at least 4",
        );
        check_refused(
            "/a{1...19}",
            "19 drives cannot be divided into equal erasure sets of 4 to 16 drives; 18 (2 × 9) or 20 (2 × 10) would \
             work",
        );
        check_refused(
            "http://h{1...17}/d{1...2}",
            "34 drives on 17 nodes cannot be divided into equal erasure sets of 4 to 16 drives that spread evenly over \
             the nodes; no number of drives per node makes it work",
        );
    }

    /// `expected`: node failures tolerated by (reads, writes).
    fn check_nodes(arguments: &str, parity: u8, expected: (usize, usize)) {
        let found = parse(arguments).unwrap();
        let code = super::super::Code::new("test", found[0].set_size, parity).unwrap();
        let tolerated = |quorum: u8| found[0].node_failures_tolerated(usize::from(quorum));
        assert_eq!(
            (tolerated(code.read_quorum()), tolerated(code.write_quorum())),
            expected,
            "{arguments} {parity}"
        );
    }

    #[test]
    fn node_failures() {
        check_nodes("http://h{1...4}/d{1...4}", 8, (2, 1));
        check_nodes("http://h{1...4}/d{1...4}", 4, (1, 1));
        check_nodes("http://h{1...4}/d{1...4}", 3, (0, 0));
        check_nodes("http://h{1...4}/d", 2, (2, 1));
        check_nodes("http://h{1...2}/d{1...2}", 2, (1, 0));
        check_nodes("http://h{1...16}/d{1...4}", 4, (4, 4));
        check_nodes("/d{1...16}", 8, (0, 0));
        check_nodes("http://h1/a http://h1/b http://h1/c http://h2/d", 2, (0, 0));
        check_nodes("http://h1/a http://h1/b http://h2/c http://h3/d", 2, (1, 0));
    }
}
