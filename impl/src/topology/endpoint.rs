//! Address of a drive: a folder of this host, or a URL of a folder on a node.

use super::TopologyError;
use std::{
    fmt,
    net::IpAddr,
    path::{Component, Path, PathBuf},
};

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 9000;

const QUOTES: [char; 2] = ['"', '\''];

/// Location of a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// A folder of this host, as given (absolute or relative).
    Local(PathBuf),
    /// A folder on a node.
    Remote {
        /// `http` or `https`.
        scheme: String,
        /// The node's server: its host in lower case, and its port.
        node: (String, u16),
        /// The folder's absolute path there.
        path: PathBuf,
    },
}

impl Endpoint {
    /// Parses one expanded argument.
    ///
    /// # Errors
    /// The root, an empty path, or a URL that is more or less than `http(s)://host[:port]/path`.
    pub fn parse(argument: &str) -> Result<Endpoint, TopologyError> {
        // What is left of an env file's quotes would be part of a folder's name, and the store in a place that nobody
        // looks for it.
        if argument.starts_with(QUOTES) || argument.ends_with(QUOTES) {
            return Err(TopologyError::Quote {
                argument: argument.into(),
            });
        }
        if argument.contains("://") {
            return parse_url(argument);
        }
        if starts_with_ip(argument) {
            return Err(invalid(argument, "the scheme http or https is missing"));
        }
        Ok(Endpoint::Local(folder(argument, argument)?))
    }

    /// The node that serves it; `None` for a folder of this host.
    #[must_use]
    pub fn node(&self) -> Option<&(String, u16)> {
        match self {
            Endpoint::Local(_) => None,
            Endpoint::Remote { node, .. } => Some(node),
        }
    }

    /// Returns how it is written: the scheme of a URL, `None` for a path. One layout has one style.
    #[must_use]
    pub fn style(&self) -> Option<&str> {
        match self {
            Endpoint::Local(_) => None,
            Endpoint::Remote { scheme, .. } => Some(scheme),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Local(path) => write!(f, "{}", path.display()),
            Endpoint::Remote {
                scheme,
                node: (host, port),
                path,
            } => {
                write!(f, "{scheme}://{host}:{port}{}", path.display())
            }
        }
    }
}

fn parse_url(argument: &str) -> Result<Endpoint, TopologyError> {
    let uri: http::Uri = argument.parse().map_err(|_| invalid(argument, "not a URL"))?;
    let scheme = match uri.scheme_str() {
        Some(scheme @ ("http" | "https")) => scheme.to_owned(),
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
        "" => DEFAULT_PORT,
        text => port(text).ok_or_else(|| invalid(argument, "the port is not a number from 1 to 65535"))?,
    };
    Ok(Endpoint::Remote {
        scheme,
        node: (host.to_ascii_lowercase(), port),
        path: folder(uri.path(), argument)?,
    })
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
        assert_eq!(Endpoint::parse(argument).unwrap().to_string(), shown, "{argument}");
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
    }

    #[test]
    fn roots_are_refused() {
        for argument in ["", " ", "/", "//", ".", "..", "/data/..", "http://host", "http://host/"] {
            assert_eq!(
                Endpoint::parse(argument),
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
            let error = Endpoint::parse(argument).unwrap_err();
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
            "://d",
            "10.0.0.1/d",
            "10.0.0.1:9000/d",
            "[::1]:9000/d",
            "::1/d",
        ] {
            let error = Endpoint::parse(argument).unwrap_err();
            assert!(matches!(error, TopologyError::InvalidUrl { .. }), "{argument}: {error}");
        }
    }
}
