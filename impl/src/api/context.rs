//! Caller of a request, and authorization of what it touches.

use super::ApiError;
use crate::access::{Access, Ask, Resource};
use std::net::IpAddr;

/// Facts of a request that every operation has. Authorization happens through it: each operation asks it for every
/// resource that it touches.
#[derive(Clone, Debug)]
pub struct Context {
    /// Access key of the identity whose signature was verified; `None` for an unsigned request.
    pub caller: Option<String>,
    /// IAM action of the operation, such as `s3:GetObject`.
    pub action: &'static str,
    /// Address of the client.
    pub source_ip: IpAddr,
    /// Id of the request.
    pub request_id: String,
    /// Start of the request, in nanoseconds since 1970.
    pub now: u64,
    /// Identities and policies of the deployment.
    pub access: Access,
}

impl Context {
    /// Checks that the caller may do the operation's action to `resource`.
    ///
    /// # Errors
    /// [`Code::AccessDenied`](super::Code::AccessDenied).
    pub fn authorize(&self, resource: Resource<'_>) -> Result<(), ApiError> {
        self.authorize_for(self.action, resource)
    }

    /// Checks that the caller may do another action than the operation's: to read the source of a copy.
    ///
    /// # Errors
    /// [`Code::AccessDenied`](super::Code::AccessDenied).
    pub fn authorize_for(&self, action: &str, resource: Resource<'_>) -> Result<(), ApiError> {
        let ask = Ask {
            caller: self.caller.as_deref(),
            action,
            resource,
            source_ip: self.source_ip,
        };
        Ok(self.access.authorize(&ask)?)
    }
}
