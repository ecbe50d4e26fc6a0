//! A node among several: its own drives, which it serves to the others, and theirs, which it asks for.

#[cfg(test)]
mod tests;

use super::{IndexPolicy, Node, OpenError, check_parities, open_slots, sets};
use crate::{
    drive::{
        Drive, DriveService, RemoteDrive,
        format::{self, FormatError, Layout, OwnDrive},
    },
    peer::{Entrance, Introduction, Link, LinkConfig, PeerSecret, Resolve, Security, VERSIONS},
    runtime::{self, Lane, Rt},
    store::{Store, StoreConfig},
};
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

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
}

/// A node, as the others reach it.
#[derive(Clone)]
pub struct Host {
    /// Its name, for its certificate and for operators.
    pub name: String,
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

/// An open node among several.
#[derive(Debug)]
pub struct ClusterNode {
    /// The node.
    pub node: Node,
    /// Takes the connections of the other nodes.
    pub entrance: Arc<Entrance>,
    /// This node's drives, as the other nodes ask them.
    pub service: Arc<DriveService>,
    /// Fingerprint of the deployment that its drives are of.
    pub deployment: u128,
}

impl ClusterConfig {
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

    fn introduction(&self, rt: &Rt, deployment: u128) -> Introduction {
        Introduction {
            deployment,
            me: self.me,
            nodes: u16::try_from(self.hosts.len()).unwrap_or(u16::MAX),
            secrets: self.secrets.clone(),
            versions: VERSIONS,
            mutation: rt.mutation(),
        }
    }
}

/// Opens a node of a deployment whose drives are formatted: its own drives, and the way to those of other nodes. It
/// waits for no other node.
///
/// # Errors
/// [`OpenError`]; nothing was changed on any drive then.
pub async fn open(rt: Rt, config: ClusterConfig) -> Result<ClusterNode, OpenError> {
    check_parities(config.set_size, [config.standard_parity, config.reduced_parity])?;
    if let Some(place) = config
        .drives
        .iter()
        .find(|place| usize::from(place.node) >= config.hosts.len())
    {
        return Err(OpenError::NoSuchNode(place.node));
    }
    let (drives, set_size) = (config.drives.len(), config.set_size);
    let opened = with_own(&rt, &config, move |files, own| {
        format::open_own(files, own, drives, set_size)
    });
    let opened = opened.await?;
    let (deployment, fingerprint) = (opened.deployment.to_be_bytes(), opened.fingerprint);
    let (own, drives_online) = open_slots(&rt, opened, &config.index).await;
    let mut boot = [0; 8];
    rt.fill_random(&mut boot);
    let boot = u64::from_le_bytes(boot);
    let numbers = config
        .own()
        .into_iter()
        .map(|drive| u16::try_from(drive.position).unwrap_or(u16::MAX));
    let service = Arc::new(DriveService::new(numbers.zip(own.iter().cloned())));
    let introduction = config.introduction(&rt, fingerprint);
    let entrance = Entrance::new(
        &rt,
        introduction.clone(),
        config.security.clone(),
        boot,
        service.clone(),
    );
    let links = links(&rt, &config, &introduction, boot);
    let drives = all_drives(&rt, &config, own, &links);
    let store = StoreConfig {
        deployment,
        sets: sets(&rt, u32::from(config.me), &drives, config.set_size),
        standard_parity: config.standard_parity,
        reduced_parity: config.reduced_parity,
        is_shared: true,
    };
    let store = Store::new(rt.clone(), store);
    let node = Node { store, drives_online };
    Ok(ClusterNode {
        node,
        entrance,
        service,
        deployment: fingerprint,
    })
}

/// Formats this node's drives, which are empty, as part of a new deployment. That no node serves before all have done
/// so (`format.complete-after-all`) is the caller's to see to.
///
/// # Errors
/// [`OpenError`].
pub async fn format(rt: &Rt, config: &ClusterConfig, layout: Layout) -> Result<(), OpenError> {
    let format = with_own(rt, config, move |files, own| format::format_own(files, own, &layout));
    format.await.map(drop)
}

/// Runs a blocking job on this node's drives.
async fn with_own<T: Send + 'static>(
    rt: &Rt,
    config: &ClusterConfig,
    job: impl FnOnce(&Arc<dyn runtime::Files>, &[OwnDrive]) -> Result<T, FormatError> + Send + 'static,
) -> Result<T, OpenError> {
    let (own, files) = (config.own(), rt.files());
    let Some(first) = own.first() else {
        return Err(FormatError::TooFew { drives: 0 }.into());
    };
    let executor = rt.executor(&first.path.to_string_lossy());
    let job = runtime::run(&executor, Lane::Data, move || job(&files, &own));
    Ok(job.await.map_err(|_| OpenError::Ending)??)
}

/// Begins to connect to every other node.
fn links(rt: &Rt, config: &ClusterConfig, introduction: &Introduction, boot: u64) -> BTreeMap<u16, Arc<Link>> {
    let others = (0..).zip(&config.hosts).filter(|(node, _)| *node != config.me);
    let link = |(to, host): (u16, &Host)| {
        let link = LinkConfig {
            introduction: introduction.clone(),
            to,
            host: host.name.clone(),
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
    links: &BTreeMap<u16, Arc<Link>>,
) -> Vec<Arc<dyn Drive>> {
    let mut own = own.into_iter();
    let mut drive = |(number, place): (u16, &DrivePlace)| match links.get(&place.node) {
        None => own.next(),
        Some(link) => {
            let host = config.hosts.get(usize::from(place.node)).map_or("", |host| &host.name);
            let name = format!("{host}{}", place.path.display());
            Some(Arc::new(RemoteDrive::new(rt, link.clone(), number, name)) as Arc<dyn Drive>)
        }
    };
    (0..).zip(&config.drives).filter_map(&mut drive).collect()
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.name)
    }
}
