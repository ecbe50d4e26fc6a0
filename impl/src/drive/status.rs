//! State and space of a drive, for operators.

use super::{Call, DriveError};
use crate::runtime::Space;
use serde::{Deserialize, Serialize};

/// State of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveState {
    /// It serves.
    Online,
    /// No answer in time.
    Silent {
        /// The call to the operating system that it hangs in, if that is known.
        call: Option<Call>,
    },
    /// Not serving, with the reason for operators.
    Offline(String),
}

impl DriveState {
    /// Returns why the drive does not serve, for operators; `None` while it does.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            DriveState::Online => None,
            DriveState::Silent { call: None } => Some("it does not answer".to_owned()),
            DriveState::Silent { call: Some(call) } => Some(format!("it does not answer: {call}")),
            DriveState::Offline(reason) => Some(reason.clone()),
        }
    }
}

/// The state of a drive that answers with this error.
impl From<DriveError> for DriveState {
    fn from(error: DriveError) -> DriveState {
        match error {
            DriveError::Offline(reason) => DriveState::Offline(reason),
            DriveError::TimedOut => DriveState::Silent { call: None },
            other => DriveState::Offline(other.to_string()),
        }
    }
}

/// State and space of a drive, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveStatus {
    /// Path of the drive.
    pub path: String,
    /// State. The space below is zero unless it is [`DriveState::Online`].
    pub state: DriveState,
    /// Size of its file system.
    pub total_bytes: u64,
    /// Free space.
    pub free_bytes: u64,
    /// Inodes of its file system, 0 where there is no limit.
    pub total_inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// Full: it takes no more objects, only deletes.
    pub full: bool,
    /// The device of its file system, `None` unless it serves. Drives on one device share its space, and its fate.
    pub device: Option<u64>,
}

impl DriveStatus {
    /// The status of a drive that serves, on `device`.
    #[must_use]
    pub fn online(path: String, space: Space, full: bool, device: u64) -> DriveStatus {
        DriveStatus {
            path,
            state: DriveState::Online,
            total_bytes: space.total_bytes,
            free_bytes: space.free_bytes,
            total_inodes: space.total_inodes,
            free_inodes: space.free_inodes,
            full,
            device: Some(device),
        }
    }

    /// The status of a drive of which no more than `state` is known.
    #[must_use]
    pub fn without_space(path: String, state: DriveState) -> DriveStatus {
        DriveStatus {
            path,
            state,
            total_bytes: 0,
            free_bytes: 0,
            total_inodes: 0,
            free_inodes: 0,
            full: false,
            device: None,
        }
    }

    /// Returns whether the drive serves.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.state == DriveState::Online
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A remote drive's errors and states are those of the drive.
    #[test]
    fn errors_and_states_survive_a_wire() {
        let call = Call {
            what: "fsync".into(),
            path: "/d1/data".into(),
            time: Duration::from_secs(7),
        };
        let states = [
            DriveState::Online,
            DriveState::Silent { call: None },
            DriveState::Silent { call: Some(call) },
            DriveState::Offline("its index failed".to_owned()),
        ];
        for state in states {
            let sent = postcard::to_stdvec(&state).expect("is written");
            assert_eq!(postcard::from_bytes::<DriveState>(&sent), Ok(state));
        }
        let errors = [
            DriveError::Offline("lost".to_owned()),
            DriveError::TimedOut,
            DriveError::Busy,
            DriveError::Full,
            DriveError::NotFound,
            DriveError::StillReferenced,
            DriveError::Behind,
            DriveError::Damaged("a shard".to_owned()),
            DriveError::Invalid("no sense".to_owned()),
        ];
        for error in errors {
            let sent = postcard::to_stdvec(&error).expect("is written");
            assert_eq!(postcard::from_bytes::<DriveError>(&sent), Ok(error));
        }
    }
}
