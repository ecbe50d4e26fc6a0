//! The admin API's answers. The names of fields are those of MinIO's, as far as they mean the same; what MinIO
//! has no name for has one of our own.

use crate::store::{DriveSurvey, NodeStatus, Survey};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Path of the server's information.
pub const INFO_PATH: &str = "/minio/admin/v3/info";

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A deployment, its servers and their drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// `online` if writes succeed, `readonly` if only reads do, else `offline`.
    pub mode: Mode,
    /// The deployment's UUID.
    #[serde(rename = "deploymentID")]
    pub deployment_id: String,
    /// Number of buckets.
    pub buckets: Count,
    /// Erasure coding of objects.
    pub backend: Backend,
    /// Each server with its drives.
    pub servers: Vec<Server>,
}

/// Mode of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Reads and writes.
    Online,
    /// Reads only: too few drives for writes.
    ReadOnly,
    /// Neither reads nor writes: too few drives answer.
    Offline,
}

/// A number that may not be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// Error, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Erasure sets, parity and quorums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// `Erasure`.
    pub backend_type: String,
    /// Drives that serve.
    pub online_disks: usize,
    /// Drives that do not.
    pub offline_disks: usize,
    /// M of new objects.
    #[serde(rename = "standardSCParity")]
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    #[serde(rename = "rrSCParity")]
    pub reduced_parity: u8,
    /// Erasure sets of each pool.
    pub total_sets: Vec<usize>,
    /// Drives of a set, for each pool.
    pub total_drives_per_set: Vec<u8>,
    /// Drives of a set that a read needs.
    pub read_quorum: u8,
    /// Drives of a set that a write needs.
    pub write_quorum: u8,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `online` or `offline`.
    pub state: String,
    /// Host and port of its S3 API.
    pub endpoint: String,
    /// Uptime in seconds; of the server that answers alone.
    pub uptime: u64,
    /// Version of the program; of the server that answers alone.
    pub version: String,
    /// State of each server by endpoint: `online` or `offline`.
    #[serde(default)]
    pub network: BTreeMap<String, String>,
    /// The pools that its drives are in, from 1.
    #[serde(rename = "poolNumbers", default)]
    pub pool_numbers: Vec<usize>,
    /// Its drives.
    pub drives: Vec<Drive>,
    /// Why it is offline.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Milliseconds that its clock is ahead of that of the server that answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_ahead_ms: Option<i64>,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// Its path, by which it is known in the deployment.
    #[serde(default)]
    pub endpoint: String,
    /// Its path.
    pub path: String,
    /// It is being healed.
    #[serde(default)]
    pub healing: bool,
    /// It is local to the server that answers.
    #[serde(default)]
    pub local: bool,
    /// `ok` or `offline`.
    pub state: String,
    /// Reason why it is offline, or of what keeps it from serving all requests: it is full, or a call to the operating
    /// system does not return.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Size of its file system in bytes, 0 while offline.
    #[serde(rename = "totalspace")]
    pub total_bytes: u64,
    /// Used bytes.
    #[serde(rename = "usedspace")]
    pub used_bytes: u64,
    /// Free bytes.
    #[serde(rename = "availspace")]
    pub free_bytes: u64,
    /// Inodes that are taken; 0 while offline, and where the file system has no limit.
    #[serde(rename = "used_inodes", default)]
    pub used_inodes: u64,
    /// Inodes that are left.
    #[serde(rename = "free_inodes", default)]
    pub free_inodes: u64,
    /// The device of its file system: drives of a server with the same one share its space.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<u64>,
    /// Its pool.
    pub pool_index: usize,
    /// Its erasure set.
    pub set_index: usize,
    /// Its place in the set.
    pub disk_index: usize,
}

/// Tells of the deployment that the server at `endpoint` found as `survey`, after it had run for `uptime`.
#[must_use]
pub fn info(survey: &Survey, endpoint: &str, uptime: Duration) -> Info {
    let health = survey.health();
    Info {
        mode: match (health.readable, health.writable) {
            (_, true) => Mode::Online,
            (true, false) => Mode::ReadOnly,
            (false, false) => Mode::Offline,
        },
        deployment_id: uuid::Uuid::from_bytes(survey.deployment).to_string(),
        buckets: Count {
            count: survey.buckets.map(|buckets| buckets as u64),
            error: survey.buckets.is_none().then(|| "too few drives answer".to_owned()),
        },
        backend: Backend {
            backend_type: "Erasure".to_owned(),
            online_disks: health.drives_online,
            offline_disks: health.drives - health.drives_online,
            standard_parity: survey.standard_parity,
            reduced_parity: survey.reduced_parity,
            total_sets: vec![survey.sets.len()],
            total_drives_per_set: vec![survey.set_size],
            read_quorum: survey.read_quorum,
            write_quorum: survey.write_quorum,
        },
        servers: servers(survey, endpoint, uptime),
    }
}

/// Each node with its drives. What only it knows is told of this node alone.
fn servers(survey: &Survey, endpoint: &str, uptime: Duration) -> Vec<Server> {
    let state = |reason: &Option<String>| if reason.is_none() { "online" } else { "offline" }.to_owned();
    let drives = |node: usize| {
        let of_node = survey.drives().filter(move |(_, _, drive)| drive.node == node);
        let drives = of_node.map(|(set, place, drive)| describe(set, place, drive, node == survey.own));
        drives.collect::<Vec<_>>()
    };
    let own = Server {
        state: "online".to_owned(),
        endpoint: endpoint.to_owned(),
        uptime: uptime.as_secs(),
        version: VERSION.to_owned(),
        network: BTreeMap::from([(endpoint.to_owned(), "online".to_owned())]),
        pool_numbers: vec![1],
        drives: drives(survey.own),
        reason: None,
        clock_ahead_ms: None,
    };
    if survey.nodes.is_empty() {
        return vec![own];
    }
    let network = survey.nodes.iter().map(|node| (node.name.clone(), state(&node.reason)));
    let network: BTreeMap<String, String> = network.collect();
    let server = |(index, node): (usize, &NodeStatus)| {
        if index == survey.own {
            return Server {
                endpoint: node.name.clone(),
                network: network.clone(),
                ..own.clone()
            };
        }
        Server {
            state: state(&node.reason),
            endpoint: node.name.clone(),
            uptime: 0,
            version: String::new(),
            network: BTreeMap::new(),
            pool_numbers: vec![1],
            drives: drives(index),
            reason: node.reason.clone(),
            clock_ahead_ms: node.clock_ahead_ms,
        }
    };
    survey.nodes.iter().enumerate().map(server).collect()
}

fn describe(set: usize, place: usize, drive: &DriveSurvey, is_local: bool) -> Drive {
    let status = &drive.status;
    let full = || {
        status
            .full
            .then(|| "full: it takes no more objects, only deletes".to_owned())
    };
    let (state, reason) = match status.state.reason() {
        Some(reason) => ("offline", Some(reason)),
        None => ("ok", drive.hangs().or_else(full)),
    };
    Drive {
        endpoint: status.path.clone(),
        path: status.path.clone(),
        healing: false,
        local: is_local,
        state: state.to_owned(),
        reason,
        total_bytes: status.total_bytes,
        used_bytes: status.total_bytes.saturating_sub(status.free_bytes),
        free_bytes: status.free_bytes,
        used_inodes: status.total_inodes.saturating_sub(status.free_inodes),
        free_inodes: status.free_inodes,
        device: status.device,
        pool_index: 0,
        set_index: set,
        disk_index: place,
    }
}
