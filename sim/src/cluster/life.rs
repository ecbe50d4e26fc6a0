//! Run of a seed: the nodes format their drives and start, faults strike while clients work, then all come back without
//! faults and everything is checked.

use super::{
    faults::strike_on,
    http,
    node::live,
    plan::{Fault, Plan},
    wrong::Wrong,
};
use crate::{
    SimDrive, World,
    faults::{Processes, calm, mend_links},
    hang::{Bounds, Hangs, Watched},
    workload::{BUCKET, KEYS, Workload, clients, random},
};
use futures::future::select_all;
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep, timeout},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, Range},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::{background::recovery::Recovered, node::cluster::ClusterNode, store::StoreError};

/// Longest time until all nodes reach each other once the faults are over.
const WHOLE_MAX: Duration = Duration::from_secs(120);
/// Exceeds the time that a first start takes.
const FORMED_MAX: Duration = Duration::from_secs(30);
/// Exceeds the time that an operation takes.
const ENDED_MAX: Duration = Duration::from_secs(20);
/// Exceeds the time after which what a caller has lost is freed.
const HANDLES_MAX: Duration = Duration::from_secs(90);
/// Exceeds the time after which a drive has swept what was left on it.
const TEND: Duration = Duration::from_millis(2500);
/// Bounds of operations while one node hangs. Those on a key compete, and begin again after a pause.
const HUNG_NODE: Bounds = Bounds {
    rule: "live.one-hung-node",
    first_max: Duration::from_millis(1500),
    then_max: Duration::from_millis(400),
    suspected_after: Duration::from_secs(1),
};
/// Most recoveries until no folder is left behind.
const RECOVERIES: usize = 6;

/// State that nodes, clients and supervisor share.
pub struct Shared {
    pub workload: Workload,
    pub plan: Plan,
    pub processes: Processes,
    state: Mutex<State>,
    hangs: Hangs,
    /// True while clients work under faults.
    works: AtomicBool,
    counts: [AtomicU64; 2],
    /// Operations that were done while a set could not be read.
    done_beside: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Open nodes, by number.
    up: BTreeMap<u32, Arc<ClusterNode>>,
    /// Nodes that may lack what was written, or are slow: a fault has struck them, their drives or a link of theirs.
    harmed: BTreeSet<u32>,
    /// How often a process was stopped.
    stops: u32,
    /// Nodes whose drives a fault has struck.
    struck: BTreeSet<u32>,
    /// Drives that are unmounted, by name.
    pulled: BTreeSet<String>,
    /// Faults of drives that are in effect.
    disturbed: i32,
    wrong: Option<Wrong>,
    faults: BTreeMap<String, u64>,
}

/// Counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Operations that succeeded, and that failed, while faults struck.
    pub done: u64,
    pub failed: u64,
    /// Of those that succeeded, how many while an erasure set could not be read.
    pub done_beside: u64,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// Virtual time of the run.
    pub lasted: Duration,
    /// [`Hangs::checked`].
    pub hung: (u64, u64),
}

impl Deref for Shared {
    type Target = Workload;

    fn deref(&self) -> &Workload {
        &self.workload
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Returns whether clients are to work.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Notes that a node is open.
    pub fn is_up(&self, node: u32, open: Arc<ClusterNode>) {
        self.state().up.insert(node, open);
    }

    fn all_are_up(&self) -> bool {
        self.state().up.len() == self.plan.nodes as usize
    }

    /// Returns whether a fault has struck the node's drives.
    pub fn is_struck(&self, node: u32) -> bool {
        self.state().struck.contains(&node)
    }

    pub fn strikes_drives_of(&self, node: u32) {
        self.harms([node]);
        self.state().struck.insert(node);
    }

    /// Notes that a fault strikes these nodes or their links.
    pub fn harms(&self, nodes: impl IntoIterator<Item = u32>) {
        self.state().harmed.extend(nodes);
        self.hangs.changed();
    }

    /// Begins the operation of a number at a node; returns its bound if another node hangs and no other has ever been
    /// harmed.
    pub fn begin(&self, node: u32, what: u32) -> Option<Watched> {
        let paused = self.processes.paused();
        let state = self.state();
        let hangs_alone = paused.len() == 1 && !paused.contains(&node) && state.harmed == paused;
        // Once it goes on it takes all others for hung, and its writers leave stragglers out.
        let hangs_alone = hangs_alone && (state.stops == 1 || self.plan.spares_a_writer());
        drop(state);
        // A step of an upload consists of many operations, so the bound for one does not apply.
        let is_bounded = hangs_alone && self.plan.spares_a_node() && what < 100;
        is_bounded.then(|| self.hangs.begin(&self.world))
    }

    /// Ends an operation.
    pub fn end(&self, watched: Option<&Watched>, what: &str) {
        if let Some(watched) = watched {
            self.hangs.end(&self.world, watched, what);
        }
    }

    /// Returns a drive by its place, and its node.
    pub fn drive(&self, place: usize) -> (u32, SimDrive) {
        let (node, path) = self.plan.place(place);
        (node, self.world.drive(node, path))
    }

    /// Returns whether a set has too few drives to be read, and another has all of its drives.
    fn one_set_is_lost(&self) -> bool {
        let state = self.state();
        let away = |set: Range<usize>| {
            let drives = set.map(|place| self.drive(place).1);
            drives
                .filter(|drive| state.pulled.contains(&format!("{drive:?}")))
                .count()
        };
        let away: Vec<usize> = self.plan.sets().map(away).collect();
        let parity = usize::from(self.plan.parity);
        away.iter().any(|away| *away > parity) && away.contains(&0)
    }

    /// Counts the faults of drives that are in effect.
    pub fn disturbs(&self, more: i32) {
        self.state().disturbed += more;
    }

    pub fn disturbs_drives(&self) -> bool {
        self.state().disturbed > 0
    }

    pub fn has_wrong_drive(&self) -> bool {
        self.state().wrong.is_some()
    }

    /// Notes that drives are where they do not belong.
    pub fn misplace(&self, wrong: Wrong) {
        self.harms(wrong.nodes.iter().copied());
        let mut state = self.state();
        state.struck.extend(&wrong.nodes);
        state.wrong = Some(wrong);
    }

    /// Puts drives right that are where they do not belong; their nodes must be down.
    pub fn put_right(&self) {
        let wrong = self.state().wrong.take();
        if let Some(wrong) = wrong {
            wrong.put_right();
        }
    }

    /// Does something while nodes have no power, unless one of them does not run. Returns whether it was done.
    pub fn while_down(&self, nodes: &BTreeSet<u32>, act: impl FnOnce()) -> bool {
        self.processes.while_down(nodes, |node| self.take_down(node, true), act)
    }

    /// Unmounts a drive, unless it is.
    pub fn pull(&self, drive: &SimDrive) {
        let mut state = self.state();
        if state.pulled.insert(format!("{drive:?}")) {
            drive.remove();
        }
    }

    /// Mounts a drive again that was unmounted.
    pub fn put_back(&self, drive: &SimDrive) {
        let mut state = self.state();
        if state.pulled.remove(&format!("{drive:?}")) {
            drive.insert();
        }
    }

    /// Returns the number of faults so far.
    pub fn faults(&self) -> u64 {
        self.state().faults.values().sum()
    }

    pub fn count_fault(&self, fault: Fault) {
        *self.state().faults.entry(format!("{fault:?}")).or_default() += 1;
    }

    /// Counts an operation under faults.
    pub fn answered(&self, is_ok: bool) {
        self.counts[usize::from(!is_ok)].fetch_add(1, Ordering::Relaxed);
        if is_ok && self.one_set_is_lost() {
            self.done_beside.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns a random pause between two operations of a client.
    pub fn client_pause(&self) -> Duration {
        random(self.plan.pause_max)
    }

    /// Ends a node, if it runs.
    pub fn take_down(&self, node: u32, power: bool) -> bool {
        let is_done = self.processes.take_down(node, power);
        if is_done {
            self.harms([node]);
            self.state().up.remove(&node);
        }
        is_done
    }

    /// Stops a node's process, if it runs.
    pub fn stop(&self, node: u32) -> bool {
        let is_done = self.processes.stop(node);
        if is_done {
            self.state().stops += 1;
            self.harms([node]);
        }
        is_done
    }

    /// Lets a node's process go on that was stopped.
    pub fn resume(&self, node: u32) {
        self.processes.resume(node);
        self.hangs.changed();
    }
}

/// Runs a seed.
pub async fn cluster(world: World) -> Report {
    cluster_as(world, |_| {}).await
}

/// Runs a seed with a plan that `change` adapts after it is drawn.
pub async fn cluster_as(world: World, change: fn(&mut Plan)) -> Report {
    let mut plan = Plan::draw(world.seed());
    change(&mut plan);
    if !world.is_mutated() {
        world.replay_machines();
    }
    world.event(0, &format!("{plan:?}"));
    let shared = Arc::new(Shared {
        workload: Workload::new(&world, plan.settings()),
        plan,
        processes: Processes::new(&world),
        state: Mutex::default(),
        hangs: Hangs::new(HUNG_NODE),
        works: AtomicBool::new(true),
        counts: Default::default(),
        done_beside: AtomicU64::new(0),
    });
    for drive in 0..shared.plan.drives() {
        calm(&shared.drive(drive).1);
    }
    for node in nodes(&shared) {
        let there = shared.clone();
        world.start(node, move |rt| live(rt, node, there.clone()));
    }
    let formed = async {
        while !shared.all_are_up() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(FORMED_MAX, formed)
        .await
        .expect("a first start without faults ends");
    if shared.plan.http {
        http::start(&shared);
    }
    disturb(&shared).await;
    if shared.plan.http {
        http::stop(&shared);
    }
    come_back(&shared).await;
    verify(&shared).await;
    settle(&shared).await;
    progress(&shared).await;
    verify(&shared).await;
    handles_are_freed(&shared).await;
    // Over HTTP a completion may be sent again (`specs/s3.md`).
    shared.workload.check(shared.plan.http);
    let [done, failed] = [0, 1].map(|at| shared.counts[at].load(Ordering::Relaxed));
    let faults = shared.state().faults.clone();
    let done_beside = shared.done_beside.load(Ordering::Relaxed);
    Report {
        done,
        failed,
        done_beside,
        faults,
        lasted: shared.world.now(),
        hung: shared.hangs.checked(),
    }
}

fn nodes(shared: &Shared) -> impl Iterator<Item = u32> + use<> {
    1..=shared.plan.nodes
}

/// Lets faults strike for as long as the plan says.
async fn disturb(shared: &Shared) {
    let strikers = (0..shared.plan.strikers).map(|_| Box::pin(strike_on(shared)));
    timeout(shared.plan.length, select_all(strikers)).await.ok();
}

/// Ends all faults. In half of the seeds all nodes are started again; in the others only those that have to be, so that
/// the processes that lived through the faults are the ones that are checked.
async fn come_back(shared: &Arc<Shared>) {
    let world = &shared.world;
    let all_restart = thread_rng().gen_bool(0.5);
    shared.works.store(false, Ordering::Relaxed);
    shared.set_calm(true);
    for node in nodes(shared) {
        shared.resume(node);
        if all_restart || shared.is_struck(node) {
            shared.take_down(node, false);
        }
        mend_links(world, node, nodes(shared));
        world.set_clock_offset(node, 0);
        world.set_clock_drift(node, 0);
        for drive in world.drives(node) {
            shared.put_back(&drive);
            calm(&drive);
        }
    }
    shared.put_right();
    for node in nodes(shared) {
        shared.processes.bring_up(node);
    }
    // Clients of nodes that go on end what they have begun.
    sleep(ENDED_MAX).await;
    let whole = timeout(WHOLE_MAX, whole(shared)).await;
    assert!(
        whole.is_ok(),
        "live.resolves: the nodes do not reach each other after {WHOLE_MAX:?}"
    );
}

/// Waits until every node reaches every drive.
async fn whole(shared: &Arc<Shared>) {
    for node in nodes(shared) {
        while !on(shared, node, |open, _| async move {
            let survey = open.node.store.survey().await;
            survey.drives().all(|(_, _, drive)| drive.status.is_online())
        })
        .await
        .unwrap_or(false)
        {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Runs a task in an open node's process; `None` if it is not open.
async fn on<F>(
    shared: &Arc<Shared>,
    node: u32,
    task: impl FnOnce(Arc<ClusterNode>, Arc<Shared>) -> F + Send + 'static,
) -> Option<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let open = shared.state().up.get(&node).cloned()?;
    let there = shared.clone();
    shared.world.run_on(node, move |_| task(open, there)).await.ok()
}

/// Checks that every node reads every key, and lists them.
async fn verify(shared: &Arc<Shared>) {
    for node in nodes(shared) {
        let verified = on(shared, node, move |open, shared| async move {
            let store = &open.node.store;
            if let Err(error) = shared.ends("a bucket", store.bucket(BUCKET)).await {
                assert_eq!(error, StoreError::NoSuchBucket, "the buckets cannot be read");
                assert!(shared.is_unused(), "the bucket is lost");
                return;
            }
            for key in KEYS {
                let read = shared.ends("a read", clients::get(store, &shared, key)).await;
                assert!(read.is_ok(), "put.acked-survives: {key} on node {node}: {read:?}");
            }
            let listed = shared.ends("a listing", clients::list(store, &shared)).await;
            assert!(listed.is_ok(), "a listing on node {node}: {listed:?}");
        });
        verified.await.expect("it is open");
    }
}

/// Checks that no node holds a writer or a reader for another any more (`peer.handles-are-freed`).
async fn handles_are_freed(shared: &Arc<Shared>) {
    sleep(HANDLES_MAX).await;
    let open = shared.state().up.clone();
    for (node, open) in open {
        let handles = open.service.handles();
        assert_eq!(handles, 0, "peer.handles-are-freed: node {node} holds {handles}");
    }
}

/// Checks that what faults have left is settled and cleared away.
async fn settle(shared: &Arc<Shared>) {
    let settled = on(shared, 1, |open, shared| async move {
        let node = &open.node;
        // By then the sweeps of leftovers have ended.
        sleep(TEND).await;
        let first: Recovered = shared.ends("recovery", node.recover(Duration::ZERO)).await;
        assert_eq!(first.left, 0, "live.resolves: {first:?}");
        let mut again = first;
        for _ in 0..RECOVERIES {
            again = shared.ends("recovery", node.recover(Duration::ZERO)).await;
            if again == Recovered::default() {
                break;
            }
        }
        // A drive that has missed a vote is not told of it yet: its key is settled again each time.
        assert_eq!(
            (again.dropped, again.ended, again.left),
            (0, 0, 0),
            "drive.no-garbage: {again:?}"
        );
    });
    settled.await.expect("it is open");
}

/// Checks that every key can be written, each through another node.
async fn progress(shared: &Arc<Shared>) {
    for (key, node) in KEYS.into_iter().zip((1..=shared.plan.nodes).cycle()) {
        let written = on(shared, node, move |open, shared| async move {
            let created = shared.ends("a new bucket", open.node.store.create_bucket(BUCKET)).await;
            assert!(matches!(created, Ok(_) | Err(StoreError::BucketExists)), "{created:?}");
            let put = shared
                .ends("a put", clients::put_value(&open.node.store, &shared, key))
                .await;
            assert!(put.is_ok(), "live.resolves: {key} cannot be written: {put:?}");
        });
        written.await.expect("it is open");
    }
}
