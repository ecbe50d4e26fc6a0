//! Nodes, erasure sets, parity and quorums, from drive arguments. Pure: nothing here looks at a drive.
//!
//! It keeps the rules that MinIO's operators know, with these differences:
//! - A set has 4 to 16 drives, or is a single drive. Sets of 2 and 3 are refused.
//! - Sets must spread evenly over *nodes*; several ranges in a path of one host are one list of drives.
//! - Bounds of a range are decimal, hexadecimal ones (for IPv6 hosts) are not read.
//! - A drive within another drive's folder is refused, on one host also under different ports.
//! - URLs are for several nodes; when all are of one, its folders must be given as paths.
//! - With the standard class at EC:0 the reduced class defaults to EC:0 too.

mod ellipses;
mod endpoint;
mod error;
mod hosts;
mod node;
mod own;
mod parity;
mod pool;
mod set_size;

pub use endpoint::Endpoint;
pub use error::TopologyError;
pub use node::{NodeAddress, Scheme, is_loopback_only};
pub use own::{Own, OwnError, Unresolved, own};
pub use parity::{Code, REDUCED_VARIABLE, STANDARD_VARIABLE, StorageClasses, default_parity};
pub use pool::{Pool, pools};
pub use set_size::SET_SIZES;

use std::path::{Path, PathBuf};

/// The most nodes of a deployment.
pub const NODES_MAX: usize = 32;

/// The drives of a deployment, on this host or on several nodes, and how objects are spread over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The nodes, in the order of their first drives; empty for folders of this host.
    pub nodes: Vec<NodeAddress>,
    /// Protocol between the nodes; `None` for folders of this host.
    pub scheme: Option<Scheme>,
    /// The drives in order: set i holds the drives from i × `set_size`.
    pub drives: Vec<DrivePath>,
    /// N, the drives of a set.
    pub set_size: usize,
    /// Number of sets.
    pub sets: usize,
    /// Parity of the class `STANDARD`.
    pub standard_parity: u8,
    /// Parity of the class `REDUCED_REDUNDANCY`.
    pub reduced_parity: u8,
}

/// Place of a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrivePath {
    /// Index of its node; 0 for folders of this host.
    pub node: usize,
    /// Its folder there: absolute.
    pub path: PathBuf,
}

impl Topology {
    /// The topology that drive arguments describe: folders of this host, or URLs of folders on at least two nodes.
    /// `current_folder` is what relative paths start from, `default_port` the port of a URL that names none.
    ///
    /// # Errors
    /// Errors of [`pools`]; several pools; one node, or too many; parity that does not fit the sets.
    pub fn resolve(
        arguments: &[String],
        current_folder: &Path,
        default_port: u16,
        forced_set_size: Option<usize>,
        classes: StorageClasses,
    ) -> Result<Topology, TopologyError> {
        let mut groups = pool::groups(arguments, default_port)?;
        let count = groups.len();
        let endpoints = groups
            .pop()
            .filter(|_| count == 1)
            .ok_or(TopologyError::SeveralPools { pools: count })?;
        let endpoints: Vec<_> = endpoints
            .into_iter()
            .map(|endpoint| absolute(endpoint, current_folder))
            .collect();
        // Again, for `/srv/a` and `a` were not seen to be the same before.
        pool::check_together(endpoints.iter())?;
        let nodes = nodes(&endpoints)?;
        let drives = endpoints.iter().map(|endpoint| DrivePath {
            node: nodes.iter().position(|node| endpoint.node() == Some(node)).unwrap_or(0),
            path: endpoint.path().to_owned(),
        });
        let (drives, scheme) = (drives.collect(), endpoints.first().and_then(Endpoint::style));
        let pool = pool::pool(endpoints, forced_set_size)?;
        let (standard_parity, reduced_parity) = classes.resolve(pool.set_size)?;
        Ok(Topology {
            nodes,
            scheme,
            drives,
            set_size: pool.set_size,
            sets: pool.sets(),
            standard_parity,
            reduced_parity,
        })
    }

    /// Warnings for the operator, in sentences: what the loss of one host would end.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        hosts::warning(self).into_iter().collect()
    }

    /// Returns how objects of the class `STANDARD` are cut.
    #[must_use]
    pub fn standard(&self) -> Code {
        self.code(self.standard_parity)
    }

    /// Returns how objects of the class `REDUCED_REDUNDANCY` are cut.
    #[must_use]
    pub fn reduced(&self) -> Code {
        self.code(self.reduced_parity)
    }

    fn code(&self, parity: u8) -> Code {
        // A set has at most 16 drives, and parity was checked against it.
        Code {
            data: self.set_size as u8 - parity,
            parity,
        }
    }
}

fn absolute(endpoint: Endpoint, current_folder: &Path) -> Endpoint {
    match endpoint {
        Endpoint::Local(path) => Endpoint::Local(current_folder.join(path)),
        remote @ Endpoint::Remote { .. } => remote,
    }
}

/// The nodes of a deployment, in order of appearance; none for folders of this host.
fn nodes(endpoints: &[Endpoint]) -> Result<Vec<NodeAddress>, TopologyError> {
    let mut nodes: Vec<NodeAddress> = Vec::new();
    for node in endpoints.iter().filter_map(Endpoint::node) {
        if !nodes.contains(node) {
            nodes.push(node.clone());
        }
    }
    match nodes.as_slice() {
        [node] => Err(TopologyError::OneNode {
            node: node.clone(),
            path: endpoints[0].path().display().to_string(),
        }),
        _ if nodes.len() > NODES_MAX => Err(TopologyError::TooManyNodes {
            nodes: nodes.len(),
            limit: NODES_MAX,
        }),
        _ => Ok(nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(arguments: &str) -> Result<Topology, TopologyError> {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        Topology::resolve(&arguments, Path::new("/srv"), 9000, None, StorageClasses::default())
    }

    /// `expected`: (node, folder) of each drive.
    fn check_drives(topology: &Topology, expected: &[(usize, &str)]) {
        let drives: Vec<_> = topology
            .drives
            .iter()
            .map(|drive| (drive.node, drive.path.to_str().unwrap()))
            .collect();
        assert_eq!(drives, expected);
    }

    fn check_nodes(topology: &Topology, expected: &[&str]) {
        let nodes: Vec<_> = topology.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(nodes, expected);
    }

    #[test]
    fn folders_of_this_host() {
        let topology = resolve("/data{1...4}").unwrap();
        check_drives(&topology, &[(0, "/data1"), (0, "/data2"), (0, "/data3"), (0, "/data4")]);
        assert_eq!((topology.nodes.len(), topology.scheme), (0, None));
        assert_eq!((topology.sets, topology.set_size), (1, 4));
        assert_eq!((topology.standard_parity, topology.reduced_parity), (2, 1));
        assert_eq!(topology.standard(), Code { data: 2, parity: 2 });
        assert_eq!(topology.reduced(), Code { data: 3, parity: 1 });
    }

    #[test]
    fn relative_folders_start_from_the_current_one() {
        check_drives(&resolve("data").unwrap(), &[(0, "/srv/data")]);
        check_drives(&resolve("./a/").unwrap(), &[(0, "/srv/a")]);
        assert_eq!(resolve("d{1...4}").unwrap().drives[3].path, Path::new("/srv/d4"));
        assert_eq!(
            resolve("/srv/a a b c"),
            Err(TopologyError::Duplicate {
                endpoint: "/srv/a".into()
            })
        );
        assert_eq!(resolve("."), Err(TopologyError::RootPath { argument: ".".into() }));
        assert_eq!(
            resolve("10.0.0.1/d").unwrap_err().to_string().split(';').next(),
            Some("10.0.0.1/d: the scheme http or https is missing")
        );
    }

    #[test]
    fn nodes_are_in_the_order_of_their_first_drives() {
        let topology = resolve("http://host{1...2}:9000/data{1...2}").unwrap();
        check_nodes(&topology, &["host1:9000", "host2:9000"]);
        check_drives(&topology, &[(0, "/data1"), (1, "/data1"), (0, "/data2"), (1, "/data2")]);
        assert_eq!(topology.scheme, Some(Scheme::Http));
        let topology = resolve("https://b/1 https://b/2 https://a:443/1 https://B/3 https://a:443/2").unwrap();
        check_nodes(&topology, &["b:9000", "a:443"]);
        check_drives(&topology, &[(0, "/1"), (1, "/1"), (0, "/2"), (1, "/2"), (0, "/3")]);
        assert_eq!((topology.scheme, topology.set_size), (Some(Scheme::Https), 5));
        let topology = resolve("http://h:9001/a http://h:9002/b http://h:9003/c http://h:9004/d").unwrap();
        check_nodes(&topology, &["h:9001", "h:9002", "h:9003", "h:9004"]);
    }

    #[test]
    fn a_url_without_a_port_has_the_servers() {
        let arguments = ["http://h{1...4}/d".to_owned()];
        let topology = Topology::resolve(&arguments, Path::new("/srv"), 7000, None, StorageClasses::default()).unwrap();
        check_nodes(&topology, &["h1:7000", "h2:7000", "h3:7000", "h4:7000"]);
    }

    #[test]
    fn too_few_and_too_many_nodes_and_several_pools_are_refused() {
        let check = |arguments: &str, message: &str| {
            let error = resolve(arguments).unwrap_err();
            assert_eq!(error.to_string(), message, "{arguments}");
        };
        let one = "all URLs are of one node, h:9000; give its folders as paths, for example /d1";
        check("http://h/d1", one);
        check("http://h/d{1...4}", one);
        check("http://h:9000/d{1...19}", one);
        check("http://h/d1 http://H:9000/d2", one);
        check(
            "http://h{1...33}/d",
            "the URLs name 33 nodes, and a deployment has at most 32; give fewer nodes more drives each",
        );
        assert_eq!(resolve("http://h{1...32}/d").unwrap().nodes.len(), NODES_MAX);
        let pools = "2 pools given: several pools are not supported yet; give one argument, or plain folders";
        check("/a{1...4} /b{1...4}", pools);
        check("http://h1/d{1...4} http://h2/d{1...4}", pools);
        check(
            "",
            "no drives given: name one folder, or at least 4, for example /data or /data{1...4}",
        );
        check(
            "http://h{1...3}/d",
            "3 drives are too few to protect objects: give 1 drive, or at least 4",
        );
    }

    #[test]
    fn urls_that_make_no_deployment_are_refused_in_one_line() {
        let written = "; a drive on another node is written http://host:port/path";
        let more = "a user, query or fragment has no meaning here";
        let same_way = "all drives must be given in the same way: paths, or URLs of one scheme";
        let own_folder = "every drive must be a folder of its own";
        for (arguments, message) in [
            (
                "http://root:secret@a/1",
                format!("http://root:secret@a/1: {more}{written}"),
            ),
            ("http://a/1?x=2", format!("http://a/1?x=2: {more}{written}")),
            ("http://a/1#x", format!("http://a/1#x: {more}{written}")),
            (
                "http://a:0/1",
                format!("http://a:0/1: the port is not a number from 1 to 65535{written}"),
            ),
            (
                "http://a:90000/1",
                format!("http://a:90000/1: the port is not a number from 1 to 65535{written}"),
            ),
            (
                "http://0.0.0.0/1",
                format!("http://0.0.0.0/1: this address stands for every host, and names none{written}"),
            ),
            (
                "ftp://a/1",
                format!("ftp://a/1: the scheme is neither http nor https{written}"),
            ),
            (
                "[2001:db8::1]:9000/1",
                format!("[2001:db8::1]:9000/1: the scheme http or https is missing{written}"),
            ),
            (
                "http://a",
                "\"http://a\": a drive must be a folder of its own, not the root".to_owned(),
            ),
            (
                "http://h{1...4}/",
                "\"http://h1/\": a drive must be a folder of its own, not the root".to_owned(),
            ),
            ("http://a/1 http://b/2 http://c/3 /d4", format!("/d4: {same_way}")),
            (
                "http://a/1 https://b/2 http://c/3 http://d/4",
                format!("https://b:9000/2: {same_way}"),
            ),
            (
                "http://h{1...4}/d /e",
                "/e: when one argument has a range {N...M}, each is a pool and needs one".to_owned(),
            ),
            (
                "http://a/1 http://A:9000//1/ http://b/2 http://c/3",
                format!("http://a:9000/1: given twice; {own_folder}"),
            ),
            (
                "http://[::ffff:10.0.0.1]/1 http://10.0.0.1/1 http://b/2 http://c/3",
                format!("http://10.0.0.1:9000/1: given twice; {own_folder}"),
            ),
            (
                "http://a/1 http://a/1/2 http://b/2 http://c/3",
                format!("http://a:9000/1/2 lies inside http://a:9000/1; {own_folder}"),
            ),
            (
                "http://a/1 http://a:9001/1 http://b/2 http://c/3",
                format!("http://a:9000/1 and http://a:9001/1 are one folder, served by two processes; {own_folder}"),
            ),
        ] {
            let refused = resolve(arguments).expect_err(arguments).to_string();
            assert_eq!(refused, message, "{arguments}");
        }
    }

    #[test]
    fn nodes_are_named_by_ipv6_addresses() {
        let topology = resolve("http://[2001:db8::1]/d http://[2001:DB8::2]/d http://[2001:db8::3]:1/d http://d/d");
        check_nodes(
            &topology.unwrap(),
            &["[2001:db8::1]:9000", "[2001:db8::2]:9000", "[2001:db8::3]:1", "d:9000"],
        );
    }

    /// No error: some hosts may have more drives. What the loss of one costs is a warning.
    #[test]
    fn hosts_with_more_drives_than_others_are_warned_of() {
        let topology = resolve("http://a/1 http://a/2 http://a/3 http://b/4").unwrap();
        check_drives(&topology, &[(0, "/1"), (1, "/4"), (0, "/2"), (0, "/3")]);
        assert!(topology.warnings()[0].contains("the loss of one host, a, leaves set 1 with 1 of its 4 drives"));
    }

    #[test]
    fn parity_is_checked_against_the_chosen_set_size() {
        let arguments = ["/d{1...18}".to_owned()];
        let classes = StorageClasses {
            standard: Some(5),
            reduced: None,
        };
        assert!(Topology::resolve(&arguments, Path::new("/"), 9000, None, classes).is_err());
        assert!(Topology::resolve(&arguments, Path::new("/"), 9000, Some(6), StorageClasses::default()).is_ok());
        let classes = StorageClasses {
            standard: Some(4),
            reduced: Some(2),
        };
        let topology = Topology::resolve(&arguments, Path::new("/"), 9000, None, classes).unwrap();
        assert_eq!(
            (topology.standard(), topology.reduced()),
            (Code { data: 5, parity: 4 }, Code { data: 7, parity: 2 })
        );
    }
}
