//! Address of a node: how drive arguments name a server.

use std::{fmt, net::IpAddr};

/// Protocol of the URLs of a deployment's drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Nodes show certificates that nobody verifies; the secret alone proves who they are.
    Http,
    /// Nodes show the operator's certificates, which are verified.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// Host and port of a node's server. Two addresses are equal if they are the same text but for case, or the same IP
/// address; that two names stand for one host is not known here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// A name in lower case, or an IP address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl NodeAddress {
    /// The address of the host if it is given as one, not as a name. An IPv4 address in IPv6 notation counts as IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NodeAddress { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// Returns whether every host is, by its text alone, this host's loopback interface: `localhost`, an address in
/// 127.0.0.0/8, or `::1`. No other host can reach such a deployment's nodes under these names.
#[must_use]
pub fn is_loopback_only(nodes: &[NodeAddress]) -> bool {
    let is_loopback = |node: &NodeAddress| match node.ip() {
        Some(ip) => ip.is_loopback(),
        None => node.host == "localhost",
    };
    nodes.iter().all(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str) -> NodeAddress {
        NodeAddress {
            host: host.into(),
            port: 9000,
        }
    }

    #[test]
    fn ipv6_addresses_are_shown_in_brackets() {
        for (host, shown) in [
            ("host1.example", "host1.example:9000"),
            ("10.0.0.1", "10.0.0.1:9000"),
            ("::1", "[::1]:9000"),
        ] {
            assert_eq!(node(host).to_string(), shown);
        }
        assert_eq!(
            (Scheme::Http.to_string(), Scheme::Https.to_string()),
            ("http".into(), "https".into())
        );
    }

    #[test]
    fn loopback_is_told_by_the_text() {
        let check = |hosts: &[&str], expected: bool| {
            let nodes: Vec<_> = hosts.iter().map(|host| node(host)).collect();
            assert_eq!(is_loopback_only(&nodes), expected, "{hosts:?}");
        };
        check(
            &["localhost", "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"],
            true,
        );
        check(&["localhost", "host1"], false);
        for host in [
            "10.0.0.1",
            "0.0.0.0",
            "::2",
            "localhost.example",
            "127.0.0.1.example",
            "127",
        ] {
            check(&[host], false);
        }
    }
}
