//! What operators and load balancers want to know of a store.

use super::{ErasureSet, Health, Store};
use crate::{
    drive::{Activity, DriveStatus},
    runtime,
};
use futures::future::join_all;
use model::protocol::write_quorum;
use std::{sync::Arc, time::Duration};

/// A call to the operating system that takes longer than this hangs.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a drive may take to tell its state. One that hangs must not keep anybody from seeing the others.
const STATUS_TIME_MAX: Duration = Duration::from_secs(2);

/// How the reason of a drive begins that did not tell its state in time. The call that it hangs in follows, if that is
/// known.
pub const NO_ANSWER: &str = "it does not answer";

/// A store as it was found at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The deployment ID's 16 bytes.
    pub deployment: [u8; 16],
    /// The erasure sets, in order.
    pub sets: Vec<SetSurvey>,
    /// N.
    pub set_size: u8,
    /// M of new objects.
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    pub reduced_parity: u8,
    /// Drives of a set that a read of an object of the standard class needs.
    pub read_quorum: u8,
    /// Drives of a set that its write needs.
    pub write_quorum: u8,
    /// How many buckets there are; `None` while too few drives answer to tell.
    pub buckets: Option<usize>,
}

/// An erasure set as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSurvey {
    /// Its drives, in order.
    pub drives: Vec<DriveSurvey>,
    /// Whether enough of them serve for reads.
    pub readable: bool,
    /// Whether enough of them serve and have room for writes.
    pub writable: bool,
}

impl SetSurvey {
    /// How many drives serve.
    #[must_use]
    pub fn online(&self) -> usize {
        let serves = |drive: &&DriveSurvey| drive.status.offline.is_none();
        self.drives.iter().filter(serves).count()
    }

    /// How many serve and take objects.
    #[must_use]
    pub fn with_room(&self) -> usize {
        let takes = |drive: &&DriveSurvey| drive.status.offline.is_none() && !drive.status.full;
        self.drives.iter().filter(takes).count()
    }
}

/// A drive as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSurvey {
    /// Its state.
    pub status: DriveStatus,
    /// What it has done; `None` if it was never opened.
    pub activity: Option<Activity>,
}

impl DriveSurvey {
    /// The call that the drive hangs in, for operators.
    #[must_use]
    pub fn hangs(&self) -> Option<String> {
        let call = self.activity.as_ref()?.longest_call.as_ref()?;
        (call.time >= CALL_TIME_MAX).then(|| call.to_string())
    }
}

impl Survey {
    /// All drives, each with the number of its set and its place there.
    pub fn drives(&self) -> impl Iterator<Item = (usize, usize, &DriveSurvey)> {
        let of_set = |(set, survey)| {
            let survey: &SetSurvey = survey;
            let drives = survey.drives.iter().enumerate();
            drives.map(move |(place, drive)| (set, place, drive))
        };
        self.sets.iter().enumerate().flat_map(of_set)
    }

    /// Whether requests would succeed now.
    #[must_use]
    pub fn health(&self) -> Health {
        let readable = self.sets.iter().all(|set| set.readable);
        Health {
            readable,
            // Writes need the buckets, and those are read once a read quorum is there.
            writable: self.sets.iter().all(|set| set.writable) && (!readable || self.buckets.is_some()),
            drives_online: self.sets.iter().map(SetSurvey::online).sum(),
            drives: self.sets.iter().map(|set| set.drives.len()).sum(),
            write_quorum: self.write_quorum,
            read_quorum: self.read_quorum,
        }
    }
}

impl Store {
    /// Asks every drive for its state. Takes no longer than two seconds and a read of the buckets.
    pub async fn survey(&self) -> Survey {
        let (set_size, parity) = (self.set_size(), self.standard_parity);
        let read_quorum = set_size - parity;
        let write_quorum = write_quorum(read_quorum, parity);
        let survey = async |set: &Arc<ErasureSet>| {
            let mut found = SetSurvey {
                drives: set.survey().await,
                readable: false,
                writable: false,
            };
            let (online, with_room) = (found.online(), found.with_room());
            found.readable = online >= usize::from(read_quorum.max(set.quorums.prepare));
            found.writable = online >= usize::from(set.quorums.accept) && with_room >= usize::from(write_quorum);
            found
        };
        let sets = join_all(self.sets.iter().map(survey)).await;
        let readable = sets.iter().all(|set| set.readable);
        let buckets = if readable { self.list_buckets().await.ok() } else { None };
        Survey {
            deployment: self.deployment,
            sets,
            set_size,
            standard_parity: parity,
            reduced_parity: self.reduced_parity,
            read_quorum,
            write_quorum,
            buckets: buckets.map(|buckets| buckets.len()),
        }
    }

    /// Whether reads and writes would succeed now.
    pub async fn health(&self) -> Health {
        self.survey().await.health()
    }
}

impl ErasureSet {
    /// The state of each drive, in the order of their indices.
    async fn survey(&self) -> Vec<DriveSurvey> {
        let survey = self.drives.iter().map(async |drive| {
            let status = runtime::timeout(&self.rt, STATUS_TIME_MAX, drive.status()).await;
            let activity = drive.activity();
            let silent = || {
                let call = activity.as_ref().and_then(|activity| activity.longest_call.as_ref());
                let reason = call.map_or_else(|| NO_ANSWER.to_owned(), |call| format!("{NO_ANSWER}: {call}"));
                DriveStatus::offline(drive.path(), reason)
            };
            DriveSurvey {
                status: status.unwrap_or_else(silent),
                activity,
            }
        });
        join_all(survey).await
    }
}
