//! Listen address of a server.

use super::DEFAULT_PORT;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// `HOST:PORT`, or `:PORT` for every address of this host. Port 0 lets the system choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an address without brackets; `None` for all.
    pub host: Option<String>,
    /// The TCP port.
    pub port: u16,
}

/// Text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given}: expected HOST:PORT or :PORT, for example :{DEFAULT_PORT}")]
pub struct InvalidAddress {
    given: String,
}

impl ListenAddress {
    /// The socket addresses to try to bind, in order; the first that succeeds is enough. For all
    /// addresses of the host these are `[::]`, which takes IPv4 too, then `0.0.0.0` for hosts without
    /// IPv6. A name is looked up, which may block.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn candidates(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            None => Ok(vec![
                (IpAddr::from(Ipv6Addr::UNSPECIFIED), self.port).into(),
                (IpAddr::from(Ipv4Addr::UNSPECIFIED), self.port).into(),
            ]),
            Some(host) => Ok((host.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<ListenAddress, InvalidAddress> {
        parse(text).ok_or_else(|| InvalidAddress { given: text.into() })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

fn parse(text: &str) -> Option<ListenAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| port.parse().ok())
        .flatten()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let address = rest.strip_suffix(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address
        }
        // An IPv6 address without brackets: its last group would be taken for the port.
        None if host.contains([':', '/', ']']) || host.contains(char::is_whitespace) => return None,
        None => host,
    };
    Some(ListenAddress {
        host: (!host.is_empty()).then(|| host.to_owned()),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, candidates: &[&str]) {
        let address: ListenAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        let found: Vec<_> = address
            .candidates()
            .unwrap()
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        assert_eq!(found, candidates, "{text}");
    }

    #[test]
    fn forms() {
        check(":9000", &["[::]:9000", "0.0.0.0:9000"]);
        check("127.0.0.1:0", &["127.0.0.1:0"]);
        check("0.0.0.0:80", &["0.0.0.0:80"]);
        check("[::]:9000", &["[::]:9000"]);
        check("[::1]:65535", &["[::1]:65535"]);
        assert_eq!(
            "host.example:9000".parse(),
            Ok(ListenAddress {
                host: Some("host.example".into()),
                port: 9000
            })
        );
    }

    #[test]
    fn malformed() {
        for text in [
            "", ":", "9000", "host", "host:", "host:x", ":65536", ":-1", ":+1", "::1:9000", "[::1]", "[x]:1", "a/b:1",
            "a b:1",
        ] {
            assert_eq!(
                text.parse::<ListenAddress>(),
                Err(InvalidAddress { given: text.into() }),
                "{text}"
            );
        }
    }
}
