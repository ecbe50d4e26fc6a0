//! Virtual-host addressing: buckets as names within the deployment's domains.

use http::{Request, header};
use std::str::FromStr;

/// The domains of a deployment, in lower case; none when all requests are path style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(Vec<String>);

/// Domains that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// No name of a host.
    #[error("{0}: not a domain")]
    Invalid(String),
    /// A name within both would be two buckets.
    #[error("{0} and {1} overlap")]
    Overlapping(String, String),
}

impl Domains {
    /// Returns whether there are no domains.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bucket that a request's host names.
    pub(super) fn bucket_of<B>(&self, request: &Request<B>) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        self.bucket(header.or(request.uri().authority().map(|authority| authority.as_str()))?)
    }

    /// The bucket that a host names: what stands before one of the domains.
    fn bucket(&self, host: &str) -> Option<String> {
        let host = host
            .split_once(':')
            .map_or(host, |(name, _port)| name)
            .to_ascii_lowercase();
        let before = |domain: &String| host.strip_suffix(domain.as_str())?.strip_suffix('.');
        let bucket = self.0.iter().find_map(before)?;
        (!bucket.is_empty()).then(|| bucket.to_owned())
    }
}

impl FromStr for Domains {
    type Err = DomainError;

    /// A list with commas.
    fn from_str(text: &str) -> Result<Domains, DomainError> {
        let mut domains: Vec<String> = Vec::new();
        for domain in text.split(',').map(str::trim).filter(|domain| !domain.is_empty()) {
            let domain = domain.to_ascii_lowercase();
            let is_label = |label: &str| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            if !domain.split('.').all(is_label) {
                return Err(DomainError::Invalid(domain));
            }
            let within = |a: &str, b: &str| a == b || a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
            if let Some(other) = domains
                .iter()
                .find(|other| within(other, &domain) || within(&domain, other))
            {
                return Err(DomainError::Overlapping(other.clone(), domain));
            }
            domains.push(domain);
        }
        Ok(Domains(domains))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_hosts() {
        let domains: Domains = "s3.example.com, Store.Example.org,".parse().unwrap();
        let check = |host, bucket| assert_eq!(domains.bucket(host).as_deref(), bucket, "{host}");
        check("photos.s3.example.com", Some("photos"));
        check("photos.s3.example.com:9000", Some("photos"));
        check("a.b.store.example.org", Some("a.b"));
        check("Photos.S3.example.com", Some("photos"));
        check("s3.example.com", None);
        check(".s3.example.com", None);
        check("others3.example.com", None);
        check("localhost:9000", None);
        check("example.com", None);
    }

    #[test]
    fn domains_that_are_refused() {
        let error = |text: &str| text.parse::<Domains>().unwrap_err().to_string();
        assert_eq!(error("a b.com"), "a b.com: not a domain");
        assert_eq!(error("a..com"), "a..com: not a domain");
        assert_eq!(
            error("example.com,s3.example.com"),
            "example.com and s3.example.com overlap"
        );
        assert_eq!(error("a.com,a.com"), "a.com and a.com overlap");
        assert_eq!("a.com,ba.com".parse::<Domains>().unwrap().0.len(), 2);
        assert!("".parse::<Domains>().unwrap().is_empty());
    }
}
