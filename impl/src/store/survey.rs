//! Status of a store, for operators and load balancers.

use super::{Store, types::Health};
use crate::{
    drive::{Activity, Cluster, DriveState, DriveStatus, NodeStatus},
    runtime,
    set::ErasureSet,
};
use futures::future::join_all;
use model::protocol::write_quorum;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A call to the operating system that takes longer than this hangs.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Time limit for a drive's status. One that hangs must not hide the others.
const STATUS_TIME_MAX: Duration = Duration::from_secs(2);

/// Age up to which what is known of a node counts when this one is to be taken away.
const KNOWN_AGE_MAX: Duration = Duration::from_secs(10);

/// Status of a store at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The deployment ID's 16 bytes.
    pub deployment: [u8; 16],
    /// The erasure sets, in order.
    pub sets: Vec<SetSurvey>,
    /// Drives of an erasure set: N.
    pub set_size: u8,
    /// M of new objects.
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    pub reduced_parity: u8,
    /// Drives of a set that a read of an object of the standard class needs.
    pub read_quorum: u8,
    /// Drives of a set that its write needs.
    pub write_quorum: u8,
    /// Number of buckets; `None` while too few drives answer to tell.
    pub buckets: Option<usize>,
    /// The nodes, in order; none if there is one.
    pub nodes: Vec<NodeStatus>,
    /// Index of this node.
    pub own: usize,
    /// Bytes that this node has sent to others, and received from them.
    pub traffic: (u64, u64),
}

/// Status of an erasure set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSurvey {
    /// Its drives, in order.
    pub drives: Vec<DriveSurvey>,
    /// Enough of them serve for reads.
    pub readable: bool,
    /// Enough of them serve and have room for writes.
    pub writable: bool,
}

impl SetSurvey {
    /// Number of drives that serve.
    #[must_use]
    pub fn online(&self) -> usize {
        let serves = |drive: &&DriveSurvey| drive.status.is_online();
        self.drives.iter().filter(serves).count()
    }

    /// Number of drives that serve and take objects.
    #[must_use]
    pub fn with_room(&self) -> usize {
        let takes = |drive: &&DriveSurvey| drive.status.is_online() && !drive.status.full;
        self.drives.iter().filter(takes).count()
    }
}

/// Status of a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSurvey {
    /// Index of its node.
    pub node: usize,
    /// Its state.
    pub status: DriveStatus,
    /// Counts of its work; `None` if it was never opened.
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

    /// The drives of this node.
    pub fn own_drives(&self) -> impl Iterator<Item = (usize, usize, &DriveSurvey)> {
        self.drives().filter(|(_, _, drive)| drive.node == self.own)
    }

    /// Returns why this node must not be taken away: writes would fail without it, as far as is known of the others.
    /// `None` if they would succeed.
    #[must_use]
    pub fn needs_own(&self) -> Option<String> {
        if self.nodes.len() < 2 {
            return Some("this server holds all drives".to_owned());
        }
        let counts = |drive: &DriveSurvey| {
            let is_known = |node: &NodeStatus| node.age.is_some_and(|age| age <= KNOWN_AGE_MAX);
            drive.node != self.own && self.nodes.get(drive.node).is_some_and(is_known)
        };
        let failing = |(number, set): (usize, &SetSurvey)| {
            let left = set
                .drives
                .iter()
                .filter(|drive| counts(drive) && drive.status.is_online());
            let (left, with_room) = left.fold((0, 0), |(left, with_room), drive| {
                (left + 1, with_room + usize::from(!drive.status.full))
            });
            let needed = self.write_quorum;
            let majority = set.drives.len() / 2 + 1;
            (left < majority || with_room < usize::from(needed)).then(|| {
                format!(
                    "without this server {with_room} drives of set {number} with room would serve, {needed} are needed"
                )
            })
        };
        (1..).zip(&self.sets).find_map(failing)
    }

    /// Space of the drives that serve, and what is free of it, in bytes. A device that several drives of
    /// a node are on is counted once.
    #[must_use]
    pub fn space(&self) -> (u64, u64) {
        let mut seen = BTreeSet::new();
        let mut counts = |drive: &&DriveSurvey| {
            let device = drive.status.device;
            device.is_none_or(|device| seen.insert((drive.node, device)))
        };
        let drives = self.drives().map(|(_, _, drive)| drive).filter(|drive| counts(drive));
        drives.fold((0, 0), |(total, free), drive| {
            (total + drive.status.total_bytes, free + drive.status.free_bytes)
        })
    }

    /// Returns the reason that reads would fail now; `None` if they would succeed.
    #[must_use]
    pub fn reads_fail(&self) -> Option<String> {
        let failing = |(number, set): (usize, &SetSurvey)| {
            let (online, drives) = (set.online(), set.drives.len());
            let needed = self.read_quorum;
            (!set.readable).then(|| format!("set {number}: {online} of {drives} drives serve, {needed} are needed"))
        };
        (1..).zip(&self.sets).find_map(failing)
    }

    /// Returns the reason that writes would fail now; `None` if they would succeed.
    #[must_use]
    pub fn writes_fail(&self) -> Option<String> {
        let failing = |(number, set): (usize, &SetSurvey)| {
            let (online, drives, full) = (set.online(), set.drives.len(), set.online() - set.with_room());
            let needed = self.write_quorum;
            let full = if full > 0 {
                format!(", {full} of them full")
            } else {
                String::new()
            };
            (!set.writable).then(|| {
                format!("set {number}: {online} of {drives} drives serve{full}, {needed} with room are needed")
            })
        };
        let too_few = (1..).zip(&self.sets).find_map(failing);
        // Writes need the buckets, and those are read once a read quorum is there.
        let unread = self.buckets.is_none() && self.reads_fail().is_none();
        too_few.or_else(|| unread.then(|| "too few drives answer to read the buckets".to_owned()))
    }

    /// Summarizes the status: whether requests would succeed now.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            readable: self.reads_fail().is_none(),
            writable: self.writes_fail().is_none(),
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
        let survey = async |(number, set): (usize, &Arc<ErasureSet>)| {
            let mut found = SetSurvey {
                drives: self.drives_of(number, set).await,
                readable: false,
                writable: false,
            };
            let (online, with_room) = (found.online(), found.with_room());
            found.readable = online >= usize::from(read_quorum.max(set.quorums.prepare));
            found.writable = online >= usize::from(set.quorums.accept) && with_room >= usize::from(write_quorum);
            found
        };
        let sets = join_all(self.sets.iter().enumerate().map(survey)).await;
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
            nodes: self.cluster.as_ref().map(Cluster::statuses).unwrap_or_default(),
            own: self.cluster.as_ref().map_or(0, |cluster| cluster.me),
            traffic: self.cluster.as_ref().map(Cluster::traffic).unwrap_or_default(),
        }
    }

    /// State of each drive of a set, in the order of their indices.
    async fn drives_of(&self, number: usize, set: &ErasureSet) -> Vec<DriveSurvey> {
        let mut drives = drives(set).await;
        if let Some(cluster) = &self.cluster {
            let first = number * usize::from(self.set_size());
            for (place, drive) in (first..).zip(&mut drives) {
                drive.node = cluster.places.get(place).copied().unwrap_or_default();
            }
        }
        drives
    }
}

/// State of each drive of a set, in the order of their indices.
async fn drives(set: &ErasureSet) -> Vec<DriveSurvey> {
    let survey = set.drives.iter().map(async |drive| {
        let status = runtime::timeout(&set.rt, STATUS_TIME_MAX, drive.status()).await;
        let activity = drive.activity();
        let silent = || {
            let call = activity.as_ref().and_then(|activity| activity.longest_call.clone());
            DriveStatus::without_space(drive.path(), DriveState::Silent { call })
        };
        DriveSurvey {
            node: 0,
            status: status.unwrap_or_else(silent),
            activity,
        }
    });
    join_all(survey).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of four drives, EC:2, of which so many are offline and so many full.
    fn survey(offline: usize, full: usize) -> Survey {
        let drive = |number: usize| DriveSurvey {
            node: 0,
            status: DriveStatus {
                full: (offline..offline + full).contains(&number),
                ..DriveStatus::without_space(
                    format!("/d{number}"),
                    match number < offline {
                        true => DriveState::Offline("lost".to_owned()),
                        false => DriveState::Online,
                    },
                )
            },
            activity: None,
        };
        let mut set = SetSurvey {
            drives: (0..4).map(drive).collect(),
            readable: false,
            writable: false,
        };
        set.readable = set.online() >= 2;
        set.writable = set.with_room() >= 3;
        Survey {
            deployment: [0; 16],
            buckets: set.readable.then_some(1),
            sets: vec![set],
            set_size: 4,
            standard_parity: 2,
            reduced_parity: 1,
            read_quorum: 2,
            write_quorum: 3,
            nodes: Vec::new(),
            own: 0,
            traffic: (0, 0),
        }
    }

    fn check(offline: usize, full: usize, reads: Option<&str>, writes: Option<&str>) {
        let survey = survey(offline, full);
        assert_eq!(survey.reads_fail().as_deref(), reads);
        assert_eq!(survey.writes_fail().as_deref(), writes);
        let health = survey.health();
        assert_eq!((health.readable, health.writable), (reads.is_none(), writes.is_none()));
    }

    #[test]
    fn why_requests_fail() {
        check(0, 0, None, None);
        check(1, 0, None, None);
        check(0, 1, None, None);
        let writes = "set 1: 3 of 4 drives serve, 1 of them full, 3 with room are needed";
        check(1, 1, None, Some(writes));
        let writes = "set 1: 4 of 4 drives serve, 4 of them full, 3 with room are needed";
        check(0, 4, None, Some(writes));
        let (reads, writes) = (
            "set 1: 1 of 4 drives serve, 2 are needed",
            "set 1: 1 of 4 drives serve, 3 with room are needed",
        );
        check(3, 0, Some(reads), Some(writes));
    }

    #[test]
    fn the_space_of_a_device_counts_once() {
        let mut survey = survey(0, 0);
        for (drive, device) in survey.sets[0].drives.iter_mut().zip([1, 2, 1, 1]) {
            drive.status.device = Some(device);
            (drive.status.total_bytes, drive.status.free_bytes) = (100 * device, 10 * device);
        }
        assert_eq!(survey.space(), (300, 30));
    }

    #[test]
    fn writes_need_the_buckets() {
        let survey = Survey {
            buckets: None,
            ..survey(0, 0)
        };
        assert_eq!(
            survey.writes_fail().as_deref(),
            Some("too few drives answer to read the buckets")
        );
        assert_eq!(survey.reads_fail(), None);
    }

    #[test]
    fn a_node_may_be_taken_away_while_the_others_can_write() {
        let node = |age: Option<u64>| NodeStatus {
            name: String::new(),
            reason: None,
            age: age.map(Duration::from_secs),
            clock_ahead_ms: None,
            calls: None,
            sent_bytes: 0,
            received_bytes: 0,
        };
        let asked = |offline: usize, full: usize, ages: [Option<u64>; 4]| {
            let mut survey = Survey {
                nodes: ages.map(node).into(),
                own: 3,
                ..survey(offline, full)
            };
            let drives = survey.sets[0].drives.iter_mut().enumerate();
            drives.for_each(|(node, drive)| drive.node = node);
            survey.needs_own()
        };
        assert_eq!(asked(0, 0, [Some(5), Some(10), Some(0), Some(0)]), None);
        for (offline, full, ages) in [
            (1, 0, [Some(5), Some(5), Some(5), Some(0)]),
            (0, 1, [Some(5), Some(5), Some(5), Some(0)]),
            (0, 0, [Some(11), Some(5), Some(5), Some(0)]),
            (0, 0, [None, Some(5), Some(5), Some(0)]),
        ] {
            let reason = asked(offline, full, ages).expect("it is needed");
            assert!(reason.starts_with("without this server 2 drives of set 1"), "{reason}");
        }
        assert_eq!(
            survey(0, 0).needs_own().as_deref(),
            Some("this server holds all drives")
        );
    }
}
