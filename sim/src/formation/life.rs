//! Run of a seed: the nodes start while faults strike, then these end and the deployment must form and serve.

use super::{
    faults::{calm, strike_on, watch},
    later,
    media::Media,
    node::live,
    plan::{Fault, Obstacle, Plan},
};
use crate::{
    World,
    faults::{Processes, mend_links},
    workload::{BUCKET, KEYS, Settings, Workload, clients, random},
};
use futures::future::select_all;
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep, timeout},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};
use store::{node::cluster::ClusterNode, store::StoreError};

/// Exceeds the interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(6);
/// Longest time until all nodes serve once nothing is in their way any more.
pub const FORMED_MAX: Duration = Duration::from_secs(90);

/// What was seen in a run, and how often.
pub type Seen = BTreeMap<&'static str, u64>;

/// State that nodes and supervisor share.
pub struct Shared {
    pub world: World,
    pub plan: Plan,
    pub workload: Workload,
    pub processes: Processes,
    media: Mutex<Media>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Open nodes, by number, and those that serve clients.
    up: BTreeMap<u32, Arc<ClusterNode>>,
    serving: BTreeSet<u32>,
    started: BTreeSet<u32>,
    /// Nodes whose start has failed, and that have to be started again.
    given_up: BTreeSet<u32>,
    /// Drives that are in each other's place.
    swapped: Option<(usize, usize)>,
    /// The faults are over.
    is_calm: bool,
    /// Deployment of which some drives had begun, and none was complete, as the leader ended.
    left: Option<String>,
    /// Complete drives at the last check.
    complete: usize,
    faults: BTreeSet<&'static str>,
    seen: Seen,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub fn media(&self) -> MutexGuard<'_, Media> {
        self.media.lock().expect("no panic")
    }

    pub fn is_calm(&self) -> bool {
        self.state().is_calm
    }

    pub fn saw(&self, what: &'static str) {
        *self.state().seen.entry(what).or_default() += 1;
    }

    pub fn count_fault(&self, fault: Fault) {
        self.state().faults.insert(fault.name());
    }

    pub fn is_up(&self, node: u32, open: Arc<ClusterNode>) {
        self.world.event(node, "is open");
        self.state().up.insert(node, open);
    }

    /// Notes that a node serves clients.
    pub fn serves(&self, node: u32) {
        self.world.event(node, "serves");
        let is_off = self.plan.clock.is_some_and(|(off, _)| off == node) && !self.is_calm();
        assert!(
            !is_off,
            "peer.same-settings: node {node} serves though its clock is off"
        );
        self.state().serving.insert(node);
    }

    pub fn is_serving(&self, node: u32) -> bool {
        self.state().serving.contains(&node)
    }

    /// Notes that a start has failed.
    ///
    /// # Panics
    /// If nothing has struck the node's drives.
    pub fn start_failed(&self, node: u32, error: &dyn fmt::Display) {
        self.saw("a start fails, and is made again");
        let has_cause = self.plan.has(Fault::WriteErrors) || self.plan.has(Fault::CutOff) || self.plan.has(Fault::Swap);
        let has_cause = has_cause && !self.is_calm();
        assert!(has_cause, "live.first-start: node {node} does not start: {error}");
    }

    /// Lets a node start again.
    pub fn give_up(&self, node: u32) {
        self.state().given_up.insert(node);
    }

    /// Returns whether some drives have got further than others.
    pub fn is_in_the_middle(&self) -> bool {
        let (begun, complete) = self.media().counts();
        begun > 0 && complete < self.plan.drives
    }

    /// Starts a node for the first time.
    fn start(self: &Arc<Self>, node: u32) {
        if self.state().started.insert(node) {
            let there = self.clone();
            self.world.start(node, move |rt| live(rt, node, there.clone()));
        }
    }

    /// Ends a node, if it runs.
    pub fn take_down(&self, node: u32, power: bool) -> bool {
        let (begun, complete) = self.media().counts();
        let deployment = self.media().deployment();
        if !self.state().started.contains(&node) || !self.processes.take_down(node, power) {
            return false;
        }
        let mut state = self.state();
        state.up.remove(&node);
        state.serving.remove(&node);
        state.given_up.remove(&node);
        if begun > 0 && begun < self.plan.drives {
            *state
                .seen
                .entry("a node ends while drives are being begun")
                .or_default() += 1;
        }
        if complete > 0 && complete < self.plan.drives {
            *state
                .seen
                .entry("a node ends while drives are being completed")
                .or_default() += 1;
        }
        if node == 1 && complete == 0 {
            state.left = deployment;
        }
        true
    }

    /// Stops a node's process, if it runs.
    pub fn stop(&self, node: u32) -> bool {
        self.state().started.contains(&node) && self.processes.stop(node)
    }

    /// Swaps two drives while their nodes are down, unless two are swapped already or both are empty: those may be
    /// begun where they are then. Returns whether it has.
    pub fn swap(&self, one: usize, other: usize) -> bool {
        if self.state().swapped.is_some() {
            return false;
        }
        let mut is_swapped = false;
        let nodes = BTreeSet::from([one, other].map(|drive| self.plan.node_of(drive)));
        self.while_down(&nodes, || {
            let mut media = self.media();
            if media.has_format(one) || media.has_format(other) {
                media.drives[one].swap(&media.drives[other]);
                (media.is_mixed_up, is_swapped) = (true, true);
            }
        });
        if is_swapped {
            self.state().swapped = Some((one, other));
        }
        is_swapped
    }

    /// Puts drives right that were swapped.
    pub fn swap_back(&self) {
        let Some((one, other)) = self.state().swapped else {
            return;
        };
        let nodes = BTreeSet::from([one, other].map(|drive| self.plan.node_of(drive)));
        let done = self.while_down(&nodes, || {
            let media = self.media();
            media.drives[one].swap(&media.drives[other]);
        });
        if done {
            self.state().swapped = None;
        }
    }

    /// Does something while nodes have no power, and starts them again; unless they are down already.
    fn while_down(&self, nodes: &BTreeSet<u32>, act: impl FnOnce()) -> bool {
        self.processes.while_down(nodes, |node| self.take_down(node, true), act)
    }

    /// Checks the drives, and starts nodes again that could not start.
    pub fn check(&self) {
        let mut media = self.media();
        media.check();
        let complete = media.counts().1;
        drop(media);
        let mut state = self.state();
        let before = std::mem::replace(&mut state.complete, complete);
        if self.processes.is_down(1) && before > 0 && complete > before {
            *state
                .seen
                .entry("a node completes its drives while the leader is away")
                .or_default() += 1;
        }
        let given_up = state.given_up.clone();
        drop(state);
        for node in given_up {
            if self.take_down(node, false) {
                self.processes.bring_up(node);
            }
        }
    }

    pub fn nodes(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.plan.nodes
    }

    /// Waits until nodes serve.
    pub async fn until_serving(&self, nodes: impl IntoIterator<Item = u32>) {
        let began = self.world.now();
        for node in nodes {
            while !self.is_serving(node) {
                assert!(
                    self.world.now() < began + FORMED_MAX,
                    "live.first-start: node {node} does not serve after {FORMED_MAX:?}"
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Runs a task in an open node's process.
    pub async fn on<F>(
        self: &Arc<Self>,
        node: u32,
        task: impl FnOnce(Arc<ClusterNode>, Arc<Shared>) -> F + Send + 'static,
    ) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let open = self.state().up.get(&node).cloned().expect("it is open");
        let there = self.clone();
        let ran = self.world.run_on(node, move |_| task(open, there)).await;
        ran.expect("it runs")
    }
}

/// Runs a seed.
pub async fn formation(world: World) -> Seen {
    formation_as(world, |_| {}).await
}

/// Runs a seed with a plan that `change` adapts after it is drawn.
pub async fn formation_as(world: World, change: fn(&mut Plan)) -> Seen {
    let mut plan = Plan::draw();
    change(&mut plan);
    world.event(0, &format!("{plan:?}"));
    let shared = Arc::new(Shared {
        workload: Workload::new(&world, Settings::default()),
        processes: Processes::new(&world),
        media: Mutex::new(Media::new(&world, &plan)),
        state: Mutex::default(),
        plan,
        world,
    });
    tokio::select! {
        biased;
        () = run(&shared) => {}
        _ = watch(&shared) => {}
    }
    let mut seen = shared.state().seen.clone();
    seen.extend(shared.state().faults.iter().map(|fault| (*fault, 1)));
    seen
}

async fn run(shared: &Arc<Shared>) {
    for drive in &shared.media().drives {
        calm(drive, shared.plan.job_max);
    }
    if let Some((node, offset)) = shared.plan.clock {
        shared.world.set_clock_offset(node, offset);
    }
    for node in shared.nodes() {
        let there = shared.clone();
        madsim::task::spawn(async move {
            sleep(random(there.plan.begin_max)).await;
            there.start(node);
        });
    }
    let strikers = (0..shared.plan.strikers).map(|_| Box::pin(strike_on(shared)));
    timeout(shared.plan.length, select_all(strikers)).await.ok();
    let was_formed = shared.media().counts().1 > 0;
    come_back(shared);
    shared.until_serving(shared.nodes()).await;
    let deployment = all_complete(shared);
    one_deployment(shared);
    whole(shared).await;
    store(shared, KEYS[0]).await;
    if shared.state().left.is_some() && shared.state().left == deployment {
        shared.saw("the leader ends in the middle, and what it began is gone on with");
    }
    note(shared, was_formed);
    later::clock(shared).await;
    later::wipe(shared).await;
    shared.workload.check(false);
}

/// Notes what was in the way and is no more.
fn note(shared: &Shared, was_formed: bool) {
    let plan = &shared.plan;
    if let Some(Obstacle::Begun(_)) = plan.obstacle {
        shared.saw("what was begun elsewhere is taken over");
    }
    if was_formed {
        return;
    }
    match plan.obstacle {
        Some(Obstacle::Foreign(_)) => shared.saw("foreign data is taken away, and the deployment is formed"),
        Some(Obstacle::Misplaced(_) | Obstacle::Divided(..)) => {
            shared.saw("drives of another deployment are taken away, and the deployment is formed");
        }
        _ => {}
    }
    if plan.wrong.is_some() {
        shared.saw("other settings are put right, and the deployment is formed");
    }
    if plan.clock.is_some() {
        shared.saw("a clock is put right, and the deployment is formed");
    }
}

/// Ends all faults, takes away what is in the way, and starts what does not run.
fn come_back(shared: &Arc<Shared>) {
    let world = &shared.world;
    world.event(0, "calm");
    shared.workload.set_calm(true);
    shared.state().is_calm = true;
    let all_restart = thread_rng().gen_bool(0.3);
    let mut restart = shared.media().nodes_in_the_way();
    restart.extend(shared.plan.wrong.map(|(node, _)| node));
    restart.extend(shared.processes.ahead());
    restart.extend(shared.state().given_up.iter().copied());
    let swapped = shared.state().swapped.take();
    restart.extend(
        swapped
            .iter()
            .flat_map(|(one, other)| [*one, *other].map(|drive| shared.plan.node_of(drive))),
    );
    for node in shared.nodes() {
        shared.processes.resume(node);
        if all_restart || restart.contains(&node) {
            shared.take_down(node, false);
        }
        mend_links(world, node, shared.nodes());
        world.set_clock_offset(node, 0);
    }
    let mut media = shared.media();
    if let Some((one, other)) = swapped {
        media.drives[one].swap(&media.drives[other]);
    }
    media.free();
    for drive in &media.drives {
        calm(drive, shared.plan.job_max);
    }
    drop(media);
    for node in shared.nodes() {
        shared.processes.bring_up(node);
        shared.start(node);
    }
}

/// Checks that all drives are complete. Returns the deployment that they are of.
fn all_complete(shared: &Shared) -> Option<String> {
    let media = shared.media();
    assert!(
        media.is_complete(),
        "live.first-start: not all drives are complete: {:?}",
        media.standings().collect::<Vec<_>>()
    );
    media.deployment()
}

/// Checks that all nodes are of one deployment.
fn one_deployment(shared: &Shared) {
    let state = shared.state();
    let fingerprints: BTreeSet<u128> = state.up.values().map(|open| open.deployment).collect();
    assert_eq!(fingerprints.len(), 1, "format.one-deployment: {fingerprints:?}");
}

/// Waits until every node reaches every drive, but those that were wiped. What nodes know of each other may be a
/// heartbeat old.
pub async fn whole(shared: &Arc<Shared>) {
    sleep(HEARTBEAT).await;
    let began = shared.world.now();
    for node in shared.nodes() {
        let wiped = shared.media().wiped();
        let reached = move |open: Arc<ClusterNode>, _| async move {
            let survey = open.node.store.survey().await;
            let absent = survey.drives().filter(|(_, _, drive)| !drive.status.is_online());
            absent.map(|(_, _, drive)| format!("{drive:?}")).collect::<Vec<_>>()
        };
        loop {
            let absent = shared.on(node, reached).await;
            if absent.len() == wiped {
                break;
            }
            assert!(
                shared.world.now() < began + FORMED_MAX,
                "live.first-start: not online at node {node}, with {wiped} wiped: {absent:?}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Checks that a key that is put through one node is read through all.
pub async fn store(shared: &Arc<Shared>, key: &'static str) {
    let writer = thread_rng().gen_range(1..=shared.plan.nodes);
    let put = move |open: Arc<ClusterNode>, shared: Arc<Shared>| async move {
        let (store, workload) = (&open.node.store, &shared.workload);
        let created = workload.ends("a new bucket", store.create_bucket(BUCKET)).await;
        assert!(matches!(created, Ok(_) | Err(StoreError::BucketExists)), "{created:?}");
        let put = workload.ends("a put", clients::put_value(store, workload, key)).await;
        assert!(put.is_ok(), "live.first-start: {key} cannot be written: {put:?}");
    };
    shared.on(writer, put).await;
    for node in shared.nodes() {
        let get = move |open: Arc<ClusterNode>, shared: Arc<Shared>| async move {
            let (store, workload) = (&open.node.store, &shared.workload);
            workload.ends("a read", clients::get(store, workload, key)).await
        };
        let read = shared.on(node, get).await;
        assert!(
            matches!(read, Ok(Some(_))),
            "put.acked-survives: {key} on node {node}: {read:?}"
        );
    }
}
