//! Heartbeats: the state of other nodes, known without a call. They order and shorten waits and inform operators; no
//! answer to a client rests on them.

use crate::{
    drive::{Drive, DriveState, DriveStatus},
    peer::{CallError, Link, NotSent, Traffic},
    runtime::{self, Rt, Task, spawn},
};
use bytes::Bytes;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Number of the service that answers heartbeats. Drives have those of their places, which are below.
pub(super) const SERVICE: u16 = u16::MAX;
/// Interval of heartbeats.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time within which a new process of a node is noticed, and asked.
const NOTICED: Duration = Duration::from_millis(500);
/// Pause until a node that has not answered is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// Time limit for the answer. A node that takes longer is suspected: the log says so.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Time limit for the status of a drive at its node: one that hangs must not hide the others.
const STATUS_WAIT: Duration = Duration::from_secs(1);
/// Age from which a heartbeat says nothing any more.
const AGE_MAX: Duration = Duration::from_secs(15);
/// Difference of clocks that is logged.
const CLOCK_MAX: Duration = Duration::from_secs(3);

/// A node's answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Its clock, in nanoseconds since 1970.
    clock: u64,
    /// Calls of other nodes that are under way there.
    calls: u64,
    /// The status of its drives, by their numbers.
    drives: BTreeMap<u16, DriveStatus>,
}

impl Beat {
    /// Asks this node's drives.
    pub async fn of(rt: Rt, drives: Vec<(u16, Arc<dyn Drive>)>, calls: usize) -> Beat {
        let statuses = drives.into_iter().map(|(number, drive)| {
            let rt = rt.clone();
            async move {
                let status = runtime::timeout(&rt, STATUS_WAIT, drive.status()).await;
                let silent = || DriveStatus::without_space(drive.path(), DriveState::Silent { call: None });
                (number, status.unwrap_or_else(silent))
            }
        });
        Beat {
            drives: join_all(statuses).await.into_iter().collect(),
            clock: rt.wall_nanos(),
            calls: calls as u64,
        }
    }

    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).map(Bytes::from).unwrap_or_default()
    }
}

/// Another node, and what its last heartbeat said.
pub struct RemoteNode {
    inner: Arc<Inner>,
    task: Arc<dyn Task>,
}

struct Inner {
    rt: Rt,
    link: Arc<Link>,
    name: String,
    known: Mutex<Option<Known>>,
}

struct Known {
    /// The process that said so. Nothing of it holds for the next one.
    boot: Option<u64>,
    beat: Beat,
    /// When it came.
    heard: Duration,
    /// Nanoseconds that its clock is ahead of this node's.
    ahead: i64,
}

/// The nodes of a deployment, as one of them sees them.
#[derive(Debug)]
pub struct Cluster {
    /// Index of this node.
    pub me: usize,
    /// Name and port, for operators.
    pub name: String,
    /// Index of the node of each drive, in the order of the drives' places.
    pub places: Vec<usize>,
    /// The other nodes, in order.
    pub nodes: Vec<Arc<RemoteNode>>,
    /// Bytes of calls of other nodes to this one.
    pub answered: Arc<Traffic>,
}

impl Cluster {
    /// Returns the status of each node, in order. Asks nobody.
    #[must_use]
    pub fn statuses(&self) -> Vec<NodeStatus> {
        let own = NodeStatus {
            name: self.name.clone(),
            reason: None,
            age: Some(Duration::ZERO),
            clock_ahead_ms: Some(0),
            calls: None,
            sent_bytes: 0,
            received_bytes: 0,
        };
        let mut statuses: Vec<NodeStatus> = self.nodes.iter().map(|node| node.status()).collect();
        statuses.insert(self.me.min(statuses.len()), own);
        statuses
    }

    /// Returns the bytes that this node has sent to others, and received from them.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        let traffic = self.nodes.iter().map(|node| node.inner.link.traffic());
        let all = traffic.chain([&*self.answered]);
        all.fold((0, 0), |(sent, received), traffic| {
            (sent + traffic.sent_bytes.get(), received + traffic.received_bytes.get())
        })
    }
}

/// Status of a node, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name and port.
    pub name: String,
    /// Why it does not answer; `None` if it does.
    pub reason: Option<String>,
    /// Time since its last heartbeat.
    pub age: Option<Duration>,
    /// Milliseconds that its clock is ahead of this node's.
    pub clock_ahead_ms: Option<i64>,
    /// Calls of other nodes that were under way there.
    pub calls: Option<u64>,
    /// Bytes that this node has sent to it to ask it.
    pub sent_bytes: u64,
    /// Bytes of its answers.
    pub received_bytes: u64,
}

impl RemoteNode {
    /// Begins to ask the node of `link`, which operators call `name`, for heartbeats.
    #[must_use]
    pub fn new(rt: &Rt, link: Arc<Link>, name: String) -> Arc<RemoteNode> {
        let inner = Arc::new(Inner {
            rt: rt.clone(),
            link,
            name,
            known: Mutex::default(),
        });
        let task = spawn(rt, "heartbeats", inner.clone().listen());
        Arc::new(RemoteNode { inner, task })
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.inner.link
    }

    /// Returns the status of a drive there, as the last heartbeat said. Asks nobody.
    pub(super) fn drive(&self, number: u16, path: &str) -> DriveStatus {
        let state = match self.inner.unreachable() {
            Some(reason) => DriveState::Offline(format!("its node cannot be reached: {reason}")),
            None => {
                let known = self.inner.recent();
                match known.as_ref().and_then(|known| known.beat.drives.get(&number)) {
                    Some(status) => {
                        let path = path.to_owned();
                        return DriveStatus { path, ..status.clone() };
                    }
                    None => DriveState::Silent { call: None },
                }
            }
        };
        DriveStatus::without_space(path.to_owned(), state)
    }

    /// Returns whether a drive there takes no objects, as the last heartbeat said.
    pub(super) fn is_full(&self, number: u16) -> bool {
        let known = self.inner.recent();
        let status = known.as_ref().and_then(|known| known.beat.drives.get(&number));
        status.is_some_and(|status| status.full)
    }

    /// Returns the node's status. Asks nobody.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let inner = &self.inner;
        let unreachable = inner.unreachable();
        let now = inner.rt.mono();
        let traffic = inner.link.traffic();
        let known = inner.recent();
        let age = known.as_ref().map(|known| now.saturating_sub(known.heard));
        let is_silent = age.is_none_or(|age| age >= AGE_MAX);
        NodeStatus {
            name: inner.name.clone(),
            reason: unreachable.or_else(|| is_silent.then(|| "it does not answer".to_owned())),
            age,
            clock_ahead_ms: known.as_ref().map(|known| known.ahead / 1_000_000),
            calls: known.as_ref().map(|known| known.beat.calls),
            sent_bytes: traffic.sent_bytes.get(),
            received_bytes: traffic.received_bytes.get(),
        }
    }
}

impl Drop for RemoteNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last heartbeat, unless it is too old, or of an earlier process.
    fn recent(&self) -> MutexGuard<'_, Option<Known>> {
        let (now, boot) = (self.rt.mono(), self.link.boot());
        let mut known = self.known();
        known.take_if(|known| now.saturating_sub(known.heard) >= AGE_MAX || known.boot != boot);
        known
    }

    /// Waits until the process of this number is to be asked again, or another one is there.
    async fn pause(&self, boot: Option<u64>) {
        let until = self.rt.mono() + INTERVAL;
        while self.link.boot() == boot && self.rt.mono() < until {
            self.rt.sleep(NOTICED).await;
        }
    }

    fn unreachable(&self) -> Option<String> {
        self.link.unreachable().map(|reason| reason.to_string())
    }

    /// Asks for heartbeats for ever.
    async fn listen(self: Arc<Self>) {
        let (mut is_suspected, mut clock_differs) = (false, false);
        loop {
            let boot = self.link.boot();
            let (asked, wall) = (self.rt.mono(), self.rt.wall_nanos());
            let answer = self.link.call(SERVICE, Bytes::new(), ANSWER_WAIT).await;
            let beat = answer.map(|answer| postcard::from_bytes::<Beat>(&answer).ok());
            let name = &*self.name;
            match beat {
                Ok(Some(beat)) => {
                    let heard = self.rt.mono();
                    let half = u64::try_from(heard.saturating_sub(asked).as_nanos() / 2).unwrap_or(0);
                    let ahead = difference(beat.clock, wall.saturating_add(half));
                    if is_suspected {
                        tracing::info!(node = name, "the node answers again");
                    }
                    let differs = ahead.unsigned_abs() > CLOCK_MAX.as_nanos() as u64;
                    if differs != clock_differs {
                        let ahead_ms = ahead / 1_000_000;
                        match differs {
                            true => tracing::warn!(node = name, ahead_ms, "the node's clock differs from this one's"),
                            false => tracing::info!(node = name, ahead_ms, "the node's clock is right again"),
                        }
                    }
                    (is_suspected, clock_differs) = (false, differs);
                    *self.known() = Some(Known {
                        boot,
                        beat,
                        heard,
                        ahead,
                    });
                    self.pause(boot).await;
                    continue;
                }
                // The link says so in the log.
                Err(CallError::NotSent(NotSent::Unreachable(_))) => {
                    is_suspected = false;
                    *self.known() = None;
                }
                Ok(None) | Err(_) if !is_suspected => {
                    tracing::warn!(node = name, "the node does not answer");
                    is_suspected = true;
                }
                Ok(None) | Err(_) => {}
            }
            self.rt.sleep(AGAIN).await;
        }
    }
}

/// `a` − `b`, as far as it can be said.
fn difference(a: u64, b: u64) -> i64 {
    let magnitude = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a >= b { magnitude } else { -magnitude }
}

impl fmt::Debug for RemoteNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteNode({})", self.inner.name)
    }
}
