//! Banner of a server once it serves.

use super::PRODUCT;
use crate::{
    config::ServerConfig,
    topology::{Code, NodeAddress},
};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Content of the banner.
#[derive(Clone, Debug, PartialEq)]
pub struct Banner {
    /// The program's version.
    pub version: &'static str,
    /// The API's URLs, the one to try first in front.
    pub api: Vec<String>,
    /// The root user, unless it is hidden.
    pub root_user: Option<String>,
    /// The region, when one is set.
    pub region: Option<String>,
    /// This node among several; `None` when all drives are of this host.
    pub node: Option<OwnNode>,
    /// Number of this node's drives that serve.
    pub drives_online: usize,
    /// Number of drives.
    pub drives: usize,
    /// Number of erasure sets.
    pub sets: usize,
    /// N, the drives of a set.
    pub set_size: usize,
    /// Erasure code of the standard class.
    pub code: Code,
}

/// A node among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNode {
    /// Address of the node, as in the drive arguments.
    pub address: NodeAddress,
    /// Number of its drives.
    pub drives: usize,
    /// Number of nodes.
    pub nodes: usize,
}

impl Banner {
    /// Creates the banner of a server that is bound to `bound` on a host with the addresses `interfaces`, and has the
    /// index `own` if there are several nodes.
    #[must_use]
    pub fn new(
        config: &ServerConfig,
        bound: SocketAddr,
        is_tls: bool,
        interfaces: &[IpAddr],
        drives_online: usize,
        own: Option<usize>,
    ) -> Banner {
        let topology = &config.topology;
        let own_node = |own: usize| {
            Some(OwnNode {
                address: topology.nodes.get(own)?.clone(),
                drives: topology.drives.iter().filter(|drive| drive.node == own).count(),
                nodes: topology.nodes.len(),
            })
        };
        Banner {
            version: env!("CARGO_PKG_VERSION"),
            api: urls(bound, is_tls, interfaces),
            root_user: (!config.output.anonymous).then(|| config.credentials.access_key.clone()),
            region: config.region.clone(),
            node: own.and_then(own_node),
            drives_online,
            drives: topology.drives.len(),
            sets: topology.sets,
            set_size: topology.set_size,
            code: topology.standard(),
        }
    }

    /// Formats the banner for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{PRODUCT} {}", self.version), String::new()];
        let mut row = |name: &str, value: &str| lines.push(format!("  {name:<8} {value}"));
        row("API", &self.api.join("  "));
        if let Some(user) = &self.root_user {
            row("User", user);
        }
        if let Some(region) = &self.region {
            row("Region", region);
        }
        if let Some(node) = &self.node {
            row("Nodes", &format!("{}, this one is {}", node.nodes, node.address));
        }
        row("Drives", &format!("{}, {}", self.online(), self.layout()));
        row("Quorum", &self.quorum());
        if let Some(url) = self.api.first() {
            row("Try", &format!("aws --endpoint-url {url} s3 ls"));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// Formats the banner as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let line = json!({
            "product": PRODUCT,
            "version": self.version,
            "api": self.api,
            "rootUser": self.root_user,
            "region": self.region,
            "nodes": self.node.as_ref().map(|node| json!({
                "count": node.nodes,
                "this": node.address.to_string(),
                "drives": node.drives,
            })),
            "drivesOnline": self.drives_online,
            "drives": self.drives,
            "sets": self.sets,
            "setSize": self.set_size,
            "parity": self.code.parity,
            "readQuorum": self.code.read_quorum(),
            "writeQuorum": self.code.write_quorum(),
        });
        format!("{line}\n")
    }

    fn online(&self) -> String {
        let online = self.drives_online;
        match &self.node {
            None => format!("{online} of {} online", self.drives),
            Some(node) => format!("{online} of {} here online, {} in all", node.drives, self.drives),
        }
    }

    fn layout(&self) -> String {
        match self.set_size {
            1 => "no protection against a lost drive".into(),
            _ => format!(
                "{} × {}, EC:{}",
                count(self.sets, "set"),
                self.set_size,
                self.code.parity
            ),
        }
    }

    fn quorum(&self) -> String {
        let (read, write) = (self.code.read_quorum(), self.code.write_quorum());
        format!(
            "{read} to read, {write} to write, of {} in each set",
            count(self.set_size, "drive")
        )
    }
}

/// `1 drive`, `2 drives`.
pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The URLs under which a server that is bound to `bound` is reached, the local one first.
fn urls(bound: SocketAddr, is_tls: bool, interfaces: &[IpAddr]) -> Vec<String> {
    let scheme = if is_tls { "https" } else { "http" };
    let url = |ip: IpAddr| format!("{scheme}://{}", SocketAddr::new(ip, bound.port()));
    if !bound.ip().is_unspecified() {
        return vec![url(bound.ip())];
    }
    // An IPv4 socket takes no IPv6; link-local addresses are of no use without their interface.
    let reachable = |ip: &&IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback(),
        IpAddr::V6(ip) => bound.is_ipv6() && !ip.is_unicast_link_local() && !ip.is_loopback(),
    };
    let others = interfaces.iter().filter(reachable).map(|ip| url(*ip));
    std::iter::once(url(Ipv4Addr::LOCALHOST.into())).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Given};
    use std::{io, path::Path};

    fn banner() -> Banner {
        Banner {
            version: "1.2.3",
            api: urls("[::]:9000".parse().unwrap(), false, &["192.0.2.7".parse().unwrap()]),
            root_user: Some("admin".into()),
            region: None,
            node: None,
            drives_online: 15,
            drives: 16,
            sets: 1,
            set_size: 16,
            code: Code { data: 12, parity: 4 },
        }
    }

    #[test]
    fn texts() {
        insta::assert_snapshot!("banner", banner().to_text());
        insta::assert_snapshot!("banner_json", banner().to_json());
        let hidden = Banner {
            root_user: None,
            region: Some("eu-1".into()),
            ..banner()
        };
        insta::assert_snapshot!("banner_anonymous", hidden.to_text());
        let single = Banner {
            drives_online: 1,
            drives: 1,
            set_size: 1,
            code: Code { data: 1, parity: 0 },
            ..banner()
        };
        insta::assert_snapshot!("banner_single_drive", single.to_text());
        let node = OwnNode {
            address: NodeAddress {
                host: "host1".into(),
                port: 9000,
            },
            drives: 4,
            nodes: 4,
        };
        let several = Banner {
            node: Some(node),
            drives_online: 3,
            ..banner()
        };
        insta::assert_snapshot!("banner_nodes", several.to_text());
        insta::assert_snapshot!("banner_nodes_json", several.to_json());
    }

    #[test]
    fn the_own_node_is_one_of_the_configuration() {
        let given = Given {
            drives: vec!["http://host{1...4}/d{1...2}".into()],
            ..Given::default()
        };
        let secret = [("IMPL_PEER_SECRET", "0123456789abcdef0123456789abcdef")];
        let no_files = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let config = ServerConfig::resolve(given, &Env::from_pairs(&secret), Path::new("/"), &no_files).unwrap();
        let node = |own| Banner::new(&config, "[::]:9000".parse().unwrap(), false, &[], 2, own).node;
        let third = node(Some(2)).unwrap();
        assert_eq!(
            (third.address.to_string().as_str(), third.drives, third.nodes),
            ("host3:9000", 2, 4)
        );
        assert_eq!((node(None), node(Some(4))), (None, None));
    }

    fn check(bound: &str, expected: &[&str]) {
        let interfaces = ["127.0.0.1", "192.0.2.7", "169.254.1.1", "::1", "fe80::1", "2001:db8::7"];
        let interfaces = interfaces.map(|ip| ip.parse().unwrap());
        assert_eq!(urls(bound.parse().unwrap(), false, &interfaces), expected, "{bound}");
    }

    #[test]
    fn with_certificates_it_is_https() {
        let bound = "127.0.0.1:9000".parse().unwrap();
        assert_eq!(urls(bound, true, &[]), ["https://127.0.0.1:9000"]);
    }

    #[test]
    fn addresses() {
        check("127.0.0.1:9000", &["http://127.0.0.1:9000"]);
        check("[2001:db8::7]:80", &["http://[2001:db8::7]:80"]);
        check("0.0.0.0:9000", &["http://127.0.0.1:9000", "http://192.0.2.7:9000"]);
        check(
            "[::]:9000",
            &[
                "http://127.0.0.1:9000",
                "http://192.0.2.7:9000",
                "http://[2001:db8::7]:9000",
            ],
        );
    }
}
