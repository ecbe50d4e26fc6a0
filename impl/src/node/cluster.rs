//! A node among several: its own drives, which it serves to the others, and theirs, which it asks for.

#[cfg(test)]
mod refusals;
mod start;
#[cfg(test)]
mod tests;

use super::{IndexPolicy, Node, OpenError, check_parities, open_slots, sets};
use crate::{
    drive::{
        Cluster, Drive, DriveService, RemoteDrive, RemoteNode,
        format::{Given, OwnDrive},
    },
    peer::{Entrance, Introduction, Link, LinkConfig, PeerSecret, Resolve, Security, Settings, VERSIONS},
    runtime::{self, Rt},
    store::{Store, StoreConfig},
};
use futures::future::join_all;
use start::Start;
use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Time after which a node serves though some drives are missing, if every set can be read.
const ALL_WAIT: Duration = Duration::from_secs(3);
/// Time after which a node serves the sets that can be read, though others cannot.
const SETS_WAIT: Duration = Duration::from_secs(15);
/// Time after which the log says for whom a node waits.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// Interval at which drives are asked for their state until the node serves.
const QUORUM_PAUSE: Duration = Duration::from_millis(100);
/// Time limit for a drive's state.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// Configuration of a node among several.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Index of this node among the hosts.
    pub me: u16,
    /// The nodes.
    pub hosts: Vec<Host>,
    /// All drives of the deployment, in the order of the arguments.
    pub drives: Vec<DrivePlace>,
    /// Drives of an erasure set; divides their number.
    pub set_size: usize,
    /// M of new objects.
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    pub reduced_parity: u8,
    /// Policy of the drives' indexes.
    pub index: IndexPolicy,
    /// The secret of the deployment, and the one before it if there is one.
    pub secrets: Vec<PeerSecret>,
    /// The sessions between nodes.
    pub security: Security,
    /// Further settings that must be the same on all nodes: their names, and values in words.
    pub same: BTreeMap<String, String>,
}

/// A node, as the others reach it.
#[derive(Clone)]
pub struct Host {
    /// Its name and port, for operators.
    pub name: String,
    /// Its name, which its certificate has to be for.
    pub certificate: String,
    /// Its addresses.
    pub resolve: Resolve,
}

/// Place of a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrivePlace {
    /// Index of its node.
    pub node: u16,
    /// Its folder there: absolute.
    pub path: PathBuf,
}

/// A node that starts among others. It answers their questions from the beginning, through its entrance.
pub struct Starting {
    rt: Rt,
    config: ClusterConfig,
    introduction: Introduction,
    boot: u64,
    entrance: Arc<Entrance>,
    start: Arc<Start>,
}

/// An open node among several.
pub struct ClusterNode {
    /// The node.
    pub node: Node,
    /// Takes the connections of the other nodes.
    pub entrance: Arc<Entrance>,
    /// This node's drives, as the other nodes ask them.
    pub service: Arc<DriveService>,
    /// Fingerprint of the deployment that its drives are of.
    pub deployment: u128,
    rt: Rt,
    introduction: Introduction,
}

impl ClusterConfig {
    /// Name and port of a node, for operators.
    fn name(&self, node: u16) -> String {
        let host = self.hosts.get(usize::from(node));
        host.map(|host| host.name.clone()).unwrap_or_default()
    }

    /// This node's drives.
    fn own(&self) -> Vec<OwnDrive> {
        let own = self
            .drives
            .iter()
            .enumerate()
            .filter(|(_, drive)| drive.node == self.me);
        own.map(|(position, drive)| OwnDrive {
            position,
            path: drive.path.clone(),
        })
        .collect()
    }

    /// The shape that the drives' format has to have.
    fn given(&self) -> Given {
        Given {
            drives: self.drives.len(),
            set_size: self.set_size,
            nodes: u16::try_from(self.hosts.len()).unwrap_or(u16::MAX),
        }
    }

    /// Settings that nodes compare when they connect.
    fn settings(&self) -> Settings {
        let words = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(" ");
        let nodes = words(&mut self.drives.iter().map(|drive| drive.node.to_string()));
        let drives = format!(
            "{} in sets of {} on {} nodes",
            self.drives.len(),
            self.set_size,
            self.hosts.len()
        );
        let parity = format!("EC:{}, reduced EC:{}", self.standard_parity, self.reduced_parity);
        let mut same = self.same.clone();
        same.extend([
            ("the number of drives".to_owned(), drives),
            ("the order of the drives' nodes".to_owned(), nodes),
            ("parity".to_owned(), parity),
        ]);
        let hosts = words(&mut self.hosts.iter().map(|host| host.name.clone()));
        let paths = words(&mut self.drives.iter().map(|drive| drive.path.display().to_string()));
        let similar = [("hosts".to_owned(), hosts), ("paths of the drives".to_owned(), paths)];
        Settings {
            same,
            similar: similar.into(),
        }
    }
}

impl Starting {
    /// Prepares the start of a node. Nothing is read or dialled yet.
    ///
    /// # Errors
    /// [`OpenError`]: no erasure code of this shape, or a drive of no node.
    pub fn new(rt: Rt, config: ClusterConfig) -> Result<Starting, OpenError> {
        Starting::speaking(rt, config, VERSIONS)
    }

    /// The same, in these versions of the protocol.
    fn speaking(rt: Rt, config: ClusterConfig, versions: RangeInclusive<u16>) -> Result<Starting, OpenError> {
        check_parities(config.set_size, [config.standard_parity, config.reduced_parity])?;
        let nodes = config.given().nodes;
        if let Some(place) = config.drives.iter().find(|place| place.node >= nodes) {
            return Err(OpenError::NoSuchNode(place.node));
        }
        let mut boot = [0; 8];
        rt.fill_random(&mut boot);
        let boot = u64::from_le_bytes(boot);
        let introduction = Introduction {
            versions,
            settings: Arc::new(config.settings()),
            is_serving: Arc::default(),
            ..Introduction::new(config.me, nodes, config.secrets.clone(), rt.mutation())
        };
        let start = Start::new(&rt);
        let entrance = Entrance::new(
            &rt,
            introduction.clone(),
            config.security.clone(),
            boot,
            Some(start.clone()),
        );
        Ok(Starting {
            rt,
            config,
            introduction,
            boot,
            entrance,
            start,
        })
    }

    /// Takes the connections of other nodes.
    #[must_use]
    pub fn entrance(&self) -> &Arc<Entrance> {
        &self.entrance
    }

    /// Opens the node's drives, and the way to those of other nodes. If its drives are formatted it waits for no other
    /// node; otherwise until all drives of the deployment are there, and formats them with the others.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed on any drive then, unless it is a first start that failed.
    pub async fn open(self) -> Result<ClusterNode, OpenError> {
        let Starting {
            rt,
            config,
            introduction,
            boot,
            entrance,
            start,
        } = self;
        let links = || links(&rt, &config, &introduction, boot, None);
        let opened = start.open(&config, links).await?;
        introduction.deployment.set(opened.layout.deployment().to_string()).ok();
        let (deployment, fingerprint) = (opened.deployment.to_be_bytes(), opened.layout.fingerprint());
        let (own, drives_online) = open_slots(&rt, opened, &config.index).await;
        let numbers = config
            .own()
            .into_iter()
            .map(|drive| u16::try_from(drive.position).unwrap_or(u16::MAX));
        let service = Arc::new(DriveService::new(&rt, numbers.zip(own.iter().cloned())));
        entrance.open(fingerprint, service.clone());
        let links = self::links(&rt, &config, &introduction, boot, Some(fingerprint));
        let peer = |(node, link): (u16, Arc<Link>)| (node, RemoteNode::new(&rt, link, config.name(node)));
        let peers: BTreeMap<u16, Arc<RemoteNode>> = links.into_iter().map(peer).collect();
        let drives = all_drives(&rt, &config, own, &peers);
        let store = StoreConfig {
            deployment,
            sets: sets(&rt, u32::from(config.me), &drives, config.set_size),
            standard_parity: config.standard_parity,
            reduced_parity: config.reduced_parity,
            cluster: Some(Cluster {
                me: usize::from(config.me),
                name: config.name(config.me),
                places: config.drives.iter().map(|drive| usize::from(drive.node)).collect(),
                answered: entrance.traffic().clone(),
                nodes: peers.into_values().collect(),
            }),
        };
        let store = Store::new(rt.clone(), store);
        let node = Node { store, drives_online };
        Ok(ClusterNode {
            node,
            entrance,
            service,
            deployment: fingerprint,
            rt,
            introduction,
        })
    }
}

impl ClusterNode {
    /// Waits until all drives serve; after some seconds until every erasure set can be read, and after some more until
    /// one can. Logs for whom it waits.
    pub async fn wait_for_quorum(&self) {
        let began = self.rt.mono();
        let mut told = String::new();
        loop {
            let sets = self.node.store.sets().iter().map(|set| async {
                let absent = self.absent(&set.drives).await;
                let online = set.drives.len() - absent.len();
                (absent, online, usize::from(set.quorums.prepare))
            });
            let sets = join_all(sets).await;
            let waited = self.rt.mono().saturating_sub(began);
            let is_readable = |(_, online, quorum): &(Vec<String>, usize, usize)| online >= quorum;
            let is_enough = match waited {
                _ if waited < ALL_WAIT => sets.iter().all(|(absent, ..)| absent.is_empty()),
                _ if waited < SETS_WAIT => sets.iter().all(is_readable),
                _ => sets.iter().any(is_readable),
            };
            let missing = (1..).zip(&sets).filter(|(_, set)| !is_readable(set));
            let missing = missing.map(|(set, (absent, online, quorum))| {
                let absent = absent.join(", ");
                format!("erasure set {set} has {online} of the {quorum} drives that it takes to read ({absent})")
            });
            let missing = missing.collect::<Vec<_>>().join("; ");
            if is_enough {
                if !missing.is_empty() {
                    tracing::error!(missing, "serves without the sets that cannot be read");
                }
                return;
            }
            if told != missing && waited >= TOLD_AFTER {
                tracing::warn!(missing, "waits for drives before it serves");
                told = missing;
            }
            self.rt.sleep(QUORUM_PAUSE).await;
        }
    }

    /// Returns which drives do not serve, and why.
    async fn absent(&self, drives: &[Arc<dyn Drive>]) -> Vec<String> {
        let statuses = drives.iter().map(|drive| async {
            let status = runtime::timeout(&self.rt, STATUS_WAIT, drive.status()).await;
            let reason = match status {
                Some(status) => status.state.reason()?,
                None => "it does not answer".to_owned(),
            };
            Some(format!("{}: {reason}", drive.path()))
        });
        join_all(statuses).await.into_iter().flatten().collect()
    }

    /// Notes that the node serves clients: from now on a clock that differs is no reason to refuse a node.
    pub fn serves(&self) {
        self.introduction.is_serving.store(true, Ordering::Relaxed);
    }
}

/// Begins to connect to every other node.
fn links(
    rt: &Rt,
    config: &ClusterConfig,
    introduction: &Introduction,
    boot: u64,
    deployment: Option<u128>,
) -> BTreeMap<u16, Arc<Link>> {
    let others = (0..).zip(&config.hosts).filter(|(node, _)| *node != config.me);
    let link = |(to, host): (u16, &Host)| {
        let link = LinkConfig {
            deployment,
            introduction: introduction.clone(),
            to,
            name: host.name.clone(),
            host: host.certificate.clone(),
            resolve: host.resolve.clone(),
            security: config.security.clone(),
            boot,
        };
        (to, Arc::new(Link::start(rt, link)))
    };
    others.map(link).collect()
}

/// All drives of the deployment, in order. A drive's number at its node is its place in the deployment: nodes whose
/// arguments differ do not take one drive for another.
fn all_drives(
    rt: &Rt,
    config: &ClusterConfig,
    own: Vec<Arc<dyn Drive>>,
    peers: &BTreeMap<u16, Arc<RemoteNode>>,
) -> Vec<Arc<dyn Drive>> {
    let mut own = own.into_iter();
    let mut drive = |(number, place): (u16, &DrivePlace)| match peers.get(&place.node) {
        None => own.next(),
        Some(peer) => {
            let name = format!("{}{}", config.name(place.node), place.path.display());
            Some(Arc::new(RemoteDrive::new(rt, peer.clone(), number, name)) as Arc<dyn Drive>)
        }
    };
    (0..).zip(&config.drives).filter_map(&mut drive).collect()
}

impl fmt::Debug for Starting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Starting(node {})", self.config.me)
    }
}

impl fmt::Debug for ClusterNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterNode({})", self.introduction.me)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.name)
    }
}
