//! Effect of the loss of one host. Nodes with the same host name fail together, whatever their ports.

use super::{Code, STANDARD_VARIABLE, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// A set that loses a host.
struct Loss<'a> {
    /// The host's name.
    host: &'a str,
    /// Index of the set.
    set: usize,
    /// Drives of the set on other hosts.
    left: usize,
}

/// Returns a warning if a deployment over nodes cannot lose each one of its hosts and still write objects of the
/// standard class.
pub(super) fn warning(topology: &Topology) -> Option<String> {
    let hosts: BTreeSet<&str> = topology.nodes.iter().map(|node| node.host.as_str()).collect();
    if let (Some(host), 1) = (hosts.first(), hosts.len()) {
        return Some(format!(
            "all nodes are on one host, {host}: its loss ends all reads and writes; put them on several hosts, unless \
             this is a test"
        ));
    }
    let worst = losses(topology).min_by_key(|loss| loss.left)?;
    let code = topology.standard();
    let (read, write) = (usize::from(code.read_quorum()), usize::from(code.write_quorum()));
    let needed = match worst.left {
        left if left < read && read == write => format!("reads and writes need {write}"),
        left if left < read => format!("a read needs {read} and a write {write}"),
        left if left < write => format!("a write needs {write}, though a read only {read}"),
        _ => return None,
    };
    Some(format!(
        "the loss of one host, {}, leaves set {} with {} of its {} drives, and {needed}; {}",
        worst.host,
        worst.set + 1,
        worst.left,
        topology.set_size,
        remedy(topology, worst.left)
    ))
}

/// What each set has left after the loss of each of its hosts.
fn losses(topology: &Topology) -> impl Iterator<Item = Loss<'_>> {
    let sets = topology.drives.chunks(topology.set_size).enumerate();
    sets.flat_map(|(set, drives)| {
        let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
        for node in drives.iter().filter_map(|drive| topology.nodes.get(drive.node)) {
            *lost.entry(&node.host).or_default() += 1;
        }
        let left = move |(host, lost)| Loss {
            host,
            set,
            left: drives.len() - lost,
        };
        lost.into_iter().map(left)
    })
}

/// Advises the least parity with which `left` drives of a set can be written to, if there is one.
fn remedy(topology: &Topology, left: usize) -> String {
    let parities = topology.standard_parity + 1..=(topology.set_size / 2) as u8;
    let suffices = |parity: &u8| {
        let code = Code::new(STANDARD_VARIABLE, topology.set_size, *parity);
        code.is_ok_and(|code| left >= usize::from(code.write_quorum()))
    };
    match parities.into_iter().find(suffices) {
        Some(parity) => format!("{STANDARD_VARIABLE}=EC:{parity} prevents that for new objects, and so do more hosts"),
        None => "more hosts with fewer drives each prevent that".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::StorageClasses;
    use super::*;
    use std::path::Path;

    /// Returns what an operator is told; `parity` of the standard class, by default that of the set size.
    fn warnings(arguments: &str, parity: Option<u8>) -> Vec<String> {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        let classes = StorageClasses {
            standard: parity,
            reduced: None,
        };
        let topology = Topology::resolve(&arguments, Path::new("/srv"), 9000, None, classes).unwrap();
        topology.warnings()
    }

    fn check(arguments: &str, parity: Option<u8>, expected: &str) {
        assert_eq!(warnings(arguments, parity), [expected], "{arguments} {parity:?}");
    }

    #[test]
    fn deployments_that_can_lose_any_host_are_not_warned_of() {
        for (arguments, parity) in [
            ("/d{1...4}", None),
            ("/d", None),
            ("http://h{1...4}/d{1...4}", None),
            ("http://h{1...4}/d", None),
            ("http://h{1...16}/d{1...4}", None),
            ("http://h{1...3}/d{1...4}", Some(5)),
        ] {
            let expected: [&str; 0] = [];
            assert_eq!(warnings(arguments, parity), expected, "{arguments}");
        }
        let two_ports = "http://a:1/1 http://a:2/2 http://b:1/1 http://b:2/2 http://c:1/1 http://c:2/2";
        assert!(
            warnings(two_ports, Some(3)).is_empty(),
            "4 drives are left, and a write needs 4"
        );
    }

    #[test]
    fn the_worst_loss_is_told_with_a_remedy() {
        check(
            "http://h{1...4}/d{1...4}",
            Some(3),
            "the loss of one host, h1, leaves set 1 with 12 of its 16 drives, and reads and writes need 13; \
             MINIO_STORAGE_CLASS_STANDARD=EC:4 prevents that for new objects, and so do more hosts",
        );
        check(
            "http://h{1...2}/d{1...2}",
            None,
            "the loss of one host, h1, leaves set 1 with 2 of its 4 drives, and a write needs 3, though a read only 2; \
             more hosts with fewer drives each prevent that",
        );
        check(
            "http://a/1 http://a/2 http://a/3 http://b/4",
            None,
            "the loss of one host, a, leaves set 1 with 1 of its 4 drives, and a read needs 2 and a write 3; more \
             hosts with fewer drives each prevent that",
        );
        // Dealt out node by node, the drives of the node that has most come last: all of the second set are of it.
        let crowded = (1..=3).map(|n| format!("http://h{n}/d ")).collect::<String>()
            + &(1..=17).map(|n| format!("http://a/d{n} ")).collect::<String>();
        let found = warnings(&crowded, None);
        assert!(
            found[0].contains("a, leaves set 2 with 0 of its 10 drives"),
            "{found:?}"
        );
    }

    #[test]
    fn ports_of_one_host_are_lost_together() {
        let pairs = "http://a:1/1 http://b:1/1 http://a:2/2 http://b:2/2";
        check(
            pairs,
            None,
            "the loss of one host, a, leaves set 1 with 2 of its 4 drives, and a write needs 3, though a read only 2; \
             more hosts with fewer drives each prevent that",
        );
        check(
            "http://localhost:9001/a http://localhost:9002/b http://localhost:9003/c http://localhost:9004/d",
            None,
            "all nodes are on one host, localhost: its loss ends all reads and writes; put them on several hosts, \
             unless this is a test",
        );
    }
}
