//! Drives of a deployment: where their list comes from, and which of its ports are possible for this server.

use super::{ConfigError, Env, ListenAddress};
use crate::topology::{REDUCED_VARIABLE, STANDARD_VARIABLE, StorageClasses, Topology, TopologyError};
use std::{collections::BTreeSet, path::Path};

/// Sources of the drive arguments, first to last; the first that is not empty wins, and each beats the
/// command line.
const DRIVE_VARIABLES: [&str; 3] = ["MINIO_ARGS", "MINIO_VOLUMES", "MINIO_ENDPOINTS"];

/// Reads the drives and their classes, and checks them against the server's own address.
///
/// # Errors
/// Errors of the topology; with several nodes, a port that none of them has.
pub(super) fn topology(
    arguments: &[String],
    env: &Env,
    current_folder: &Path,
    address: &ListenAddress,
) -> Result<Topology, ConfigError> {
    let words = |value: &str| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let from_env = DRIVE_VARIABLES
        .into_iter()
        .filter_map(|name| env.get(name))
        .map(words)
        .find(|w| !w.is_empty());
    let arguments = from_env.as_deref().unwrap_or(arguments);
    // Before the URLs are read, for it would be the port of those that name none.
    if address.port == 0 && arguments.iter().any(|argument| argument.contains("://")) {
        return Err(ConfigError::ChosenPort {
            address: address.clone(),
        });
    }
    let forced_set_size = forced_set_size(env)?;
    let classes = StorageClasses::parse(env.get(STANDARD_VARIABLE), env.get(REDUCED_VARIABLE))?;
    let topology = Topology::resolve(arguments, current_folder, address.port, forced_set_size, classes)?;
    let ports: BTreeSet<u16> = topology.nodes.iter().map(|node| node.port).collect();
    if !ports.is_empty() && !ports.contains(&address.port) {
        return Err(ConfigError::PortOfNoNode {
            address: address.clone(),
            ports,
        });
    }
    Ok(topology)
}

/// `MINIO_ERASURE_SET_DRIVE_COUNT`; 0 means that the size is chosen.
fn forced_set_size(env: &Env) -> Result<Option<usize>, TopologyError> {
    let name = "MINIO_ERASURE_SET_DRIVE_COUNT";
    let Some(value) = env.get(name) else { return Ok(None) };
    match value.parse() {
        Ok(0) => Ok(None),
        Ok(size) => Ok(Some(size)),
        Err(_) => Err(TopologyError::NotANumber {
            name,
            value: value.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(drives: &str, env: &[(&str, &str)], address: &str) -> Result<Topology, String> {
        let arguments: Vec<_> = drives.split_whitespace().map(str::to_owned).collect();
        let address = address.parse().unwrap();
        let found = topology(&arguments, &Env::from_pairs(env), Path::new("/srv"), &address);
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_beats_drive_arguments() {
        let check = |env: &[(&str, &str)], expected: &[&str]| {
            let drives = resolve("/arg", env, ":9000").unwrap().drives;
            let paths: Vec<_> = drives.iter().map(|drive| drive.path.to_str().unwrap()).collect();
            assert_eq!(paths, expected, "{env:?}");
        };
        check(&[], &["/arg"]);
        check(&[("MINIO_ENDPOINTS", "/c")], &["/c"]);
        check(&[("MINIO_ENDPOINTS", "/c"), ("MINIO_VOLUMES", "/b")], &["/b"]);
        check(&[("MINIO_VOLUMES", "/b"), ("MINIO_ARGS", "/a")], &["/a"]);
        check(&[("MINIO_VOLUMES", "/b"), ("MINIO_ARGS", "  ")], &["/b"]);
        check(&[("MINIO_VOLUMES", " /a /b\t/c  /d ")], &["/a", "/b", "/c", "/d"]);
        let nodes = resolve("/arg", &[("MINIO_VOLUMES", "http://h{1...4}/d")], ":9000")
            .unwrap()
            .nodes;
        assert_eq!(nodes.len(), 4);
    }

    #[test]
    fn the_port_is_one_of_the_urls() {
        let nodes = |drives: &str, address: &str| {
            let nodes = resolve(drives, &[], address)?.nodes;
            Ok(nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let check = |drives, address, expected: Result<&str, &str>| {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(nodes(drives, address), expected, "{drives} {address}");
        };
        check(
            "http://127.0.0.{1...2}/d{1...2}",
            ":7000",
            Ok("127.0.0.1:7000 127.0.0.2:7000"),
        );
        check(
            "http://localhost:700{1...4}/d{1...2}",
            "127.0.0.1:7003",
            Err(
                "http://localhost:7001/d1 and http://localhost:7002/d1 are one folder, served by two processes; every \
                 drive must be a folder of its own",
            ),
        );
        let four = "http://localhost:7001/a http://localhost:7002/b http://localhost:7003/c http://localhost:7004/d";
        check(
            four,
            ":7003",
            Ok("localhost:7001 localhost:7002 localhost:7003 localhost:7004"),
        );
        check(
            four,
            "127.0.0.1:9000",
            Err(
                "--address 127.0.0.1:9000: no drive's URL has this port, they have 7001, 7002, 7003, 7004; one of them \
                 must be this node's",
            ),
        );
        for drives in [four, "http://127.0.0.{1...4}/d"] {
            check(
                drives,
                ":0",
                Err(
                    "--address :0: with drives on several nodes the port must be one that the others know, for \
                     example :9000",
                ),
            );
        }
        check("/d{1...4}", ":0", Ok(""));
    }
}
