//! Authorization. For now one identity, the root user of the deployment, may do everything, and a
//! request without a signature may do nothing.

pub mod token;

use std::fmt;

/// An access key and its secret key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the identity.
    pub access_key: String,
    /// Signs its requests.
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, secret withheld)", self.access_key)
    }
}

/// A request that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Unsigned request.
    #[error("requests must be signed")]
    Anonymous,
    /// Unknown access key.
    #[error("unknown access key")]
    UnknownKey,
}

/// The identities of a deployment and what they may do.
#[derive(Clone, Debug)]
pub struct Access {
    root: Credentials,
}

impl Access {
    /// A deployment with its root user only.
    #[must_use]
    pub fn new(root: Credentials) -> Access {
        Access { root }
    }

    /// The secret key that signs for `access_key`.
    ///
    /// # Errors
    /// [`Denied::UnknownKey`].
    pub fn secret_key(&self, access_key: &str) -> Result<&str, Denied> {
        let identity = self.identity(access_key).ok_or(Denied::UnknownKey)?;
        Ok(&identity.secret_key)
    }

    /// The identity with this access key.
    fn identity(&self, access_key: &str) -> Option<&Credentials> {
        (access_key == self.root.access_key).then_some(&self.root)
    }

    /// Checks that the identity whose signature was verified (`None`: none) may do the S3 or admin operation `action`.
    ///
    /// # Errors
    /// The denial.
    pub fn authorize(&self, access_key: Option<&str>, _action: &str) -> Result<(), Denied> {
        match access_key {
            None => Err(Denied::Anonymous),
            Some(key) => self.secret_key(key).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new(Credentials {
            access_key: "root".into(),
            secret_key: "hidden-secret".into(),
        })
    }

    #[test]
    fn only_root_has_access() {
        assert_eq!(access().authorize(Some("root"), "GetObject"), Ok(()));
        assert_eq!(access().authorize(None, "GetObject"), Err(Denied::Anonymous));
        assert_eq!(
            access().authorize(Some("mallory"), "GetObject"),
            Err(Denied::UnknownKey)
        );
        assert_eq!(access().secret_key("root"), Ok("hidden-secret"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        assert!(!format!("{:?}", access()).contains("hidden-secret"));
    }
}
