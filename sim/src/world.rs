//! Simulated world: nodes with their processes, clocks and drives, and the trace.

use crate::{
    clock::Clock,
    drive::{SimDrive, Unsynced},
    lock,
    net::{self, Link, Network},
    runtime::SimRuntime,
    trace::Trace,
};
use madsim::{
    runtime::Handle,
    task::NodeId,
    time::{Duration, TimeHandle},
};
use model::trace::{Entry, Replay, Violation};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};
use store::runtime::{Gone, Mutation, Rt};

/// State of a run. Clones share it.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    seed: u64,
    trace: Arc<Trace>,
    network: Network,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<u32, Node>,
    drives: BTreeMap<(u32, PathBuf), SimDrive>,
    /// Addresses of host names that a scenario has set.
    hosts: BTreeMap<String, Vec<IpAddr>>,
    job_panics: Vec<String>,
    mutation: Mutation,
    unsynced: Option<Unsynced>,
    replay: Option<Replaying>,
}

/// Replay of the machines of all nodes beside the run.
#[derive(Default)]
struct Replaying {
    replay: Replay,
    sequences: BTreeMap<u32, u64>,
    violation: Option<Violation>,
    /// Number of operations begun, and the operations that a drive's floor refused.
    operations: u64,
    refused: BTreeSet<u128>,
}

impl Replaying {
    /// Counts operations, and those whose round was below a drive's floor.
    fn count(&mut self, event: &model::trace::Event) {
        use model::{
            protocol::{Event::Reply, Reply::Refused},
            trace::Event::{Began, Reacted},
        };
        match event {
            Began { .. } => self.operations += 1,
            Reacted {
                operation,
                event:
                    Reply {
                        ballot,
                        reply: Refused(nack),
                        ..
                    },
                ..
            } if nack.floor > *ballot => {
                self.refused.insert(*operation);
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Node {
    clock: Clock,
    process: Option<Arc<Process>>,
    id: Option<NodeId>,
}

/// A process of a node, from its start to its end.
#[derive(Debug)]
pub(crate) struct Process {
    alive: AtomicBool,
}

impl Process {
    fn new() -> Arc<Self> {
        Arc::new(Process {
            alive: AtomicBool::new(true),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When the process has been killed: its destructors still run, and must not reach the world.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_alive() {
            Ok(())
        } else {
            Err(io::Error::other("the process was killed"))
        }
    }

    fn end(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}

impl World {
    /// Makes an empty world. [`crate::run`] makes one for each seed.
    pub fn new(seed: u64) -> Self {
        World(Arc::new(Inner {
            seed,
            trace: Arc::default(),
            network: Network::default(),
            state: Mutex::default(),
        }))
    }

    /// Returns the seed of the run.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns the address of a node: 10.0.x.y for node 256x + y.
    pub fn ip(&self, node: u32) -> IpAddr {
        net::ip(node)
    }

    /// Brings up a node (1 to 65535, unused so far) and runs `server` there, and again after each
    /// [`World::restart`]. The node ends when `server` returns. Call it inside the simulation.
    pub fn start<F>(&self, node: u32, server: impl Fn(Rt) -> F + Send + Sync + 'static) -> NodeId
    where
        F: Future<Output = ()> + 'static,
    {
        let (world, server) = (self.clone(), Arc::new(server));
        let init = move || {
            let (world, server) = (world.clone(), server.clone());
            async move {
                let process = world.new_process(node);
                server(world.runtime(node)).await;
                process.end();
            }
        };
        let handle = Handle::current()
            .create_node()
            .name(format!("n{node}"))
            .ip(self.ip(node))
            .init(init)
            .build();
        self.event(node, "start");
        lock(&self.0.state).nodes.entry(node).or_default().id = Some(handle.id());
        handle.id()
    }

    /// Runs `task`, a client or a part of a server, on a node to completion, in the node's process or a new one. Makes
    /// the node if it does not exist. Call it inside the simulation.
    ///
    /// # Errors
    /// [`Gone`] when the node is killed meanwhile.
    pub async fn run_on<F>(&self, node: u32, task: impl FnOnce(Rt) -> F + Send + 'static) -> Result<F::Output, Gone>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let handle = Handle::current();
        let known = self.id(node).and_then(|id| handle.get_node(id));
        let place = known.unwrap_or_else(|| {
            let built = handle.create_node().name(format!("n{node}")).ip(self.ip(node)).build();
            lock(&self.0.state).nodes.entry(node).or_default().id = Some(built.id());
            built
        });
        let world = self.clone();
        place
            .spawn(async move { task(world.runtime(node)).await })
            .await
            .map_err(|_| Gone)
    }

    /// madsim's name of a node that was started.
    pub fn id(&self, node: u32) -> Option<NodeId> {
        lock(&self.0.state).nodes.get(&node).and_then(|node| node.id)
    }

    /// Kills a node's process, as `kill -9` does: page caches stay, locks and connections are lost.
    pub fn kill(&self, node: u32) {
        self.event(node, "kill");
        let id = {
            let mut state = lock(&self.0.state);
            let node = state.nodes.entry(node).or_default();
            // Before its tasks are dropped: their destructors must find the process dead.
            if let Some(process) = node.process.take() {
                process.end();
            }
            node.id
        };
        // As its operating system does, at once: its tasks are dropped later.
        self.0.network.end_process(node);
        if let Some(id) = id {
            Handle::current().kill(id);
        }
    }

    /// Kills all nodes at the end of a run. Without it, tasks that wait for the network and the world that holds their
    /// wakers would keep each other in memory.
    pub(crate) async fn end(&self) {
        let nodes: Vec<u32> = lock(&self.0.state).nodes.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.kill(node));
        // Their tasks are dropped when the simulation goes on.
        madsim::time::sleep(Duration::from_millis(1)).await;
    }

    /// Marks all processes as ended. For a run that ends with a panic: the destructors of its tasks run once there is
    /// no simulation any more.
    pub(crate) fn abandon(&self) {
        let mut state = lock(&self.0.state);
        let processes = state.nodes.values_mut().filter_map(|node| node.process.take());
        processes.for_each(|process| process.end());
    }

    /// Takes the power of a node's host: it falls silent, and its drives lose what was not synced.
    pub fn power_off(&self, node: u32) {
        // First: a host without power does not end its connections.
        self.0.network.power_off(node);
        self.kill(node);
        for drive in self.drives(node) {
            drive.power_loss();
        }
    }

    /// Starts a killed node again, and gives its host its power back.
    pub fn restart(&self, node: u32) {
        self.event(node, "restart");
        self.0.network.end_process(node);
        self.0.network.power_on(node);
        if let Some(id) = self.id(node) {
            Handle::current().restart(id);
        }
    }

    /// Returns the runtime of a node's process; a new process if the last one was killed. Tasks and executors are made
    /// on the calling task's node, so use it only in code that runs there.
    pub fn runtime(&self, node: u32) -> Rt {
        let process = lock(&self.0.state).nodes.entry(node).or_default().process.clone();
        let process = process.unwrap_or_else(|| self.new_process(node));
        Arc::new(SimRuntime::new(self.clone(), node, process))
    }

    /// Returns the drive of a node mounted at `mount`, an absolute path, and makes it at the first call, which must
    /// come before the server uses the path. Paths outside of such mounts are on a drive at `/`.
    pub fn drive(&self, node: u32, mount: impl Into<PathBuf>) -> SimDrive {
        let mount = mount.into();
        let mut state = lock(&self.0.state);
        let device = state.drives.len() as u64 + 1;
        let new = || SimDrive::new(node, mount.clone(), device, self.0.trace.clone());
        state.drives.entry((node, mount.clone())).or_insert_with(new).clone()
    }

    /// Returns all drives of a node that exist so far, by mount.
    pub fn drives(&self, node: u32) -> Vec<SimDrive> {
        let state = lock(&self.0.state);
        state
            .drives
            .iter()
            .filter(|((n, _), _)| *n == node)
            .map(|(_, drive)| drive.clone())
            .collect()
    }

    /// Sets the offset of a node's wall clock, in nanoseconds. A change while the node runs is a clock step.
    pub fn set_clock_offset(&self, node: u32, offset_nanos: i64) {
        self.event(node, &format!("clock offset {offset_nanos} ns"));
        lock(&self.0.state).nodes.entry(node).or_default().clock.offset_nanos = offset_nanos;
    }

    /// Sets the drift of a node's clocks and timers, in parts per million (at most ±900,000; positive: fast).
    pub fn set_clock_drift(&self, node: u32, drift_ppm: i32) {
        self.event(node, &format!("clock drift {drift_ppm} ppm"));
        let now = TimeHandle::try_current().map(|time| time.elapsed()).unwrap_or_default();
        lock(&self.0.state)
            .nodes
            .entry(node)
            .or_default()
            .clock
            .set_drift(now, drift_ppm);
    }

    /// Returns a node's wall clock, in nanoseconds since the Unix epoch.
    pub fn wall_nanos(&self, node: u32) -> u64 {
        let time = TimeHandle::current();
        let wall = time
            .now_time()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.clock(node).wall_nanos(time.elapsed(), wall.as_nanos() as u64)
    }

    /// Sets the addresses that a host name resolves to, for all nodes, in place of those that it had. Without any it
    /// is unknown. At first the name of node N is `nodeN`.
    pub fn set_addresses(&self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        self.0.trace.event(0, &format!("host {host} is at {addresses:?}"));
        lock(&self.0.state).hosts.insert(host.to_owned(), addresses);
    }

    /// Returns the addresses of a host: an IP address as text, or a name.
    ///
    /// # Errors
    /// `NotFound` if the name is unknown.
    pub(crate) fn addresses_of(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let named = lock(&self.0.state).hosts.get(host).cloned();
        let node = || Some(self.ip(host.strip_prefix("node")?.parse::<u16>().ok()?.into()));
        let addresses = named.unwrap_or_else(|| node().into_iter().collect());
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}")));
        }
        Ok(addresses)
    }

    /// Stops a node's process, as SIGSTOP does: its host goes on to receive. Call it inside the simulation.
    pub fn pause(&self, node: u32) {
        self.event(node, "pause");
        if let Some(id) = self.id(node) {
            Handle::current().pause(id);
        }
    }

    /// Lets a stopped process go on: timers that have expired meanwhile fire at once.
    pub fn resume(&self, node: u32) {
        self.event(node, "resume");
        if let Some(id) = self.id(node) {
            Handle::current().resume(id);
        }
    }

    /// Lets what one node sends to another through, or cuts it off: connections see silence.
    pub fn set_link(&self, from: u32, to: u32, up: bool) {
        self.event(from, &format!("link to n{to} {}", if up { "up" } else { "down" }));
        self.0.network.set_link(from, to, up);
    }

    /// Sets latency and bandwidth of the link from one node to another.
    pub fn set_link_quality(&self, from: u32, to: u32, quality: Link) {
        self.event(from, &format!("link to n{to}: {quality:?}"));
        self.0.network.set_quality(from, to, quality);
    }

    /// Resets all connections between two nodes.
    pub fn reset_connections(&self, a: u32, b: u32) {
        self.event(a, &format!("connections with n{b} are reset"));
        self.0.network.reset(a, b);
    }

    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }

    /// Returns the virtual time since the run began. Histories use it because it has no skew.
    pub fn now(&self) -> Duration {
        TimeHandle::current().elapsed()
    }

    /// Enables a mutant in the servers of all nodes, from now on (`specs/mutants.md`).
    pub fn set_mutation(&self, mutation: Mutation) {
        lock(&self.0.state).mutation = mutation;
    }

    /// Disables syncs of some files on all nodes, for files opened from now on (`specs/mutants.md`).
    pub fn set_unsynced(&self, unsynced: Unsynced) {
        lock(&self.0.state).unsynced = Some(unsynced);
    }

    pub(crate) fn unsynced(&self) -> Option<Unsynced> {
        lock(&self.0.state).unsynced
    }

    /// Returns whether a mutant of the servers or of their files is enabled.
    pub fn is_mutated(&self) -> bool {
        self.mutation() != Mutation::NONE || self.unsynced().is_some()
    }

    pub(crate) fn mutation(&self) -> Mutation {
        lock(&self.0.state).mutation
    }

    /// Enables the replay of the machines of nodes that start from now on (`specs/trace.md`). Only for servers whose
    /// drives keep their promises.
    pub fn replay_machines(&self) {
        lock(&self.0.state).replay = Some(Replaying::default());
    }

    /// Returns whether the replay is enabled.
    pub fn replays(&self) -> bool {
        lock(&self.0.state).replay.is_some()
    }

    pub(crate) fn replay(&self, node: u32, event: model::trace::Event) {
        let mut state = lock(&self.0.state);
        let Some(replaying) = &mut state.replay else {
            return;
        };
        replaying.count(&event);
        let sequence = replaying.sequences.entry(node).or_default();
        *sequence += 1;
        let sequence = *sequence;
        if replaying.violation.is_none() {
            replaying.violation = replaying.replay.take(Entry { sequence, node, event }).err();
        }
    }

    /// Returns the number of operations begun during replay, and of those that a drive refused because its floor was
    /// above their round.
    pub fn refused_rounds(&self) -> (u64, u64) {
        let state = lock(&self.0.state);
        let counted = |replaying: &Replaying| (replaying.operations, replaying.refused.len() as u64);
        state.replay.as_ref().map_or((0, 0), counted)
    }

    /// Returns the violation that the replay found, if any, and the number of steps that were replayed.
    pub fn replayed(&self) -> (Option<Violation>, u64) {
        let state = lock(&self.0.state);
        let replaying = state.replay.as_ref();
        let found = |replaying: &Replaying| (replaying.violation.clone(), replaying.replay.steps());
        replaying.map_or((None, 0), found)
    }

    /// Records an event.
    pub fn event(&self, node: u32, what: &str) {
        self.0.trace.event(node, what);
    }

    /// Returns the trace so far. Its last line is a digest of all file operations.
    pub fn trace(&self) -> Vec<String> {
        self.0.trace.lines()
    }

    /// Takes the messages of panics in executor jobs so far. Such a panic is contained, as in production, but a run
    /// fails when it ends with one that was not taken.
    pub fn take_job_panics(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0.state).job_panics)
    }

    pub(crate) fn job_panicked(&self, node: u32, message: String) {
        self.event(node, &format!("a job panicked: {message}"));
        lock(&self.0.state).job_panics.push(message);
    }

    pub(crate) fn clock(&self, node: u32) -> Clock {
        lock(&self.0.state)
            .nodes
            .get(&node)
            .map(|node| node.clock)
            .unwrap_or_default()
    }

    /// Returns the drive with the longest mount that is a prefix of `path`.
    pub(crate) fn drive_of(&self, node: u32, path: &Path) -> SimDrive {
        let state = lock(&self.0.state);
        let mounted = path
            .ancestors()
            .find_map(|mount| state.drives.get(&(node, mount.to_owned())).cloned());
        drop(state);
        mounted.unwrap_or_else(|| self.drive(node, "/"))
    }

    fn new_process(&self, node: u32) -> Arc<Process> {
        let process = Process::new();
        let mut state = lock(&self.0.state);
        if let Some(old) = state.nodes.entry(node).or_default().process.replace(process.clone()) {
            old.end();
        }
        process
    }
}
