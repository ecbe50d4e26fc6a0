//! Authorization: identities, and what they may do to which resource. For now one identity, the root user of the
//! deployment, may do everything, and a request without a signature may do nothing.

pub mod token;

use std::{fmt, net::IpAddr, sync::Arc};

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
    /// The identity's policies do not allow it.
    #[error("Access Denied.")]
    Policy,
}

/// Resource of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The service as a whole: its list of buckets, its administration.
    Service,
    /// A bucket.
    Bucket(&'a str),
    /// A key of a bucket.
    Object(&'a str, &'a str),
}

/// A question for a policy: may this caller do this action to this resource?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Access key of the identity whose signature was verified; `None` for an unsigned request.
    pub caller: Option<&'a str>,
    /// IAM action, such as `s3:GetObject` or `admin:ServerInfo`.
    pub action: &'a str,
    /// Resource of the action.
    pub resource: Resource<'a>,
    /// Address of the client.
    pub source_ip: IpAddr,
}

/// Decides what known identities may do.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Returns whether the caller may do it.
    fn allows(&self, ask: &Ask<'_>) -> bool;
}

/// Allows everything: the policy of the root user.
#[derive(Debug)]
struct Everything;

impl Policy for Everything {
    fn allows(&self, _: &Ask<'_>) -> bool {
        true
    }
}

/// The identities of a deployment and what they may do.
#[derive(Clone, Debug)]
pub struct Access {
    /// Shared: every request carries it.
    root: Arc<Credentials>,
    policy: Arc<dyn Policy>,
}

impl Access {
    /// A deployment with its root user only.
    #[must_use]
    pub fn new(root: Credentials) -> Access {
        Access::with_policy(root, Arc::new(Everything))
    }

    /// A deployment with its root user only, who may do what `policy` allows.
    #[must_use]
    pub fn with_policy(root: Credentials, policy: Arc<dyn Policy>) -> Access {
        let root = Arc::new(root);
        Access { root, policy }
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

    /// Decides a question.
    ///
    /// # Errors
    /// The denial.
    pub fn authorize(&self, ask: &Ask<'_>) -> Result<(), Denied> {
        let caller = ask.caller.ok_or(Denied::Anonymous)?;
        self.secret_key(caller)?;
        if self.policy.allows(ask) {
            Ok(())
        } else {
            Err(Denied::Policy)
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
        let authorize = |caller| {
            access().authorize(&Ask {
                caller,
                action: "s3:GetObject",
                resource: Resource::Object("bucket", "key"),
                source_ip: [127, 0, 0, 1].into(),
            })
        };
        assert_eq!(authorize(Some("root")), Ok(()));
        assert_eq!(authorize(None), Err(Denied::Anonymous));
        assert_eq!(authorize(Some("mallory")), Err(Denied::UnknownKey));
        assert_eq!(access().secret_key("root"), Ok("hidden-secret"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        assert!(!format!("{:?}", access()).contains("hidden-secret"));
    }
}
