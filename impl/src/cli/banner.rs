//! Banner of a server once it serves.

use super::PRODUCT;
use crate::{config::ServerConfig, topology::Code};
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
    /// Number of drives that serve.
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

impl Banner {
    /// Creates the banner of a server that is bound to `bound` on a host with the addresses `interfaces`.
    #[must_use]
    pub fn new(
        config: &ServerConfig,
        bound: SocketAddr,
        is_tls: bool,
        interfaces: &[IpAddr],
        drives_online: usize,
    ) -> Banner {
        Banner {
            version: env!("CARGO_PKG_VERSION"),
            api: urls(bound, is_tls, interfaces),
            root_user: (!config.output.anonymous).then(|| config.credentials.access_key.clone()),
            region: config.region.clone(),
            drives_online,
            drives: config.topology.drives.len(),
            sets: config.topology.sets,
            set_size: config.topology.set_size,
            code: config.topology.standard(),
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
        row(
            "Drives",
            &format!("{} of {} online, {}", self.drives_online, self.drives, self.layout()),
        );
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

    fn banner() -> Banner {
        Banner {
            version: "1.2.3",
            api: urls("[::]:9000".parse().unwrap(), false, &["192.0.2.7".parse().unwrap()]),
            root_user: Some("admin".into()),
            region: None,
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
