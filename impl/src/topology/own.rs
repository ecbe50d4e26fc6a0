//! Search for this node among the nodes of a deployment.

use super::NodeAddress;
use std::net::IpAddr;

/// Result of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// This node's index.
    Found(usize),
    /// No node is this one so far, but these may be once their names resolve. Worth another try soon: platforms such
    /// as Kubernetes publish the name of a host after its processes have started.
    NotYet(Vec<Unresolved>),
}

/// A node whose name does not resolve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {reason}")]
pub struct Unresolved {
    /// The node.
    pub node: NodeAddress,
    /// The resolver's error.
    pub reason: String,
}

/// Failure of the search that waiting does not mend. One line, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// Every name that could be this node's resolves, to other hosts.
    #[error(
        "no drive's URL is of this node: it listens on port {port} of {}, and the URLs name {}; check --address and \
         the name service, and give all nodes the same list of drives",
        addresses(interfaces),
        list(nodes)
    )]
    NotThere {
        /// The nodes.
        nodes: Vec<NodeAddress>,
        /// This host's addresses.
        interfaces: Vec<IpAddr>,
        /// The server's port.
        port: u16,
    },
    /// Two endpoints of one server.
    #[error("{first} and {second} are both this node; name each node in one way only, and give each drive once")]
    Twice {
        /// The first of them.
        first: NodeAddress,
        /// The next one.
        second: NodeAddress,
    },
}

/// Finds the node that this process is: its port is `port`, the server's own, and it has an address of this host, which
/// is a loopback address or one of `interfaces`. `resolved` has for each of `nodes` its addresses, or why there are
/// none.
///
/// # Errors
/// Two nodes are this one, or none is and none can become it.
pub fn own(
    nodes: &[NodeAddress],
    resolved: &[Result<Vec<IpAddr>, String>],
    interfaces: &[IpAddr],
    port: u16,
) -> Result<Own, OwnError> {
    assert_eq!(nodes.len(), resolved.len(), "every node was looked up");
    let is_of_this_host = |ip: &IpAddr| {
        let ip = ip.to_canonical();
        ip.is_loopback() || interfaces.iter().any(|own| own.to_canonical() == ip)
    };
    let mut found = None;
    let mut unresolved = Vec::new();
    for (index, (node, resolved)) in nodes.iter().zip(resolved).enumerate() {
        // A node with another port is another process, wherever it is.
        if node.port != port {
            continue;
        }
        let missing = match resolved {
            Err(reason) => reason.as_str(),
            Ok(addresses) if addresses.is_empty() => "the name has no address",
            Ok(addresses) => {
                if addresses.iter().any(is_of_this_host) {
                    match found {
                        None => found = Some(index),
                        Some(first) => return Err(twice(nodes, first, index)),
                    }
                }
                continue;
            }
        };
        unresolved.push(Unresolved {
            node: node.clone(),
            reason: missing.to_owned(),
        });
    }
    match found {
        Some(index) => Ok(Own::Found(index)),
        None if !unresolved.is_empty() => Ok(Own::NotYet(unresolved)),
        None => Err(OwnError::NotThere {
            nodes: nodes.to_vec(),
            interfaces: interfaces.to_vec(),
            port,
        }),
    }
}

fn twice(nodes: &[NodeAddress], first: usize, second: usize) -> OwnError {
    OwnError::Twice {
        first: nodes[first].clone(),
        second: nodes[second].clone(),
    }
}

/// Addresses that others can use; all of them when there are no such.
fn addresses(interfaces: &[IpAddr]) -> String {
    let is_useful = |ip: &&IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let useful: Vec<_> = interfaces.iter().filter(is_useful).collect();
    match useful.as_slice() {
        [] => "loopback only".into(),
        _ => list(&useful),
    }
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses of this host in these tests.
    const INTERFACES: [&str; 4] = ["127.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::2"];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn node(text: &str) -> NodeAddress {
        let (host, port) = text.rsplit_once(':').unwrap();
        NodeAddress {
            host: host.into(),
            port: port.parse().unwrap(),
        }
    }

    /// Searches with port 9000. `nodes`: what it is called, and its addresses with spaces, or `!` and an error.
    fn search(nodes: &[(&str, &str)]) -> Result<Own, OwnError> {
        let (names, resolved): (Vec<_>, Vec<_>) = nodes
            .iter()
            .map(|(name, addresses)| match addresses.strip_prefix('!') {
                Some(reason) => (node(name), Err(reason.to_owned())),
                None => (node(name), Ok(addresses.split_whitespace().map(ip).collect())),
            })
            .unzip();
        own(&names, &resolved, &INTERFACES.map(ip), 9000)
    }

    fn check(nodes: &[(&str, &str)], expected: usize) {
        assert_eq!(search(nodes), Ok(Own::Found(expected)), "{nodes:?}");
    }

    #[test]
    fn the_node_with_an_address_of_this_host_is_found() {
        check(
            &[
                ("h1:9000", "10.0.0.1"),
                ("h2:9000", "10.0.0.2"),
                ("h3:9000", "10.0.0.3"),
            ],
            1,
        );
        check(&[("h1:9000", "10.0.0.1"), ("h2:9000", "192.0.2.1 2001:db8::2")], 1);
        check(&[("h1:9000", "::ffff:10.0.0.2"), ("h2:9000", "10.0.0.3")], 0);
        // Debian's /etc/hosts has the host's own name for 127.0.1.1.
        check(&[("h1:9000", "127.0.1.1"), ("h2:9000", "10.0.0.3")], 0);
        check(&[("h1:9000", "10.0.0.3"), ("h2:9000", "::1")], 1);
    }

    #[test]
    fn ports_tell_the_nodes_of_one_host_apart() {
        check(&[("localhost:9001", "127.0.0.1"), ("localhost:9000", "127.0.0.1")], 1);
        check(
            &[("h:9000", "10.0.0.2"), ("h:9001", "10.0.0.2"), ("h:9002", "10.0.0.2")],
            0,
        );
    }

    #[test]
    fn a_name_that_does_not_resolve_matters_only_while_no_node_is_found() {
        check(&[("h1:9000", "!no such host"), ("h2:9000", "10.0.0.2")], 1);
        let found = search(&[
            ("h1:9000", "!no such host"),
            ("h2:9000", "10.0.0.3"),
            ("h3:9000", ""),
            ("h4:9001", "!no such host"),
        ]);
        let Ok(Own::NotYet(unresolved)) = found else {
            panic!("{found:?}")
        };
        let shown: Vec<_> = unresolved.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["h1:9000: no such host", "h3:9000: the name has no address"]);
    }

    #[test]
    fn none_is_an_error_once_waiting_cannot_help() {
        let message = "no drive's URL is of this node: it listens on port 9000 of 10.0.0.2, 2001:db8::2, and the URLs \
                       name h1:9000, h2:9001; check --address and the name service, and give all nodes the same \
                       list of drives";
        for second in ["10.0.0.2", "10.0.0.3", "!no such host"] {
            let error = search(&[("h1:9000", "10.0.0.1"), ("h2:9001", second)]).unwrap_err();
            assert_eq!(error.to_string(), message, "{second}");
        }
        assert_eq!(addresses(&[ip("127.0.0.1"), ip("fe80::1")]), "loopback only");
    }

    #[test]
    fn two_names_of_this_node_are_refused() {
        let error = search(&[("h1:9000", "10.0.0.2"), ("x:9000", "!gone"), ("h2:9000", "10.0.0.2")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "h1:9000 and h2:9000 are both this node; name each node in one way only, and give each drive once"
        );
        let loopback = search(&[("h1:9000", "10.0.0.2"), ("localhost:9000", "127.0.0.1")]);
        assert!(matches!(loopback, Err(OwnError::Twice { .. })), "{loopback:?}");
    }
}
