//! Address of a drive: a folder of this host, or a URL of a folder on a node.

use super::{NodeAddress, Scheme, TopologyError};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::{Component, Path, PathBuf},
};

const QUOTES: [char; 2] = ['"', '\''];

/// Location of a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// A folder of this host, as given (absolute or relative).
    Local(PathBuf),
    /// A folder on a node.
    Remote {
        /// Protocol between nodes.
        scheme: Scheme,
        /// The node's server.
        node: NodeAddress,
        /// The folder's absolute path there.
        path: PathBuf,
    },
}

impl Endpoint {
    /// Parses one expanded argument. A URL without a port means `default_port`.
    ///
    /// # Errors
    /// The root, an empty path, or a URL that is more or less than `http(s)://host[:port]/path`.
    pub fn parse(argument: &str, default_port: u16) -> Result<Endpoint, TopologyError> {
        // What is left of an env file's quotes would be part of a folder's name, and the store in a place that nobody
        // looks for it.
        if argument.starts_with(QUOTES) || argument.ends_with(QUOTES) {
            return Err(TopologyError::Quote {
                argument: argument.into(),
            });
        }
        if argument.contains("://") {
            return parse_url(argument, default_port);
        }
        if starts_with_ip(argument) {
            return Err(invalid(argument, "the scheme http or https is missing"));
        }
        Ok(Endpoint::Local(folder(argument, argument)?))
    }

    /// The node that serves it; `None` for a folder of this host.
    #[must_use]
    pub fn node(&self) -> Option<&NodeAddress> {
        match self {
            Endpoint::Local(_) => None,
            Endpoint::Remote { node, .. } => Some(node),
        }
    }

    /// Returns how it is written: the scheme of a URL, `None` for a path. One layout has one style.
    #[must_use]
    pub fn style(&self) -> Option<Scheme> {
        match self {
            Endpoint::Local(_) => None,
            Endpoint::Remote { scheme, .. } => Some(*scheme),
        }
    }

    /// The folder, on whichever host.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Endpoint::Local(path) | Endpoint::Remote { path, .. } => path,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Local(path) => write!(f, "{}", path.display()),
            Endpoint::Remote { scheme, node, path } => write!(f, "{scheme}://{node}{}", path.display()),
        }
    }
}

fn parse_url(argument: &str, default_port: u16) -> Result<Endpoint, TopologyError> {
    let uri: http::Uri = argument.parse().map_err(|_| invalid(argument, "not a URL"))?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(invalid(argument, "the scheme is neither http nor https")),
    };
    let authority = uri
        .authority()
        .ok_or_else(|| invalid(argument, "the host is missing"))?
        .as_str();
    // The parser drops a fragment without a word, so it is looked for in the text.
    if authority.contains('@') || uri.query().is_some() || argument.contains('#') {
        return Err(invalid(argument, "a user, query or fragment has no meaning here"));
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err(invalid(argument, "the host is missing"));
    }
    let port = match &authority[host.len()..] {
        "" => default_port,
        text => port(text).ok_or_else(|| invalid(argument, "the port is not a number from 1 to 65535"))?,
    };
    Ok(Endpoint::Remote {
        scheme,
        node: NodeAddress {
            host: normal_host(host, argument)?,
            port,
        },
        path: folder(uri.path(), argument)?,
    })
}

/// `host` as [`NodeAddress`] has it: one text for each address, however it is written.
fn normal_host(host: &str, argument: &str) -> Result<String, TopologyError> {
    let ip: IpAddr = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => {
            let ip: Ipv6Addr = inner
                .parse()
                .map_err(|_| invalid(argument, "brackets are for an IPv6 address"))?;
            ip.to_canonical()
        }
        None => match host.parse() {
            Ok(ip) => ip,
            Err(_) => return Ok(host.to_ascii_lowercase()),
        },
    };
    if ip.is_unspecified() {
        return Err(invalid(argument, "this address stands for every host, and names none"));
    }
    Ok(ip.to_string())
}

/// The port in `:9000`.
fn port(text: &str) -> Option<u16> {
    text.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)
}

/// `path` without doubled or trailing separators and without `.`; `..` is left to the file system.
fn folder(path: &str, argument: &str) -> Result<PathBuf, TopologyError> {
    let folder: PathBuf = Path::new(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    if folder.file_name().is_none() || path.trim().is_empty() {
        return Err(TopologyError::RootPath {
            argument: argument.into(),
        });
    }
    Ok(folder)
}

/// Returns whether a path without scheme begins with an IP address, perhaps with a port: a URL cut short.
fn starts_with_ip(argument: &str) -> bool {
    let first = argument.split('/').next().unwrap_or_default();
    let host = first.rsplit_once(':').map_or(first, |(host, _)| host);
    first.parse::<IpAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn invalid(argument: &str, reason: &'static str) -> TopologyError {
    TopologyError::InvalidUrl {
        argument: argument.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, shown: &str) {
        assert_eq!(
            Endpoint::parse(argument, 9000).unwrap().to_string(),
            shown,
            "{argument}"
        );
    }

    #[test]
    fn paths_and_urls() {
        check("/data", "/data");
        check("/data//x/./", "/data/x");
        check("data", "data");
        check("./data", "data");
        check("../data", "../data");
        check("http://host/d1", "http://host:9000/d1");
        check("https://Host.example:443/a//b/", "https://host.example:443/a/b");
        check("http://[::1]:9001/d", "http://[::1]:9001/d");
        check("http://[::1]/d", "http://[::1]:9000/d");
        check("http://[0:0::0:1]/d", "http://[::1]:9000/d");
        check("http://[::ffff:10.0.0.1]/d", "http://10.0.0.1:9000/d");
        let other_port = |argument| Endpoint::parse(argument, 7000).unwrap().to_string();
        assert_eq!(other_port("http://host/d"), "http://host:7000/d");
        assert_eq!(other_port("http://host:9000/d"), "http://host:9000/d");
    }

    #[test]
    fn roots_are_refused() {
        for argument in ["", " ", "/", "//", ".", "..", "/data/..", "http://host", "http://host/"] {
            assert_eq!(
                Endpoint::parse(argument, 9000),
                Err(TopologyError::RootPath {
                    argument: argument.into()
                }),
                "{argument}"
            );
        }
    }

    #[test]
    fn quotes_are_refused() {
        for argument in ["\"", "\"/data", "/data\"", "'/data'", "\"http://host/d\""] {
            let error = Endpoint::parse(argument, 9000).unwrap_err();
            assert!(matches!(error, TopologyError::Quote { .. }), "{argument}: {error}");
        }
        check("/da\"ta", "/da\"ta");
    }

    #[test]
    fn broken_urls_are_refused() {
        for argument in [
            "ftp://host/d",
            "http://user@host/d",
            "http://host/d?x=1",
            "http://host/d#x",
            "http:///d",
            "http://:9000/d",
            "http://host:0/d",
            "http://host:65536/d",
            "http://host:x/d",
            "http://0.0.0.0/d",
            "http://[::]:9000/d",
            "http://[host]/d",
            "://d",
            "10.0.0.1/d",
            "10.0.0.1:9000/d",
            "[::1]:9000/d",
            "::1/d",
        ] {
            let error = Endpoint::parse(argument, 9000).unwrap_err();
            assert!(matches!(error, TopologyError::InvalidUrl { .. }), "{argument}: {error}");
        }
    }
}
