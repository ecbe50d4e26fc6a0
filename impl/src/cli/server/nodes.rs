//! A server among several: which node it is, and what it needs to start with the others.

use super::StartError;
use crate::{
    config::{ServerConfig, SharedSecret},
    http::{Tls, trusted},
    node::{
        IndexPolicy, Node,
        cluster::{ClusterConfig, DrivePlace, Host, Starting},
    },
    peer::{Certificates, PeerSecret, PeerTls, Resolve, SECRET_BYTES_MIN, Security},
    runtime::Rt,
    topology::{DrivePath, NodeAddress, Own, Scheme, own},
};
use futures::future::join_all;
use rustls::crypto::ring;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Interval at which names are resolved again until this node is found.
const RESOLVE_PAUSE: Duration = Duration::from_secs(1);

/// This node among those of the drive arguments.
pub(super) struct Among {
    /// Its index.
    pub me: usize,
    /// Its start.
    pub starting: Starting,
}

/// Finds this node among the others, and prepares its start. Nothing is read or dialled yet.
///
/// # Errors
/// [`StartError`].
pub(super) async fn start(
    rt: &Rt,
    config: &ServerConfig,
    interfaces: Vec<IpAddr>,
    tls: Option<&Arc<Tls>>,
) -> Result<Among, StartError> {
    let me = find_own(rt, config, &interfaces).await?;
    let starting = Starting::new(rt.clone(), cluster_config(rt, config, me, tls).await?)?;
    Ok(Among { me, starting })
}

/// Opens the node once its drives are formatted, and waits until it can serve.
///
/// # Errors
/// [`StartError`].
pub(super) async fn open(starting: Starting) -> Result<Node, StartError> {
    let open = starting.open().await?;
    open.wait_for_quorum().await;
    open.serves();
    Ok(open.node)
}

/// Finds this node among those of the drive arguments by its addresses and its port. As long as names that may be its
/// own do not resolve it tries again: some platforms publish a name only after its process has started.
///
/// # Errors
/// [`StartError::Own`]: none of them is this node, or two are.
async fn find_own(rt: &Rt, config: &ServerConfig, interfaces: &[IpAddr]) -> Result<usize, StartError> {
    let nodes = &config.topology.nodes;
    let mut told = String::new();
    loop {
        let resolved = join_all(nodes.iter().map(|node| async {
            let found = rt.resolve(node.host.clone(), node.port).await;
            let addresses = found.map(|found| found.into_iter().map(|address| address.ip()).collect());
            addresses.map_err(|error| error.to_string())
        }));
        match own(nodes, &resolved.await, interfaces, config.address.port)? {
            Own::Found(index) => return Ok(index),
            Own::NotYet(unresolved) => {
                let names: Vec<String> = unresolved.iter().map(ToString::to_string).collect();
                let names = names.join("; ");
                if told != names {
                    tracing::warn!(
                        names,
                        "waits for a name that is this node's: these do not resolve yet; if it stays, check the URLs \
                         and the name service"
                    );
                    told = names;
                }
            }
        }
        rt.sleep(RESOLVE_PAUSE).await;
    }
}

/// Returns the configuration of the node with this index.
///
/// # Errors
/// [`StartError`]: certificates and the URLs' scheme do not fit together, or no session can be set up.
async fn cluster_config(
    rt: &Rt,
    config: &ServerConfig,
    me: usize,
    tls: Option<&Arc<Tls>>,
) -> Result<ClusterConfig, StartError> {
    let topology = &config.topology;
    let place = |drive: &DrivePath| DrivePlace {
        node: index(drive.node),
        path: drive.path.clone(),
    };
    let same = [
        ("region", config.region.clone().unwrap_or_else(|| "none".to_owned())),
        ("domain", config.domains.clone()),
    ];
    let secrets = config.peers.iter().flat_map(|peers| &peers.secrets);
    Ok(ClusterConfig {
        me: index(me),
        hosts: topology.nodes.iter().map(|node| host(rt, node)).collect(),
        drives: topology.drives.iter().map(place).collect(),
        set_size: topology.set_size,
        standard_parity: topology.standard_parity,
        reduced_parity: topology.reduced_parity,
        index: IndexPolicy::default(),
        secrets: secrets.map(secret).collect::<Result<_, _>>()?,
        security: Security::Tls(sessions(rt, config, tls).await?),
        same: same.map(|(name, value)| (name.to_owned(), value)).into(),
    })
}

/// There are at most 32 nodes.
fn index(node: usize) -> u16 {
    u16::try_from(node).unwrap_or(u16::MAX)
}

fn host(rt: &Rt, node: &NodeAddress) -> Host {
    let (rt, name, port) = (rt.clone(), node.host.clone(), node.port);
    let resolve: Resolve = Arc::new(move || rt.resolve(name.clone(), port));
    Host {
        name: node.to_string(),
        certificate: node.host.clone(),
        resolve,
    }
}

fn secret(secret: &SharedSecret) -> Result<PeerSecret, StartError> {
    match secret {
        SharedSecret::Random(bytes) => PeerSecret::from_bytes(bytes).map_err(|bytes| StartError::Secret {
            bytes,
            needed: SECRET_BYTES_MIN,
        }),
        SharedSecret::RootUser(user) => Ok(PeerSecret::from_root_user(&user.access_key, &user.secret_key)),
    }
}

/// Sets up the sessions between nodes: with `https://` the server's certificates, which are verified.
async fn sessions(rt: &Rt, config: &ServerConfig, tls: Option<&Arc<Tls>>) -> Result<PeerTls, StartError> {
    let folder = || config.certs_dir.clone().unwrap_or_default();
    let certificates = match (config.topology.scheme, tls) {
        (Some(Scheme::Https), Some(tls)) => Certificates::Verified {
            own: tls.certificates(),
            authorities: trusted(rt, config.authorities.clone(), config.certs_dir.clone()).await?,
        },
        (Some(Scheme::Https), None) => return Err(StartError::NoCertificate { folder: folder() }),
        (_, Some(_)) => return Err(StartError::CertificateUnused { folder: folder() }),
        (_, None) => Certificates::Throwaway,
    };
    Ok(PeerTls::new(ring::default_provider(), certificates)?)
}
