//! The URL of a server, and how it is reached.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// A URL that is not one of a server, or of none that can be asked.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Not a URL of a server.
    #[error("--endpoint {url} is no URL of a server: http://HOST:PORT and https://HOST:PORT are")]
    NoUrl {
        /// The argument.
        url: String,
    },
    /// A name that nobody knows.
    #[error("--endpoint {url}: {source}")]
    Unknown {
        /// The argument.
        url: String,
        /// Error of the resolver.
        source: io::Error,
    },
}

/// `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Debug)]
pub struct Endpoint {
    is_tls: bool,
    authority: String,
    port: u16,
    host: String,
}

impl Endpoint {
    /// Host and port, as the URL has them.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// The host's addresses.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, InvalidEndpoint> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found.map(Iterator::collect).map_err(|source| InvalidEndpoint::Unknown {
            url: self.to_string(),
            source,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let url = || text.to_owned();
        let uri: http::Uri = text.parse().map_err(|_| InvalidEndpoint::NoUrl { url: url() })?;
        let plain = ["", "/"].contains(&uri.path()) && uri.query().is_none();
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme @ ("http" | "https")), Some(authority)) if plain && !authority.as_str().contains('@') => {
                let is_tls = scheme == "https";
                Ok(Endpoint {
                    is_tls,
                    authority: authority.to_string(),
                    port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
                    host: authority.host().trim_matches(['[', ']']).to_owned(),
                })
            }
            _ => Err(InvalidEndpoint::NoUrl { url: url() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers() {
        for (url, address) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("https://127.0.0.1:9000/", "127.0.0.1:9000"),
            ("https://[::1]", "[::1]:443"),
        ] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!(endpoint.addresses().unwrap(), [address.parse().unwrap()], "{url}");
            assert_eq!(endpoint.to_string(), url.trim_end_matches('/'));
            assert!(["127.0.0.1", "::1"].contains(&endpoint.host()), "{url}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let error = |url: &str| url.parse::<Endpoint>().map(|_| ()).unwrap_err().to_string();
        for url in [
            "",
            "localhost:9000",
            "ftp://h",
            "http://h/bucket",
            "http://h?a=b",
            "http://user@h",
            "/a",
        ] {
            let expected =
                format!("--endpoint {url} is no URL of a server: http://HOST:PORT and https://HOST:PORT are");
            assert_eq!(error(url), expected);
        }
    }
}
