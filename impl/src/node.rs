//! A node: its drives opened, and the store over them. The same for the server and the simulation.

pub mod cluster;
#[cfg(test)]
mod tests;

pub use crate::drive::IndexPolicy;

use crate::{
    background::recovery::{self, Recovered},
    drive::{Drive, DriveSlot, format},
    erasure::{Codec, CodecError},
    runtime::{self, Lane, Rt},
    set::{Ballots, ErasureSet, Timeouts},
    store::{Store, StoreConfig},
};
use futures::future::join_all;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Configuration of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The drives' folders: absolute, in the order of the arguments.
    pub drives: Vec<PathBuf>,
    /// Drives of an erasure set; divides their number.
    pub set_size: usize,
    /// M of new objects.
    pub standard_parity: u8,
    /// M of new objects of reduced redundancy.
    pub reduced_parity: u8,
    /// Policy of the drives' indexes.
    pub index: IndexPolicy,
}

/// Error of opening a node.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The drives are not those of one deployment in their places.
    #[error(transparent)]
    Format(#[from] format::FormatError),
    /// The erasure code does not run here, or not in this shape.
    #[error(transparent)]
    Erasure(#[from] CodecError),
    /// A drive is of a node that there is not.
    #[error("a drive is said to be of node {0}, and there is no such node")]
    NoSuchNode(u16),
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}

/// An open node.
#[derive(Debug)]
pub struct Node {
    /// Store over its drives.
    pub store: Arc<Store>,
    /// Drives that serve.
    pub drives_online: usize,
}

/// Opens a node's drives, formatting them at the first start. A drive that cannot serve is offline, with
/// its reason in the log; the others serve. It is opened when it is there again.
///
/// # Errors
/// [`OpenError`]; nothing was changed on any drive then, unless it is a first start that failed.
pub async fn open(rt: Rt, config: NodeConfig) -> Result<Node, OpenError> {
    check_parities(config.set_size, [config.standard_parity, config.reduced_parity])?;
    let opened = format(&rt, &config).await?;
    let deployment = opened.deployment.to_be_bytes();
    let (drives, drives_online) = open_slots(&rt, opened, &config.index).await;
    let sets = sets(&rt, 0, &drives, config.set_size);
    let store = Store::new(
        rt.clone(),
        StoreConfig {
            deployment,
            sets,
            standard_parity: config.standard_parity,
            reduced_parity: config.reduced_parity,
            cluster: None,
        },
    );
    Ok(Node { store, drives_online })
}

impl Node {
    /// Recovers from a crash of the last run; once, in the background of serving or before it.
    ///
    /// Writes at hand hold folders that no value names yet. To drop one is safe, and makes its write fail:
    /// so what is unnamed now gets `grace` to be named.
    pub async fn recover(&self, grace: Duration) -> Recovered {
        let recovered = recovery::recover(&self.store, grace).await;
        if recovered != Recovered::default() {
            let Recovered {
                settled,
                dropped,
                ended,
                left,
            } = recovered;
            tracing::info!(settled, dropped, ended, left, "finished what the last run left");
        }
        recovered
    }
}

/// Opens the drives that were found. Returns them, and how many serve.
async fn open_slots(rt: &Rt, opened: format::Opened, index: &IndexPolicy) -> (Vec<Arc<dyn Drive>>, usize) {
    let found = opened.drives.into_iter().zip(opened.identities);
    let slots = found.map(|(found, identity)| DriveSlot::open(rt, found, identity, index.clone()));
    let drives: Vec<Arc<dyn Drive>> = join_all(slots).await.into_iter().map(|slot| slot as _).collect();
    let mut drives_online = 0;
    for drive in &drives {
        drives_online += usize::from(drive.status().await.is_online());
    }
    (drives, drives_online)
}

/// Makes the erasure sets of a deployment's drives, as the node with this index uses them.
fn sets(rt: &Rt, node: u32, drives: &[Arc<dyn Drive>], set_size: usize) -> Vec<ErasureSet> {
    let ballots = Arc::new(Ballots::new(rt, node));
    let set = |(index, drives): (u32, &[Arc<dyn Drive>])| {
        let (drives, ballots) = (drives.to_vec(), ballots.clone());
        ErasureSet::new(rt.clone(), index, drives, ballots, Timeouts::default())
    };
    (0..).zip(drives.chunks(set_size)).map(set).collect()
}

/// Checks that there is an erasure code for each parity, and that it runs here.
fn check_parities(set_size: usize, parities: [u8; 2]) -> Result<(), CodecError> {
    for parity in parities {
        let data = (set_size as u8).saturating_sub(parity);
        Codec::new(data, parity)?;
    }
    Ok(())
}

async fn format(rt: &Rt, config: &NodeConfig) -> Result<format::Opened, OpenError> {
    let Some(first) = config.drives.first() else {
        return Err(format::FormatError::TooFew { drives: 0 }.into());
    };
    let executor = rt.executor(&first.to_string_lossy());
    let (files, paths, set_size, ids) = (rt.files(), config.drives.clone(), config.set_size, rt.clone());
    #[cfg(feature = "mutants")]
    let wiped_is_member = rt.mutation().is(runtime::Mutant::WipedIsMember);
    let job = move || {
        #[cfg(feature = "mutants")]
        if wiped_is_member {
            format::adopt_wiped(&files, &paths)?;
        }
        format::open_all(&files, &paths, set_size, &mut || runtime::random_id(&ids))
    };
    Ok(runtime::run(&executor, Lane::Data, job)
        .await
        .map_err(|_| OpenError::Ending)??)
}
